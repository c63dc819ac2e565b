"""Rows that cannot be changed behind Keystead's back.

Keys, policies and field configurations decide who reads what, so each of their rows carries an
HMAC over all its columns, its table and its instance, and each of their tables an anchor over all
its rows (`database.anchors`). A table is used only when all of this holds:

1. its anchor is there and has a valid tag
2. every row has a valid tag
3. the rows are those of the anchor: none missing, none more, none older

The table is scanned for this when a transaction first touches it. Rows are answered out of what was
scanned (`database.verified`), so what somebody writes meanwhile is never answered, and a row is
changed only where the tag still stands with which it was read.

To scan a large table for every request would be slow. A table of more than a few rows is not
scanned again when its anchor is the one of a scan in this process within the last minute: what the
table must hold is known then. Each row that is used is still read and compared with what it must
be. A row that is added, or changed or removed and not used, changes no answer, and is noticed by
the next scan.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement as Condition
from sqlalchemy import Connection, Table, and_, delete, event, func, insert, select, update
from sqlalchemy.engine import Transaction
from sqlalchemy.exc import DBAPIError

from keystead.base.errors import Conflict, NotFound, Tampered
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import mac
from keystead.database.anchors import (
    ANCHORS,
    REVISIONS,
    Anchor,
    differences,
    digest,
    tagged_tables,
)
from keystead.database.verified import Row, VerifiedRows, names

Fields = dict[str, Any]
V = TypeVar("V")
_FEW: Final = 100  # rows that are scanned as fast as one of them is found
_MOST: Final = 250_000  # rows of one table that are kept in memory
_MOST_REMEMBERED: Final = 4_096
_SECONDS: Final = 60.0  # for which a scan counts
_ANCHOR_COLUMNS: Final = names(ANCHORS)
# in words made once: each transaction asks for them
_EVERY_ANCHOR: Final = str(select(ANCHORS))
_EVERY_REVISION: Final = str(select(func.sum(ANCHORS.c.revision), func.count()))


@dataclass(frozen=True, slots=True)
class _Opened:
    """What one transaction knows: anchors, tables, and the rows it has read itself, or all."""

    anchors: dict[str, Fields]
    tables: dict[str, VerifiedRows] = field(default_factory=dict)
    read: dict[str, set[str] | None] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The anchors as they were read at a moment."""

    at: float
    revisions: tuple[Any, ...]
    anchors: dict[str, Fields]


