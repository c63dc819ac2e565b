"""`schedule`: what an instance does by itself, how often, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keystead.audit import log
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.instance import schedules as service
from keystead.instance.schedules import Job

schedules = typer.Typer(no_args_is_help=True, help="Scheduled jobs.")
OperationArgument = Annotated[
    str, typer.Argument(metavar="OPERATION", help="The operation's name, as listed.")
]


@schedules.command("list")
def list_schedules(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the scheduled jobs with their last and next run; the process that leads runs them.

    Example: keystead schedule list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [_shown(job) for job in service.listed(tx, instance.hierarchy.integrity)]
    headings = ("operation", "minutes", "active", "last run", "next run", "result")
    rows = [
        (
            f["operation"],
            f["minutes"],
            "yes" if f["active"] else "no",
            f["last_run"],
            f["next_run"],
            f"failed: {f['result']}" if f["failed"] else f["result"],
        )
        for f in found
    ]
    emit(found, as_json, table(headings, rows, ""))


@schedules.command("set")
def set_schedule(
    ctx: typer.Context,
    home: HomeArgument,
    operation: OperationArgument,
    minutes: Annotated[
        int | None, typer.Option("--every", min=1, help="Run it every so many minutes.")
    ] = None,
    active: Annotated[
        bool | None, typer.Option("--on/--off", help="Whether it runs by itself.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Decide how often a job runs, and whether it does.

    Example: keystead schedule set prod audit.verify --every 720
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        job = service.change(
            tx, instance.hierarchy.integrity, operation, actor(), minutes=minutes, active=active
        )
    does = f"runs every {job.minutes} minutes" if job.active else "does not run by itself"
    emit(_shown(job), as_json, f"'{operation}' {does}.")


@schedules.command("run")
def run_schedule(
    ctx: typer.Context,
    home: HomeArgument,
    operation: OperationArgument,
    as_json: JsonOption = False,
) -> None:
    """Run a job now, in this process, whether it is active or not.

    Example: keystead schedule run prod audit.verify
    """
    from keystead.instance import scheduled

    instance = opened(ctx, home)
    integrity = instance.hierarchy.integrity
    with instance.database.transaction() as tx:
        job = service.find(tx, integrity, operation)
        log.record(tx, actor(), "schedule.run", operation)
    done = scheduled.run(instance, job.operation)
    if done.refused is not None:
        raise done.refused
    with instance.database.snapshot() as tx:
        job = service.find(tx, integrity, operation)
    emit(_shown(job), as_json, f"'{operation}' ran: {done.result}.")


def _shown(job: Job) -> dict[str, Any]:
    return {
        "operation": job.operation.name,
        "label": job.operation.label,
        "minutes": job.minutes,
        "active": job.active,
        "last_run": job.started_at,
        "next_run": job.next_run,
        "failed": job.failed,
        "result": job.result,
    }
