"""Users, groups, and the roles that both are given. Each function is part of one transaction."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from sqlalchemy import Column, Connection, Table, select
from sqlalchemy.exc import IntegrityError

from keystead.access import session_rows
from keystead.access.decision import Person
from keystead.access.tables import GROUP_MEMBERS, GROUP_ROLES, GROUPS, USER_ROLES, USERS
from keystead.audit import log
from keystead.base.errors import Conflict, NotFound
from keystead.database.integrity import Fields, Integrity
from keystead.database.model import check_name

_ROLES_OF_USER: Final = USER_ROLES.c.user_id
_ROLES_OF_GROUP: Final = GROUP_ROLES.c.group_id


def create_user(
    tx: Connection, integrity: Integrity, name: str, roles: list[str], actor: str
) -> Fields:
    """Make an active user with roles.

    Raises:
        Conflict: when the name is taken.
    """
    check_name(name, "a user")
    _refuse_unfit(roles)
    user_id = _insert_named(
        tx, integrity, USERS, Conflict("user.exists", user=name), user_name=name, active=1
    )
    _insert_roles(tx, integrity, _ROLES_OF_USER, user_id, roles)
    log.record(tx, actor, "user.create", name, roles=", ".join(roles))
    return user(tx, integrity, name)


def user(tx: Connection, integrity: Integrity, name: str) -> Fields:
    """The user of that name, active or not.

    Raises:
        NotFound: when there is none.
    """
    missing = NotFound("user.missing", user=name)
    return integrity.one(tx, USERS, missing, USERS.c.user_name == name)


def active_user(tx: Connection, integrity: Integrity, name: str) -> Fields:
    """The user of that name, if he may come in.

    Raises:
        NotFound: when there is none, or he was deactivated.
    """
    row = user(tx, integrity, name)
    if not is_active(row):
        raise NotFound("user.missing", user=name)
    return row


def users(tx: Connection, integrity: Integrity) -> list[dict[str, Any]]:
    """Every user with his own roles, his groups, and the roles these bring."""
    names = {str(row["sys_id"]): str(row["name"]) for row in integrity.all(tx, GROUPS)}
    own = _gathered(integrity.all(tx, USER_ROLES), "user_id", "role")
    brought = _gathered(integrity.all(tx, GROUP_ROLES), "group_id", "role")
    groups_of = _gathered(integrity.all(tx, GROUP_MEMBERS), "user_id", "group_id")
    return [
        {
            "user": row["user_name"],
            "active": is_active(row),
            "roles": sorted(own[row["sys_id"]]),
            "groups": sorted(names[group_id] for group_id in groups_of[row["sys_id"]]),
            "group_roles": sorted(set().union(*(brought[g] for g in groups_of[row["sys_id"]]))),
        }
        for row in integrity.all(tx, USERS)
    ]


def set_active(tx: Connection, integrity: Integrity, name: str, active: bool, actor: str) -> None:
    """Let a user in again, or let him see nothing any more; without effect if he is so already."""
    row = user(tx, integrity, name)
    if is_active(row) != active:
        integrity.update(tx, USERS, row, f"The user '{name}'", active=int(active))
        if not active:
            session_rows.end_of_user(tx, integrity, row["sys_id"])
        log.record(tx, actor, "user.activate" if active else "user.deactivate", name)


def give_role(tx: Connection, integrity: Integrity, name: str, role: str, actor: str) -> None:
    """Give a user a role.

    Raises:
        Conflict: when he has it already.
    """
    row = user(tx, integrity, name)
    _give(tx, integrity, _ROLES_OF_USER, row["sys_id"], role, name)
    log.record(tx, actor, "user.role.give", name, role=role)


def take_role(tx: Connection, integrity: Integrity, name: str, role: str, actor: str) -> None:
    """Take a role from a user; one that a group brings stays.

    Raises:
        NotFound: when he was not given it.
    """
    row = user(tx, integrity, name)
    _take(tx, integrity, _ROLES_OF_USER, row["sys_id"], role, name)
    log.record(tx, actor, "user.role.take", name, role=role)


def create_group(
    tx: Connection, integrity: Integrity, name: str, roles: list[str], actor: str
) -> Fields:
    """Make a group whose members have its roles.

    Raises:
        Conflict: when the name is taken.
    """
    check_name(name, "a group")
    _refuse_unfit(roles)
    group_id = _insert_named(tx, integrity, GROUPS, Conflict("group.exists", group=name), name=name)
    _insert_roles(tx, integrity, _ROLES_OF_GROUP, group_id, roles)
    log.record(tx, actor, "group.create", name, roles=", ".join(roles))
    return group(tx, integrity, name)


def group(tx: Connection, integrity: Integrity, name: str) -> Fields:
    """The group of that name.

    Raises:
        NotFound: when there is none.
    """
    missing = NotFound("group.missing", group=name)
    return integrity.one(tx, GROUPS, missing, GROUPS.c.name == name)


def groups(tx: Connection, integrity: Integrity) -> list[dict[str, Any]]:
    """Every group with its roles and members."""
    names = {str(row["sys_id"]): str(row["user_name"]) for row in integrity.all(tx, USERS)}
    roles = _gathered(integrity.all(tx, GROUP_ROLES), "group_id", "role")
    members = _gathered(integrity.all(tx, GROUP_MEMBERS), "group_id", "user_id")
    return [
        {
            "group": row["name"],
            "roles": sorted(roles[row["sys_id"]]),
            "members": sorted(names[user_id] for user_id in members[row["sys_id"]]),
        }
        for row in integrity.all(tx, GROUPS)
    ]


def give_group_role(tx: Connection, integrity: Integrity, name: str, role: str, actor: str) -> None:
    """Give a role to a group, and so to every member.

    Raises:
        Conflict: when it has the role already.
    """
    row = group(tx, integrity, name)
    _give(tx, integrity, _ROLES_OF_GROUP, row["sys_id"], role, name)
    log.record(tx, actor, "group.role.give", name, role=role)


def take_group_role(tx: Connection, integrity: Integrity, name: str, role: str, actor: str) -> None:
    """Take a role from a group, and so from every member who has it from nowhere else.

    Raises:
        NotFound: when the group does not have it.
    """
    row = group(tx, integrity, name)
    _take(tx, integrity, _ROLES_OF_GROUP, row["sys_id"], role, name)
    log.record(tx, actor, "group.role.take", name, role=role)


def add_member(tx: Connection, integrity: Integrity, name: str, user_name: str, actor: str) -> None:
    """Put a user into a group.

    Raises:
        Conflict: when he is in it already.
    """
    found, member = group(tx, integrity, name), user(tx, integrity, user_name)
    user_id = member["sys_id"]
    if any(row["group_id"] == found["sys_id"] for row in _memberships(tx, integrity, user_id)):
        raise Conflict("group.member", group=name, user=user_name)
    try:
        integrity.insert(tx, GROUP_MEMBERS, group_id=found["sys_id"], user_id=user_id)
    except IntegrityError:
        raise Conflict("group.member", group=name, user=user_name) from None
    log.record(tx, actor, "group.member.add", name, user=user_name)


def remove_member(
    tx: Connection, integrity: Integrity, name: str, user_name: str, actor: str
) -> None:
    """Take a user out of a group.

    Raises:
        NotFound: when he is not in it.
    """
    found, member = group(tx, integrity, name), user(tx, integrity, user_name)
    for row in _memberships(tx, integrity, member["sys_id"]):
        if row["group_id"] == found["sys_id"]:
            integrity.delete(tx, GROUP_MEMBERS, row, f"The group '{name}'")
            log.record(tx, actor, "group.member.remove", name, user=user_name)
            return
    raise NotFound("group.stranger", group=name, user=user_name)


def person(tx: Connection, integrity: Integrity, name: str) -> Person:
    """A user as decisions see him.

    Raises:
        NotFound: when there is none.
        Tampered: when anything that says what he may is not as it was written.
    """
    return integrity.remembered(
        tx,
        (USERS, USER_ROLES, GROUP_MEMBERS, GROUP_ROLES),
        ("person", name),
        lambda: _person(tx, integrity, user(tx, integrity, name)),
    )


def _person(tx: Connection, integrity: Integrity, row: Fields) -> Person:
    user_id = row["sys_id"]
    groups_of_user = {m["group_id"] for m in _memberships(tx, integrity, user_id)}
    return Person(
        row["user_name"],
        direct_roles=_roles(tx, integrity, _ROLES_OF_USER, user_id),
        group_roles=frozenset().union(
            *(_roles(tx, integrity, _ROLES_OF_GROUP, group_id) for group_id in groups_of_user)
        ),
        active=is_active(row),
    )


def is_active(row: Fields) -> bool:
    """Whether a user may act."""
    return row["active"] is None or row["active"] == 1


def _memberships(tx: Connection, integrity: Integrity, user_id: str) -> list[Fields]:
    return integrity.all(tx, GROUP_MEMBERS, GROUP_MEMBERS.c.user_id == user_id)


def _roles(tx: Connection, integrity: Integrity, of: Column[str], holder_id: str) -> frozenset[str]:
    return frozenset(str(row["role"]) for row in integrity.all(tx, of.table, of == holder_id))


def _gathered(rows: list[Fields], by: str, column: str) -> defaultdict[str, set[str]]:
    """The values of a column, by those of another."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[row[by]].add(row[column])
    return found


