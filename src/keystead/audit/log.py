"""The audit log: what was done, by whom, written in the transaction that does it.

Its entries are the leaves of a Merkle tree (`audit.merkle`). Transactions that write come one after
the other, so an entry's sequence is the last one's plus one; the primary key refuses a second.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from keystead.audit import merkle
from keystead.audit.entries import Detail, Entry, detail_text, from_row
from keystead.audit.tables import AUDIT, NODES
from keystead.base import clock
from keystead.base.errors import Conflict, NotFound, Tampered
from keystead.base.ids import new_id

_HASH_DIGITS = 64
_PAGE_ROWS: Final = 2_000
_LAST = select(NODES.c.sequence, NODES.c.hashes).order_by(NODES.c.sequence.desc()).limit(1)
_INSERT_ENTRY, _INSERT_NODES = insert(AUDIT), insert(NODES)


class Done(NamedTuple):
    """What is to be written down: who did what to what."""

    actor: str
    action: str
    subject: str
    detail: Detail


def record(
    tx: Connection, actor: str, action: str, subject: str, **detail: str | int | None
) -> None:
    """Write one entry. Details are ids, names and counts; never a value or a key.

    Raises:
        Conflict: when an entry with its sequence is there, which no transaction of ours wrote.
    """
    record_many(tx, [Done(actor, action, subject, detail)])


def record_many(tx: Connection, done: Sequence[Done]) -> None:
    """Write an entry for each, in order: many cost little more than one.

    Raises:
        Conflict: as for `record`.
    """
    if not done:
        return
    last = tx.execute(_LAST).first()
    size = int(last.sequence) if last else 0
    kept = {size: str(last.hashes)} if last else {}
    nodes, entries, at = _Nodes(tx, kept), [], clock.now()
    for sequence, one in enumerate(done, start=size + 1):
        entry = Entry(sequence, new_id(), at, *one)
        made = merkle.completed(nodes, sequence - 1, entry.leaf())
        kept[sequence] = b"".join(made).hex()
        entries.append({**entry.as_json(), "detail": detail_text(entry.detail)})
    try:
        tx.execute(_INSERT_ENTRY, entries)
        tx.execute(
            _INSERT_NODES,
            [{"sequence": e["sequence"], "hashes": kept[e["sequence"]]} for e in entries],
        )
    except IntegrityError:
        raise Conflict("audit.sequence", sequence=size + 1) from None


def begin(tx: Connection) -> int:
    """Hash in the entries of a log that has no tree yet; how many there were."""
    frontier = merkle.Frontier()
    rows = [_nodes_row(e.sequence, frontier.append(e.leaf())) for e in walk(tx)]
    if rows:
        tx.execute(_INSERT_NODES, rows)
    return frontier.size


def rebuild(tx: Connection) -> int:
    """Hash all entries anew, as they are, and number them without a gap; how many there are.

    Raises:
        Tampered: at one that is not in the form that is written.
    """
    tx.execute(delete(NODES))
    for wanted, held in enumerate([e.sequence for e in walk(tx)], start=1):
        if held != wanted:
            tx.execute(update(AUDIT).where(AUDIT.c.sequence == held).values(sequence=wanted))
    return begin(tx)


def size(tx: Connection) -> int:
    """How many entries the tree has."""
    return int(tx.execute(select(func.max(NODES.c.sequence))).scalar() or 0)


def nodes(tx: Connection) -> merkle.Nodes:
    """The kept hashes of the tree."""
    return _Nodes(tx, {})


def entries(tx: Connection, limit: int) -> list[dict[str, object]]:
    """The newest `limit` entries, newest first."""
    newest = select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(limit)
    return [from_row(row._asdict()).as_json() for row in tx.execute(newest)]


def about(
    tx: Connection, subjects: Collection[str], actions: Collection[str], reach: int, limit: int
) -> list[Entry]:
    """The newest `limit` entries about any of `subjects` among the last `reach`, newest first.

    `actions` are those wanted, or all when there is none.

    Raises:
        Tampered: at one that is not in the form that is written.
    """
    found = select(AUDIT).where(AUDIT.c.sequence > size(tx) - reach, AUDIT.c.subject.in_(subjects))
    if actions:
        found = found.where(AUDIT.c.action.in_(actions))
    newest = found.order_by(AUDIT.c.sequence.desc()).limit(limit)
    return [from_row(row._asdict()) for row in tx.execute(newest)]


def entry(tx: Connection, sequence: int) -> Entry:
    """The entry with that sequence.

    Raises:
        NotFound: when there is none.
        Tampered: when it is not in the form that is written.
    """
    row = tx.execute(select(AUDIT).where(AUDIT.c.sequence == sequence)).first()
    if row is None:
        raise NotFound("audit.missing", sequence=sequence)
    return from_row(row._asdict())


def walk(tx: Connection) -> Iterator[Entry]:
    """Every entry, oldest first.

    Raises:
        Tampered: at one that is not in the form that is written.
    """
    return (from_row(row) for row in rows(tx))


def rows(tx: Connection) -> Iterator[Mapping[str, Any]]:
    """Every row of the log as it is stored, oldest first, page by page."""
    return _paged(tx, AUDIT)


def pairs(tx: Connection) -> Iterator[tuple[int, Mapping[str, Any] | None, str | None]]:
    """Each sequence with its entry's row and its kept hashes, one of which may be missing.

    One that is there several times comes several times.
    """
    kept = ((row["sequence"], 1, row) for row in _paged(tx, NODES))
    held = ((row["sequence"], 0, row) for row in rows(tx))
    merged = heapq.merge(held, kept, key=lambda found: found[:2])
    for sequence, group in groupby(merged, key=lambda found: found[0]):
        by_kind: tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]] = ([], [])
        for _, kind, row in group:
            by_kind[kind].append(row)
        for entry_row, node in zip_longest(*by_kind):
            yield sequence, entry_row, node["hashes"] if node else None


class _Nodes:
    """Kept hashes, read where they are needed."""

    def __init__(self, tx: Connection, kept: dict[int, str]) -> None:
        self._tx = tx
        self._kept = kept

    def __call__(self, level: int, index: int) -> bytes:
        sequence = merkle.completed_by(level, index) + 1
        if sequence not in self._kept:
            wanted = select(NODES.c.hashes).where(NODES.c.sequence == sequence)
            self._kept[sequence] = str(self._tx.execute(wanted).scalar() or "")
        digits = self._kept[sequence][level * _HASH_DIGITS : (level + 1) * _HASH_DIGITS]
        try:
            found = bytes.fromhex(digits)
        except ValueError:
            found = b""
        if len(found) * 2 != _HASH_DIGITS:
            raise Tampered("audit.node", sequence=sequence)
        return found


def _paged(tx: Connection, table: Table) -> Iterator[Mapping[str, Any]]:
    after = None
    while True:
        page = select(table).order_by(table.c.sequence).limit(_PAGE_ROWS)
        if after is not None:
            page = page.where(table.c.sequence > after)
        found = tx.execute(page).all()
        if not found:
            return
        for row in found:
            if type(row.sequence) is not int:
                raise Tampered("audit.entry", sequence=row.sequence)
            yield row._asdict()
        after = found[-1].sequence


def _nodes_row(sequence: int, made: list[bytes]) -> dict[str, Any]:
    return {"sequence": sequence, "hashes": b"".join(made).hex()}
