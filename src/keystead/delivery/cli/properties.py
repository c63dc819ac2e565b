"""`property`: values that are changed while an instance runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keystead.access import properties as service
from keystead.access.properties import Held
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened

properties = typer.Typer(no_args_is_help=True, help="System properties.")


@properties.command("list")
def list_properties(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the properties with their values and what they mean.

    Example: keystead property list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [_shown(held) for held in service.listed(tx, instance.hierarchy.integrity)]
    headings = ("property", "value", "type", "set", "summary")
    rows = [
        (f["property"], f["value"], f["type"], "yes" if f["set"] else "no", f["summary"])
        for f in found
    ]
    emit(found, as_json, table(headings, rows, ""))


@properties.command("set")
def set_property(
    ctx: typer.Context,
    home: HomeArgument,
    name: Annotated[str, typer.Argument(metavar="PROPERTY", help="The property's name.")],
    value: Annotated[str, typer.Argument(help="Its value.")],
    new: Annotated[
        bool, typer.Option("--new", help="Add it as a property of your own, a text.")
    ] = False,
    summary: Annotated[str, typer.Option(help="With --new: what it is for.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Give a property a value; it counts at once, in every process.

    Example: keystead property set prod glide.ui.session_timeout 15
    """
    instance = opened(ctx, home)
    integrity = instance.hierarchy.integrity
    with instance.database.transaction() as tx:
        if new:
            held = service.create(tx, integrity, name, value, summary, actor())
        else:
            held = service.change(tx, integrity, name, value, actor())
    emit(_shown(held), as_json, f"'{name}' is '{held.value}'.")


def _shown(held: Held) -> dict[str, Any]:
    one = held.property
    return {
        "property": one.name,
        "value": held.value,
        "type": one.type,
        "set": held.is_set,
        "default": one.default,
        "owner": one.owner,
        "summary": one.summary,
    }
