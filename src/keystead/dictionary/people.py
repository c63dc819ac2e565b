"""Users, groups, the roles that both hold, and the tokens that log programs in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.access import accounts, people
from keystead.access import roles as catalogue
from keystead.access.accounts import LONGEST_PASSWORD, SHORTEST_PASSWORD, TOKENS
from keystead.access.authority import refuse_unless_gives
from keystead.access.sessions import Sessions
from keystead.access.tables import GROUP_MEMBERS, GROUP_ROLES, GROUPS, POLICIES, USER_ROLES, USERS
from keystead.base import clock
from keystead.base.errors import NotFound
from keystead.crypto.sha256 import sha256
from keystead.database.integrity import Integrity
from keystead.dictionary.model import (
    Context,
    Field,
    Kind,
    Nothing,
    Operation,
    Outcome,
    Related,
    Row,
    Table,
)

_USER: Final = USERS.name
_GROUP: Final = GROUPS.name
_ROLE: Final = "sys_user_role"
_TOKEN: Final = TOKENS.name
_LONGEST_DAYS: Final = 3650
_USER_TONES: Final = {"active": "good", "deactivated": "warn"}
_TOKEN_TONES: Final = {"valid": "good", "expired": "warn"}


def _known_roles(context: Context) -> list[str]:
    """The names of the roles there are: in the catalogue, held by somebody, or in a policy."""
    integrity = context.instance.hierarchy.integrity
    with context.instance.database.snapshot() as tx:
        named = {str(row["role"]) for row in integrity.all(tx, POLICIES) if row["role"]}
        return sorted({*catalogue.CATALOGUE, *_held_roles(tx, integrity), *named})


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """What a new user needs; roles are given afterwards."""

    user_name: Annotated[str, Meta(title="Name")]


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """A password to log in with."""

    password: Annotated[
        str,
        Meta(
            title="Password",
            description=f"{SHORTEST_PASSWORD} characters or more; the user's sessions end.",
            min_length=SHORTEST_PASSWORD,
            max_length=LONGEST_PASSWORD,
            extra={"secret": True},
        ),
    ]


class Role(msgspec.Struct, forbid_unknown_fields=True):
    """A role to give or take."""

    role: Annotated[
        str,
        Meta(
            title="Role",
            description="Of those there are; a new one comes with a policy that names it.",
            extra={"choices": _known_roles},
        ),
    ]


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """What a token is for, and how long it is good."""

    name: Annotated[str, Meta(title="Name", description="What it is for.", max_length=60)]
    days: Annotated[
        int, Meta(title="Days", description="It expires after so many.", ge=1, le=_LONGEST_DAYS)
    ] = 90


class NewGroup(msgspec.Struct, forbid_unknown_fields=True):
    """What a new group needs; roles are given afterwards."""

    name: Annotated[str, Meta(title="Name")]


class Member(msgspec.Struct, forbid_unknown_fields=True):
    """A user to put into a group, or to take out of it."""

    user: Annotated[str, Meta(title="User", extra={"reference": _USER})]


def _create_user(context: Context, _row: Row, given: NewUser) -> Outcome:
    integrity = context.instance.hierarchy.integrity
    with context.instance.database.transaction() as tx:
        made = people.create_user(tx, integrity, given.user_name, [], context.actor.name)
    said = f"User '{given.user_name}' is made; set a password and give roles."
    return Outcome(said, _USER, made["sys_id"])


def _set_password(context: Context, row: Row, given: NewPassword) -> Outcome:
    integrity, name = context.instance.hierarchy.integrity, row["user_name"]
    with context.instance.database.transaction() as tx:
        _refuse_who_is_more(context, tx, name)
        accounts.set_password(tx, integrity, name, given.password, context.actor.name)
    return Outcome(f"'{name}' has a new password.", _USER, row["sys_id"])


def _make_token(context: Context, row: Row, given: NewToken) -> Outcome:
    integrity, name = context.instance.hierarchy.integrity, row["user_name"]
    with context.instance.database.transaction() as tx:
        _refuse_who_is_more(context, tx, name)
        shown = accounts.make_token(tx, integrity, name, given.name, given.days, context.actor.name)
    said = f"The token '{given.name}' of '{name}' is good for {given.days} days."
    return Outcome(said, _USER, row["sys_id"], shown_once={"token": shown})


def _end_token(context: Context, row: Row, _given: Nothing) -> Outcome:
    integrity, instance = context.instance.hierarchy.integrity, context.instance
    with instance.database.transaction() as tx:
        user = _user_name(tx, integrity, row["user_id"])
        accounts.end_token(tx, integrity, user, row["name"], context.actor.name)
    return Outcome(f"The token '{row['name']}' of '{user}' is ended.", _TOKEN, row["sys_id"])


def _end_sessions(context: Context, row: Row, _given: Nothing) -> Outcome:
    instance, name = context.instance, row["user_name"]
    sessions = Sessions(instance.database, instance.hierarchy.integrity)
    count = sessions.close_every(name, context.actor.name)
    return Outcome(f"'{name}' is logged out; {count} sessions ended.", _USER, row["sys_id"])


def _set_active(active: bool) -> Callable[[Context, Row, Nothing], Outcome]:
    def run(context: Context, row: Row, _given: Nothing) -> Outcome:
        integrity, name = context.instance.hierarchy.integrity, row["user_name"]
        with context.instance.database.transaction() as tx:
            people.set_active(tx, integrity, name, active, context.actor.name)
        said = f"'{name}' may act again." if active else f"'{name}' may act no more."
        return Outcome(said, _USER, row["sys_id"])

    return run


def _change_roles(
    change: Callable[[Connection, Integrity, str, str, str], None], table: str, name: str, said: str
) -> Callable[[Context, Row, Role], Outcome]:
    """Give a role to the holder whose name is in the field `name`, or take it from him."""

    def run(context: Context, row: Row, given: Role) -> Outcome:
        refuse_unless_gives(context.actor, [given.role])
        with context.instance.database.transaction() as tx:
            integrity = context.instance.hierarchy.integrity
            change(tx, integrity, row[name], given.role, context.actor.name)
        return Outcome(said.format(holder=row[name], role=given.role), table, row["sys_id"])

    return run


def _create_group(context: Context, _row: Row, given: NewGroup) -> Outcome:
    integrity = context.instance.hierarchy.integrity
    with context.instance.database.transaction() as tx:
        made = people.create_group(tx, integrity, given.name, [], context.actor.name)
    said = f"Group '{given.name}' is made; give it roles, and put users into it."
    return Outcome(said, _GROUP, made["sys_id"])


def _change_members(
    change: Callable[[Connection, Integrity, str, str, str], None], said: str
) -> Callable[[Context, Row, Member], Outcome]:
    """To put somebody into a group is to give him its roles."""

    def run(context: Context, row: Row, given: Member) -> Outcome:
        integrity = context.instance.hierarchy.integrity
        with context.instance.database.transaction() as tx:
            held = integrity.all(tx, GROUP_ROLES, GROUP_ROLES.c.group_id == row["sys_id"])
            refuse_unless_gives(context.actor, [str(one["role"]) for one in held])
            user = _user_name(tx, integrity, given.user)
            change(tx, integrity, row["name"], user, context.actor.name)
        return Outcome(said.format(user=user, group=row["name"]), _GROUP, row["sys_id"])

    return run


def _refuse_who_is_more(context: Context, tx: Connection, name: str) -> None:
    """Refuse what would let somebody act as a user whose roles he could not give.

    Raises:
        Denied: naming such a role.
    """
    person = people.person(tx, context.instance.hierarchy.integrity, name)
    refuse_unless_gives(context.actor, person.direct_roles | person.group_roles)


def _user_name(tx: Connection, integrity: Integrity, sys_id: str) -> str:
    missing = NotFound("user.missing", user=sys_id)
    return str(integrity.one(tx, USERS, missing, USERS.c.sys_id == sys_id)["user_name"])


def _held_roles(tx: Connection, integrity: Integrity) -> list[str]:
    """The role of each row that gives one."""
    return [
        str(row["role"]) for table in (USER_ROLES, GROUP_ROLES) for row in integrity.all(tx, table)
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _users(tx: Connection, context: Context) -> list[dict[str, Any]]:
    integrity = context.instance.hierarchy.integrity
    ids = {str(row["user_name"]): row["sys_id"] for row in integrity.all(tx, USERS)}
    return [
        {
            "sys_id": ids[one["user"]],
            "user_name": one["user"],
            "state": "active" if one["active"] else "deactivated",
            "roles": _listed(one["roles"]),
            "groups": _listed(one["groups"]),
            "group_roles": _listed(one["group_roles"]),
        }
        for one in people.users(tx, integrity)
    ]


def _groups(tx: Connection, context: Context) -> list[dict[str, Any]]:
    integrity = context.instance.hierarchy.integrity
    ids = {str(row["name"]): row["sys_id"] for row in integrity.all(tx, GROUPS)}
    return [
        {
            "sys_id": ids[one["group"]],
            "name": one["group"],
            "roles": _listed(one["roles"]),
            "members": _listed(one["members"]),
        }
        for one in people.groups(tx, integrity)
    ]


def _roles(tx: Connection, context: Context) -> list[dict[str, Any]]:
    held = _held_roles(tx, context.instance.hierarchy.integrity)
    return [
        {
            "sys_id": sha256(f"{_ROLE}\n{name}".encode()).hex()[:32],
            "name": name,
            "may": catalogue.CATALOGUE.get(name, "what policies say"),
            "given": held.count(name),
        }
        for name in sorted({*catalogue.CATALOGUE, *held})
    ]


def _members(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {name: row[name] for name in ("sys_id", "group_id", "user_id")}
        for row in context.instance.hierarchy.integrity.all(tx, GROUP_MEMBERS)
    ]


def _tokens(tx: Connection, context: Context) -> list[dict[str, Any]]:
    now = clock.now()
    return [
        {
            **{name: row[name] for name in ("sys_id", "user_id", "name", "created_at")},
            "expires_at": row["expires_at"],
            "state": "valid" if row["expires_at"] > now else "expired",
        }
        for row in context.instance.hierarchy.integrity.all(tx, TOKENS)
    ]


USER_TABLE: Final = Table(
    _USER,
    "users",
    "User",
    "Users",
    "Who may log in, and with which roles; a deactivated user sees and does nothing.",
    (
        Field("user_name", "Name"),
        Field("state", "State", Kind.STATE, tones=_USER_TONES, choices=tuple(_USER_TONES)),
        Field("roles", "Roles"),
        Field("groups", "Groups"),
        Field("group_roles", "Roles of the groups"),
    ),
    _users,
    display="user_name",
    create=Operation("user.create", "New", "Make a user without roles.", _create_user, NewUser),
    operations=(
        Operation("user.give_role", "Give role", "Give the user a role.",
                  _change_roles(people.give_role, _USER, "user_name",
                                "'{holder}' has the role '{role}'."), Role),
        Operation("user.take_role", "Take role", "Take a role; one of a group is the group's.",
                  _change_roles(people.take_role, _USER, "user_name",
                                "'{role}' was taken from '{holder}'."), Role),
        Operation("user.set_password", "Set password", "Give the user a new password.",
                  _set_password, NewPassword),
        Operation("user.make_token", "Make token", "Make a token that logs a program in.",
                  _make_token, NewToken, fits=lambda row: row["state"] == "active"),
        Operation("user.end_sessions", "End sessions", "Log the user out everywhere.",
                  _end_sessions),
        Operation("user.deactivate", "Deactivate", "Let the user see and do nothing.",
                  _set_active(active=False), fits=lambda row: row["state"] == "active",
                  danger="All sessions of the user end at once."),
        Operation("user.activate", "Activate", "Let the user's roles count again.",
                  _set_active(active=True), fits=lambda row: row["state"] == "deactivated"),
    ),
    related=(Related(GROUP_MEMBERS.name, "user_id"), Related(_TOKEN, "user_id")),
    empty="No user yet. Make one with New.",
)  # fmt: skip

GROUP_TABLE: Final = Table(
    _GROUP,
    "groups",
    "Group",
    "Groups",
    "Users who have the roles of the group as long as they are in it.",
    (Field("name", "Name"), Field("roles", "Roles"), Field("members", "Members")),
    _groups,
    display="name",
    create=Operation("group.create", "New", "Make an empty group.", _create_group, NewGroup),
    operations=(
        Operation("group.add_member", "Add member", "Put a user into the group.",
                  _change_members(people.add_member, "'{user}' is in the group '{group}'."),
                  Member),
        Operation("group.remove_member", "Remove member", "Take a user out of the group.",
                  _change_members(people.remove_member, "'{user}' is not in the group '{group}'."),
                  Member),
        Operation("group.give_role", "Give role", "Give a role to every member.",
                  _change_roles(people.give_group_role, _GROUP, "name",
                                "'{holder}' has the role '{role}'."), Role),
        Operation("group.take_role", "Take role", "Take a role from the group.",
                  _change_roles(people.take_group_role, _GROUP, "name",
                                "'{role}' was taken from '{holder}'."), Role),
    ),
    related=(Related(GROUP_MEMBERS.name, "group_id"),),
    empty="No group yet. Make one with New.",
)  # fmt: skip

MEMBER_TABLE: Final = Table(
    GROUP_MEMBERS.name,
    "group-members",
    "Group Member",
    "Group Members",
    "Who is in which group.",
    (
        Field("group_id", "Group", Kind.REFERENCE, reference=_GROUP),
        Field("user_id", "User", Kind.REFERENCE, reference=_USER),
    ),
    _members,
    empty="No member. Add members on the group's form.",
)

ROLE_TABLE: Final = Table(
    _ROLE,
    "roles",
    "Role",
    "Roles",
    "What may be held: the roles of those who administer, and your own that policies name.",
    (
        Field("name", "Name"),
        Field("may", "May administer"),
        Field("given", "Given", Kind.NUMBER, "To how many users and groups."),
    ),
    _roles,
    display="name",
)

TOKEN_TABLE: Final = Table(
    _TOKEN,
    "tokens",
    "Token",
    "Tokens",
    "What logs programs in; the token itself is shown once, when it is made.",
    (
        Field("user_id", "User", Kind.REFERENCE, reference=_USER),
        Field("name", "Name"),
        Field("state", "State", Kind.STATE, tones=_TOKEN_TONES, choices=tuple(_TOKEN_TONES)),
        Field("created_at", "Made", Kind.MOMENT),
        Field("expires_at", "Expires", Kind.MOMENT),
    ),
    _tokens,
    display="name",
    operations=(
        Operation("token.end", "End", "Let the token log in no more.", _end_token,
                  fits=lambda row: row["state"] == "valid",
                  danger="Programs that use it are refused at once."),
    ),
    empty="No token yet. Make one on the user's form.",
)  # fmt: skip

TABLES: Final = (USER_TABLE, GROUP_TABLE, MEMBER_TABLE, ROLE_TABLE, TOKEN_TABLE)
