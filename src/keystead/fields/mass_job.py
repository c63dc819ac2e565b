"""Mass encryption and mass rekeying: every value of a table's encrypted columns, page by page.

The attachments of the table follow the columns, if they are configured (`attachment_job`).

The order for each page: read, open what is to be moved, seal it under the pinned key, open the new
form again and compare, then write it where the old form still stands (compare and set), together
with the cursor. A page is one transaction, so a killed job repeats at most reading. The last
transaction counts what is left; only a count of zero ends the job, and for an encryption it seals
the columns in that same transaction. Then the scrub clears old copies of clear text.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, func, select
from sqlalchemy import table as named_table

from keystead.attachments import service as attachments
from keystead.attachments.tables import ATTACHMENTS as ATTACHMENT_ROWS
from keystead.attachments.tables import PIECES
from keystead.base.errors import Conflict, NotFound, Unavailable
from keystead.database.model import Table
from keystead.database.port import Database, Row
from keystead.fields import census, service
from keystead.fields.attachment_job import AttachmentMoves, pinned
from keystead.fields.moves import (
    Changes,
    Move,
    changes,
    counted_keys,
    moves_of,
    pinned_columns,
)
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
    """Make a mass job for the encrypted columns and attachments of a table.

    It is pinned to their active keys.

    A key that may not encrypt all of them any more (`limit`) is rotated first.

    Returns the job's id.

    Raises:
        NotFound: when the table has neither.
        Conflict: while another job works on the table, or a clone runs.
    """
    columns = service.configurations(tx, hierarchy, table)
    files = service.attachments(tx, hierarchy, table)
    if not columns and not files:
        raise NotFound("field.missing", table=table, column="")
    what = f"The table '{table}'"
    jobs.refuse_while_busy(tx, what, JobKind.ENCRYPT, JobKind.REKEY, subject=table)
    jobs.refuse_while_busy(tx, "The instance", JobKind.CLONE)
    keys_pinned = {}
    attached = attachments.count(tx, ATTACHMENT_ROWS.c.table_name == table)
    rows = int(tx.execute(select(func.count()).select_from(named_table(table))).scalar_one())
    for column in (*columns, *files):
        spec = keys.specification_of(tx, hierarchy, column.spec_id)
        calls = sum(c.spec_id == column.spec_id for c in columns) * rows
        calls += sum(c.spec_id == column.spec_id for c in files) * attached
        keys.rotate_if_used_up(tx, hierarchy, spec, calls, actor, limit=limit)
        key_id = keys.encrypting_key(tx, hierarchy, column.spec_id, actor)["sys_id"]
        service.note_key(tx, hierarchy, column, key_id)
        keys_pinned[column.sys_id] = key_id
    arguments = {"keys": keys_pinned, "rows_per_second": rows_per_second}
    return jobs.create(tx, kind, table, arguments, actor)


class PagePool(Protocol):
    """Works pages out in other processes."""

    width: int
    """How many pages are worked out at a time."""

    def submit(self, job_id: str, rows: Sequence[Row], key_width: int) -> Callable[[], Changes]:
        """Begin with a page of a job; what is returned waits for `moves.page_changes` of it."""
        ...


class _Page(NamedTuple):
    """Rows as they were read, and what waits for their changes."""

    columns: list[str]
    rows: list[Row]
    changes: Callable[[], Changes]


class _Left(NamedTuple):
    """A column in which values are still to be moved."""

    table: str
    column: str
    number: int


class MassJob:
    """Runs one job's stages. Every stage can be killed anywhere and run again."""

    def __init__(
        self,
        database: Database,
        hierarchy: Hierarchy,
        pool: PagePool | None = None,
        limit: int = LIMIT,
    ) -> None:
        self._database = database
        self._pool = pool
        self._hierarchy = hierarchy
        self._meter = Meter(database, hierarchy, limit=limit)
        self._attachments = AttachmentMoves(database, hierarchy, self._meter)

    def move(self, lease: Lease) -> None:
        """Move every value and attachment, then declare them sealed (for an encryption).

        A page that the database gave up for another program's sake is done again.

        Raises:
            Conflict: when plain values keep coming in after several passes, or a key is used up.
            Tampered, NotFound: when a value that must move cannot be opened.
            Unavailable: when the database cannot be reached, or stays locked.
        """
        with self._database.snapshot() as tx:
            job = jobs.get(tx, lease.job_id)
            table = self._database.describe(tx, job["subject"])
            moves = moves_of(tx, self._hierarchy, job)
            rows = self._database.count_rows(tx, table.name)
        for key_id, columns in counted_keys(moves).items():
            self._meter.ensure(key_id, columns * rows)
        tries, stood_at, is_moved = 0, None, False
        while not is_moved:
            try:
                is_moved = self._pass(lease, table)
            except Unavailable as error:
                with self._database.snapshot() as tx:
                    cursor = jobs.get(tx, lease.job_id)["cursor"]
                tries = tries + 1 if cursor == stood_at else 1
                stood_at = cursor
                if error.code != "database.busy" or tries == MOST_TRIES:
                    raise

    def scrub(self, lease: Lease) -> None:
        """Clear old copies of clear text, and end the job.

        Raises:
            Unavailable: when other programs keep the database in use.
        """
        with self._database.transaction() as tx:
            jobs.write(tx, lease, phase="clearing residue")
            job = jobs.get(tx, lease.job_id)
            files = pinned(tx, self._hierarchy, job)
        held = [job["subject"]]
        if files is not None and job["kind"] == JobKind.ENCRYPT:
            attachments.clear(self._database)
            held += [ATTACHMENT_ROWS.name, PIECES.name]
        report = self._database.scrub(*held)
        with self._database.transaction() as tx:
            counts = {
                **jobs.get(tx, lease.job_id)["counts"],
                "scrub_done": list(report.done),
                "scrub_may_remain": list(report.may_remain),
            }
            jobs.write(tx, lease, counts=counts)
            jobs.finish(tx, lease)

    def _pass(self, lease: Lease, table: Table) -> bool:
        """Move one page after the other, some worked out ahead; whether that was the last pass."""
        with self._database.snapshot() as tx:
            job = jobs.get(tx, lease.job_id)
        after = tuple(job["cursor"]) if job["cursor"] else None
        pace = Pace(job["arguments"]["rows_per_second"])
        ahead: deque[_Page] = deque()
        pool = self._pool if pace.rows_per_second is None else None
        at_end = False
        while True:
            started = time.monotonic()
            while not at_end and len(ahead) < (pool.width if pool else 1):
                page = self._read_page(lease.job_id, table, after, pace.page_rows, pool)
                if page is None:
                    at_end = True
                else:
                    ahead.append(page)
                    after = page.rows[-1][: len(table.primary_key)]
            if not ahead:
                self._attachments.move(lease)
                return self._end_pass(lease)
            page = ahead.popleft()
            self._write_page(lease, table, page)
            pace.keep(len(page.rows), started)

    def _read_page(
        self, job_id: str, table: Table, after: Row | None, limit: int, pool: PagePool | None
    ) -> _Page | None:
        """The next page, whose changes are being worked out; None past the last."""
        key = table.primary_key
        with self._database.snapshot() as tx:
            moves = moves_of(tx, self._hierarchy, jobs.get(tx, job_id))
            names = [move.column.configuration.column for move in moves]
            rows = self._database.page(tx, table.name, key, names, after, limit) if names else []
        if not rows:
            return None
        for key_id, columns in counted_keys(moves).items():
            self._meter.take(key_id, columns * len(rows))
        if pool is None or (after is None and len(rows) < limit):
            return _Page(names, rows, partial(changes, moves, rows, len(key)))
        return _Page(names, rows, pool.submit(job_id, rows, len(key)))

    def _write_page(self, lease: Lease, table: Table, page: _Page) -> None:
        changed, values = page.changes()
        with self._database.transaction() as tx:
            job = jobs.get(tx, lease.job_id)
            pinned_columns(tx, self._hierarchy, job)
            applied = self._database.compare_and_set(
                tx, table.name, table.primary_key, page.columns, changed
            )
            self._note_progress(tx, lease, job, table, page.rows, values, len(changed) - applied)

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
            moves = moves_of(tx, self._hierarchy, job)
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
                files = pinned(tx, self._hierarchy, job)
                if files is not None and job["kind"] == JobKind.ENCRYPT:
                    service.seal(tx, self._hierarchy, files[0], job["actor"])
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

    def _left(self, tx: Connection, job: Job, moves: Sequence[Move]) -> _Left | None:
        counted = {
            (c.table, c.column): c
            for c in census.count(tx, self._database, self._hierarchy, job["subject"])
        }
        for move in moves:
            where = move.column.configuration
            number = move.left(counted[where.table, where.column])
            if number:
                return _Left(where.table, where.column, number)
        files = pinned(tx, self._hierarchy, job)
        if files is not None:
            where, key_id = files
            found = counted[where.table, where.column]
            encrypts = job["kind"] == JobKind.ENCRYPT
            number = found.plain if encrypts else found.encrypted - found.by_key.get(key_id, 0)
            if number:
                return _Left(where.table, where.column, number)
        return None


_PHASES = {JobKind.ENCRYPT: "encrypting", JobKind.REKEY: "rekeying"}
