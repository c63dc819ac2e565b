"""What can be done with attachments. But for `clear`, each function is part of one transaction.

An attachment is made `pending`, its content is written, it is opened again, and the last
transaction makes it `ready`. Removing one takes its key and facts away at once; its pieces follow
in short transactions (`clear`), which also ends uploads that nobody goes on with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from keystead.attachments import contents
from keystead.attachments.contents import ContentReader
from keystead.attachments.model import Facts, State, belongs, place
from keystead.attachments.tables import ATTACHMENTS
from keystead.base import clock
from keystead.base.errors import Conflict, NotFound, Tampered
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import attachment, wrap
from keystead.crypto.stream import CHUNK_SIZE, Source
from keystead.database.integrity import Fields
from keystead.database.model import key_text
from keystead.database.port import Database, Row
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy

# an upload that wrote nothing for so long has ended
PATIENCE_SECONDS: Final = 3600
_READY: Final = ATTACHMENTS.c.state == State.READY


def begin(tx: Connection, table: str, key: Row, created_by: str) -> Fields:
    """Make a pending attachment of a record."""
    where = {"table_name": table, "table_sys_id": key_text(key), "place": place(table, key)}
    return _begin(tx, created_by=created_by, **where)


def begin_again(tx: Connection, row: Fields) -> Fields:
    """Make a pending attachment whose content is to `replace` that of a ready one."""
    same = ("table_name", "table_sys_id", "place", "created_by")
    return _begin(tx, **{name: row[name] for name in same})


def _begin(tx: Connection, **fields: str) -> Fields:
    moment = clock.now()
    row: Fields = {
        **fields,
        "sys_id": new_id(),
        "state": State.PENDING,
        "content_id": new_id(),
        "key_id": None,
        "wrapped_key": None,
        "facts": None,
        "size_bytes": 0,
        "created_at": moment,
        "touched_at": moment,
    }
    tx.execute(insert(ATTACHMENTS).values(**row))
    return row


def wrapped_by(
    tx: Connection, hierarchy: Hierarchy, key_row: Fields, key: Secret, attachment_id: str
) -> dict[str, str]:
    """An attachment's key wrapped by a module key, opened again before it is relied on.

    It is one encryption under the module key, which the caller has reserved.

    Raises:
        NotFound: when the module key is not held.
    """
    key_id = str(key_row["sys_id"])
    module_key = keys.open_key(tx, hierarchy, key_row)
    wrapped = attachment.wrap_key(module_key, key, attachment_id, key_id)
    if not wrap.same(attachment.unwrap_key(module_key, wrapped, attachment_id, key_id), key):
        raise Tampered("attachment.sealed")
    return {"key_id": key_id, "wrapped_key": wrapped}


def opened_key(tx: Connection, hierarchy: Hierarchy, row: Fields) -> Secret | None:
    """The key of an attachment; None where it is plain.

    Raises:
        NotFound: when the module key that wraps it is not held.
        Tampered: when it is not as it was written.
    """
    if row["key_id"] is None and row["wrapped_key"] is None:
        return None
    if row["key_id"] is None or row["wrapped_key"] is None:
        raise tampered(row)
    module_key = keys.open_key(tx, hierarchy, keys.key(tx, hierarchy, row["key_id"]))
    try:
        return attachment.unwrap_key(module_key, row["wrapped_key"], row["sys_id"], row["key_id"])
    except Tampered:
        raise tampered(row) from None


def facts_of(row: Fields, key: Secret | None) -> Facts:
    """What is said about an attachment.

    Raises:
        Tampered: when it, or what it is bound to, is not as it was written.
    """
    try:
        stored = str(row["facts"])
        clear = stored.encode() if key is None else attachment.open_facts(key, stored, belongs(row))
        return msgspec.json.decode(clear, type=Facts)
    except (Tampered, msgspec.MsgspecError):
        raise tampered(row) from None


def sealed_facts(row: Fields, key: Secret | None, facts: Facts) -> str:
    """The facts as they are stored in a row, which must have all that they are bound to."""
    clear = msgspec.json.encode(facts)
    return clear.decode() if key is None else attachment.seal_facts(key, clear, belongs(row))


def source(database: Database, row: Fields, key: Secret | None) -> Source:
    """The clear content of an attachment, to be read in order.

    Raises:
        Tampered: here or while it is read, where it is not as it was written.
    """
    stored = ContentReader(database, row["content_id"])
    return stored if key is None else attachment.content_reader(key, row["sys_id"], stored)


def touch(tx: Connection, row: Fields) -> None:
    """Say that an upload goes on.

    Raises:
        Conflict: when it was given up meanwhile.
    """
    _change(tx, row, State.PENDING, touched_at=clock.now())


def make_ready(tx: Connection, row: Fields, **fields: Any) -> None:
    """Show a pending attachment, whose content was opened again.

    Raises:
        Conflict: when it was given up meanwhile.
    """
    _change(tx, row, State.PENDING, state=State.READY, **fields)


def replace(tx: Connection, old: Fields, new: Fields, **fields: Any) -> None:
    """Give a ready attachment the content of a pending one, whose row takes the old content away.

    Raises:
        Conflict: when either changed meanwhile.
    """
    as_read = ATTACHMENTS.c.content_id == old["content_id"]
    _change(tx, old, State.READY, as_read, content_id=new["content_id"], **fields)
    _change(tx, new, State.PENDING, **_GONE, content_id=old["content_id"])


def rewrap(tx: Connection, hierarchy: Hierarchy, row: Fields, key_row: Fields) -> None:
    """Wrap an attachment's key by another module key; its content stays as it is.

    It is one encryption under that key, which the caller has reserved.

    Raises:
        NotFound, Tampered: when the key cannot be opened.
        Conflict: when it changed meanwhile.
    """
    key = opened_key(tx, hierarchy, row)
    if key is None:
        raise tampered(row)
    fields = wrapped_by(tx, hierarchy, key_row, key, row["sys_id"])
    as_read = ATTACHMENTS.c.wrapped_key == row["wrapped_key"]
    _change(tx, row, State.READY, as_read, **fields)


def are_on(tx: Connection, table: str) -> bool:
    """Whether a table has attachments, or uploads under way."""
    own = (ATTACHMENTS.c.table_name == table) & (ATTACHMENTS.c.state != State.REMOVED)
    return tx.execute(select(ATTACHMENTS.c.sys_id).where(own).limit(1)).first() is not None


def follow(
    tx: Connection,
    hierarchy: Hierarchy,
    table: str,
    old: Row,
    new: Row,
    *,
    keys_in: Connection | None = None,
) -> None:
    """Bind the attachments of a record to its new primary key; uploads under way are given up.

    Module keys are read in the transaction `keys_in`, which is `tx` unless that may see old ones.

    Raises:
        NotFound, Tampered: when what binds one cannot be opened.
    """
    for row in _of_record(tx, table, old):
        if row["state"] == State.PENDING:
            _change(tx, row, State.PENDING, **_GONE)
            continue
        key = opened_key(keys_in or tx, hierarchy, row)
        facts = facts_of(row, key)
        moved = {"table_sys_id": key_text(new), "place": place(table, new)}
        stored = sealed_facts({**row, **moved}, key, facts)
        if facts_of({**row, **moved, "facts": stored}, key) != facts:
            raise tampered(row)
        _change(tx, row, State.READY, **moved, facts=stored)


def give_up(tx: Connection, row: Fields) -> None:
    """End an upload; its pieces go with the next `clear`.

    Raises:
        Conflict: when it is pending no more.
    """
    _change(tx, row, State.PENDING, **_GONE)


def remove(tx: Connection, row: Fields) -> None:
    """Remove an attachment: its key and facts now, its pieces with the next `clear`."""
    _change(tx, row, State(row["state"]), **_GONE)


def remove_of_record(tx: Connection, table: str, key: Row) -> int:
    """Remove a record's attachments and give up its uploads; how many there were."""
    rows = _of_record(tx, table, key)
    for row in rows:
        remove(tx, row)
    return len(rows)


