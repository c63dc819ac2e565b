"""Making jobs, claiming them and writing down how far they are."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, KeysteadError, NotFound
from keystead.base.ids import new_id
from keystead.database.port import Database
from keystead.database.schema import OnClone, indexed, number, own_table, text
from keystead.jobs import processes
from keystead.jobs.model import UNFINISHED, JobAction, JobKind, JobState, next_state
from keystead.jobs.processes import PROCESSES

JOBS = own_table(
    "keystead_job",
    OnClone.KEEP,
    text("kind"),
    text("subject"),
    text("arguments"),
    text("state"),
    text("phase"),
    number("attempt"),
    number("fence"),
    number("done"),
    number("total"),
    text("cursor"),
    text("counts"),
    text("actor"),
    text("created_at"),
    text("started_at", nullable=True),
    text("finished_at", nullable=True),
    text("error_family", nullable=True),
    text("error_code", nullable=True),
    text("error_what", nullable=True),
    text("error_todo", nullable=True),
    text("holder", nullable=True),
    number("stages_done", nullable=True),
    indexed("keystead_job", "state"),
)

PAGE_ROWS = 5_000
_NO_ERROR = dict.fromkeys(("error_family", "error_code", "error_what", "error_todo"))
Job = dict[str, Any]
Stage = Callable[["Lease"], None]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job, until somebody else claims it."""

    job_id: str
    fence: int


def create(
    tx: Connection, kind: JobKind, subject: str, arguments: Mapping[str, Any], actor: str
) -> str:
    """Write a new job; a serving process of this instance picks it up. Returns its id.

    `arguments` are ids and settings, never values or keys.
    """
    job_id = new_id()
    tx.execute(
        insert(JOBS).values(
            sys_id=job_id,
            kind=kind,
            subject=subject,
            arguments=json.dumps(dict(arguments)),
            state=JobState.NEW,
            phase="waiting",
            attempt=1,
            fence=0,
            done=0,
            total=0,
            cursor="null",
            counts="{}",
            actor=actor,
            created_at=clock.now(),
        )
    )
    log.record(tx, actor, "job.create", job_id, kind=kind, of=subject)
    return job_id


def refuse_while_busy(
    tx: Connection, what: str, *kinds: JobKind, subject: str | None = None
) -> None:
    """Refuse when an unfinished job of one of these kinds exists, for `subject` if that is given.

    Raises:
        Conflict: naming the job.
    """
    query = select(JOBS).where(JOBS.c.state.in_(UNFINISHED), JOBS.c.kind.in_(kinds))
    if subject is not None:
        query = query.where(JOBS.c.subject == subject)
    found = tx.execute(query).first()
    if found is not None:
        facts = {"kind": found.kind, "job": found.sys_id, "state": found.state}
        code = "job.unfinished" if found.state == JobState.FAILED else "job.busy"
        raise Conflict(code, what=what, **facts)


def get(tx: Connection, job_id: str) -> Job:
    """The job with that id.

    Raises:
        NotFound: when there is none.
    """
    row = tx.execute(select(JOBS).where(JOBS.c.sys_id == job_id)).first()
    if row is None:
        raise NotFound("job.missing", job=job_id)
    return _decoded(row)


def listed(tx: Connection) -> list[Job]:
    """Every job, newest first."""
    return [_decoded(row) for row in tx.execute(select(JOBS).order_by(JOBS.c.sys_id.desc()))]


def waiting(tx: Connection) -> list[tuple[str, int]]:
    """Id and attempt of every job that nobody has finished, oldest first."""
    query = select(JOBS.c.sys_id, JOBS.c.attempt).where(
        JOBS.c.state.in_((JobState.NEW, JobState.RUNNING))
    )
    return [(row.sys_id, row.attempt) for row in tx.execute(query.order_by(JOBS.c.sys_id))]


def free(tx: Connection) -> list[str]:
    """The jobs that are to be done and that no listed process holds, oldest first."""
    held = JOBS.c.holder.in_(select(PROCESSES.c.sys_id))
    left = (JOBS.c.state == JobState.RUNNING) & or_(JOBS.c.holder.is_(None), ~held)
    query = select(JOBS.c.sys_id).where(or_(JOBS.c.state == JobState.NEW, left))
    return list(tx.execute(query.order_by(JOBS.c.sys_id)).scalars())


def held_by(tx: Connection, process_id: str) -> list[Lease]:
    """What a process has claimed and not ended."""
    query = select(JOBS.c.sys_id, JOBS.c.fence).where(
        JOBS.c.state == JobState.RUNNING, JOBS.c.holder == process_id
    )
    return [Lease(row.sys_id, int(row.fence)) for row in tx.execute(query)]


def take(tx: Connection, job_id: str, process_id: str) -> Lease | None:
    """Claim a free job for a process; None when another was faster, or this one counts as dead."""
    living = {process.sys_id for process in processes.listed(tx)}
    if process_id not in living or job_id not in free(tx):
        return None
    return claim(tx, job_id, process_id)


def claim(tx: Connection, job_id: str, holder: str | None = None) -> Lease:
    """Take a job over; whoever held it before can write no more."""
    job = get(tx, job_id)
    started = job["started_at"] or clock.now()
    _advance(tx, job, JobAction.CLAIM, started_at=started, holder=holder)
    return Lease(job_id, int(job["fence"]) + 1)


def hold(tx: Connection, lease: Lease) -> None:
    """Refuse a write transaction to who lost the job.

    Raises:
        Conflict: when the job was claimed by another since.
    """
    fence = tx.execute(select(JOBS.c.fence).where(JOBS.c.sys_id == lease.job_id)).scalar()
    if fence != lease.fence:
        raise Conflict("job.fenced", job=lease.job_id)


