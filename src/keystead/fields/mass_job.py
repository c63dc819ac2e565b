"""Mass encryption and mass rekeying: every value of a table's encrypted columns, page by page.

The order for each page: read, open what is to be moved, seal it under the pinned key, open the new
form again and compare, then write it where the old form still stands (compare and set), together
with the cursor. A page is one transaction, so a killed job repeats at most reading. The last
transaction counts what is left; only a count of zero ends the job, and for an encryption it seals
the columns in that same transaction. Then the scrub clears old copies of clear text.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from types import NoneType
from typing import NamedTuple, TypeGuard

from sqlalchemy import Connection, func, select
from sqlalchemy import table as named_table

from keystead.base.errors import Conflict, NotFound, Tampered, Unavailable
from keystead.crypto import envelope
from keystead.crypto.envelope import MARKER, Scheme
from keystead.database.model import Table
from keystead.database.port import Database, Row, Value
from keystead.fields import census, service
from keystead.fields.model import Phase
from keystead.fields.values import EncryptedColumn
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.jobs.service import Job, Lease, Pace
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.usage import LIMIT, Meter

MOST_PASSES = 5
MOST_TRIES = 5


def start(
    tx: Connection,
    hierarchy: Hierarchy,
    kind: JobKind,
    table: str,
    *,
    rows_per_second: int | None,
    actor: str,
    limit: int = LIMIT,
) -> str:
    """Make a mass job for the encrypted columns of a table, pinned to their active keys.

    A key that may not encrypt all of them any more (`limit`) is rotated first.

    Returns the job's id.

    Raises:
        NotFound: when the table has no encrypted column.
        Conflict: while another job works on the table, or a clone runs.
    """
    columns = service.configurations(tx, hierarchy, table)
    if not columns:
        raise NotFound("field.missing", table=table, column="")
    what = f"The table '{table}'"
    jobs.refuse_while_busy(tx, what, JobKind.ENCRYPT, JobKind.REKEY, subject=table)
    jobs.refuse_while_busy(tx, "The instance", JobKind.CLONE)
    pinned = {}
    rows = int(tx.execute(select(func.count()).select_from(named_table(table))).scalar_one())
    for column in columns:
        spec = keys.specification_of(tx, hierarchy, column.spec_id)
        calls = sum(c.spec_id == column.spec_id for c in columns) * rows
        keys.rotate_if_used_up(tx, hierarchy, spec, calls, actor, limit=limit)
        key_id = keys.encrypting_key(tx, hierarchy, column.spec_id, actor)["sys_id"]
        service.note_key(tx, hierarchy, column, key_id)
        pinned[column.sys_id] = key_id
    arguments = {"keys": pinned, "rows_per_second": rows_per_second}
    return jobs.create(tx, kind, table, arguments, actor)


@dataclass(frozen=True, slots=True)
class _Move:
    """One column of a job: how to tell what is left, and how to move it."""

    column: EncryptedColumn
    key_id: str
    encrypts: bool

    def places(self, values: Sequence[Value]) -> list[int]:
        """Where among a column's stored values those stand that are to be moved.

        Raises:
            Tampered: when there is a value that has no business in the column.
        """
        if not _are_text(values):
            raise self._tampered()
        plain = [at for at, v in enumerate(values) if v and not v.startswith(MARKER)]
        if plain and self.column.configuration.phase is Phase.SEALED:
            raise self._tampered()
        if self.encrypts:
            return plain
        new = self.column.cipher(self.key_id).prefix
        return [
            at
            for at, v in enumerate(values)
            if v and v.startswith(MARKER) and not v.startswith(new)
        ]

    def _tampered(self) -> Tampered:
        where = self.column.configuration
        return Tampered("value.tampered", table=where.table, column=where.column)

    def left(self, result: census.ColumnCensus) -> int:
        """How many values of a counted column are still to be moved."""
        if self.encrypts:
            return result.plain + result.unknown
        return result.encrypted - result.by_key.get(self.key_id, 0)


def _are_text(values: Sequence[Value]) -> TypeGuard[Sequence[str | None]]:
    return {str, NoneType}.issuperset(map(type, values))


class _Left(NamedTuple):
    """A column in which values are still to be moved."""

    table: str
    column: str
    number: int


class MassJob:
    """Runs one job's stages. Every stage can be killed anywhere and run again."""

    def __init__(self, database: Database, hierarchy: Hierarchy, limit: int = LIMIT) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._meter = Meter(database, hierarchy, limit=limit)

    def move(self, lease: Lease) -> None:
        """Move every value, then declare the columns sealed (for an encryption).

        A page that the database gave up for another program's sake is done again.

        Raises:
            Conflict: when plain values keep coming in after several passes, or a key is used up.
            Tampered, NotFound: when a value that must move cannot be opened.
            Unavailable: when the database cannot be reached, or stays locked.
        """
        with self._database.snapshot() as tx:
            job = jobs.get(tx, lease.job_id)
            table = self._database.describe(tx, job["subject"])
            moves = self._moves(tx, job)
            rows = self._database.count_rows(tx, table.name)
        for key_id, columns in _counted_keys(moves).items():
            self._meter.ensure(key_id, columns * rows)
        tries, is_moved = 0, False
        while not is_moved:
            try:
                is_moved, tries = self._move_page(lease, table), 0
            except Unavailable as error:
                tries += 1
                if error.code != "database.busy" or tries == MOST_TRIES:
                    raise

    def scrub(self, lease: Lease) -> None:
        """Clear old copies of clear text, and end the job.

        Raises:
            Unavailable: when other programs keep the database in use.
        """
        with self._database.transaction() as tx:
            jobs.write(tx, lease, phase="clearing residue")
            table = jobs.get(tx, lease.job_id)["subject"]
        report = self._database.scrub(table)
        with self._database.transaction() as tx:
            counts = {
                **jobs.get(tx, lease.job_id)["counts"],
                "scrub_done": list(report.done),
                "scrub_may_remain": list(report.may_remain),
            }
            jobs.write(tx, lease, counts=counts)
            jobs.finish(tx, lease)

    def _move_page(self, lease: Lease, table: Table) -> bool:
        started = time.monotonic()
        with self._database.snapshot() as tx:
            job = jobs.get(tx, lease.job_id)
            moves = self._moves(tx, job)
            names = [move.column.configuration.column for move in moves]
            after = tuple(job["cursor"]) if job["cursor"] else None
            pace = Pace(job["arguments"]["rows_per_second"])
            rows = self._database.page(
                tx, table.name, table.primary_key, names, after, pace.page_rows
            )
        if not rows:
            return self._end_pass(lease)
        for key_id, columns in _counted_keys(moves).items():
            self._meter.take(key_id, columns * len(rows))
        changes, values = _changes(moves, rows, len(table.primary_key))
        with self._database.transaction() as tx:
            applied = self._database.compare_and_set(
                tx, table.name, table.primary_key, names, changes
            )
            self._note_progress(tx, lease, job, table, rows, values, len(changes) - applied)
        pace.keep(len(rows), started)
        return False

    def _note_progress(
        self,
        tx: Connection,
        lease: Lease,
        job: Job,
        table: Table,
        rows: list[Row],
        values: int,
        lost_races: int,
    ) -> None:
        counts = job["counts"]
        total = job["total"] or self._database.count_rows(tx, table.name)
        jobs.write(
            tx,
            lease,
            phase=_PHASES[JobKind(job["kind"])],
            total=total,
            done=min(job["done"] + len(rows), total),
            cursor=list(rows[-1][: len(table.primary_key)]),
            counts={
                **counts,
                "values": counts.get("values", 0) + values,
                "lost_races": counts.get("lost_races", 0) + lost_races,
            },
        )

    def _end_pass(self, lease: Lease) -> bool:
        """Count what is left; with nothing left, end. Otherwise begin another pass.

        A job that gives up is left at the beginning, so that it can be resumed.
        """
        with self._database.transaction() as tx:
            job = jobs.get(tx, lease.job_id)
            moves = self._moves(tx, job)
            left = self._left(tx, job, moves)
            passes = job["counts"].get("passes", 0) + 1
            gives_up = left is not None and passes >= MOST_PASSES
            counts = {**job["counts"], "passes": 0 if gives_up else passes}
            if left is not None:
                jobs.write(tx, lease, cursor=None, done=0, counts=counts)
            else:
                for move in moves:
                    if move.encrypts:
                        service.seal(tx, self._hierarchy, move.column.configuration, job["actor"])
                jobs.write(tx, lease, counts=counts, done=job["total"])
        if left is not None and gives_up:
            raise Conflict(
                "job.unsealed",
                job=lease.job_id,
                count=left.number,
                table=left.table,
                column=left.column,
                passes=passes,
            )
        return left is None

    def _left(self, tx: Connection, job: Job, moves: Sequence[_Move]) -> _Left | None:
        counted = {
            (c.table, c.column): c
            for c in census.count(tx, self._database, self._hierarchy, job["subject"])
        }
        for move in moves:
            where = move.column.configuration
            number = move.left(counted[where.table, where.column])
            if number:
                return _Left(where.table, where.column, number)
        return None

    def _moves(self, tx: Connection, job: Job) -> list[_Move]:
        pinned: dict[str, str] = job["arguments"]["keys"]
        columns = service.configurations(tx, self._hierarchy, job["subject"])
        for column in columns:
            active = keys.active_key(tx, self._hierarchy, column.spec_id)["sys_id"]
            if pinned.get(column.sys_id, active) != active:
                raise Tampered("row.tampered", row=job["sys_id"], table="keystead_job")
        encrypts = job["kind"] == JobKind.ENCRYPT
        return [
            _Move(EncryptedColumn(tx, self._hierarchy, column), pinned[column.sys_id], encrypts)
            for column in columns
            if column.sys_id in pinned
        ]


