"""`field`, `encrypt`, `rekey`, `census`: encrypted columns and their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keystead.base.errors import Invalid, NotFound, Tampered, Unavailable
from keystead.base.secret import Secret
from keystead.delivery.cli.output import emit, progress, table
from keystead.delivery.cli.waiting import wait_for_job
from keystead.delivery.cli.wiring import (
    HomeArgument,
    JsonOption,
    RateOption,
    WaitOption,
    actor,
    opened,
)
from keystead.fields import census as counting
from keystead.fields import mass_job, service, withheld
from keystead.fields.census import ColumnCensus
from keystead.instance.opening import Instance
from keystead.jobs.model import JobKind
from keystead.keys import export
from keystead.keys import service as keys

field_commands = typer.Typer(no_args_is_help=True, help="Which columns are encrypted.")
TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="The table.")]


@field_commands.command("add")
def add(
    ctx: typer.Context,
    home: HomeArgument,
    name: TableArgument,
    module: Annotated[str, typer.Option(help="The crypto module that encrypts them.")],
    column: Annotated[list[str] | None, typer.Argument(help="The columns.")] = None,
    attachments: Annotated[
        bool, typer.Option("--attachments", help="The attachments of the table's records.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Declare columns as encrypted, or attachments.

    What there is stays plain until `keystead encrypt` moved it; new attachments are encrypted.

    Example: keystead field add prod incident caller_id opened_by --module people
    """
    columns = column or []
    if not columns and not attachments:
        raise Invalid("field.nothing", table=name)
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        made = [
            service.configure(
                tx,
                instance.database,
                instance.hierarchy,
                table=name,
                column=one,
                module=module,
                actor=actor(),
            )
            for one in columns
        ]
        if attachments:
            made.append(
                service.configure_attachments(
                    tx,
                    instance.database,
                    instance.hierarchy,
                    table=name,
                    module=module,
                    actor=actor(),
                )
            )
    emit(
        [{"table": c.table, "column": c.column, "phase": c.phase} for c in made],
        as_json,
        f"Configured {', '.join(c.column for c in made)}. Next: keystead encrypt {home} {name}",
    )