def write(tx: Connection, lease: Lease, **fields: Any) -> None:
    """Write down progress: `phase`, `done`, `total`, `cursor`, `counts`.

    Raises:
        Conflict: when the job was claimed by another since.
    """
    for structured in ("cursor", "counts"):
        if structured in fields:
            fields[structured] = json.dumps(fields[structured])
    guard = (JOBS.c.sys_id == lease.job_id) & (JOBS.c.fence == lease.fence)
    if tx.execute(update(JOBS).where(guard).values(**fields)).rowcount != 1:
        raise Conflict("job.fenced", job=lease.job_id)


def finish(tx: Connection, lease: Lease) -> None:
    """Mark a job as done."""
    hold(tx, lease)
    job = get(tx, lease.job_id)
    state = next_state(lease.job_id, JobState(job["state"]), JobAction.FINISH)
    write(tx, lease, state=state, phase="done", finished_at=clock.now())
    log.record(tx, job["actor"], "job.finish", lease.job_id, kind=job["kind"])


def fail(tx: Connection, lease: Lease, error: KeysteadError) -> None:
    """Mark a job as failed, with the reason; it can be resumed.

    Raises:
        Conflict: when the job was claimed by another since, who may yet do it.
    """
    hold(tx, lease)
    job = get(tx, lease.job_id)
    state = next_state(lease.job_id, JobState(job["state"]), JobAction.FAIL)
    write(
        tx,
        lease,
        state=state,
        finished_at=clock.now(),
        error_family=error.family,
        error_code=error.code,
        error_what=error.what,
        error_todo=error.todo,
    )
    log.record(tx, job["actor"], "job.fail", lease.job_id, code=error.code)


def resume(tx: Connection, job_id: str, actor: str) -> None:
    """Let a failed job run again from where it stopped.

    Raises:
        IllegalTransition: unless it failed.
    """
    job = get(tx, job_id)
    attempt = int(job["attempt"]) + 1
    begun = {"attempt": attempt, "stages_done": 0, "finished_at": None, "holder": None}
    _advance(tx, job, JobAction.RESUME, **begun, **_NO_ERROR)
    log.record(tx, actor, "job.resume", job_id, attempt=attempt)


def cancel(tx: Connection, job_id: str, actor: str) -> None:
    """End a job that is not done. What it moved stays moved and readable.

    Raises:
        IllegalTransition: when it is done or cancelled.
    """
    _advance(tx, get(tx, job_id), JobAction.CANCEL, finished_at=clock.now())
    log.record(tx, actor, "job.cancel", job_id)


def cancel_unfinished(tx: Connection, actor: str) -> int:
    """End every job that is not done; how many there were."""
    query = select(JOBS.c.sys_id).where(JOBS.c.state.in_(UNFINISHED)).order_by(JOBS.c.sys_id)
    found = tx.execute(query).scalars().all()
    for job_id in found:
        cancel(tx, job_id, actor)
    return len(found)


def _advance(tx: Connection, job: Job, action: JobAction, **fields: Any) -> None:
    """Take an action on a job as it was read; whoever held it before can write no more."""
    state = next_state(job["sys_id"], JobState(job["state"]), action)
    guard = (JOBS.c.sys_id == job["sys_id"]) & (JOBS.c.fence == job["fence"])
    changed = update(JOBS).where(guard).values(state=state, fence=job["fence"] + 1, **fields)
    if tx.execute(changed).rowcount != 1:
        raise Conflict("row.changed", what=f"The job {job['sys_id']}")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a job may go: pages of `rows`, and no more than `rows_per_second` if that is set.

    A slowed job works in small pages, so that it never holds the database for long.
    """

    rows_per_second: int | None

    @property
    def page_rows(self) -> int:
        """How many rows are worked on at a time."""
        if self.rows_per_second is None:
            return PAGE_ROWS
        return max(1, min(PAGE_ROWS, self.rows_per_second // 5))

    def keep(self, rows: int, started: float) -> None:
        """Wait until `rows` may have taken that long, counted from the monotonic time `started`."""
        if self.rows_per_second is not None:
            time.sleep(max(0.0, rows / self.rows_per_second - (time.monotonic() - started)))


def run_stage(database: Database, job_id: str, stage: Stage) -> None:
    """Claim a job and run its next stage."""
    with database.transaction() as tx:
        lease = claim(tx, job_id)
    run_leased(database, lease, stage)


def run_leased(database: Database, lease: Lease, stage: Stage) -> None:
    """Run the next stage of a job; what stops it is written into its row, then raised.

    Raises:
        Conflict: when the job was claimed by another since; nothing is written then.
    """
    try:
        stage(lease)
        with database.transaction() as tx:
            write(tx, lease, stages_done=stages_done(get(tx, lease.job_id)) + 1)
    except Exception as error:
        with database.transaction() as tx:
            fail(tx, lease, as_refusal(error))
        raise


def stages_done(job: Job) -> int:
    """How many stages of a job have ended in this attempt."""
    return int(job["stages_done"] or 0)


def as_refusal(error: Exception) -> KeysteadError:
    """An error in the form that a job's row holds; the type alone of one that nobody foresaw."""
    if isinstance(error, KeysteadError):
        return error
    return KeysteadError("unexpected", reason=type(error).__name__, switch="KEYSTEAD_TRACE")


def _decoded(row: Any) -> Job:
    fields = dict(row._mapping)
    for structured in ("arguments", "cursor", "counts"):
        fields[structured] = json.loads(fields[structured])
    return fields