def get(tx: Connection, attachment_id: str) -> Fields:
    """The ready attachment with that id.

    Raises:
        NotFound: when there is none.
    """
    found = listed(tx, ATTACHMENTS.c.sys_id == attachment_id, limit=1)
    if not found:
        raise NotFound("attachment.missing", attachment=attachment_id)
    return found[0]


def listed(
    tx: Connection, *conditions: ColumnElement[bool], limit: int | None = None, offset: int = 0
) -> list[Fields]:
    """The ready attachments that meet the conditions, oldest first."""
    query = select(ATTACHMENTS).where(_READY, *conditions).order_by(ATTACHMENTS.c.sys_id)
    return [dict(row._mapping) for row in tx.execute(query.limit(limit).offset(offset))]


def count(tx: Connection, *conditions: ColumnElement[bool]) -> int:
    """How many ready attachments meet the conditions."""
    query = select(func.count()).select_from(ATTACHMENTS).where(_READY, *conditions)
    return int(tx.execute(query).scalar_one())


def sizes(tx: Connection) -> dict[str, dict[str, int]]:
    """For each table that has attachments, how many and of how many bytes."""
    size = func.coalesce(func.sum(ATTACHMENTS.c.size_bytes), 0)
    query = select(ATTACHMENTS.c.table_name, func.count(), size).where(_READY)
    return {
        str(table): {"count": int(number), "bytes": int(total)}
        for table, number, total in tx.execute(query.group_by(ATTACHMENTS.c.table_name))
    }


