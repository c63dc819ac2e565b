"""Who may administer what: one table for every way in. Pure.

Module access policies say who may encrypt and decrypt; this says who may change and see what
Keystead keeps about itself. The console and the API ask here, for the same names.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from keystead.access.decision import Person
from keystead.access.roles import (
    ADMIN,
    AUDITOR,
    MANAGER,
    OPERATOR,
    SECURITY,
    SYSTEM,
    meant,
)
from keystead.base.errors import Denied


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: as the audit log names him, with the roles that he holds now.

    `user` None is the administrator at the home, who holds the root key and may do everything.
    `elevated` is whether he gave his password again for this session, as a holder of `SECURITY`.
    """

    name: str
    user: str | None
    roles: frozenset[str] = frozenset()
    elevated: bool = False


def roles_of(person: Person) -> frozenset[str]:
    """The roles that a user holds by himself and by his groups, under their own names."""
    return frozenset(meant(role) for role in person.direct_roles | person.group_roles)


def actor_of(person: Person, *, elevated: bool) -> Actor:
    """A user as he acts; `elevated` counts for holders of `SECURITY` alone."""
    roles = roles_of(person)
    return Actor(f"user:{person.name}", person.name, roles, elevated and SECURITY in roles)


@dataclass(frozen=True, slots=True)
class Right:
    """One of the roles is enough; `elevated` rights need an elevated session besides."""

    roles: frozenset[str]
    elevated: bool = False


def _right(*roles: str, elevated: bool = False) -> Right:
    return Right(frozenset(roles), elevated)


_KEY_MANAGEMENT: Final = "sn_kmf."
_EVERYBODY: Final = _right("*")
_KEYS: Final = _right(ADMIN, MANAGER)
_OPERATING: Final = _right(ADMIN, MANAGER, OPERATOR)
_READING: Final = _right(ADMIN, MANAGER, OPERATOR, AUDITOR)
_SECURED: Final = _right(ADMIN, MANAGER, elevated=True)
_SYSTEM: Final = _right(SYSTEM)
_CAPPING: Final = _right(ADMIN)
_APPROVING: Final = _right(ADMIN, MANAGER, OPERATOR, AUDITOR, elevated=True)
_AUDITING: Final = _right(ADMIN, AUDITOR)
_INSTANCES: Final = _right(SYSTEM, ADMIN)
_TRUSTING: Final = _right(SYSTEM, ADMIN, elevated=True)
_WATCHING: Final = _right(SYSTEM, ADMIN, MANAGER, OPERATOR, AUDITOR)
_PEOPLE: Final = _right(SYSTEM, elevated=True)
# which of them may, depends: on the role (`refuse_unless_gives`), on the owner of a property
_OWNING: Final = _right(SYSTEM, ADMIN, elevated=True)
_SEEING: Final = _right(SYSTEM, ADMIN, AUDITOR)

