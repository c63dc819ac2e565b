"""What is done to keys in their life, each step one function within a transaction.

`at` is the moment that is written; without it, the present one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Denied, IllegalTransition, Invalid, NotFound, Unavailable
from keystead.base.ids import new_key_id
from keystead.crypto import wrap
from keystead.database.integrity import Fields
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import held, modules
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import (
    CAN_ENCRYPT,
    KeyAction,
    KeyState,
    ModuleState,
    Origin,
    next_state,
)
from keystead.keys.tables import KEYS, MODULES

_LONGEST_REASON: Final = 200
_COUNTED_ON: Final = (JobKind.ENCRYPT, JobKind.REKEY, JobKind.CLONE)


def publish_module(
    tx: Connection, hierarchy: Hierarchy, name: str, actor: str, *, first_key: bool = True
) -> Fields:
    """Publish a draft and give it its first key; without, that is made when first needed.

    Raises:
        IllegalTransition: when it is published already.
    """
    row = modules.module(tx, hierarchy, name)
    if row["state"] != ModuleState.DRAFT:
        raise IllegalTransition("module.published", module=row["name"])
    published = hierarchy.integrity.update(
        tx, MODULES, row, row["name"], state=ModuleState.PUBLISHED
    )
    log.record(tx, actor, "module.publish", row["name"])
    if first_key:
        generate(tx, hierarchy, name, actor)
    return published


def generate(
    tx: Connection, hierarchy: Hierarchy, name: str, actor: str, *, waiting: bool = False
) -> Fields:
    """Make an active key for a published module that has none; or one that waits to be activated.

    Raises:
        Conflict: when it has an active one; two at once leave one key and one Conflict.
    """
    row, spec = modules.published_specification(tx, hierarchy, name)
    if not waiting and held.find_active(tx, hierarchy, spec["sys_id"]):
        raise Conflict("key.active_exists", module=row["name"])
    return _make(tx, hierarchy, spec["sys_id"], actor, "key.generate", waiting=waiting)


def encrypting_key(tx: Connection, hierarchy: Hierarchy, spec_id: str, actor: str) -> Fields:
    """The key to encrypt with; the first one of a published module is made now.

    One that is owed a rotation is rotated now: another instance still encrypts by it.

    Raises:
        NotFound: when there is none although there were keys before, or it is suspended.
        IllegalTransition: while the module is a draft.
        Conflict: for one that is owed a rotation, while a mass job or a clone counts on it.
    """
    name = modules.module_name(tx, hierarchy, spec_id)
    if not held.keys_of(tx, hierarchy, spec_id):
        return generate(tx, hierarchy, name, actor)
    active = held.active_key(tx, hierarchy, spec_id)
    if active["rotation_owed_at"] is None:
        return active
    return rotate(tx, hierarchy, name, actor, to=_longest_waiting(tx, hierarchy, spec_id))


@dataclass(frozen=True, slots=True)
class Rotated:
    """Encrypting keys that were replaced, that stay, and that are replaced when that can be done.

    A customer's key for which none waits stays: it is never replaced by one of ours. What the life
    cycle owes is done as soon as the external key of the module may be used.
    """

    rotated: int
    kept: int
    owed: int


def rotate_all(tx: Connection, hierarchy: Hierarchy, actor: str) -> Rotated:
    """Give every specification that has an encrypting key the longest waiting, or a new one."""
    encrypting = hierarchy.integrity.all(tx, KEYS, KEYS.c.state.in_(CAN_ENCRYPT))
    kept = owed = 0
    for row in encrypting:
        waiting = _longest_waiting(tx, hierarchy, row["spec_id"])
        if waiting is None and row["origin"] == Origin.SUPPLIED:
            kept += 1
            continue
        if _is_dark(tx, hierarchy, row["spec_id"], waiting):
            held.change(tx, hierarchy, row, rotation_owed_at=clock.now())
            log.record(tx, actor, "key.owe_rotation", row["sys_id"])
            owed += 1
            continue
        name = modules.module_name(tx, hierarchy, row["spec_id"])
        rotate(tx, hierarchy, name, actor, to=waiting)
    return Rotated(len(encrypting) - kept - owed, kept, owed)


def _longest_waiting(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> str | None:
    """The id of the key that has waited longest to be activated."""
    for key in held.keys_of(tx, hierarchy, spec_id):
        if key["state"] == KeyState.GENERATED:
            return str(key["sys_id"])
    return None


def _is_dark(tx: Connection, hierarchy: Hierarchy, spec_id: str, waiting: str | None) -> bool:
    """Whether no key can be stored now, or the one that waits cannot be opened."""
    try:
        if waiting is not None:
            hierarchy.unwrap_module_key(tx, held.key(tx, hierarchy, waiting))
        ekek_id = modules.ekek_for(tx, hierarchy, spec_id)
        if ekek_id is not None:
            hierarchy.ekeks.open(tx, ekek_id)
    except (Denied, Unavailable):
        return True
    return False


def rotate(
    tx: Connection,
    hierarchy: Hierarchy,
    name: str,
    actor: str,
    *,
    to: str | None = None,
    at: str | None = None,
    old: Fields | None = None,
) -> Fields:
    """Make a new key active, or the waiting one named by `to`; the old one still decrypts.

    No ciphertext moves. `old` is the active key as the caller knows it, if he has read it before.

    Raises:
        Conflict: while a mass job or a clone counts on the present one, or when `old` was changed.
        NotFound: when there is no active key, or no waiting one of that id.
    """
    refuse_while_counted_on(tx)
    row, spec = modules.published_specification(tx, hierarchy, name)
    old = old or held.active_key(tx, hierarchy, spec["sys_id"])
    new = None if to is None else _waiting(tx, hierarchy, spec["sys_id"], to, row["name"])
    moment = at or clock.now()
    state = next_state(old["sys_id"], KeyState(old["state"]), KeyAction.ROTATE)
    held.change(tx, hierarchy, old, state=state, deactivated_at=moment, rotated_at=moment)
    if new is None:
        return _make(
            tx, hierarchy, spec["sys_id"], actor, "key.rotate", at=moment, replaces=old["sys_id"]
        )
    active = _activated(tx, hierarchy, new, moment)
    _record(tx, hierarchy, actor, "key.rotate", active, replaces=old["sys_id"])
    return active


def activate(
    tx: Connection, hierarchy: Hierarchy, row: Fields, actor: str, *, at: str | None = None
) -> Fields:
    """Make a waiting key active, when no other is.

    Raises:
        Conflict: when another is active.
        IllegalTransition: unless it waits.
    """
    next_state(row["sys_id"], KeyState(row["state"]), KeyAction.ACTIVATE)
    _refuse_second_active(tx, hierarchy, row)
    active = _activated(tx, hierarchy, row, at or clock.now())
    _record(tx, hierarchy, actor, "key.activate", active)
    return active


def suspend(tx: Connection, hierarchy: Hierarchy, row: Fields, actor: str) -> Fields:
    """Stop a key for a while. Nothing replaces it: its module encrypts nothing until it is resumed.

    Nor does it decrypt, unless its specification says so. It is never refused because of running
    jobs: they stop.

    Raises:
        IllegalTransition: unless it is active or renewed.
    """
    state = next_state(row["sys_id"], KeyState(row["state"]), KeyAction.SUSPEND)
    spec = modules.specification_of(tx, hierarchy, row["spec_id"])
    suspended = held.change(
        tx,
        hierarchy,
        row,
        state=state,
        suspended_at=clock.now(),
        decrypts_suspended=spec["decrypts_suspended"],
    )
    _record(tx, hierarchy, actor, "key.suspend", suspended)
    return suspended


def resume(tx: Connection, hierarchy: Hierarchy, row: Fields, actor: str) -> Fields:
    """Make a suspended key active again.

    Raises:
        IllegalTransition: unless it is suspended.
        Conflict: when another became active meanwhile.
    """
    state = next_state(row["sys_id"], KeyState(row["state"]), KeyAction.RESUME)
    _refuse_second_active(tx, hierarchy, row)
    resumed = held.change(tx, hierarchy, row, state=state)
    _record(tx, hierarchy, actor, "key.resume", resumed)
    return resumed


def renew(
    tx: Connection, hierarchy: Hierarchy, row: Fields, actor: str, *, at: str | None = None
) -> Fields:
    """Move a key's expiry to now plus the time from its activation to its present expiry.

    Raises:
        IllegalTransition: unless it is active or renewed.
        Conflict: when it has no expiry.
    """
    state = next_state(row["sys_id"], KeyState(row["state"]), KeyAction.RENEW)
    if row["expires_at"] is None or row["activated_at"] is None:
        raise Conflict("key.no_expiry", key=row["sys_id"])
    moment = at or clock.now()
    expires = renewed_expiry(moment, row["activated_at"], row["expires_at"])
    renewed = held.change(tx, hierarchy, row, state=state, renewed_at=moment, expires_at=expires)
    _record(tx, hierarchy, actor, "key.renew", renewed, until=expires)
    return renewed


def revoke(tx: Connection, hierarchy: Hierarchy, row: Fields, reason: str, actor: str) -> Fields:
    """Declare a key compromised: it encrypts no more and still decrypts. Another becomes active.

    Returns the key that is active now.

    Raises:
        IllegalTransition: unless it is active, renewed or suspended.
        Invalid: without a reason.
        Conflict: for a customer-supplied key, or while a mass job or a clone counts on the key.
    """
    reason = check_reason(reason)
    state = next_state(row["sys_id"], KeyState(row["state"]), KeyAction.REVOKE)
    if row["origin"] == Origin.SUPPLIED:
        raise Conflict("key.supplied", key=row["sys_id"])
    refuse_while_counted_on(tx)
    moment = clock.now()
    revoked = held.change(
        tx,
        hierarchy,
        row,
        state=state,
        revoked_at=moment,
        deactivated_at=moment,
        revoke_reason=reason,
    )
    _record(tx, hierarchy, actor, "key.revoke", revoked, reason=reason)
    other = held.find_active(tx, hierarchy, row["spec_id"])
    if other is not None:
        return other
    return _make(
        tx, hierarchy, row["spec_id"], actor, "key.generate", at=moment, replaces=row["sys_id"]
    )


def expire(
    tx: Connection, hierarchy: Hierarchy, row: Fields, actor: str, *, at: str | None = None
) -> Fields:
    """Deactivate a key whose time is over. Nothing replaces it: rotate before, by a rule.

    Raises:
        IllegalTransition: unless it is active or renewed.
        Conflict: before its expiry, without one, or while a mass job or a clone counts on it.
    """
    moment = at or clock.now()
    state = next_state(row["sys_id"], KeyState(row["state"]), KeyAction.EXPIRE)
    if row["expires_at"] is None:
        raise Conflict("key.no_expiry", key=row["sys_id"])
    if row["expires_at"] > moment:
        raise Conflict("key.not_expired", key=row["sys_id"], at=row["expires_at"])
    refuse_while_counted_on(tx)
    expired = held.change(tx, hierarchy, row, state=state, deactivated_at=moment)
    _record(tx, hierarchy, actor, "key.expire", expired)
    return expired


def renewed_expiry(now: str, activated: str, expires: str) -> str:
    """`now` plus the time between activation and expiry.

    Raises:
        Invalid: when that is beyond the year 9999.
    """
    try:
        return clock.text_of(clock.parse(now) + (clock.parse(expires) - clock.parse(activated)))
    except OverflowError:
        raise Invalid("rule.too_far") from None


def refuse_while_counted_on(tx: Connection) -> None:
    """Refuse while a mass job or a clone counts on the active keys.

    Raises:
        Conflict: naming the job.
    """
    jobs.refuse_while_busy(tx, "The instance", *_COUNTED_ON)


def check_reason(reason: str) -> str:
    """A reason as it is kept: one line of 1 to 200 characters.

    Raises:
        Invalid: for any other.
    """
    reason = reason.strip()
    if not 1 <= len(reason) <= _LONGEST_REASON or not reason.isprintable():
        raise Invalid("key.reason")
    return reason


def _waiting(
    tx: Connection, hierarchy: Hierarchy, spec_id: str, key_id: str, module_name: str
) -> Fields:
    row = held.key(tx, hierarchy, key_id)
    if row["spec_id"] != spec_id:
        raise NotFound("key.not_of_module", key=key_id, module=module_name)
    next_state(key_id, KeyState(row["state"]), KeyAction.ACTIVATE)
    return row


def _activated(tx: Connection, hierarchy: Hierarchy, row: Fields, moment: str) -> Fields:
    state = next_state(row["sys_id"], KeyState(row["state"]), KeyAction.ACTIVATE)
    hierarchy.unwrap_module_key(tx, row)
    return held.change(tx, hierarchy, row, state=state, activated_at=moment)


def _make(
    tx: Connection,
    hierarchy: Hierarchy,
    spec_id: str,
    actor: str,
    action: str,
    *,
    waiting: bool = False,
    at: str | None = None,
    **detail: str,
) -> Fields:
    moment = at or clock.now()
    made = held.store_new(
        tx,
        hierarchy,
        key_id=new_key_id().hex(),
        spec_id=spec_id,
        secret=wrap.new_key(),
        state=KeyState.GENERATED if waiting else KeyState.ACTIVE,
        origin=Origin.GENERATED,
        generated_at=moment,
        activated_at=None if waiting else moment,
    )
    _record(tx, hierarchy, actor, action, made, **detail)
    return made


def _refuse_second_active(tx: Connection, hierarchy: Hierarchy, row: Fields) -> None:
    if held.find_active(tx, hierarchy, row["spec_id"]) is not None:
        name = modules.module_name(tx, hierarchy, row["spec_id"])
        raise Conflict("key.active_exists", module=name)


def _record(
    tx: Connection, hierarchy: Hierarchy, actor: str, action: str, row: Fields, **detail: str
) -> None:
    name = modules.module_name(tx, hierarchy, row["spec_id"])
    log.record(tx, actor, action, row["sys_id"], module=name, version=row["version"], **detail)
