"""Explaining a decision, to those who may see how decisions are made."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from keystead.access.authority import roles_of
from keystead.access.decision import MEANING, Asked, Decision, Module, Person
from keystead.access.permissions import Permissions
from keystead.access.roles import ADMIN, MANAGER
from keystead.base.errors import Denied

VIEWERS: Final = frozenset({ADMIN, MANAGER})
STEP: Final = ("name", "type", "target", "operation", "result", "impersonation", "match")


def explain(
    permissions: Permissions,
    module: Module,
    specification: str,
    operation: Asked,
    *,
    viewer: Person | None,
    also: Collection[str] = (),
) -> Decision:
    """The decision with its trace; nothing is noted as refused.

    `viewer` None is the administrator at the home. Others need a role of `VIEWERS` or one of
    `also`, which are the roles that the property
    `glide.kmf.module_access_policies.debugger.authorized.roles` names.

    Raises:
        Denied: when the viewer may not see this.
    """
    refuse_unless_views(viewer, also)
    return permissions.decide(module, specification, operation)


def refuse_unless_views(viewer: Person | None, also: Collection[str]) -> None:
    """Refuse who may not see decisions; asked first, so that he learns of no name that there is.

    Raises:
        Denied: as for `explain`.
    """
    if viewer is not None:
        held = roles_of(viewer)
        if not viewer.active or not held & (VIEWERS | set(also)):
            raise Denied("policy.debug")


def question(found: Decision) -> str:
    """What was asked."""
    asked = found.question
    return f"{asked.module.name}: may {asked.subject.caller} {asked.operation}?"


def verdict(found: Decision) -> str:
    """What the answer is, what it means and what it comes from."""
    answer = "allow" if found.allowed else "deny"
    return f"{answer}: {MEANING[found.result]}, by {found.decided_by}"


def steps(found: Decision) -> list[tuple[str | bool, ...]]:
    """Every policy of the module in the order of evaluation, with the facts of `STEP`."""
    return [
        (
            *(step.policy.name, step.policy.type, step.policy.target, step.policy.operation),
            *(step.policy.result, step.policy.impersonation, step.match),
        )
        for step in found.steps
    ]
