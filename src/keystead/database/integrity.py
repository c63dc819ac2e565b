"""Rows that cannot be changed behind Keystead's back.

Keys, policies and field configurations decide who reads what, so each of their rows carries an
HMAC over all its columns, its table and its instance, and each of their tables an anchor over all
its rows (`database.anchors`). A table is used only when all of this holds:

1. its anchor is there and has a valid tag
2. every row has a valid tag
3. the rows are those of the anchor: none missing, none more, none older

This is checked when a transaction first touches the table. It holds until the transaction ends,
because a transaction sees one point in time and writes one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, select, update
from sqlalchemy.engine import Transaction
from sqlalchemy.exc import DBAPIError

from keystead.base.errors import Conflict, NotFound, Tampered
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import mac
from keystead.crypto.sha256 import sha256
from keystead.database.anchors import (
    ANCHORS,
    REVISIONS,
    Anchor,
    differences,
    digest,
    tagged_tables,
)

Fields = dict[str, Any]
_REMEMBERED_ROWS: Final = 50_000


class Integrity:
    """Writes and reads tagged rows of one instance."""

    def __init__(self, instance_id: str, key: Secret) -> None:
        self._instance_id = instance_id
        self._key = key
        self._valid: set[bytes] = set()
        # for each open transaction, the tags of the tables it has checked, by row
        self._checked: WeakKeyDictionary[Transaction, dict[str, dict[str, str]]] = (
            WeakKeyDictionary()
        )

    def insert(self, tx: Connection, table: Table, **fields: str | int | None) -> str:
        """Insert a row and return its `sys_id`, made here unless given.

        Raises:
            Tampered: when the table is not as it was written.
        """
        tags = self._tags(tx, table)
        row: Fields = {"sys_id": new_id(), **fields, "revision": 1}
        complete = {c.name: row.get(c.name) for c in table.columns if c.name != "tag"}
        tag = self._tag(table, complete)
        tx.execute(insert(table).values(**complete, tag=tag))
        sys_id = str(complete["sys_id"])
        tx.execute(insert(REVISIONS).values(table_name=table.name, sys_id=sys_id, revision=1))
        self._move_anchor(tx, table, tags, {**tags, sys_id: tag})
        return sys_id

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
            Tampered: when the table is not as it was written.
        """
        tags = self._tags(tx, table)
        changed = {**row, **fields, "revision": int(row["revision"]) + 1}
        changed["tag"] = self._tag(table, {k: v for k, v in changed.items() if k != "tag"})
        sys_id = str(row["sys_id"])
        if tx.execute(update(table).where(_as_read(table, row)).values(**changed)).rowcount != 1:
            raise Conflict("row.changed", what=what)
        tx.execute(
            update(REVISIONS)
            .where(REVISIONS.c.table_name == table.name, REVISIONS.c.sys_id == sys_id)
            .values(revision=changed["revision"])
        )
        self._move_anchor(tx, table, tags, {**tags, sys_id: changed["tag"]})
        return changed

    def hand_over(
        self, tx: Connection, table: Table, row: Fields, successor: Integrity, **fields: str
    ) -> None:
        """Give a row that was read here a tag of `successor`, and other values of `fields`.

        The tables are its own after `successor.adopt`.

        Raises:
            Conflict: when it was changed since it was read.
        """
        changed = {**row, **fields, "revision": int(row["revision"]) + 1}
        changed["tag"] = successor._tag(table, {k: v for k, v in changed.items() if k != "tag"})
        guard = (table.c.sys_id == row["sys_id"]) & (table.c.tag == row["tag"])
        if tx.execute(update(table).where(guard).values(**changed)).rowcount != 1:
            raise Conflict("row.changed", what=f"Row {row['sys_id']} of {table.name}")

    def delete(self, tx: Connection, table: Table, row: Mapping[str, Any], what: str) -> None:
        """Remove a row as it was read.

        Raises:
            Conflict: when it was changed since it was read.
            Tampered: when the table is not as it was written.
        """
        tags = self._tags(tx, table)
        sys_id = str(row["sys_id"])
        if tx.execute(delete(table).where(_as_read(table, row))).rowcount != 1:
            raise Conflict("row.changed", what=what)
        tx.execute(
            delete(REVISIONS).where(
                REVISIONS.c.table_name == table.name, REVISIONS.c.sys_id == sys_id
            )
        )
        self._move_anchor(tx, table, tags, {i: tag for i, tag in tags.items() if i != sys_id})

    def all(self, tx: Connection, table: Table, *conditions: ColumnElement[bool]) -> list[Fields]:
        """The rows that meet `conditions`, oldest first.

        Raises:
            Tampered: when the table is not as it was written.
        """
        self._tags(tx, table)
        found = tx.execute(select(table).where(*conditions).order_by(table.c.sys_id)).all()
        return [dict(row._mapping) for row in found]

    def one(
        self, tx: Connection, table: Table, missing: NotFound, *conditions: ColumnElement[bool]
    ) -> Fields:
        """The row that meets `conditions`.

        Raises:
            NotFound: `missing`, when there is none.
            Tampered: when the table is not as it was written.
        """
        rows = self.all(tx, table, *conditions)
        if not rows:
            raise missing
        return rows[0]

    def anchors(self, tx: Connection) -> dict[str, Anchor]:
        """The anchor of each tagged table, by name.

        Raises:
            Tampered: when one is missing or is not as it was written.
        """
        return {table.name: self._anchor(tx, table) for table in tagged_tables()}

    def check(self, tx: Connection, table: Table) -> None:
        """Refuse a table that is not as it was written.

        Raises:
            Tampered: naming what differs.
        """
        self._of(tx).pop(table.name, None)
        self._tags(tx, table)

    def adopt(self, tx: Connection, *, only_new: bool = False) -> int:
        """Anchor the tagged tables as they stand, when their rows' tags are valid; how many rows.

        For a new instance, and what an operator accepts; with `only_new` for tables that were made
        since the others were anchored.

        Raises:
            Tampered: at a row that is not as it was written.
        """
        last = {
            str(row.table_name): int(row.revision)
            for row in tx.execute(select(ANCHORS.c.table_name, ANCHORS.c.revision))
        }
        adopted = 0
        chosen = [t for t in tagged_tables() if not only_new or t.name not in last]
        names = [table.name for table in chosen]
        tx.execute(delete(ANCHORS).where(ANCHORS.c.table_name.in_(names)))
        tx.execute(delete(REVISIONS).where(REVISIONS.c.table_name.in_(names)))
        for table in chosen:
            rows = self._valid_rows(tx, table)
            for row in rows:
                tx.execute(
                    insert(REVISIONS).values(
                        table_name=table.name, sys_id=row["sys_id"], revision=row["revision"]
                    )
                )
            tags = [row["tag"] for row in rows]
            fields = {
                "sys_id": new_id(),
                "table_name": table.name,
                "row_count": len(rows),
                "digest": digest(tags),
                "revision": last.get(table.name, 0) + 1,
            }
            tx.execute(insert(ANCHORS).values(**fields, tag=self._tag(ANCHORS, fields)))
            adopted += len(rows)
        self._of(tx).clear()
        return adopted

    def _tags(self, tx: Connection, table: Table) -> dict[str, str]:
        """The tag of every row of a table that passes steps 1 to 3, by `sys_id`."""
        checked = self._of(tx)
        if table.name not in checked:
            try:
                anchor = self._anchor(tx, table)  # step 1
                rows = self._valid_rows(tx, table)  # step 2
            except DBAPIError as error:
                # for the adapter, which knows what the error means
                error.add_detail(table.name)
                raise
            tags = {str(row["sys_id"]): str(row["tag"]) for row in rows}
            # over every row, since somebody may have taken the primary key away and doubled one
            if digest(str(row["tag"]) for row in rows) != anchor.digest:  # step 3
                named = differences(tx, table, rows) or ["which one is not known"]
                raise Tampered("table.tampered", table=table.name, reason="; ".join(named[:5]))
            checked[table.name] = tags
        return checked[table.name]

    def _of(self, tx: Connection) -> dict[str, dict[str, str]]:
        transaction = tx.get_transaction()
        if transaction is None:
            raise RuntimeError("tagged rows are read and written in a transaction")
        return self._checked.setdefault(transaction, {})

    def _anchor(self, tx: Connection, table: Table) -> Anchor:
        row = tx.execute(select(ANCHORS).where(ANCHORS.c.table_name == table.name)).first()
        if row is None:
            raise Tampered("table.tampered", table=table.name, reason="its anchor is missing")
        fields = dict(row._mapping)
        self._verify(ANCHORS, fields)
        return Anchor(int(fields["revision"]), str(fields["digest"]))

    def _move_anchor(
        self, tx: Connection, table: Table, old: Mapping[str, str], new: dict[str, str]
    ) -> None:
        checked = self._of(tx)
        checked.pop(table.name, None)
        row = tx.execute(select(ANCHORS).where(ANCHORS.c.table_name == table.name)).one()
        fields = dict(row._mapping)
        self._verify(ANCHORS, fields)
        if fields["digest"] != digest(old.values()):
            raise Conflict("row.changed", what=table.name)
        changed = {
            **{name: value for name, value in fields.items() if name != "tag"},
            "row_count": len(new),
            "digest": digest(new.values()),
            "revision": int(fields["revision"]) + 1,
        }
        changed["tag"] = self._tag(ANCHORS, changed)
        guard = _as_read(ANCHORS, fields)
        if tx.execute(update(ANCHORS).where(guard).values(**changed)).rowcount != 1:
            raise Conflict("row.changed", what=table.name)
        checked[table.name] = new

    def _valid_rows(self, tx: Connection, table: Table) -> list[Fields]:
        rows = [dict(row._mapping) for row in tx.execute(select(table)).all()]
        for row in rows:
            self._verify(table, row)
        return rows

    def _verify(self, table: Table, fields: Fields) -> None:
        """Refuse a row without a valid tag; what was found valid once is not computed again."""
        seen = sha256(repr((table.name, fields)).encode("utf-8", "surrogatepass"))
        if seen in self._valid:
            return
        untagged = {k: v for k, v in fields.items() if k != "tag"}
        if not mac.is_valid(self._key, self._scope(table, untagged), str(fields["tag"])):
            raise Tampered("row.tampered", row=fields["sys_id"], table=table.name)
        if len(self._valid) >= _REMEMBERED_ROWS:
            self._valid.clear()
        self._valid.add(seen)

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


def _as_read(table: Table, row: Mapping[str, Any]) -> ColumnElement[bool]:
    return and_(table.c.sys_id == row["sys_id"], table.c.revision == row["revision"])


def misread(error: DBAPIError) -> Tampered:
    """The refusal of a tagged table that a driver could not read as it was declared."""
    return Tampered("table.tampered", table=error.detail[0], reason="they cannot be read")
