"""Who may do what with a crypto module. Without a policy that grants it, nobody may anything."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, select

from keystead.access.tables import POLICIES, USER_ROLES, USERS
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, NotFound
from keystead.database.integrity import Fields, Integrity
from keystead.database.model import check_name


class PolicyType(StrEnum):
    """What a policy looks at."""

    ROLE = "role"
    RESOURCE_EXCHANGE = "resource exchange"


class Operation(StrEnum):
    """What a policy covers."""

    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    BOTH = "both"


class Result(StrEnum):
    """What a matching policy decides; `track` allows and is logged."""

    TRACK = "track"


ONE_TIME_CLONE = "One Time Clone"
EXCHANGE_POLICY_SECONDS = 24 * 3600


def create_user(
    tx: Connection, integrity: Integrity, name: str, roles: list[str], actor: str
) -> Fields:
    """Make a user with roles.

    Raises:
        Conflict: when the name is taken.
    """
    check_name(name, "a user")
    for role in roles:
        check_name(role, "a role")
    if tx.execute(select(USERS.c.sys_id).where(USERS.c.user_name == name)).first():
        raise Conflict("user.exists", user=name)
    user_id = integrity.insert(tx, USERS, user_name=name)
    for role in dict.fromkeys(roles):
        integrity.insert(tx, USER_ROLES, user_id=user_id, role=role)
    log.record(tx, actor, "user.create", name, roles=", ".join(roles))
    return user(tx, integrity, name)


def user(tx: Connection, integrity: Integrity, name: str) -> Fields:
    """The user of that name.

    Raises:
        NotFound: when there is none.
    """
    missing = NotFound("user.missing", user=name)
    return integrity.one(tx, USERS, missing, USERS.c.user_name == name)


def users(tx: Connection, integrity: Integrity) -> list[dict[str, Any]]:
    """Every user with his roles."""
    return [
        {"user": row["user_name"], "roles": sorted(_roles(tx, integrity, row["sys_id"]))}
        for row in integrity.all(tx, USERS)
    ]


def add_role_policy(
    tx: Connection,
    integrity: Integrity,
    *,
    module_id: str,
    module_name: str,
    role: str,
    operation: Operation,
    actor: str,
) -> Fields:
    """Let holders of a role use a module.

    Raises:
        Conflict: when the same policy exists.
    """
    check_name(role, "a role")
    same = (
        (POLICIES.c.module_id == module_id)
        & (POLICIES.c.role == role)
        & (POLICIES.c.operation == operation)
    )
    if integrity.all(tx, POLICIES, same):
        raise Conflict("policy.exists", module=module_name, role=role)
    policy_id = integrity.insert(
        tx,
        POLICIES,
        type=PolicyType.ROLE,
        module_id=module_id,
        role=role,
        operation=operation,
        result=Result.TRACK,
        active=1,
    )
    log.record(tx, actor, "policy.create", policy_id, module=module_name, role=role)
    return integrity.all(tx, POLICIES, POLICIES.c.sys_id == policy_id)[0]


def policies(tx: Connection, integrity: Integrity) -> list[Fields]:
    """Every policy of every type."""
    return integrity.all(tx, POLICIES)


def role_policies(tx: Connection, integrity: Integrity) -> list[Fields]:
    """Every policy of the type role."""
    return integrity.all(tx, POLICIES, POLICIES.c.type == PolicyType.ROLE)


def may(
    tx: Connection, integrity: Integrity, user_name: str | None, module_id: str, wanted: Operation
) -> bool:
    """Whether a user may do `wanted` with a module; nobody (None) may nothing.

    Raises:
        NotFound: when there is no such user.
    """
    if user_name is None:
        return False
    roles = _roles(tx, integrity, user(tx, integrity, user_name)["sys_id"])
    condition = (POLICIES.c.module_id == module_id) & (POLICIES.c.type == PolicyType.ROLE)
    return any(
        policy["active"]
        and policy["result"] == Result.TRACK
        and policy["role"] in roles
        and policy["operation"] in (wanted, Operation.BOTH)
        for policy in integrity.all(tx, POLICIES, condition)
    )


def allow_exchange(
    tx: Connection,
    integrity: Integrity,
    *,
    module_id: str,
    spec_id: str,
    target_instance: str,
    target_fingerprint: str,
    key_ids: list[str],
    clone_id: str,
) -> None:
    """Let one instance, known by its fingerprint, receive the named keys, once, for one clone."""
    integrity.insert(
        tx,
        POLICIES,
        type=PolicyType.RESOURCE_EXCHANGE,
        module_id=module_id,
        spec_id=spec_id,
        result=Result.TRACK,
        active=1,
        target_instance=target_instance,
        target_fingerprint=target_fingerprint,
        key_ids=json.dumps(key_ids),
        expires_at=clock.after(EXCHANGE_POLICY_SECONDS),
        frequency=ONE_TIME_CLONE,
        clone_id=clone_id,
    )


def end_exchange_policies(tx: Connection, integrity: Integrity, clone_ids: set[str]) -> None:
    """Let the unused exchange policies of these clones grant nothing any more."""
    condition = (POLICIES.c.type == PolicyType.RESOURCE_EXCHANGE) & (POLICIES.c.active == 1)
    for policy in integrity.all(tx, POLICIES, condition):
        if policy["clone_id"] in clone_ids:
            integrity.update(tx, POLICIES, policy, "the exchange policy", active=0)


def exchange_policies(
    tx: Connection,
    integrity: Integrity,
    spec_ids: list[str],
    target_instance: str,
    target_fingerprint: str,
    clone_id: str | None,
) -> list[Fields]:
    """The unused policies of one clone for these specifications and this target, one for each.

    An empty list unless every specification has one.
    """
    condition = (
        (POLICIES.c.type == PolicyType.RESOURCE_EXCHANGE)
        & (POLICIES.c.target_instance == target_instance)
        & (POLICIES.c.target_fingerprint == target_fingerprint)
        & (POLICIES.c.expires_at > clock.now())
        & (POLICIES.c.clone_id == clone_id)
        & (POLICIES.c.active == 1)
        & POLICIES.c.consumed_at.is_(None)
    )
    by_spec = {row["spec_id"]: row for row in integrity.all(tx, POLICIES, condition)}
    if not spec_ids or any(spec_id not in by_spec for spec_id in spec_ids):
        return []
    return [by_spec[spec_id] for spec_id in spec_ids]


def consume(tx: Connection, integrity: Integrity, policies: list[Fields]) -> None:
    """Mark one-time policies as used."""
    for policy in policies:
        integrity.update(
            tx, POLICIES, policy, "the exchange policy", active=0, consumed_at=clock.now()
        )


def restore(tx: Connection, integrity: Integrity, policies: list[Fields]) -> None:
    """Write role policies that came with a clone, under this instance's own tags."""
    for policy in policies:
        integrity.insert(tx, POLICIES, **policy)


def _roles(tx: Connection, integrity: Integrity, user_id: str) -> set[str]:
    rows = integrity.all(tx, USER_ROLES, USER_ROLES.c.user_id == user_id)
    return {str(row["role"]) for row in rows}