class Integrity:
    """Writes and reads tagged rows of one instance.

    While the anchor of a table is that of a scan at most `trust` seconds old, the rows of that scan
    stand for the table: a row that somebody else changed meanwhile has no effect, and is noticed by
    the next scan. What Keystead writes moves the anchor, and is known at once: within `trust`
    seconds the anchors themselves are read again only when their revisions have another sum.
    """

    def __init__(self, instance_id: str, key: Secret) -> None:
        self.trust = 0.0
        self._instance_id = instance_id
        self._key = key
        # the newest state of each table, and when a scan last found the table to be as it must
        self._known: dict[str, VerifiedRows] = {}
        self._scanned: dict[str, float] = {}
        self._seen: _Seen | None = None
        self._remembered: dict[Hashable, tuple[tuple[str, ...], Any]] = {}
        self._transactions: WeakKeyDictionary[Transaction, _Opened] = WeakKeyDictionary()

    def insert(self, tx: Connection, table: Table, **fields: str | int | None) -> str:
        """Insert a row and return its `sys_id`, made here unless given.

        Raises:
            Tampered: when the table is not as it was written.
        """
        return self.insert_many(tx, table, [fields])[0]

    def insert_many(
        self, tx: Connection, table: Table, rows: Iterable[Mapping[str, str | int | None]]
    ) -> list[str]:
        """Insert rows as one change of the table, which costs about as much as one row alone.

        Raises:
            Tampered: when the table is not as it was written.
        """
        held = self._table(tx, table)
        made: list[Fields] = []
        for fields in rows:
            given = {"sys_id": new_id(), **fields, "revision": 1}
            row = {name: given.get(name) for name in held.names if name != "tag"}
            made.append({**row, "tag": self._tag(table, row)})
        if made:
            tx.execute(insert(table), made)
            revisions = {"table_name": table.name, "revision": 1}
            tx.execute(insert(REVISIONS), [{**revisions, "sys_id": r["sys_id"]} for r in made])
            self._move(tx, table, held, (), made)
        return [str(row["sys_id"]) for row in made]

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
        held = self._table(tx, table)
        old = self._as_read(held, row, what)
        changed = {**old, **fields, "revision": int(old["revision"]) + 1}
        changed["tag"] = self._tag(table, {k: v for k, v in changed.items() if k != "tag"})
        written = tx.execute(update(table).where(_stands(table, old)).values(**changed))
        self._refuse_unless_one(written.rowcount, table, what)
        tx.execute(
            update(REVISIONS)
            .where(REVISIONS.c.table_name == table.name, REVISIONS.c.sys_id == old["sys_id"])
            .values(revision=changed["revision"])
        )
        self._move(tx, table, held, (old["sys_id"],), [changed])
        return changed

    def state(self, tx: Connection, *tables: Table) -> tuple[str, ...]:
        """What changes whenever Keystead changes one of the tables.

        Raises:
            Tampered: when a table is not as it was written.
        """
        return tuple(str(self._table(tx, table).anchor["tag"]) for table in tables)

    def remembered(
        self, tx: Connection, tables: tuple[Table, ...], key: Hashable, make: Callable[[], V]
    ) -> V:
        """What `make` makes of the rows of these tables, kept while a scan stands for them all.

        It must be immutable, and depend on nothing but the rows and the key.

        Raises:
            Tampered: when a table is not as it was written; and what `make` raises.
        """
        state = self.state(tx, *tables)
        read = self._of(tx).read
        if any(read[table.name] is not None for table in tables):
            return make()
        kept = self._remembered.get(key)
        if kept is None or kept[0] != state:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            kept = self._remembered[key] = (state, make())
        return cast("V", kept[1])

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
        if tx.execute(update(table).where(_stands(table, row)).values(**changed)).rowcount != 1:
            raise Conflict("row.changed", what=f"Row {row['sys_id']} of {table.name}")

    def delete(self, tx: Connection, table: Table, row: Mapping[str, Any], what: str) -> None:
        """Remove a row as it was read.

        Raises:
            Conflict: when it was changed since it was read.
            Tampered: when the table is not as it was written.
        """
        held = self._table(tx, table)
        old = self._as_read(held, row, what)
        removed = tx.execute(delete(table).where(_stands(table, old)))
        self._refuse_unless_one(removed.rowcount, table, what)
        tx.execute(
            delete(REVISIONS).where(
                REVISIONS.c.table_name == table.name, REVISIONS.c.sys_id == old["sys_id"]
            )
        )
        self._move(tx, table, held, (old["sys_id"],), [])

    def all(self, tx: Connection, table: Table, *conditions: Condition[bool]) -> list[Fields]:
        """The rows that meet `conditions` (as in `VerifiedRows.find`), oldest first.

        Raises:
            Tampered: when the table is not as it was written.
        """
        held = self._table(tx, table)
        found = held.find(conditions)
        self._read(tx, table, held, found)
        return [held.fields(sys_id) for sys_id in found]

    def one(
        self, tx: Connection, table: Table, missing: NotFound, *conditions: Condition[bool]
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
        held = _anchors(tx)
        found = {table.name: self._anchor(held, table) for table in tagged_tables()}
        return {name: Anchor(int(a["revision"]), str(a["digest"])) for name, a in found.items()}

    def check(self, tx: Connection, table: Table) -> None:
        """Scan a table now, and refuse it when it is not as it was written.

        Raises:
            Tampered: naming what differs.
        """
        opened = self._of(tx)
        opened.anchors.pop(table.name, None)
        opened.anchors.update(_anchors(tx, table))
        self._scan(tx, table, opened)

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
            found = _rows(tx, table)
            rows = self._verified(table, found).values()
            written = [{"table_name": table.name, "sys_id": r[0], "revision": r[-2]} for r in rows]
            if written:
                tx.execute(insert(REVISIONS), written)
            fields = {
                "sys_id": new_id(),
                "table_name": table.name,
                "row_count": len(found),
                "digest": digest(str(row[-1]) for row in rows),
                "revision": last.get(table.name, 0) + 1,
            }
            tx.execute(insert(ANCHORS).values(**fields, tag=self._tag(ANCHORS, fields)))
            adopted += len(found)
        self._forget(tx)
        return adopted

    def _table(self, tx: Connection, table: Table) -> VerifiedRows:
        """The rows of a table that passes steps 1 to 3."""
        opened, name = self._of(tx), table.name
        if name not in opened.tables:
            known = self._known.get(name)
            age = time.monotonic() - self._scanned.get(name, -_SECONDS)
            stands = known is not None and known.anchor == opened.anchors.get(name)
            if known is not None and stands and age < self.trust:
                opened.tables[name], opened.read[name] = known, None
            elif known is not None and stands and age < _SECONDS and len(known.rows) > _FEW:
                opened.tables[name], opened.read[name] = known, set()
            else:
                self._scan(tx, table, opened)
        return opened.tables[name]

    def _scan(self, tx: Connection, table: Table, opened: _Opened) -> None:
        name, begun = table.name, time.monotonic()
        self._scanned.pop(name, None)
        anchor = self._anchor(opened.anchors, table)  # step 1
        found = _rows(tx, table)
        rows = self._verified(table, found)  # step 2
        # over every row, since somebody may have taken the primary key away and doubled one
        if digest(str(row[-1]) for row in found) != anchor["digest"]:  # step 3
            shown = [dict(zip(names(table), row, strict=True)) for row in found]
            named = differences(tx, table, shown) or ["which one is not known"]
            raise Tampered("table.tampered", table=name, reason="; ".join(named[:5]))
        held = VerifiedRows.of(table, anchor, rows.values())
        opened.tables[name], opened.read[name] = held, None
        self._keep(held, name)
        self._scanned[name] = begun

    def _read(
        self, tx: Connection, table: Table, held: VerifiedRows, wanted: Iterable[str]
    ) -> None:
        """Compare rows that this transaction has not read yet with what they must be.

        Whoever reads many rows, one after the other or at once, is spared asking for each.
        """
        opened = self._of(tx)
        read = opened.read[table.name]
        if read is None or not (missing := set(wanted) - read):
            return
        if len(missing | read) <= _FEW:
            found = _rows(tx, table, table.c.sys_id.in_(sorted(missing)))
            if {str(row[0]): row for row in found} == {i: held.rows[i] for i in missing}:
                read |= missing
                return
        self._scan(tx, table, opened)

    def _of(self, tx: Connection) -> _Opened:
        transaction = tx.get_transaction()
        if transaction is None:
            raise RuntimeError("tagged rows are read and written in a transaction")
        opened = self._transactions.get(transaction)
        if opened is None:
            opened = self._transactions[transaction] = _Opened(self._anchors_now(tx))
        return opened

    def _anchors_now(self, tx: Connection) -> dict[str, Fields]:
        """The anchors; within `trust` seconds those read last, if their revisions are the same."""
        if not self.trust:
            return _anchors(tx)
        revisions, now = _revisions(tx), time.monotonic()
        seen = self._seen
        if seen is None or seen.revisions != revisions or now - seen.at >= self.trust:
            seen = self._seen = _Seen(now, revisions, _anchors(tx))
        return dict(seen.anchors)

    def _forget(self, tx: Connection, *_savepoint: object) -> None:
        """Let a transaction read anew; what was taken back to a savepoint is not there any more."""
        if (transaction := tx.get_transaction()) is not None:
            self._transactions.pop(transaction, None)

    def _keep_changed(self, tx: Connection) -> None:
        """Know the tables as a transaction leaves them, without another scan."""
        transaction = tx.get_transaction()
        opened = self._transactions.get(transaction) if transaction is not None else None
        for name in opened.changed if opened else ():
            if opened and name in opened.tables:
                self._keep(opened.tables[name], name)

    def _keep(self, held: VerifiedRows, name: str) -> None:
        if len(held.rows) <= _MOST:
            self._known[name] = held

    def _anchor(self, anchors: Mapping[str, Fields], table: Table) -> Fields:
        anchor = anchors.get(table.name)
        if anchor is None:
            raise Tampered("table.tampered", table=table.name, reason="its anchor is missing")
        known = self._known.get(table.name)
        if known is None or known.anchor != anchor:
            self._verify(ANCHORS, anchor)
        return anchor

    def _as_read(self, held: VerifiedRows, row: Mapping[str, Any], what: str) -> Fields:
        """The verified row that `row` was read from."""
        sys_id = str(row["sys_id"])
        if sys_id in held.rows:
            old = held.fields(sys_id)
            if (old["revision"], old["tag"]) == (row["revision"], row["tag"]):
                return old
        raise Conflict("row.changed", what=what)

    def _refuse_unless_one(self, count: int, table: Table, what: str) -> None:
        if count != 1:
            self._scanned.pop(table.name, None)
            raise Conflict("row.changed", what=what)

    def _move(
        self,
        tx: Connection,
        table: Table,
        old: VerifiedRows,
        gone: Iterable[str],
        new: list[Fields],
    ) -> None:
        """Move the anchor to a table without some rows and with others."""
        opened = self._of(tx)
        rows: list[Row] = [tuple(_plain(row[name]) for name in old.names) for row in new]
        held = old.changed(gone, rows)
        anchor = {
            **{name: value for name, value in old.anchor.items() if name != "tag"},
            "row_count": len(held.rows),
            "digest": digest(held.tags),
            "revision": int(old.anchor["revision"]) + 1,
        }
        anchor["tag"] = self._tag(ANCHORS, anchor)
        moved = tx.execute(update(ANCHORS).where(_stands(ANCHORS, old.anchor)).values(**anchor))
        self._refuse_unless_one(moved.rowcount, table, table.name)
        opened.anchors[table.name] = anchor
        opened.tables[table.name] = replace(held, anchor=anchor)
        if (read := opened.read[table.name]) is not None:
            read.update(row[0] for row in rows)
        if not opened.changed:
            event.listen(tx, "rollback_savepoint", self._forget)
            event.listen(tx, "commit", self._keep_changed)
        opened.changed.add(table.name)

    def _verified(self, table: Table, found: Iterable[Row]) -> dict[str, Row]:
        """The rows by `sys_id`; one that is as it was verified before is not verified again."""
        known = self._known.get(table.name)
        before: Mapping[str, Row] = known.rows if known else {}
        rows: dict[str, Row] = {}
        for row in found:
            held = before.get(row[0])
            if held != row:
                self._verify(table, dict(zip(names(table), row, strict=True)))
                held = row
            rows[row[0]] = held
        return rows

    def _verify(self, table: Table, fields: Fields) -> None:
        untagged = {k: v for k, v in fields.items() if k != "tag"}
        if not mac.is_valid(self._key, self._scope(table, untagged), str(fields["tag"])):
            raise Tampered("row.tampered", row=fields["sys_id"], table=table.name)

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


def misread(error: DBAPIError) -> Tampered:
    """The refusal of a tagged table that a driver could not read as it was declared."""
    return Tampered("table.tampered", table=error.detail[0], reason="they cannot be read")


def _rows(tx: Connection, table: Table, *conditions: Condition[bool]) -> list[tuple[Any, ...]]:
    """Rows as they stand, without a check."""
    try:
        return [tuple(row) for row in tx.execute(select(table).where(*conditions)).all()]
    except DBAPIError as error:
        # for the adapter, which knows what the error means
        error.add_detail(table.name)
        raise


def _anchors(tx: Connection, table: Table | None = None) -> dict[str, Fields]:
    """The anchors of all tables or of one, as they stand, by the table's name."""
    if table is None:
        found = _of_anchors(tx, _EVERY_ANCHOR)
    else:
        found = _rows(tx, ANCHORS, ANCHORS.c.table_name == table.name)
    rows = [dict(zip(_ANCHOR_COLUMNS, row, strict=True)) for row in found]
    return {str(row["table_name"]): row for row in rows}


def _revisions(tx: Connection) -> tuple[Any, ...]:
    """What is another whenever Keystead has moved an anchor: revisions only grow."""
    (found,) = _of_anchors(tx, _EVERY_REVISION)
    return found


def _of_anchors(tx: Connection, query: str) -> list[tuple[Any, ...]]:
    try:
        return [tuple(row) for row in tx.exec_driver_sql(query).all()]
    except DBAPIError as error:
        error.add_detail(ANCHORS.name)
        raise


def _stands(table: Table, row: Mapping[str, Any]) -> Condition[bool]:
    """That a row still has the tag with which it was read."""
    return and_(table.c.sys_id == row["sys_id"], table.c.tag == row["tag"])


def _plain(value: str | int | None) -> str | int | None:
    """A value as the database gives it back: no member of an enumeration."""
    return str.__str__(value) if isinstance(value, str) else value