@field_commands.command("list")
def list_fields(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the encrypted columns, and the tables whose attachments are encrypted.

    Example: keystead field list prod
    """
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    with instance.database.snapshot() as tx:
        found = [
            {
                "table": c.table,
                "column": c.column,
                "module": keys.module_of(tx, hierarchy, c.module_id)["name"],
                "mode": c.scheme.mode,
                "phase": c.phase.value,
                "original_type": c.original_type,
            }
            for c in (
                *service.configurations(tx, hierarchy),
                *service.attachments(tx, hierarchy),
            )
        ]
    empty = "No encrypted column yet. Add one with: keystead field add HOME TABLE COLUMN --module M"
    headings = ("table", "column", "module", "mode", "phase", "original type")
    emit(found, as_json, table(headings, [tuple(f.values()) for f in found], empty))


def encrypt(
    ctx: typer.Context,
    home: HomeArgument,
    name: TableArgument,
    rate: RateOption = None,
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Mass encryption: encrypt every plain value of a table's encrypted columns, and seal them.

    So are its attachments, if they are configured.

    Needs a process that serves HOME. Killed at any moment, it goes on where it was.

    Example: keystead encrypt prod incident
    """
    _mass_job(ctx, home, JobKind.ENCRYPT, name, rate, wait, as_json)


def rekey(
    ctx: typer.Context,
    home: HomeArgument,
    name: TableArgument,
    rate: RateOption = None,
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Mass rekeying: move every value of a table to the active keys of its modules.

    Attachments have their own keys wrapped anew; their content stays as it is.

    Needs a process that serves HOME. Killed at any moment, it goes on where it was.

    Example: keystead rekey test incident
    """
    _mass_job(ctx, home, JobKind.REKEY, name, rate, wait, as_json)


def census(
    ctx: typer.Context,
    home: HomeArgument,
    name: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="One table.")] = None,
    open_values: Annotated[bool, typer.Option("--open", help="Open every value, too.")] = False,
    try_keys: Annotated[
        Path | None, typer.Option(help="Try these exported keys, whatever key values name.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="With --try-keys: so many values of each column.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Count the values by table, column, key, mode and phase; with --open, prove that each opens.

    Exit code 8 when --open finds a value that does not open, 9 when some are dark: their external
    key may not be used now.

    Example: keystead census prod --open
    """
    instance = opened(ctx, home)
    if try_keys is not None:
        _try_keys(instance, try_keys, sample, as_json)
        return
    counted = _counted(instance, name, open_values)
    emit([c.as_json() for c in counted], as_json, lambda: _census_table(counted))
    unreadable = sum(c.unreadable or 0 for c in counted)
    if unreadable:
        raise Tampered("census.unreadable", count=unreadable)
    dark = sum(c.dark or 0 for c in counted)
    if dark:
        raise Unavailable("census.dark", count=dark)


_OLD_FORM = {JobKind.ENCRYPT: "Clear text", JobKind.REKEY: "Values under the earlier key"}


def _mass_job(
    ctx: typer.Context,
    home: Path,
    kind: JobKind,
    name: str,
    rate: int | None,
    wait: bool,
    as_json: bool,
) -> None:
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        instance.database.describe(tx, name)
        job_id = mass_job.start(
            tx, instance.hierarchy, kind, name, rows_per_second=rate, actor=actor()
        )
    if not wait:
        emit({"job": job_id}, as_json, f"The job {job_id} waits to be picked up.")
        return
    job = wait_for_job(instance, job_id)
    counts = job["counts"]
    remains = "".join(f"\n  - {place}" for place in counts["scrub_may_remain"])
    emit(
        {"job": job_id, **{k: job[k] for k in ("state", "started_at", "finished_at")}, **counts},
        as_json,
        f"{kind.capitalize()} of '{name}' is done: {counts.get('values', 0):,} values,"
        f" {counts.get('attachments', 0):,} attachments.\n"
        f"{_OLD_FORM[kind]} may remain in:{remains}",
    )


def _counted(instance: Instance, name: str | None, open_values: bool) -> list[ColumnCensus]:
    database, hierarchy = instance.database, instance.hierarchy
    with database.snapshot() as tx:
        if name is not None:
            database.describe(tx, name)
        if not open_values:
            return counting.count(tx, database, hierarchy, name)
        configured = counting.configured_tables(tx, hierarchy)
        tables = configured if name is None else configured & {name}
        total = sum(database.count_rows(tx, one) for one in tables)
        done = 0
        with progress("rows") as update:

            def on_rows(more: int) -> None:
                nonlocal done
                done += more
                update("opening", done, total)

            return counting.open_all(tx, database, hierarchy, name, on_rows)


def _try_keys(instance: Instance, file: Path, sample: int | None, as_json: bool) -> None:
    given = _read_keys(file)
    with instance.database.snapshot() as tx:
        trial = withheld.try_keys(tx, instance.database, instance.hierarchy, given, sample)
    emit(
        {"keys": len(given), "tried": trial.tried, "opened": trial.opened},
        as_json,
        f"{len(given)} keys, {trial.tried:,} values tried, {trial.opened:,} opened.",
    )


def _read_keys(file: Path) -> list[tuple[bytes, Secret]]:
    if not file.exists():
        raise NotFound("file.missing", file=file, reason="it does not exist")
    try:
        return export.read(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Invalid("export.form", file=file) from None


def _census_table(counted: list[ColumnCensus]) -> str:
    rows: list[tuple[object, ...]] = []
    for column in counted:
        where = (column.table, column.column, column.mode, column.phase)
        held = [*column.by_key.items()] or [("", 0)]
        for at, (key_id, values) in enumerate(held):
            rest: tuple[object, ...] = ("", "", "", "", "")
            if at == 0:
                opened = "" if column.opened is None else f"{column.opened:,}"
                wrong = column.unknown if column.unreadable is None else column.unreadable
                rest = (
                    f"{column.plain:,}",
                    f"{column.empty + column.null:,}",
                    opened,
                    f"{wrong:,}",
                    "" if column.dark is None else f"{column.dark:,}",
                )
            rows.append((*(where if at == 0 else ("",) * 4), key_id, f"{values:,}", *rest))
    headings = (
        "table",
        "column",
        "mode",
        "phase",
        "key",
        "values",
        "plain",
        "empty",
        "opened",
        "unreadable",
        "dark",
    )
    return table(headings, rows, "No encrypted column yet.")
