"""`user`, `group`: who there is, with which roles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keystead.access import people, roles
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened

users = typer.Typer(no_args_is_help=True, help="Users and their roles.")
groups = typer.Typer(no_args_is_help=True, help="Groups: roles for all their members.")
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]
GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]
RoleArgument = Annotated[str, typer.Argument(help="The role's name.")]
RemoveOption = Annotated[bool, typer.Option("--remove", help="Take away instead of give.")]


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
    given = role or []
    with instance.database.transaction() as tx:
        people.create_user(tx, instance.hierarchy.integrity, name, given, actor())
    emit({"user": name, "roles": given}, as_json, f"User '{name}' made.")


@users.command("list")
def list_users(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the users with their own roles, their groups, and the roles these bring.

    Example: keystead user list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = people.users(tx, instance.hierarchy.integrity)
    empty = "No user yet. Make one with: keystead user add HOME NAME --role ROLE"
    headings = ("user", "roles", "groups", "roles of groups", "active")
    shown = [
        (
            f["user"],
            ", ".join(f["roles"]),
            ", ".join(f["groups"]),
            ", ".join(f["group_roles"]),
            "yes" if f["active"] else "no",
        )
        for f in found
    ]
    emit(found, as_json, table(headings, shown, empty))


@users.command("role")
def user_role(
    ctx: typer.Context,
    home: HomeArgument,
    name: UserArgument,
    role: RoleArgument,
    remove: RemoveOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give a user a role, or take it from him; a role that a group brings is the group's.

    Example: keystead user role prod ada support
    """
    instance = opened(ctx, home)
    change = people.take_role if remove else people.give_role
    with instance.database.transaction() as tx:
        change(tx, instance.hierarchy.integrity, name, role, actor())
    said = f"'{role}' was taken from '{name}'." if remove else f"'{name}' has the role '{role}'."
    emit({"user": name, "role": role, "has": not remove}, as_json, said)


@users.command("deactivate")
def deactivate_user(
    ctx: typer.Context, home: HomeArgument, name: UserArgument, as_json: JsonOption = False
) -> None:
    """Let a user see no clear value any more, whatever his roles; they stay as they are.

    Example: keystead user deactivate prod ada
    """
    _set_active(ctx, home, name, False, as_json)


@users.command("activate")
def activate_user(
    ctx: typer.Context, home: HomeArgument, name: UserArgument, as_json: JsonOption = False
) -> None:
    """Let a deactivated user's roles count again.

    Example: keystead user activate prod ada
    """
    _set_active(ctx, home, name, True, as_json)


@users.command("roles")
def list_roles(as_json: JsonOption = False) -> None:
    """List the roles of key management. Any other name is a role of your own.

    Example: keystead user roles --json
    """
    found = [{"role": name, "may": what} for name, what in roles.CATALOGUE.items()]
    emit(found, as_json, table(("role", "may"), [tuple(f.values()) for f in found], ""))


@groups.command("add")
def add_group(
    ctx: typer.Context,
    home: HomeArgument,
    name: GroupArgument,
    role: Annotated[list[str] | None, typer.Option(help="A role; may be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a group. Its members have its roles.

    Example: keystead group add prod desk --role support
    """
    instance = opened(ctx, home)
    given = role or []
    with instance.database.transaction() as tx:
        people.create_group(tx, instance.hierarchy.integrity, name, given, actor())
    emit({"group": name, "roles": given}, as_json, f"Group '{name}' made.")


@groups.command("list")
def list_groups(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the groups with their roles and members.

    Example: keystead group list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = people.groups(tx, instance.hierarchy.integrity)
    empty = "No group yet. Make one with: keystead group add HOME NAME --role ROLE"
    shown = [(f["group"], ", ".join(f["roles"]), ", ".join(f["members"])) for f in found]
    emit(found, as_json, table(("group", "roles", "members"), shown, empty))


@groups.command("member")
def group_member(
    ctx: typer.Context,
    home: HomeArgument,
    name: GroupArgument,
    user: UserArgument,
    remove: RemoveOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put a user into a group, or take him out of it.

    Example: keystead group member prod desk ada
    """
    instance = opened(ctx, home)
    change = people.remove_member if remove else people.add_member
    with instance.database.transaction() as tx:
        change(tx, instance.hierarchy.integrity, name, user, actor())
    said = f"'{user}' is {'not ' if remove else ''}in the group '{name}'."
    emit({"group": name, "user": user, "member": not remove}, as_json, said)


@groups.command("role")
def group_role(
    ctx: typer.Context,
    home: HomeArgument,
    name: GroupArgument,
    role: RoleArgument,
    remove: RemoveOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give a group a role, or take it from the group.

    Example: keystead group role prod desk support
    """
    instance = opened(ctx, home)
    change = people.take_group_role if remove else people.give_group_role
    with instance.database.transaction() as tx:
        change(tx, instance.hierarchy.integrity, name, role, actor())
    said = f"'{role}' was taken from '{name}'." if remove else f"'{name}' has the role '{role}'."
    emit({"group": name, "role": role, "has": not remove}, as_json, said)


def _set_active(ctx: typer.Context, home: Path, name: str, active: bool, as_json: bool) -> None:
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        people.set_active(tx, instance.hierarchy.integrity, name, active, actor())
    said = f"The user '{name}' is {'active' if active else 'inactive'}."
    emit({"user": name, "active": active}, as_json, said)
