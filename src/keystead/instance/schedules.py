"""Scheduled jobs: which registered operation runs how often, and what became of it the last time.

A job names an operation of `REGISTERED`, never code. What people decide about it is a tagged row;
one without a row is as it is registered. When it ran is a row that is not tagged, since it changes
every minute: who could write it would keep a job waiting, as by a row of a process that leads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Invalid, NotFound
from keystead.database.integrity import Integrity
from keystead.database.schema import (
    OnClone,
    declared_id,
    number,
    own_table,
    short,
    tagged_table,
    text,
)

RETRY_SECONDS: Final = 300
LONGEST_MINUTES: Final = 7 * 24 * 60
_LONGEST_RESULT: Final = 500
_NO_RUN: Final[dict[str, Any]] = {}

SCHEDULES = tagged_table(
    "sysauto_script",
    OnClone.KEEP,
    short("operation", unique=True),
    number("minutes"),
    number("active"),
)
# the row of a job has its `sys_id`
RUNS = own_table(
    "keystead_schedule_run",
    OnClone.KEEP,
    text("requested_at", nullable=True),
    text("started_at", nullable=True),
    text("ended_at", nullable=True),
    number("failed", nullable=True),
    text("result", nullable=True),
)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that can be scheduled: every so many minutes, unless somebody decides else."""

    name: str
    label: str
    minutes: int

    @property
    def sys_id(self) -> str:
        """The id of its job, the same on every instance, whether it has a row or not."""
        return declared_id(SCHEDULES.name, self.name)


APPLY_RULES: Final = Operation("keys.apply_rules", "Life-cycle rules of keys", 1)
CLEAR_ATTACHMENTS: Final = Operation("attachments.clear", "Clearing of removed attachments", 1)
VERIFY_AUDIT: Final = Operation("audit.verify", "Check of the audit log", 24 * 60)
WATCH_EXTERNAL_KEYS: Final = Operation("external.synchronise", "Status of external keys", 30)
REGISTERED: Final[dict[str, Operation]] = {
    one.name: one for one in (APPLY_RULES, CLEAR_ATTACHMENTS, VERIFY_AUDIT, WATCH_EXTERNAL_KEYS)
}


@dataclass(frozen=True, slots=True)
class Job:
    """A scheduled job as it stands. A run that has not ended may go on, or was killed."""

    operation: Operation
    minutes: int
    active: bool
    requested_at: str | None
    started_at: str | None
    ended_at: str | None
    failed: bool
    result: str | None

    @property
    def next_run(self) -> str | None:
        """When it is to run next; None when it never ran, or is not active.

        What failed is tried again after some minutes, and what was asked for runs at once.
        """
        if self.requested_at is not None or not self.active or self.started_at is None:
            return self.requested_at
        pause = self.minutes * 60
        if self.failed or self.ended_at is None:
            pause = min(pause, RETRY_SECONDS)
        return clock.later(self.started_at, pause)

    def is_due(self, now: str) -> bool:
        """Whether it is to run now."""
        following = self.next_run
        if following is None:
            return self.active
        # it cannot have run later than now
        return following <= now or (self.started_at or "") > now


def listed(tx: Connection, integrity: Integrity) -> list[Job]:
    """Every scheduled job, in order of its operation's name.

    Raises:
        Tampered: when what was decided about one is not as it was written.
    """
    decided = {str(row["operation"]): row for row in integrity.all(tx, SCHEDULES)}
    runs = {str(row["sys_id"]): dict(row) for row in tx.execute(select(RUNS)).mappings()}
    found = []
    for name, operation in sorted(REGISTERED.items()):
        row, run = decided.get(name), runs.get(operation.sys_id, _NO_RUN)
        found.append(
            Job(
                operation,
                int(row["minutes"]) if row else operation.minutes,
                bool(row["active"]) if row else True,
                run.get("requested_at"),
                run.get("started_at"),
                run.get("ended_at"),
                bool(run.get("failed")),
                run.get("result"),
            )
        )
    return found


def find(tx: Connection, integrity: Integrity, name: str) -> Job:
    """The job of an operation.

    Raises:
        NotFound: when none is registered under that name.
    """
    for job in listed(tx, integrity):
        if job.operation.name == name:
            return job
    raise NotFound("schedule.missing", operation=name)


def change(
    tx: Connection,
    integrity: Integrity,
    name: str,
    actor: str,
    *,
    minutes: int | None = None,
    active: bool | None = None,
) -> Job:
    """Decide how often a job runs, and whether it does.

    Raises:
        NotFound: when there is none.
        Invalid: for a number of minutes that is too small or too large.
    """
    job = find(tx, integrity, name)
    wanted = job.minutes if minutes is None else minutes
    if not 1 <= wanted <= LONGEST_MINUTES:
        raise Invalid("schedule.minutes", most=LONGEST_MINUTES)
    fields = {"minutes": wanted, "active": int(job.active if active is None else active)}
    rows = integrity.all(tx, SCHEDULES, SCHEDULES.c.operation == name)
    if rows:
        integrity.update(tx, SCHEDULES, rows[0], f"The job '{name}'", **fields)
    else:
        sys_id = job.operation.sys_id
        integrity.insert(tx, SCHEDULES, sys_id=sys_id, operation=name, **fields)
    log.record(tx, actor, "schedule.set", name, **fields)
    return find(tx, integrity, name)


def request(tx: Connection, integrity: Integrity, name: str, actor: str) -> Job:
    """Ask the process that leads to run a job now, active or not.

    Raises:
        NotFound: when there is none.
    """
    job = find(tx, integrity, name)
    _write(tx, job.operation, requested_at=clock.now())
    log.record(tx, actor, "schedule.run", name)
    return find(tx, integrity, name)


def begin(tx: Connection, operation: Operation) -> str:
    """Note that a run begins; the moment, to end it by."""
    now = clock.now()
    _write(tx, operation, started_at=now, ended_at=None)
    return now


def end(tx: Connection, operation: Operation, started_at: str, result: str, failed: bool) -> None:
    """Note what became of a run; what was asked for since it began is still to be done."""
    _write(
        tx,
        operation,
        ended_at=clock.now(),
        result=result[:_LONGEST_RESULT],
        failed=int(failed),
    )
    asked = (RUNS.c.sys_id == operation.sys_id) & (RUNS.c.requested_at <= started_at)
    tx.execute(update(RUNS).where(asked).values(requested_at=None))


def _write(tx: Connection, operation: Operation, **fields: Any) -> None:
    changed = update(RUNS).where(RUNS.c.sys_id == operation.sys_id).values(**fields)
    if not tx.execute(changed).rowcount:
        tx.execute(insert(RUNS).values(sys_id=operation.sys_id, **fields))
