"""`process`: what works on an instance now."""

from __future__ import annotations

import typer

from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, opened
from keystead.instance import presence
from keystead.jobs import processes as service
from keystead.jobs import service as jobs

processes = typer.Typer(no_args_is_help=True, help="The processes of an instance.")
_COLUMNS = ("process", "role", "host", "pid", "home", "started_at", "jobs")


@processes.command("list")
def list_processes(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the processes that serve an instance or work for it, from all its homes, oldest first.

    One that died elsewhere is listed until another process has noticed.

    Example: keystead process list prod
    """
    instance = opened(ctx, home)
    watch = presence.watching(instance.home, instance.database, instance.settings.process_patience)
    with instance.database.snapshot() as tx:
        found = service.listed(tx)
        dead = watch.dead(found)
        shown = [
            {
                "process": process.sys_id,
                **{name: getattr(process, name) for name in _COLUMNS[1:-1]},
                "jobs": len(jobs.held_by(tx, process.sys_id)),
            }
            for process in found
            if process not in dead
        ]
    rows = [tuple(one.values()) for one in shown]
    emit(shown, as_json, table(_COLUMNS, rows, "No process serves it or works for it."))
