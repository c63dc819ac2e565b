"""`user` and `policy`: who may see what."""

from __future__ import annotations

from typing import Annotated

import typer

from keystead.access import service as access
from keystead.access.service import Operation
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.keys import service as keys

users = typer.Typer(no_args_is_help=True, help="Users and their roles.")
policies = typer.Typer(no_args_is_help=True, help="Module access policies.")


@users.command("add")
def add_user(
    ctx: typer.Context,
    home: HomeArgument,
    name: Annotated[str, typer.Argument(help="The user's name.")],
    role: Annotated[list[str] | None, typer.Option(help="A role; may be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a user.

    Example: keystead user add prod ada --role support
    """
    instance = opened(ctx, home)
    roles = role or []
    with instance.database.transaction() as tx:
        access.create_user(tx, instance.hierarchy.integrity, name, roles, actor())
    emit({"user": name, "roles": roles}, as_json, f"User '{name}' made.")


@users.command("list")
def list_users(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the users with their roles.

    Example: keystead user list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = access.users(tx, instance.hierarchy.integrity)
    empty = "No user yet. Make one with: keystead user add HOME NAME --role ROLE"
    shown = [(f["user"], ", ".join(f["roles"])) for f in found]
    emit(found, as_json, table(("user", "roles"), shown, empty))


_MAY = {
    Operation.ENCRYPT: "encrypt",
    Operation.DECRYPT: "decrypt",
    Operation.BOTH: "encrypt and decrypt",
}


@policies.command("add")
def add_policy(
    ctx: typer.Context,
    home: HomeArgument,
    module: Annotated[str, typer.Option(help="The crypto module.")],
    role: Annotated[str, typer.Option(help="Who: holders of this role.")],
    operation: Annotated[Operation, typer.Option(help="What they may do.")] = Operation.BOTH,
    as_json: JsonOption = False,
) -> None:
    """Let holders of a role use a module. Without a policy nobody may.

    Example: keystead policy add prod --module people --role support --operation decrypt
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        row = keys.module(tx, instance.hierarchy, module)
        policy = access.add_role_policy(
            tx,
            instance.hierarchy.integrity,
            module_id=row["sys_id"],
            module_name=row["name"],
            role=role,
            operation=operation,
            actor=actor(),
        )
    emit(
        {"policy": policy["sys_id"], "module": row["name"], "role": role, "operation": operation},
        as_json,
        f"Holders of '{role}' may {_MAY[operation]} with '{row['name']}'.",
    )


@policies.command("list")
def list_policies(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the policies, those of key exchange too.

    Example: keystead policy list prod
    """
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    with instance.database.snapshot() as tx:
        found = [
            {
                "module": keys.module_of(tx, hierarchy, row["module_id"])["name"],
                "type": row["type"],
                "for": row["role"] or row["target_instance"],
                "operation": row["operation"] or row["frequency"],
                "result": row["result"],
                "active": bool(row["active"]),
            }
            for row in access.policies(tx, hierarchy.integrity)
        ]
    empty = "No policy yet: nobody sees a clear value."
    headings = ("module", "type", "for", "operation", "result", "active")
    emit(found, as_json, table(headings, [tuple(f.values()) for f in found], empty))