OPERATIONS: Final[dict[str, Right]] = {
    "module.create": _KEYS,
    "module.publish": _KEYS,
    "key.generate": _KEYS,
    "key.rotate": _OPERATING,
    "key.suspend": _KEYS,
    "key.resume": _KEYS,
    "key.renew": _OPERATING,
    "key.revoke": _OPERATING,
    "key.destroy": _SECURED,
    "key.request_destruction": _SECURED,
    "key.drop": _SECURED,
    "module.default": _SECURED,
    "rule.add": _KEYS,
    "rule.remove": _KEYS,
    "cap.set": _CAPPING,
    "cap.remove": _CAPPING,
    # the request names who of them may
    "destruction.approve": _APPROVING,
    "quorum.set": _right(ADMIN, elevated=True),
    "policy.create": _SECURED,
    "policy.activate": _SECURED,
    "policy.deactivate": _SECURED,
    "policy.remove": _SECURED,
    # a property names more roles: `access.debugger` decides
    "policy.debug": _EVERYBODY,
    "field.configure": _SECURED,
    "field.configure_attachments": _SECURED,
    "field.preview": _KEYS,
    "field.encrypt": _SECURED,
    "field.rekey": _OPERATING,
    "job.resume": _OPERATING,
    "job.cancel": _OPERATING,
    "census.count": _READING,
    "peer.add": _TRUSTING,
    "peer.remove": _TRUSTING,
    "exchange.request": _KEYS,
    "exchange.refresh": _KEYS,
    # a setting names a library or an address that this machine is to reach
    "external.create_aws": _SECURED,
    "external.create_hsm": _SECURED,
    "external.create_file": _SECURED,
    "external.change_aws": _SECURED,
    "external.change_hsm": _SECURED,
    "external.change_file": _SECURED,
    "external.test": _KEYS,
    "external.activate": _SECURED,
    "external.wrap": _SECURED,
    "external.synchronise": _OPERATING,
    "external.blast_radius": _READING,
    "external.rewrap": _OPERATING,
    "external.rotate_ekek": _SECURED,
    "external.revoke": _SECURED,
    "external.reinstate": _SECURED,
    "external.retire": _SECURED,
    "clone.preflight": _INSTANCES,
    "clone.plan": _INSTANCES,
    # values leave, and their keys with them
    "clone.run": _right(ADMIN, elevated=True),
    "clone.cancel": _INSTANCES,
    "audit.verify": _AUDITING,
    "user.create": _SYSTEM,
    "user.activate": _PEOPLE,
    "user.deactivate": _SYSTEM,
    "user.set_password": _PEOPLE,
    "user.give_role": _OWNING,
    "user.take_role": _OWNING,
    "user.make_token": _PEOPLE,
    "user.end_sessions": _SYSTEM,
    "token.end": _SYSTEM,
    "group.create": _SYSTEM,
    "group.add_member": _OWNING,
    "group.remove_member": _OWNING,
    "group.give_role": _OWNING,
    "group.take_role": _OWNING,
    "property.create": _SYSTEM,
    "property.set": _SYSTEM,
    "property.set_protected": _OWNING,
    "schedule.run": _SYSTEM,
    "schedule.set_interval": _PEOPLE,
    "schedule.activate": _PEOPLE,
    "schedule.deactivate": _PEOPLE,
}
READERS: Final[dict[str, Right]] = {
    "sys_kmf_crypto_module": _READING,
    "sys_kmf_module_crypto_spec": _READING,
    "sys_kmf_module_key": _READING,
    "keystead_key_rule": _READING,
    "keystead_key_rule_cap": _READING,
    "keystead_destroy_request": _READING,
    "keystead_destroy_quorum": _READING,
    "sys_kmf_crypto_caller_policy": _READING,
    "keystead_module_key_rejection": _READING,
    "sys_platform_encryption_configuration": _READING,
    "keystead_census": _READING,
    "keystead_external_configuration": _READING,
    "sys_kmf_external_key": _READING,
    "keystead_alert": _READING,
    "keystead_job": _WATCHING,
    "keystead_peer": _WATCHING,
    "keystead_exchange_request": _WATCHING,
    "keystead_clone_target": _WATCHING,
    "keystead_clone": _WATCHING,
    "keystead_clone_count": _WATCHING,
    "keystead_audit": _AUDITING,
    "keystead_audit_head": _AUDITING,
    "sys_user": _SEEING,
    "sys_user_group": _SEEING,
    "sys_user_grmember": _SEEING,
    "sys_user_role": _SEEING,
    "keystead_token": _SEEING,
    "sys_properties": _SEEING,
    "sysauto_script": _SEEING,
}


def may(actor: Actor, right: Right) -> bool:
    """Whether the right is his as he stands."""
    if actor.user is None:
        return True
    if right.elevated and not actor.elevated:
        return False
    return may_elevated(actor, right)


def may_elevated(actor: Actor, right: Right) -> bool:
    """Whether it is his, or would be in an elevated session."""
    if actor.user is None:
        return True
    roles = {meant(role) for role in actor.roles}
    if right.elevated and SECURITY not in roles:
        return False
    return "*" in right.roles or not right.roles.isdisjoint(roles)


def refuse_unless_may(actor: Actor, operation: str) -> None:
    """Refuse an operation to who has no right to it.

    Raises:
        Denied: saying what it needs: a role, or elevation.
    """
    refuse_unless(actor, OPERATIONS[operation], operation)


def refuse_unless(actor: Actor, right: Right, operation: str) -> None:
    """Refuse an operation to who has not the right that it takes as things stand.

    Raises:
        Denied: saying what it needs: a role, or elevation.
    """
    if may(actor, right):
        return
    if may_elevated(actor, right):
        raise Denied("authority.elevation", operation=operation)
    besides = f"; and {SECURITY}, elevated" if right.elevated else ""
    raise Denied("authority.role", operation=operation, roles=_listed(right.roles) + besides)


def refuse_unless_gives(actor: Actor, roles: Collection[str]) -> None:
    """Refuse to hand on roles, or to act as who holds them, to who may not give each of them.

    Those of key management are given by holders of its admin role, all others by the system's
    administrators, and `security_admin` by nobody who is not elevated.

    Raises:
        Denied: naming a role, or elevation.
    """
    for role in sorted({meant(role) for role in roles}):
        giver = ADMIN if role.startswith(_KEY_MANAGEMENT) else SYSTEM
        right = Right(frozenset({giver}), elevated=role == SECURITY)
        refuse_unless(actor, right, f"give {role}")


def may_see(actor: Actor, table: str) -> bool:
    """Whether he may see a declared table of that name."""
    return may(actor, READERS[table])


def refuse_unless_reads(actor: Actor, table: str) -> None:
    """Refuse a table of Keystead's to who has no right to see it.

    Raises:
        Denied: otherwise.
    """
    if not may_see(actor, table):
        raise Denied("authority.table", table=table, roles=_listed(READERS[table].roles))


def _listed(roles: Collection[str]) -> str:
    return ", ".join(sorted(roles))
