"""Rows that cannot be changed behind Keystead's back.

Keys, policies and field configurations decide who reads what, so each of their rows carries an
HMAC over all its columns, its table and its instance. A row whose tag does not match is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, insert, select, update

from keystead.base.errors import Conflict, NotFound, Tampered
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import mac

Fields = dict[str, Any]


class Integrity:
    """Writes and reads tagged rows of one instance."""

    def __init__(self, instance_id: str, key: Secret) -> None:
        self._instance_id = instance_id
        self._key = key

    def insert(self, tx: Connection, table: Table, **fields: str | int | None) -> str:
        """Insert a row and return its `sys_id`, made here unless given."""
        row: Fields = {"sys_id": new_id(), **fields, "revision": 1}
        complete = {c.name: row.get(c.name) for c in table.columns if c.name != "tag"}
        tx.execute(insert(table).values(**complete, tag=self._tag(table, complete)))
        return str(complete["sys_id"])

    def update(
        self,
        tx: Connection,
        table: Table,
        row: Mapping[str, Any],
        what: str,
        **fields: str | int | None,
    ) -> Fields:
        """Change a row as it was read; the new row is returned.

        Raises:
            Conflict: when it was changed since it was read.
        """
        changed = {**row, **fields, "revision": int(row["revision"]) + 1}
        changed["tag"] = self._tag(table, {k: v for k, v in changed.items() if k != "tag"})
        guard = (table.c.sys_id == row["sys_id"]) & (table.c.revision == row["revision"])
        if tx.execute(update(table).where(guard).values(**changed)).rowcount != 1:
            raise Conflict("row.changed", what=what)
        return changed

    def delete(self, tx: Connection, table: Table, row: Mapping[str, Any], what: str) -> None:
        """Delete a row as it was read.

        Raises:
            Conflict: when it was changed since it was read.
        """
        guard = (table.c.sys_id == row["sys_id"]) & (table.c.revision == row["revision"])
        if tx.execute(delete(table).where(guard)).rowcount != 1:
            raise Conflict("row.changed", what=what)

    def all(self, tx: Connection, table: Table, *conditions: ColumnElement[bool]) -> list[Fields]:
        """The rows that meet `conditions`, oldest first.

        Raises:
            Tampered: when one of them is not as it was written.
        """
        found = tx.execute(select(table).where(*conditions).order_by(table.c.sys_id)).all()
        return [self._verified(table, row) for row in found]

    def one(
        self, tx: Connection, table: Table, missing: NotFound, *conditions: ColumnElement[bool]
    ) -> Fields:
        """The row that meets `conditions`.

        Raises:
            NotFound: `missing`, when there is none.
            Tampered: when it is not as it was written.
        """
        rows = self.all(tx, table, *conditions)
        if not rows:
            raise missing
        return rows[0]

    def _verified(self, table: Table, row: Row[Any]) -> Fields:
        fields = dict(row._mapping)
        claimed = str(fields["tag"])
        untagged = {k: v for k, v in fields.items() if k != "tag"}
        if not mac.is_valid(self._key, self._scope(table, untagged), claimed):
            raise Tampered("row.tampered", row=fields["sys_id"], table=table.name)
        return fields

    def _tag(self, table: Table, fields: Fields) -> str:
        return mac.tag(self._key, self._scope(table, fields))

    def _scope(self, table: Table, fields: Fields) -> Fields:
        # a column of the row is named "c.<name>", so no column can stand for table or instance;
        # a NULL is left out, so a column added later leaves the tags of earlier rows valid
        return {
            "instance": self._instance_id,
            "table": table.name,
            **{f"c.{name}": value for name, value in fields.items() if value is not None},
        }
