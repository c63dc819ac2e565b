"""Rows that decide together: beside them stands a tagged list, so none goes or returns unseen.

A tag shows that a row was changed; it cannot show that a row is gone. A policy that refuses, or
the role it aims at, must not be taken away by deleting its row. So every such set is read
through its list, which names each row with its revision; an owner without a list is Tampered.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table

from keystead.access.tables import SETS
from keystead.base.errors import Tampered
from keystead.database.integrity import Fields, Integrity


@dataclass(frozen=True)
class RowSet:
    """The rows of `table` that belong to one owner, found by its column `owner`."""

    kind: str
    table: Table
    owner: ColumnElement[str]
    condition: ColumnElement[bool] | None = None

    def begin(self, tx: Connection, integrity: Integrity, owner_id: str) -> None:
        """List the first rows of a new owner, or that he has none."""
        members = _members(self._rows(tx, integrity, self.owner == owner_id))
        integrity.insert(tx, SETS, kind=self.kind, owner_id=owner_id, members=members)

    def read(self, tx: Connection, integrity: Integrity, owner_id: str) -> list[Fields]:
        """The rows of an owner, oldest first.

        Raises:
            Tampered: when one is changed, gone, or one too many.
        """
        rows = self._rows(tx, integrity, self.owner == owner_id)
        if _members(rows) != self._listed(tx, integrity, owner_id)["members"]:
            raise self._tampered(owner_id)
        return rows

    def read_all(self, tx: Connection, integrity: Integrity) -> list[Fields]:
        """The rows of every owner.

        Raises:
            Tampered: as `read`.
        """
        listed = integrity.all(tx, SETS, SETS.c.kind == self.kind)
        members = {row["owner_id"]: row["members"] for row in listed}
        rows = self._rows(tx, integrity)
        found: dict[str, list[Fields]] = {owner_id: [] for owner_id in members}
        for row in rows:
            found.setdefault(row[str(self.owner.key)], []).append(row)
        for owner_id, own in found.items():
            if _members(own) != members.get(owner_id):
                raise self._tampered(owner_id)
        return rows

    def write(self, tx: Connection, integrity: Integrity, owner_id: str) -> None:
        """List the rows as they are now; the caller read the set before it changed one.

        Raises:
            Conflict: when somebody else changed the set at the same time.
        """
        members = _members(self._rows(tx, integrity, self.owner == owner_id))
        listed = self._listed(tx, integrity, owner_id)
        integrity.update(tx, SETS, listed, f"The {self.kind}", members=members)

    def _rows(
        self, tx: Connection, integrity: Integrity, *conditions: ColumnElement[bool]
    ) -> list[Fields]:
        also = [] if self.condition is None else [self.condition]
        return integrity.all(tx, self.table, *conditions, *also)

    def _listed(self, tx: Connection, integrity: Integrity, owner_id: str) -> Fields:
        mine = (SETS.c.kind == self.kind) & (SETS.c.owner_id == owner_id)
        found = integrity.all(tx, SETS, mine)
        if not found:
            raise self._tampered(owner_id)
        return found[0]

    def _tampered(self, owner_id: str) -> Tampered:
        return Tampered("set.tampered", kind=self.kind, owner=owner_id)


def _members(rows: list[Fields]) -> str:
    return " ".join(f"{row['sys_id']}:{row['revision']}" for row in rows)
