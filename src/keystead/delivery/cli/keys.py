"""`key`: the keys of crypto modules and what is done to them in their life."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from keystead.base.errors import Conflict, Denied
from keystead.database.integrity import Fields
from keystead.delivery.cli.modules import ModuleArgument
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.fields import census
from keystead.instance.home import write_private
from keystead.instance.opening import Instance
from keystead.keys import export as exporting
from keystead.keys import service as keys
from keystead.keys import usage
from keystead.keys.model import KeyState

key_commands = typer.Typer(no_args_is_help=True, help="The keys of crypto modules.")
KeyArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help="The key's id; or its module, where only one key can be meant."
    ),
]
ReasonOption = Annotated[str, typer.Option(help="Why: one line, kept with the key and audited.")]
_KEY_COLUMNS = (
    *("key", "module", "version", "state", "origin"),
    *("generated_at", "activated_at", "expires_at", "deactivated_at"),
)
_DATES = (
    *("generated_at", "activated_at", "renewed_at", "rotated_at", "suspended_at", "revoked_at"),
    *("deactivated_at", "destroyed_at", "expires_at"),
    *("activate_at", "renew_at", "rotate_at", "destroy_at"),
)
_ENCRYPTING = (KeyState.ACTIVE, KeyState.RENEWED)


@key_commands.command("list")
def list_keys(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List every key with its state, version and dates.

    Example: keystead key list prod
    """
    instance = opened(ctx, home)
    found = _keys(instance)
    empty = "No key yet. Publishing a module makes its first."
    shown = [tuple(_day(f[c]) for c in _KEY_COLUMNS) for f in found]
    emit(found, as_json, table(_KEY_COLUMNS, shown, empty))


@key_commands.command("show")
def show_key(
    ctx: typer.Context, home: HomeArgument, key: KeyArgument, as_json: JsonOption = False
) -> None:
    """Show all that is known of a key: dates, what rules have in store, and what needs it.

    Example: keystead key show prod people
    """
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    with instance.database.snapshot() as tx:
        row = keys.named_key(tx, hierarchy, key, *_ENCRYPTING)
        found = {
            **_described(row, keys.module_name(tx, hierarchy, row["spec_id"])),
            "reserved_uses": usage.reserved(tx, hierarchy, row["sys_id"]),
            "needed_by": census.needs(instance.database, hierarchy)(tx, row["sys_id"]),
        }
    lines = [(name, value) for name, value in found.items() if value not in (None, {})]
    emit(found, as_json, table(("", ""), lines, ""))