def _counted_keys(moves: Sequence[_Move]) -> Counter[str]:
    """The pinned keys that may encrypt only so many values, and how many columns each has."""
    return Counter(
        move.key_id for move in moves if move.column.configuration.scheme is Scheme.STANDARD
    )


_PHASES = {JobKind.ENCRYPT: "encrypting", JobKind.REKEY: "rekeying"}


def _changes(moves: Sequence[_Move], rows: Sequence[Row], key_width: int) -> tuple[list[Row], int]:
    """The changes for one page, each new value opened again and compared; and how many values."""
    columns = list(zip(*rows, strict=True))
    keys_of_rows, old = columns[:key_width], columns[key_width:]
    records = envelope.records(list(zip(*keys_of_rows, strict=True)))
    new: list[Sequence[Value]] = list(old)
    moved = 0
    touched = bytearray(len(rows))
    for at, move in enumerate(moves):
        places = move.places(old[at])
        moved += len(places)
        if len(places) == len(rows):
            new[at] = _moved(move, old[at], records)
            touched = bytearray(b"\1" * len(rows))
        elif places:
            column = list(old[at])
            picked = [column[place] for place in places]
            sealed = _moved(move, picked, [records[place] for place in places])
            for place, value in zip(places, sealed, strict=True):
                column[place] = value
                touched[place] = True
            new[at] = column
    changes = zip(*new, *keys_of_rows, *old, strict=True)
    return list(compress(changes, touched)), moved


def _moved(move: _Move, stored: Sequence[Value], records: Sequence[bytes]) -> list[str]:
    """New forms of stored values, each opened again and compared."""
    opened = stored if move.encrypts else move.column.open_many(stored, records)
    clear = list(map(str, opened))
    cipher = move.column.cipher(move.key_id)
    sealed = cipher.seal_many(clear, records)
    if cipher.open_many(envelope.bodies(sealed), records) != clear:
        where = move.column.configuration
        raise Tampered("value.tampered", table=where.table, column=where.column)
    return sealed
