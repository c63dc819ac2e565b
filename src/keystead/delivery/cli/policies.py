"""`policy`: module access policies, why they decide as they do, and whom they refused."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from keystead.access import debugger, decision, exchange_policies, people, properties, rejections
from keystead.access import policies as access
from keystead.access.decision import (
    MEANING,
    Decision,
    ModuleDefault,
    Operation,
    Policy,
    PolicyType,
    Result,
    actual_default,
)
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.instance.opening import Instance
from keystead.keys import service as keys

policies = typer.Typer(no_args_is_help=True, help="Module access policies.")
PolicyArgument = Annotated[str, typer.Argument(metavar="POLICY", help="Its id or its name.")]
ModuleOption = Annotated[str, typer.Option(help="The crypto module.")]


class Asked(StrEnum):
    """What a caller may ask to do."""

    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"


_OPERATIONS: dict[Asked, decision.Asked] = {
    Asked.ENCRYPT: Operation.ENCRYPT,
    Asked.DECRYPT: Operation.DECRYPT,
}
_HEADINGS = (
    *("policy", "module", "type", "for", "operation", "result"),
    *("impersonation", "active", "name"),
)


@policies.command("add")
def add_policy(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleOption,
    role: Annotated[str | None, typer.Option(help="For holders of this role.")] = None,
    scope: Annotated[str | None, typer.Option(help="For what runs in this scope.")] = None,
    type: Annotated[PolicyType | None, typer.Option(help="When not clear from the rest.")] = None,
    operation: Annotated[Operation, typer.Option(help="What it is about.")] = Operation.BOTH,
    result: Annotated[
        Result,
        typer.Option(
            help="track: allow and log; reject: deny unless another policy allows;"
            " strict-reject: always deny."
        ),
    ] = Result.TRACK,
    impersonation: Annotated[
        bool, typer.Option("--impersonation", help="Let an impersonator use the role too.")
    ] = False,
    specification: Annotated[
        str | None, typer.Option(help="Only for this specification of the module, by id.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name to call it by.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say who may use a module, or who may not. Without a policy that allows it nobody may.

    Example: keystead policy add prod --module people --role support --operation decrypt
    """
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    if type is None:
        type = PolicyType.SCOPE if scope and not role else PolicyType.ROLE
    target = " ".join(word for word in (role, scope) if word)
    if (type is PolicyType.ROLE and scope) or (type is PolicyType.SCOPE and role):
        raise typer.BadParameter("give a role or a scope, as the type says")
    if type is PolicyType.ROLE and not role:
        raise typer.BadParameter("name the role with --role")
    with instance.database.transaction() as tx:
        row = keys.module(tx, hierarchy, module)
        if specification is not None:
            keys.specification_in(tx, hierarchy, row["sys_id"], specification)
        policy = access.add(
            tx,
            hierarchy.integrity,
            module_id=row["sys_id"],
            module_name=row["name"],
            type=type,
            target=target,
            operation=operation,
            result=result,
            specification=specification,
            impersonation=impersonation,
            name=name,
            actor=actor(),
        )
    made = _shown(policy, row["name"])
    emit(
        {**made, "role": role},
        as_json,
        f"{row['name']}: {MEANING[result]}, {operation}, for {made['for'] or 'the system'}.",
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
            _shown(policy, keys.module_of(tx, hierarchy, policy.module_id)["name"])
            for policy in access.listed(tx, hierarchy.integrity)
        ]
        found += [
            {
                "policy": row["sys_id"],
                "name": None,
                "module": keys.module_of(tx, hierarchy, row["module_id"])["name"],
                "type": row["type"],
                "for": row["target_instance"],
                "operation": row["frequency"],
                "result": row["result"],
                "impersonation": False,
                "specification": row["spec_id"],
                "active": bool(row["active"]),
            }
            for row in exchange_policies.listed(tx, hierarchy.integrity)
        ]
    empty = "No policy yet: nobody sees a clear value."
    emit(found, as_json, table(_HEADINGS, [tuple(f[h] for h in _HEADINGS) for f in found], empty))


@policies.command("show")
def show_policy(
    ctx: typer.Context, home: HomeArgument, policy: PolicyArgument, as_json: JsonOption = False
) -> None:
    """Show one policy for callers.

    Example: keystead policy show prod "no guests"
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = access.get(tx, instance.hierarchy.integrity, policy)
        module = keys.module_of(tx, instance.hierarchy, found.module_id)["name"]
    shown = _shown(found, module)
    emit(shown, as_json, table(("field", "value"), list(shown.items()), ""))


@policies.command("remove")
def remove_policy(
    ctx: typer.Context, home: HomeArgument, policy: PolicyArgument, as_json: JsonOption = False
) -> None:
    """Remove a policy for callers; the audit log keeps what it said.

    Example: keystead policy remove prod "no guests"
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        removed = access.remove(tx, instance.hierarchy.integrity, policy, actor())
    emit({"policy": removed.sys_id, "removed": True}, as_json, f"'{removed.name}' is removed.")


