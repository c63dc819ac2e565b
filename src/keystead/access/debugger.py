"""Explaining a decision, to those who may see how decisions are made."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from keystead.access.decision import Asked, Decision, Module, Person
from keystead.access.permissions import Permissions
from keystead.access.roles import ADMIN, MANAGER
from keystead.base.errors import Denied

VIEWERS: Final = frozenset({ADMIN, MANAGER})


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
    if viewer is not None:
        held = viewer.direct_roles | viewer.group_roles
        if not viewer.active or not held & (VIEWERS | set(also)):
            raise Denied("policy.debug")
    return permissions.decide(module, specification, operation)
