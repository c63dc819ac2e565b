"""`module`: crypto modules."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keystead.crypto.envelope import Scheme
from keystead.database.integrity import Fields
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.external import configurations
from keystead.keys import service as keys
from keystead.keys.tables import MODULES

modules = typer.Typer(no_args_is_help=True, help="Crypto modules: what a key is for.")
ModuleArgument = Annotated[str, typer.Argument(help="The module: scope.name, or name in 'global'.")]


@modules.command("create")
def create_module(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleArgument,
    equality: Annotated[
        bool, typer.Option(help="Equal values are stored equal: searchable, and visibly equal.")
    ] = False,
    publish: Annotated[bool, typer.Option(help="Publish it at once, with its first key.")] = False,
    decrypt_suspended: Annotated[
        bool, typer.Option("--decrypt-suspended", help="A suspended key of it still decrypts.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a draft module for encrypting fields.

    Example: keystead module create prod people --equality --publish
    """
    instance = opened(ctx, home)
    scheme = Scheme.EQUALITY if equality else Scheme.STANDARD
    with instance.database.transaction() as tx:
        row = keys.create_module(
            tx, instance.hierarchy, module, scheme, actor(), decrypts_suspended=decrypt_suspended
        )
        if publish:
            row = keys.publish_module(tx, instance.hierarchy, module, actor())
    emit(_module(row), as_json, f"Module '{row['name']}' is {row['state']}.")


@modules.command("publish")
def publish_module(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleArgument,
    key: Annotated[
        bool, typer.Option("--key/--no-key", help="Make its first key now, or when it is needed.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Publish a draft; its first key becomes active.

    Without a key now, the first one is made at the first encryption, unless you bring one before.

    Example: keystead module publish prod people
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        row = keys.publish_module(tx, instance.hierarchy, module, actor(), first_key=key)
    said = "has its first key" if key else "has no key yet"
    emit(_module(row), as_json, f"Module '{row['name']}' is published and {said}.")


@modules.command("list")
def list_modules(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the modules.

    Example: keystead module list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        names = {
            row["sys_id"]: row["name"] for row in configurations.listed(tx, instance.hierarchy)
        }
        found = []
        for row in instance.hierarchy.integrity.all(tx, MODULES):
            spec = keys.specification(tx, instance.hierarchy, row["sys_id"])
            found.append(
                {
                    **_module(row),
                    "specification": spec["sys_id"],
                    "algorithm": f"{spec['algorithm']}-{spec['size_bits']}",
                    "equality_preserving": bool(spec["equality_preserving"]),
                    "decrypts_suspended": bool(spec["decrypts_suspended"]),
                    "external_key": names.get(configurations.chosen(row)),
                }
            )
    fields = ("module", "state", "algorithm", "equality_preserving", "external_key")
    shown = [tuple(row[field] for field in fields) for row in found]
    empty = "No module yet. Make one with: keystead module create HOME NAME"
    headings = [field.replace("_", " ") for field in fields]
    emit(found, as_json, table(headings, shown, empty))


def _module(row: Fields) -> dict[str, Any]:
    return {"module": row["name"], "sys_id": row["sys_id"], "state": row["state"]}