def _refuse_unfit(roles: list[str]) -> None:
    for role in roles:
        check_name(role, "a role")


def _insert_named(
    tx: Connection, integrity: Integrity, table: Table, taken: Conflict, **fields: str | int
) -> str:
    """Insert a row whose first field is its name."""
    column, name = next(iter(fields.items()))
    if tx.execute(select(table.c.sys_id).where(table.c[column] == name)).first():
        raise taken
    try:
        return integrity.insert(tx, table, **fields)
    except IntegrityError:
        raise taken from None


def _insert_roles(
    tx: Connection, integrity: Integrity, of: Column[str], holder_id: str, roles: list[str]
) -> None:
    rows = [{of.name: holder_id, "role": role} for role in dict.fromkeys(roles)]
    integrity.insert_many(tx, of.table, rows)


def _give(
    tx: Connection, integrity: Integrity, of: Column[str], holder_id: str, role: str, holder: str
) -> None:
    _refuse_unfit([role])
    if role in _roles(tx, integrity, of, holder_id):
        raise Conflict("role.held", holder=holder, role=role)
    _insert_roles(tx, integrity, of, holder_id, [role])


def _take(
    tx: Connection, integrity: Integrity, of: Column[str], holder_id: str, role: str, holder: str
) -> None:
    for row in integrity.all(tx, of.table, of == holder_id):
        if row["role"] == role:
            integrity.delete(tx, of.table, row, f"The roles of '{holder}'")
            return
    raise NotFound("role.not_held", holder=holder, role=role)
