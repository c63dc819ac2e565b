"""Module access policies for callers: made, listed, switched off and on, removed.

Each function is part of one transaction. Policies of key exchange, which are for other instances,
are in `access.exchange_policies`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from keystead.access.decision import Operation, Policy, PolicyType, Result
from keystead.access.tables import POLICIES
from keystead.audit import log
from keystead.base.errors import Conflict, Invalid, NotFound
from keystead.database.integrity import Fields, Integrity
from keystead.database.model import check_name

_TARGETS: Final = {PolicyType.ROLE: "role", PolicyType.SCOPE: "target_scope"}
_FOR_CALLERS: Final = POLICIES.c.type != PolicyType.RESOURCE_EXCHANGE


def add(
    tx: Connection,
    integrity: Integrity,
    *,
    module_id: str,
    module_name: str,
    type: PolicyType,
    target: str,
    operation: Operation,
    result: Result,
    specification: str | None = None,
    impersonation: bool = False,
    name: str | None = None,
    actor: str,
) -> Policy:
    """Make an active policy. `target` is a role or a scope; the system user has none.

    Raises:
        Conflict: when the module has the same one, or the name is taken.
        Invalid: for a target or name that cannot be used, or a type that is not for callers.
    """
    _refuse_unfit(type, target, impersonation)
    if name is not None:
        check_name(name, "a policy")
        if name in {policy.name for policy in listed(tx, integrity)}:
            raise Conflict("policy.named", name=name)
    said = (type, target, specification, operation, result, impersonation)
    for policy in of_module(tx, integrity, module_id):
        if said == _said(policy):
            raise Conflict("policy.exists", module=module_name, target=_of(type, target))
    policy_id = integrity.insert(
        tx,
        POLICIES,
        type=type,
        module_id=module_id,
        **({_TARGETS[type]: target} if type in _TARGETS else {}),
        spec_id=specification,
        operation=operation,
        result=result,
        impersonation=int(impersonation),
        name=name,
        active=1,
    )
    made = get(tx, integrity, policy_id)
    log.record(
        tx,
        actor,
        "policy.create",
        policy_id,
        module=module_name,
        type=type,
        target=target,
        operation=operation,
        result=result,
        impersonation=int(impersonation),
    )
    return made


def of_module(tx: Connection, integrity: Integrity, module_id: str) -> tuple[Policy, ...]:
    """The policies of a module for callers, active or not.

    Raises:
        Tampered: when one is changed, gone, or one too many.
    """

    def found() -> tuple[Policy, ...]:
        own = POLICIES.c.module_id == module_id
        return tuple(_policy(row) for row in integrity.all(tx, POLICIES, _FOR_CALLERS, own))

    return integrity.remembered(tx, (POLICIES,), ("policies", module_id), found)


def listed(tx: Connection, integrity: Integrity) -> list[Policy]:
    """The policies of every module for callers."""
    return [_policy(row) for row in rows(tx, integrity)]


def rows(tx: Connection, integrity: Integrity) -> list[Fields]:
    """The same as rows, as a clone carries them."""
    return integrity.all(tx, POLICIES, _FOR_CALLERS)


def get(tx: Connection, integrity: Integrity, wanted: str) -> Policy:
    """The policy for callers with that id or name; one made without a name has what it says.

    Raises:
        NotFound: when there is none.
        Conflict: when several have that name.
    """
    return _policy(_row(tx, integrity, wanted))


def set_active(tx: Connection, integrity: Integrity, wanted: str, active: bool, actor: str) -> None:
    """Let a policy count, or count no more; without effect if it does so already."""
    row = _row(tx, integrity, wanted)
    if bool(row["active"]) != active:
        integrity.update(tx, POLICIES, row, "The policy", active=int(active))
        log.record(tx, actor, "policy.activate" if active else "policy.deactivate", row["sys_id"])


def remove(tx: Connection, integrity: Integrity, wanted: str, actor: str) -> Policy:
    """Remove a policy; what it said goes into the audit log."""
    row = _row(tx, integrity, wanted)
    policy = _policy(row)
    integrity.delete(tx, POLICIES, row, "The policy")
    log.record(
        tx,
        actor,
        "policy.remove",
        policy.sys_id,
        module=policy.module_id,
        type=policy.type,
        target=policy.target,
        operation=policy.operation,
        result=policy.result,
    )
    return policy


def restore(tx: Connection, integrity: Integrity, carried: list[Fields]) -> None:
    """Write policies that came with a clone, under this instance's own tags."""
    integrity.insert_many(tx, POLICIES, carried)


def check_carried(row: Fields) -> None:
    """Refuse a row of a policy from a peer that does not say what a policy says.

    Raises:
        ValueError: for a word that is none of its kind.
        Invalid: for a target or name that cannot be used.
    """
    policy = _policy(row)
    _refuse_unfit(policy.type, policy.target, policy.impersonation)
    if row["name"] is not None:
        check_name(row["name"], "a policy")
    targets = {column for column in ("role", "target_scope") if row[column] is not None}
    if (
        targets - {_TARGETS.get(policy.type)}
        or row["active"] not in (0, 1)
        or row["impersonation"] not in (None, 0, 1)
    ):
        raise ValueError(row["sys_id"])


def _refuse_unfit(type: PolicyType, target: str, impersonation: bool) -> None:
    if type is PolicyType.RESOURCE_EXCHANGE:
        raise Invalid("policy.exchange")
    if impersonation and type is not PolicyType.ROLE:
        raise Invalid("policy.impersonation")
    if type is PolicyType.SYSTEM_USER:
        if target:
            raise Invalid("policy.target", type=type)
    else:
        check_name(target, f"a {type}")


def _said(policy: Policy) -> tuple[object, ...]:
    return (
        policy.type,
        policy.target,
        policy.specification,
        policy.operation,
        policy.result,
        policy.impersonation,
    )


def _row(tx: Connection, integrity: Integrity, wanted: str) -> Fields:
    found = [row for row in rows(tx, integrity) if wanted in (row["sys_id"], _policy(row).name)]
    if not found:
        raise NotFound("policy.missing", policy=wanted)
    if len(found) > 1:
        raise Conflict("policy.ambiguous", policy=wanted)
    return found[0]


def _policy(row: Fields) -> Policy:
    type = PolicyType(row["type"])
    target = row[_TARGETS[type]] if type in _TARGETS else ""
    result, operation = Result(row["result"]), Operation(row["operation"])
    return Policy(
        sys_id=row["sys_id"],
        name=row["name"] or f"{_of(type, target)}: {operation}, {result}",
        module_id=row["module_id"],
        type=type,
        target=target,
        operation=operation,
        result=result,
        specification=row["spec_id"],
        impersonation=bool(row["impersonation"]),
        active=bool(row["active"]),
    )


def _of(type: PolicyType, target: str) -> str:
    return f"{type} {target}".strip()
