"""How fast a job goes and when it will be done. Pure."""

from __future__ import annotations

from datetime import timedelta

from keystead.base import clock
from keystead.jobs.model import JobState
from keystead.jobs.service import Job


def rate(job: Job, now: str) -> int | None:
    """Rows a second from the job's first start to its end, or to `now`; None before there is any.

    The time that a failed job waited to be resumed counts.
    """
    if job["started_at"] is None:
        return None
    begun, end = clock.parse(job["started_at"]), clock.parse(job["finished_at"] or now)
    seconds = (end - begun).total_seconds()
    return round(job["done"] / seconds) if seconds > 0 and job["done"] else None


def ends_at(job: Job, now: str) -> str | None:
    """When a running job will be done if it goes on as before; None where nobody can say."""
    left = job["total"] - job["done"]
    if job["state"] != JobState.RUNNING or job["started_at"] is None or not job["done"] or left < 0:
        return None
    moment = clock.parse(now)
    spent = (moment - clock.parse(job["started_at"])).total_seconds()
    try:
        return clock.text_of(moment + timedelta(seconds=spent * left / job["done"]))
    except OverflowError:
        return None


def percent(job: Job) -> int | None:
    """How much of it is done; None while nobody knows how much there is."""
    return min(100, job["done"] * 100 // job["total"]) if job["total"] else None
