"""Long work as rows: the row is the truth, whoever executes it.

A job runs under a *lease*: whoever claims it raises the fence number, and every later write of an
earlier holder is refused. So a process that only seemed dead cannot do anything twice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from keystead.base.errors import IllegalTransition


class JobKind(StrEnum):
    """What a job does."""

    ENCRYPT = "mass encryption"
    REKEY = "mass rekeying"
    CLONE = "clone"
    EXCHANGE = "key exchange"


class JobState(StrEnum):
    """Where a job stands."""

    NEW = "new"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobAction(StrEnum):
    """What can happen to a job."""

    CLAIM = "be started"
    FINISH = "be finished"
    FAIL = "fail"
    RESUME = "be resumed"
    CANCEL = "be cancelled"


TRANSITIONS: Final[dict[tuple[JobState, JobAction], JobState]] = {
    (JobState.NEW, JobAction.CLAIM): JobState.RUNNING,
    (JobState.RUNNING, JobAction.CLAIM): JobState.RUNNING,
    (JobState.RUNNING, JobAction.FINISH): JobState.DONE,
    (JobState.NEW, JobAction.FAIL): JobState.FAILED,
    (JobState.RUNNING, JobAction.FAIL): JobState.FAILED,
    (JobState.FAILED, JobAction.RESUME): JobState.NEW,
    (JobState.NEW, JobAction.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, JobAction.CANCEL): JobState.CANCELLED,
    (JobState.FAILED, JobAction.CANCEL): JobState.CANCELLED,
}
UNFINISHED: Final = (JobState.NEW, JobState.RUNNING, JobState.FAILED)


def next_state(job_id: str, state: JobState, action: JobAction) -> JobState:
    """The state after `action`.

    Raises:
        IllegalTransition: when the table has no such row.
    """
    after = TRANSITIONS.get((state, action))
    if after is None:
        raise IllegalTransition("job.transition", job=job_id, state=state, action=action)
    return after
