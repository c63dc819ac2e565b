"""`module`, `key`: crypto modules and their keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from keystead.audit import log
from keystead.base.errors import Conflict, Denied
from keystead.base.secret import REVEAL
from keystead.crypto.envelope import Scheme
from keystead.database.integrity import Fields
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.fields import census
from keystead.instance.home import write_private
from keystead.instance.opening import Instance
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.tables import MODULES

modules = typer.Typer(no_args_is_help=True, help="Crypto modules: what a key is for.")
key_commands = typer.Typer(no_args_is_help=True, help="The keys of crypto modules.")
ModuleArgument = Annotated[str, typer.Argument(help="The module: scope.name, or name in 'global'.")]
_KEY_COLUMNS = ("key", "module", "version", "state", "origin", "generated_at", "deactivated_at")


@modules.command("create")
def create_module(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleArgument,
    equality: Annotated[
        bool, typer.Option(help="Equal values are stored equal: searchable, and visibly equal.")
    ] = False,
    publish: Annotated[bool, typer.Option(help="Publish it at once, with its first key.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a draft module for encrypting fields.

    Example: keystead module create prod people --equality --publish
    """
    instance = opened(ctx, home)
    scheme = Scheme.EQUALITY if equality else Scheme.STANDARD
    with instance.database.transaction() as tx:
        row = keys.create_module(tx, instance.hierarchy, module, scheme, actor())
        if publish:
            row = keys.publish_module(tx, instance.hierarchy, module, actor())
    emit(_module(row), as_json, f"Module '{row['name']}' is {row['state']}.")


@modules.command("publish")
def publish_module(
    ctx: typer.Context, home: HomeArgument, module: ModuleArgument, as_json: JsonOption = False
) -> None:
    """Publish a draft; its first key becomes active.

    Example: keystead module publish prod people
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        row = keys.publish_module(tx, instance.hierarchy, module, actor())
    emit(_module(row), as_json, f"Module '{row['name']}' is published and has its first key.")


@modules.command("list")
def list_modules(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the modules.

    Example: keystead module list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = []
        for row in instance.hierarchy.integrity.all(tx, MODULES):
            spec = keys.specification(tx, instance.hierarchy, row["sys_id"])
            found.append(
                {
                    **_module(row),
                    "specification": spec["sys_id"],
                    "algorithm": f"{spec['algorithm']}-{spec['size_bits']}",
                    "equality_preserving": bool(spec["equality_preserving"]),
                }
            )
    shown = [(f["module"], f["state"], f["algorithm"], f["equality_preserving"]) for f in found]
    empty = "No module yet. Make one with: keystead module create HOME NAME"
    headings = ("module", "state", "algorithm", "equality preserving")
    emit(found, as_json, table(headings, shown, empty))


@key_commands.command("list")
def list_keys(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List every key with its state.

    Example: keystead key list prod
    """
    instance = opened(ctx, home)
    found = _keys(instance)
    empty = "No key yet. Publishing a module makes its first."
    emit(
        found,
        as_json,
        table(_KEY_COLUMNS, [tuple(f[c] for c in _KEY_COLUMNS) for f in found], empty),
    )


@key_commands.command("generate")
def generate(
    ctx: typer.Context, home: HomeArgument, module: ModuleArgument, as_json: JsonOption = False
) -> None:
    """Make an active key for a module that has none.

    Example: keystead key generate prod people
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        row = keys.generate(tx, instance.hierarchy, module, actor())
    emit(_key(row), as_json, f"Key {row['sys_id']} is active (version {row['version']}).")


@key_commands.command("rotate")
def rotate(
    ctx: typer.Context, home: HomeArgument, module: ModuleArgument, as_json: JsonOption = False
) -> None:
    """Make a new active key. The old one still decrypts; `keystead rekey` moves values.

    Example: keystead key rotate prod people
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        row = keys.rotate(tx, instance.hierarchy, module, actor())
    emit(_key(row), as_json, f"Key {row['sys_id']} is active (version {row['version']}).")


@key_commands.command("drop")
def drop(
    ctx: typer.Context,
    home: HomeArgument,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")],
    as_json: JsonOption = False,
) -> None:
    """Destroy a key received from another instance, once the census shows that nothing needs it.

    Example: keystead key drop test 8d378122d6b7867b5a26d2b52e3f4817
    """
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    with instance.database.transaction() as tx:
        row = keys.key(tx, hierarchy, key_id)
        jobs.refuse_while_busy(tx, "The instance", *JobKind)
        needed = census.values_under(tx, instance.database, hierarchy, key_id)
        if needed:
            where = ", ".join(f"{column} ({count})" for column, count in needed.items())
            raise Conflict("key.needed", key=key_id, count=sum(needed.values()), where=where)
        row = keys.drop_key(tx, hierarchy, row, actor())
    instance.database.scrub()
    emit(_key(row), as_json, f"Key {key_id} is destroyed here; no value needed it.")


@key_commands.command("export")
def export(
    ctx: typer.Context,
    home: HomeArgument,
    out: Annotated[Path, typer.Option(help="The file to write, mode 0600.")],
    reveal: Annotated[
        bool, typer.Option("--reveal-key-bytes", help="Yes, write key bytes in the clear.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the bytes of every key held here to a file, for a checker that trusts nobody.

    Whoever reads the file reads every value. It is written down in the audit log.

    Example: keystead key export prod --out keys.json --reveal-key-bytes
    """
    if not reveal:
        raise Denied("export.unconfirmed")
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    with instance.database.transaction() as tx:
        held = [
            {**_key(row), "key_bytes": keys.open_key(hierarchy, row).reveal(REVEAL).hex()}
            for row in keys.all_keys(tx, hierarchy)
            if keys.can_open(row)
        ]
        log.record(tx, actor(), "key.export", hierarchy.instance_id, keys=len(held))
    document = {
        "instance": hierarchy.instance_id,
        "keys": [{"key_id": k["key"], "key": k["key_bytes"], "state": k["state"]} for k in held],
    }
    try:
        write_private(out, json.dumps(document, indent=2).encode())
    except FileExistsError:
        raise Conflict("export.exists", file=out) from None
    emit(
        {"file": str(out), "keys": len(held)},
        as_json,
        f"{len(held)} keys are in {out}, in the clear. Remove the file when it has served.",
    )


def _module(row: Fields) -> dict[str, Any]:
    return {"module": row["name"], "sys_id": row["sys_id"], "state": row["state"]}


def _key(row: Fields) -> dict[str, Any]:
    return {"key": row["sys_id"], "version": row["version"], "state": row["state"]}


def _keys(instance: Instance) -> list[dict[str, Any]]:
    hierarchy = instance.hierarchy
    with instance.database.snapshot() as tx:
        names = {
            spec["sys_id"]: keys.module_of(tx, hierarchy, spec["module_id"])["name"]
            for spec in keys.all_specifications(tx, hierarchy)
        }
        return [
            {
                **_key(row),
                "module": names[row["spec_id"]],
                "specification": row["spec_id"],
                "origin": row["origin"],
                "source_instance": row["source_instance"],
                "held": row["material"] is not None,
                "generated_at": row["generated_at"],
                "activated_at": row["activated_at"],
                "deactivated_at": row["deactivated_at"],
                "destroyed_at": row["destroyed_at"],
            }
            for row in keys.all_keys(tx, hierarchy)
        ]