def counts_by_key(tx: Connection, table: str) -> dict[str | None, int]:
    """How many ready attachments of a table each key wraps; None for those that are plain."""
    query = select(ATTACHMENTS.c.key_id, func.count()).where(
        ATTACHMENTS.c.table_name == table, _READY
    )
    return {key_id: int(n) for key_id, n in tx.execute(query.group_by(ATTACHMENTS.c.key_id))}


def next_plain(tx: Connection, table: str, after: str) -> Fields | None:
    """The first ready attachment of a table, past an id, whose content is plain."""
    plain = ATTACHMENTS.c.key_id.is_(None)
    found = listed(tx, *_past(table, after), plain, limit=1)
    return found[0] if found else None


def next_under_another(
    tx: Connection, table: str, after: str, key_id: str, limit: int
) -> list[Fields]:
    """The first ready attachments of a table, past an id, that another key wraps."""
    return listed(tx, *_past(table, after), ATTACHMENTS.c.key_id != key_id, limit=limit)


def clear(database: Database) -> int:
    """Take away the pieces of removed attachments and of uploads given up; how many there were.

    Not part of a transaction: it makes its own, and can be killed anywhere and run again.
    """
    dead = clock.after(-PATIENCE_SECONDS)
    given_up = (ATTACHMENTS.c.state == State.PENDING) & (ATTACHMENTS.c.touched_at < dead)
    removed = ATTACHMENTS.c.state == State.REMOVED
    with database.snapshot() as tx:
        found = tx.execute(select(ATTACHMENTS.c.sys_id).where(given_up | removed)).scalars().all()
    if not found:
        return 0
    with database.transaction() as tx:
        tx.execute(update(ATTACHMENTS).where(given_up).values(**_GONE))
        gone = tx.execute(select(ATTACHMENTS.c.sys_id, ATTACHMENTS.c.content_id).where(removed))
        rows = [(str(sys_id), str(content_id)) for sys_id, content_id in gone]
    for sys_id, content_id in rows:
        contents.remove(database, content_id)
        with database.transaction() as tx:
            tx.execute(delete(ATTACHMENTS).where(ATTACHMENTS.c.sys_id == sys_id, removed))
    return len(rows)


def chunks(source: Source) -> Iterator[bytes]:
    """The rest of a source, some tens of KiB at a time."""
    while data := source.read(CHUNK_SIZE):
        yield data


def tampered(row: Fields) -> Tampered:
    """The refusal of an attachment that is not as it was written."""
    return Tampered("attachment.tampered", attachment=row["sys_id"], table=row["table_name"])


_GONE: Final[dict[str, Any]] = {
    "state": State.REMOVED,
    "key_id": None,
    "wrapped_key": None,
    "facts": None,
}


def _past(table: str, after: str) -> tuple[ColumnElement[bool], ...]:
    return ATTACHMENTS.c.table_name == table, ATTACHMENTS.c.sys_id > after


def _of_record(tx: Connection, table: str, key: Row) -> list[Fields]:
    own = (ATTACHMENTS.c.place == place(table, key)) & (ATTACHMENTS.c.state != State.REMOVED)
    # locked, so that a transaction that sees an older state reads this one
    found = tx.execute(select(ATTACHMENTS).where(own).with_for_update())
    return [dict(row._mapping) for row in found]


def _change(
    tx: Connection, row: Fields, before: State, *conditions: ColumnElement[bool], **fields: Any
) -> None:
    own = (ATTACHMENTS.c.sys_id == row["sys_id"]) & (ATTACHMENTS.c.state == before)
    if tx.execute(update(ATTACHMENTS).where(own, *conditions).values(**fields)).rowcount != 1:
        raise Conflict("attachment.abandoned")