@policies.command("deactivate")
def deactivate_policy(
    ctx: typer.Context, home: HomeArgument, policy: PolicyArgument, as_json: JsonOption = False
) -> None:
    """Let a policy for callers count no more; it stays in the list.

    Example: keystead policy deactivate prod "no guests"
    """
    _set_active(ctx, home, policy, False, as_json)


@policies.command("activate")
def activate_policy(
    ctx: typer.Context, home: HomeArgument, policy: PolicyArgument, as_json: JsonOption = False
) -> None:
    """Let a deactivated policy count again.

    Example: keystead policy activate prod "no guests"
    """
    _set_active(ctx, home, policy, True, as_json)


@policies.command("default")
def module_default(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleOption,
    default: Annotated[
        ModuleDefault | None, typer.Option("--set", help="What it is to be from now on.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set what a module decides where none of its policies does; the system's is reject.

    Example: keystead policy default prod --module people --set reject
    """
    instance = opened(ctx, home)
    if default is None:
        with instance.database.snapshot() as tx:
            row = keys.module(tx, instance.hierarchy, module)
    else:
        with instance.database.transaction() as tx:
            row = keys.set_default(tx, instance.hierarchy, module, default, actor())
    asked = keys.guarded(row)
    actual = actual_default(asked.default)
    emit(
        {"module": asked.name, "default": asked.default, "actual": actual},
        as_json,
        f"{asked.name}: {asked.default}, which is to {MEANING[actual]}.",
    )


@policies.command("debug")
def debug(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleOption,
    as_user: Annotated[str | None, typer.Option("--as", help="Who acts.")] = None,
    impersonate: Annotated[
        str | None, typer.Option(metavar="USER", help="Whom he impersonates.")
    ] = None,
    scope: Annotated[str | None, typer.Option(help="In which scope.")] = None,
    system: Annotated[
        bool, typer.Option("--system", help="In system context; --as says for whom.")
    ] = False,
    operation: Annotated[Asked, typer.Option(help="What is asked for.")] = Asked.DECRYPT,
    viewer: Annotated[
        str | None, typer.Option(metavar="USER", help="Only if this user may see it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a decision: every policy of the module in the order of evaluation, and what decided.

    Example: keystead policy debug prod --module people --as ada --operation decrypt
    """
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    with instance.database.snapshot() as tx:
        asking = subject(
            tx, hierarchy.integrity, as_user, impersonate=impersonate, scope=scope, system=system
        )
        row = keys.module(tx, hierarchy, module)
        found = debugger.explain(
            Permissions(tx, hierarchy.integrity, asking, Refusals()),
            keys.guarded(row),
            keys.specification(tx, hierarchy, row["sys_id"])["sys_id"],
            _OPERATIONS[operation],
            viewer=people.person(tx, hierarchy.integrity, viewer) if viewer else None,
            also=properties.words(tx, hierarchy.integrity, properties.DEBUGGER_ROLES),
        )
    emit(_traced(found), as_json, lambda: _trace(found))


@policies.command("rejections")
def list_rejections(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List who was refused what: once for each caller, module and operation, the last one first.

    Example: keystead policy rejections prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = rejections.listed(tx)
    headings = ("caller", "module", "operation", "decided_by", "first_enforced", "last_enforced")
    shown = [tuple(f[h] for h in headings) for f in found]
    emit(found, as_json, table(headings, shown, "Nobody was refused anything yet."))


def _set_active(ctx: typer.Context, home: Path, policy: str, active: bool, as_json: bool) -> None:
    instance: Instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        access.set_active(tx, instance.hierarchy.integrity, policy, active, actor())
        found = access.get(tx, instance.hierarchy.integrity, policy)
    said = f"'{found.name}' is {'active' if active else 'inactive'}."
    emit({"policy": found.sys_id, "active": found.active}, as_json, said)


def _shown(policy: Policy, module: str) -> dict[str, Any]:
    return {
        "policy": policy.sys_id,
        "name": policy.name,
        "module": module,
        "type": policy.type,
        "for": policy.target,
        "operation": policy.operation,
        "result": policy.result,
        "impersonation": policy.impersonation,
        "specification": policy.specification,
        "active": policy.active,
    }


def _traced(found: Decision) -> dict[str, Any]:
    question = found.question
    return {
        "module": question.module.name,
        "default": question.module.default,
        "caller": question.subject.caller,
        "operation": question.operation,
        "steps": [dict(zip(debugger.STEP, step, strict=True)) for step in debugger.steps(found)],
        "decision": "allow" if found.allowed else "deny",
        "result": found.result,
        "decided_by": found.decided_by,
    }


def _trace(found: Decision) -> str:
    steps = [tuple(step) for step in debugger.steps(found)]
    return "\n".join(
        (
            debugger.question(found),
            table(debugger.STEP, steps, "The module has no policy."),
            debugger.verdict(found),
        )
    )
