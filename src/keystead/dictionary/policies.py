"""Module access policies, why they decide as they do, and whom they refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.access import (
    debugger,
    decision,
    exchange_policies,
    people,
    properties,
    rejections,
)
from keystead.access import policies as service
from keystead.access.decision import MEANING, PolicyType, Result
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.access.tables import POLICIES, REJECTIONS
from keystead.dictionary.model import (
    Context,
    Field,
    Kind,
    Nothing,
    Operation,
    Outcome,
    Report,
    Row,
    Table,
)
from keystead.keys import service as keys
from keystead.keys.tables import MODULES, SPECIFICATIONS

_POLICY: Final = POLICIES.name
_TONES: Final[Mapping[str, str]] = {
    Result.TRACK: "good",
    Result.REJECT: "warn",
    Result.STRICT_REJECT: "bad",
}
_OPERATIONS: Final[dict[str, decision.Asked]] = {
    "encrypt": decision.Operation.ENCRYPT,
    "decrypt": decision.Operation.DECRYPT,
}
ModuleId = Annotated[str, Meta(title="Crypto module", extra={"reference": MODULES.name})]


class NewPolicy(msgspec.Struct, forbid_unknown_fields=True):
    """Who may use a module, or who may not."""

    module: ModuleId
    type: Annotated[Literal["role", "scope", "system-user"], Meta(title="Type")] = "role"
    target: Annotated[
        str,
        Meta(
            title="Target role or scope",
            description="Its name; a role may be new. Nothing for the system user.",
        ),
    ] = ""
    operation: Annotated[decision.Operation, Meta(title="Granular operation")] = (
        decision.Operation.BOTH
    )
    result: Annotated[
        Result,
        Meta(
            title="Result",
            description="Track: allow and log. Reject: deny unless another policy allows."
            " Strict-reject: always deny.",
        ),
    ] = Result.TRACK
    specification: Annotated[
        str,
        Meta(
            title="Crypto specification",
            description="Only this one of the module; empty: all.",
            extra={"reference": SPECIFICATIONS.name},
        ),
    ] = ""
    impersonation: Annotated[
        bool,
        Meta(
            title="Impersonation",
            description="Allows somebody who impersonates a holder of the role, too.",
        ),
    ] = False
    name: Annotated[str, Meta(title="Name", description="To call it by; may be empty.")] = ""


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """Who would do what with a module."""

    module: ModuleId
    user: Annotated[str, Meta(title="User", description="Who acts; may be empty.")] = ""
    operation: Annotated[Literal["encrypt", "decrypt"], Meta(title="Operation")] = "decrypt"
    impersonate: Annotated[str, Meta(title="Impersonates", description="Another user.")] = ""
    scope: Annotated[str, Meta(title="Scope", description="In which scope; may be empty.")] = ""
    system: Annotated[
        bool, Meta(title="System context", description="The system acts, for the user if named.")
    ] = False


def _create(context: Context, _row: Row, given: NewPolicy) -> Outcome:
    hierarchy = context.instance.hierarchy
    with context.instance.database.transaction() as tx:
        module = keys.module_of(tx, hierarchy, given.module)
        if given.specification:
            keys.specification_in(tx, hierarchy, module["sys_id"], given.specification)
        made = service.add(
            tx,
            hierarchy.integrity,
            module_id=module["sys_id"],
            module_name=module["name"],
            type=PolicyType(given.type),
            target=given.target,
            operation=given.operation,
            result=given.result,
            specification=given.specification or None,
            impersonation=given.impersonation,
            name=given.name or None,
            actor=context.actor.name,
        )
    who = made.target or "the system"
    said = f"{module['name']}: {MEANING[made.result]}, {made.operation}, for {who}."
    return Outcome(said, _POLICY, made.sys_id)


def _activate(context: Context, row: Row, _given: Nothing) -> Outcome:
    return _set_active(context, row, active=True)


def _deactivate(context: Context, row: Row, _given: Nothing) -> Outcome:
    return _set_active(context, row, active=False)


def _set_active(context: Context, row: Row, *, active: bool) -> Outcome:
    integrity, policy_id = context.instance.hierarchy.integrity, row["sys_id"]
    with context.instance.database.transaction() as tx:
        service.set_active(tx, integrity, policy_id, active, context.actor.name)
    said = f"'{row['name']}' {'counts again' if active else 'counts no more'}."
    return Outcome(said, _POLICY, policy_id)


def _remove(context: Context, row: Row, _given: Nothing) -> Outcome:
    integrity = context.instance.hierarchy.integrity
    with context.instance.database.transaction() as tx:
        removed = service.remove(tx, integrity, row["sys_id"], context.actor.name)
    return Outcome(f"'{removed.name}' is removed; the audit log keeps what it said.", _POLICY)


def _debug(context: Context, _row: Row, given: Question) -> Outcome:
    hierarchy = context.instance.hierarchy
    integrity, viewer = hierarchy.integrity, context.actor.user
    with context.instance.database.snapshot() as tx:
        asking = subject(
            tx,
            integrity,
            given.user or None,
            impersonate=given.impersonate or None,
            scope=given.scope or None,
            system=given.system,
        )
        module = keys.module_of(tx, hierarchy, given.module)
        found = debugger.explain(
            Permissions(tx, integrity, asking, Refusals()),
            keys.guarded(module),
            keys.specification(tx, hierarchy, module["sys_id"])["sys_id"],
            _OPERATIONS[given.operation],
            viewer=people.person(tx, integrity, viewer) if viewer is not None else None,
            also=properties.words(tx, integrity, properties.DEBUGGER_ROLES),
        )
    columns = tuple(word.capitalize() for word in debugger.STEP)
    report = Report(debugger.question(found), columns, tuple(debugger.steps(found)))
    return Outcome(f"{debugger.verdict(found).capitalize()}.", _POLICY, report=report)


def _policies(tx: Connection, context: Context) -> list[dict[str, Any]]:
    integrity = context.instance.hierarchy.integrity
    for_callers = [
        {
            "sys_id": policy.sys_id,
            "name": policy.name,
            "module_id": policy.module_id,
            "type": policy.type,
            "target": policy.target,
            "operation": policy.operation,
            "result": policy.result,
            "spec_id": policy.specification,
            "impersonation": policy.impersonation,
            "active": policy.active,
            "frequency": None,
            "expires_at": None,
            "consumed_at": None,
        }
        for policy in service.listed(tx, integrity)
    ]
    for_exchange = [
        {
            "sys_id": row["sys_id"],
            "name": f"{row['type']}: {row['frequency']}",
            "module_id": row["module_id"],
            "type": row["type"],
            "target": row["target_instance"],
            "operation": None,
            "result": row["result"],
            "spec_id": row["spec_id"],
            "impersonation": False,
            "active": bool(row["active"]),
            "frequency": row["frequency"],
            "expires_at": row["expires_at"],
            "consumed_at": row["consumed_at"],
        }
        for row in exchange_policies.listed(tx, integrity)
    ]
    return for_callers + for_exchange


def _rejections(tx: Connection, _context: Context) -> list[dict[str, Any]]:
    return rejections.rows(tx)


def _for_callers(row: Row) -> bool:
    """A clone makes and ends its own policies of key exchange."""
    return bool(row["type"] != PolicyType.RESOURCE_EXCHANGE)


POLICY_TABLE: Final = Table(
    _POLICY,
    "policies",
    "Module Access Policy",
    "Module Access Policies",
    "Who may use a module, and who may not; those of key exchange are made by a clone.",
    (
        Field("name", "Name"),
        Field("module_id", "Crypto module", Kind.REFERENCE, reference=MODULES.name),
        Field("type", "Type", Kind.CHOICE, choices=tuple(PolicyType)),
        Field("target", "Target", help="A role, a scope or an instance; none for the system user."),
        Field("operation", "Granular operation", Kind.CHOICE, choices=tuple(decision.Operation)),
        Field("result", "Result", Kind.STATE, choices=tuple(Result), tones=_TONES),
        Field("active", "Active", Kind.YES_NO),
        Field("spec_id", "Crypto specification", Kind.REFERENCE, reference=SPECIFICATIONS.name,
              in_list=False, help="Empty: every one of the module."),
        Field("impersonation", "Impersonation", Kind.YES_NO, in_list=False),
        Field("frequency", "Exchange Frequency", in_list=False),
        Field("expires_at", "Expires", Kind.MOMENT, in_list=False),
        Field("consumed_at", "Used", Kind.MOMENT, in_list=False),
    ),
    _policies,
    display="name",
    create=Operation("policy.create", "New", "Say who may use a module, or who may not.",
                     _create, NewPolicy),
    operations=(
        Operation("policy.activate", "Activate", "Let the policy count again.", _activate,
                  fits=lambda row: _for_callers(row) and not row["active"]),
        Operation("policy.deactivate", "Deactivate", "Let it count no more; it stays listed.",
                  _deactivate, fits=lambda row: _for_callers(row) and row["active"]),
        Operation("policy.remove", "Remove", "Remove the policy.", _remove, fits=_for_callers,
                  danger="What it allowed or refused is decided by the others then."),
    ),
    actions=(
        Operation("policy.debug", "Debugger",
                  "Explain a decision: every policy in its order, and what decided.",
                  _debug, Question),
    ),
    empty="No policy yet: the module's default decides, and without one nobody sees a clear value."
    " Make one with New.",
)  # fmt: skip

REJECTION_TABLE: Final = Table(
    REJECTIONS.name,
    "rejections",
    "Module Key Rejection",
    "Module Key Rejections",
    "Who was refused what: once for each caller, module and operation, the last one first.",
    (
        Field("caller", "Caller"),
        Field("module_name", "Module at the time"),
        Field("operation", "Operation"),
        Field("result", "Result", Kind.STATE, choices=tuple(Result), tones=_TONES),
        Field("decided_by", "Decided by"),
        Field("first_enforced", "First enforced", Kind.MOMENT),
        Field("last_enforced", "Last enforced", Kind.MOMENT),
        Field("module_id", "Crypto module", Kind.REFERENCE, reference=MODULES.name, in_list=False),
    ),
    _rejections,
    display="caller",
    empty="Nobody was refused anything yet.",
)

TABLES: Final = (POLICY_TABLE, REJECTION_TABLE)
