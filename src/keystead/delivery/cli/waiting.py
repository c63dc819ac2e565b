"""Commands that wait until a job has ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from keystead.base.errors import FAMILIES, Conflict, Invalid, Unavailable
from keystead.delivery.cli.output import progress
from keystead.instance import presence
from keystead.instance.opening import Instance
from keystead.jobs import processes
from keystead.jobs import service as jobs
from keystead.jobs.model import JobState

_POLL_SECONDS = 0.1


def wait_for_job(instance: Instance, job_id: str) -> Mapping[str, Any]:
    """Show a job's progress until it has ended; the job.

    Raises:
        Unavailable: when no process serves the instance or works for it.
        KeysteadError: of the family of what made the job fail.
    """
    watch = presence.watching(instance.home, instance.database, instance.settings.process_patience)
    with progress("rows") as update:
        while True:
            with instance.database.snapshot() as tx:
                job = jobs.get(tx, job_id)
                found = processes.listed(tx)
            update(
                job["phase"] if job["state"] != JobState.DONE else "done", job["done"], job["total"]
            )
            if job["state"] not in (JobState.NEW, JobState.RUNNING):
                break
            if len(watch.dead(found)) == len(found):
                raise Unavailable("job.unserved", home=instance.home.folder, job=job_id)
            time.sleep(_POLL_SECONDS)
    if job["state"] == JobState.CANCELLED:
        raise Conflict("job.cancelled", job=job_id)
    if job["state"] == JobState.FAILED:
        family = FAMILIES.get(str(job["error_family"]), Invalid)
        raise family("job.failed", job=job_id, reason=job["error_what"], advice=job["error_todo"])
    return job