@key_commands.command("generate")
def generate(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleArgument,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Make one that waits, to be rotated to later.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an active key for a module that has none.

    Example: keystead key generate prod people
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        row = keys.generate(tx, instance.hierarchy, module, actor(), waiting=waiting)
    _emit_key(row, as_json)


@key_commands.command("rotate")
def rotate(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleArgument,
    to: Annotated[
        str | None, typer.Option(metavar="KEY", help="A waiting key; otherwise one is made.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new active key. The old one still decrypts; `keystead rekey` moves values.

    Example: keystead key rotate prod people
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        _, spec = keys.published_specification(tx, instance.hierarchy, module)
        old = keys.active_key(tx, instance.hierarchy, spec["sys_id"])
    with instance.database.transaction() as tx:
        row = keys.rotate(tx, instance.hierarchy, module, actor(), to=to, old=old)
    _emit_key(row, as_json)


@key_commands.command("suspend")
def suspend(
    ctx: typer.Context, home: HomeArgument, key: KeyArgument, as_json: JsonOption = False
) -> None:
    """Stop a key for a while. Nothing replaces it: its module encrypts nothing until it is resumed.

    Nor does it decrypt, unless its module was made with --decrypt-suspended. Running jobs stop.

    Example: keystead key suspend prod people
    """
    instance = opened(ctx, home)
    row = _as_it_stands(instance, key, *_ENCRYPTING)
    with instance.database.transaction() as tx:
        row = keys.suspend(tx, instance.hierarchy, row, actor())
    _emit_key(row, as_json)


@key_commands.command("resume")
def resume(
    ctx: typer.Context, home: HomeArgument, key: KeyArgument, as_json: JsonOption = False
) -> None:
    """Make a suspended key active again, when no other became active.

    Example: keystead key resume prod people
    """
    instance = opened(ctx, home)
    row = _as_it_stands(instance, key, KeyState.SUSPENDED)
    with instance.database.transaction() as tx:
        row = keys.resume(tx, instance.hierarchy, row, actor())
    _emit_key(row, as_json)


@key_commands.command("renew")
def renew(
    ctx: typer.Context, home: HomeArgument, key: KeyArgument, as_json: JsonOption = False
) -> None:
    """Extend the expiry: to now plus the time from activation to the present expiry.

    Example: keystead key renew prod people
    """
    instance = opened(ctx, home)
    row = _as_it_stands(instance, key, *_ENCRYPTING)
    with instance.database.transaction() as tx:
        row = keys.renew(tx, instance.hierarchy, row, actor())
    data = {**_key(row), "expires_at": row["expires_at"]}
    emit(data, as_json, f"Key {row['sys_id']} expires at {row['expires_at']}.")


@key_commands.command("revoke")
def revoke(
    ctx: typer.Context,
    home: HomeArgument,
    key: KeyArgument,
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """Declare a key compromised: it stops encrypting and still decrypts. Another becomes active.

    Move its values with `keystead rekey`, then destroy it.

    Example: keystead key revoke prod people --reason "laptop stolen"
    """
    instance = opened(ctx, home)
    row = _as_it_stands(instance, key, *_ENCRYPTING, KeyState.SUSPENDED)
    with instance.database.transaction() as tx:
        active = keys.revoke(tx, instance.hierarchy, row, reason, actor())
    emit(
        {"revoked": row["sys_id"], "active": _key(active)},
        as_json,
        f"Key {row['sys_id']} is revoked; {active['sys_id']} is active.",
    )


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
    with instance.database.transaction() as tx:
        document = exporting.export(tx, instance.hierarchy, actor())
    try:
        write_private(out, json.dumps(document, indent=2).encode())
    except FileExistsError:
        raise Conflict("export.exists", file=out) from None
    count = len(document["keys"])
    emit(
        {"file": str(out), "keys": count},
        as_json,
        f"{count} keys are in {out}, in the clear. Remove the file when it has served.",
    )


def _as_it_stands(instance: Instance, key: str, *states: KeyState) -> Fields:
    """The key that is meant, before its turn comes: changed meanwhile, it is a Conflict."""
    with instance.database.snapshot() as tx:
        return keys.named_key(tx, instance.hierarchy, key, *states)


def _emit_key(row: Fields, as_json: bool) -> None:
    emit(_key(row), as_json, f"Key {row['sys_id']} is {row['state']} (version {row['version']}).")


def _key(row: Fields) -> dict[str, Any]:
    return {"key": row["sys_id"], "version": row["version"], "state": row["state"]}


def _day(value: object) -> object:
    """A moment by its day, as people read a list."""
    return value[:10] if isinstance(value, str) and value.endswith("Z") else value


def _described(row: Fields, module: str) -> dict[str, Any]:
    return {
        **_key(row),
        "module": module,
        "specification": row["spec_id"],
        "origin": row["origin"],
        "source_instance": row["source_instance"],
        "held": row["material"] is not None,
        "decrypts": keys.can_open(row),
        "revoke_reason": row["revoke_reason"],
        **{name: row[name] for name in _DATES},
    }


def _keys(instance: Instance) -> list[dict[str, Any]]:
    hierarchy = instance.hierarchy
    with instance.database.snapshot() as tx:
        names = {
            spec["sys_id"]: keys.module_of(tx, hierarchy, spec["module_id"])["name"]
            for spec in keys.all_specifications(tx, hierarchy)
        }
        return [_described(row, names[row["spec_id"]]) for row in keys.all_keys(tx, hierarchy)]
