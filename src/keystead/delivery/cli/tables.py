"""`load`, `show`, `table`: business tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keystead.delivery.cli.output import emit, progress, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.fields import service as fields
from keystead.records import service as records
from keystead.records.ingest import Format

tables = typer.Typer(no_args_is_help=True, help="Business tables.")


def load(
    ctx: typer.Context,
    home: HomeArgument,
    name: Annotated[str, typer.Argument(metavar="TABLE", help="The table to make.")],
    file: Annotated[Path, typer.Argument(help="CSV or JSON lines, also gzipped.")],
    format: Annotated[
        Format | None, typer.Option(help="When the file's name does not say.")
    ] = None,
    null: Annotated[str | None, typer.Option(help="The text that stands for NULL in CSV.")] = None,
    key: Annotated[str | None, typer.Option(help="The key column; else a sys_id is added.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a table from a file: all of it, or nothing with the line and column of what is wrong.

    An empty CSV field is an empty text unless --null says otherwise; a column is of whole numbers
    only where every value would be written back exactly as it was.

    Example: keystead load prod incident incidents.csv.gz --null '?'
    """
    instance = opened(ctx, home)
    done = {"checking": 0, "loading": 0}
    with progress("rows") as update:

        def on_rows(phase: str, more: int) -> None:
            done[phase] += more
            update(phase, done[phase], done["checking"] if phase == "loading" else 0)

        loaded = records.load(
            instance.database,
            name,
            file,
            format=format,
            null=null,
            key=key,
            actor=actor(),
            on_rows=on_rows,
        )
    emit(
        {
            "table": name,
            "rows": loaded.rows,
            "primary_key": loaded.primary_key,
            "columns": {c.name: c.type.value for c in loaded.columns},
        },
        as_json,
        f"Loaded {loaded.rows:,} rows into '{name}' ({len(loaded.columns)} columns,"
        f" key {loaded.primary_key}).",
    )


def show(
    ctx: typer.Context,
    home: HomeArgument,
    name: Annotated[str, typer.Argument(metavar="TABLE", help="The table.")],
    query: Annotated[
        str, typer.Option(help="An encoded query, as in name=Ann^cityISNOTEMPTY.")
    ] = "",
    as_user: Annotated[str | None, typer.Option("--as", help="As this user.")] = None,
    impersonate: Annotated[
        str | None, typer.Option(metavar="USER", help="While he impersonates this user.")
    ] = None,
    columns: Annotated[str, typer.Option(help="Only these columns, comma-separated.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show rows as a user may see them: without the right to decrypt, a value is empty.

    Who may encrypt and not decrypt sees asterisks. Searching by a column takes the right to
    decrypt it.

    Example: keystead show prod incident --query 'caller_id=Caller 2403' --as ada
    """
    instance = opened(ctx, home)
    wanted = [c.strip() for c in columns.split(",") if c.strip()] or None
    shown = records.view(
        instance.database,
        instance.hierarchy,
        name,
        query=query,
        user=as_user,
        impersonate=impersonate,
        columns=wanted,
        limit=limit,
        actor=actor(),
    )
    reasons = sorted({why.what for why in shown.dark.values()})
    notes = []
    if shown.hidden:
        who = f"'{as_user}' may not decrypt" if as_user else "Not shown without --as USER"
        notes.append(f"{who}: {', '.join(shown.hidden)}.")
    writable = [c for c in shown.hidden if shown.effects[c].writable]
    if writable:
        notes.append(f"Asterisks stand for what may be written, not read: {', '.join(writable)}.")
    if shown.not_held:
        notes.append(f"{shown.not_held} values cannot be opened here; shown empty.")
        notes += reasons
    emit(
        {
            "columns": shown.columns,
            "rows": [dict(zip(shown.columns, row, strict=True)) for row in shown.rows],
            "hidden": shown.hidden,
            "encrypted": {
                column: {"shown": effect.form, "writable": effect.writable}
                for column, effect in shown.effects.items()
            },
            "not_held": shown.not_held,
            "dark": reasons,
        },
        as_json,
        lambda: "\n".join([table(shown.columns, shown.rows, "No row matches."), *notes]),
    )


@tables.command("list")
def list_tables(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the tables with their rows.

    Example: keystead table list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [
            {"table": name, "rows": instance.database.count_rows(tx, name)}
            for name in instance.database.table_names(tx)
        ]
    empty = "No table yet. Load one with: keystead load HOME TABLE FILE"
    emit(found, as_json, table(("table", "rows"), [tuple(f.values()) for f in found], empty))


@tables.command("show")
def show_table(
    ctx: typer.Context,
    home: HomeArgument,
    name: Annotated[str, typer.Argument(metavar="TABLE", help="The table.")],
    as_json: JsonOption = False,
) -> None:
    """Show a table's columns, their types and how they are encrypted.

    Example: keystead table show prod incident
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        described = instance.database.describe(tx, name)
        encrypted = {c.column: c for c in fields.configurations(tx, instance.hierarchy, name)}
    rows = []
    for column in described.columns:
        found = encrypted.get(column.name)
        rows.append(
            {
                "column": column.name,
                "type": found.original_type if found else column.type.value,
                "key": "primary key" if column.name in described.primary_key else "",
                "encrypted": found.scheme.mode if found else "",
                "phase": found.phase.value if found else "",
            }
        )
    emit(rows, as_json, table(tuple(rows[0]), [tuple(r.values()) for r in rows], ""))
