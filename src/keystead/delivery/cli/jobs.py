"""`job`: long work, how far it is, and what to do when it stopped."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keystead.clone import source
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.waiting import wait_for_job
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.jobs import service
from keystead.jobs.model import JobState

jobs = typer.Typer(no_args_is_help=True, help="Long work.")
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
_COLUMNS = ("job", "kind", "subject", "state", "phase", "done", "total", "error")


@jobs.command("list")
def list_jobs(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the jobs, newest first.

    Example: keystead job list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [_shown(job) for job in service.listed(tx)]
    shown = [tuple(f[c] for c in _COLUMNS) for f in found]
    emit(found, as_json, table(_COLUMNS, shown, "No job yet."))


@jobs.command("wait")
def wait(
    ctx: typer.Context,
    home: HomeArgument,
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; else all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Wait until a job, or every job, has ended, and show its progress.

    Ends with an error when that job failed, or any that was not resumed or cancelled since.

    Example: keystead job wait test
    """
    instance = opened(ctx, home)
    ended: list[dict[str, Any]] = []
    while True:
        with instance.database.snapshot() as tx:
            waiting = [job] if job else [job_id for job_id, _ in service.waiting(tx)]
        if not waiting:
            break
        ended.append(_shown(wait_for_job(instance, waiting[0])))
        if job:
            break
    if not job:
        with instance.database.snapshot() as tx:
            failed = [one for one in service.listed(tx) if one["state"] == JobState.FAILED]
        if failed:
            wait_for_job(instance, failed[0]["sys_id"])
    shown = [tuple(f[c] for c in _COLUMNS) for f in ended]
    emit(ended, as_json, table(_COLUMNS, shown, "There is no unfinished job."))


@jobs.command("resume")
def resume(
    ctx: typer.Context, home: HomeArgument, job: JobArgument, as_json: JsonOption = False
) -> None:
    """Let a failed job go on from where it stopped.

    Example: keystead job resume prod 01a20127e674700287092c0de324d26c
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        service.resume(tx, job, actor())
    emit({"job": job, "state": JobState.NEW}, as_json, f"The job {job} waits to be picked up.")


@jobs.command("cancel")
def cancel(
    ctx: typer.Context, home: HomeArgument, job: JobArgument, as_json: JsonOption = False
) -> None:
    """End a job that is not done. What it moved stays moved and readable.

    Example: keystead job cancel prod 01a20127e674700287092c0de324d26c
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        source.cancel_job(tx, instance.hierarchy, job, actor())
    emit({"job": job, "state": JobState.CANCELLED}, as_json, f"The job {job} is cancelled.")


def _shown(job: Any) -> dict[str, Any]:
    return {
        "job": job["sys_id"],
        **{
            name: job[name]
            for name in ("kind", "subject", "state", "phase", "done", "total", "attempt", "counts")
        },
        **{name: job[name] for name in ("created_at", "started_at", "finished_at")},
        "error": job["error_what"],
    }
