"""Modules and keys: their states, and the actions that are legal in each.

Every transition is in `KEY_TRANSITIONS`; what is not there is refused. States follow NIST SP 800-57
part 1 revision 5, §7. *Renewed* and *revoked* are Keystead's own: an active key whose expiry moved,
and a compromised one that still opens what it encrypted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from keystead.base.errors import IllegalTransition


class ModuleState(StrEnum):
    """A draft module cannot be used; a published one is never deleted."""

    DRAFT = "draft"
    PUBLISHED = "published"


class KeyState(StrEnum):
    """Life of a module key."""

    GENERATED = "generated"
    ACTIVE = "active"
    RENEWED = "renewed"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    REVOKED = "revoked"
    DESTROYED = "destroyed"


class KeyAction(StrEnum):
    """What can be done to a key."""

    ACTIVATE = "be made active"
    ROTATE = "be rotated"
    SUSPEND = "be suspended"
    RESUME = "be resumed"
    RENEW = "be renewed"
    REVOKE = "be revoked"
    EXPIRE = "expire"
    DESTROY = "be destroyed"
    DROP = "be dropped"
    IMPORT = "be received again"


class Origin(StrEnum):
    """Where a key was made."""

    GENERATED = "generated"
    IMPORTED = "imported"
    SUPPLIED = "customer supplied"


KEY_TRANSITIONS: Final[dict[tuple[KeyState, KeyAction], KeyState]] = {
    (KeyState.GENERATED, KeyAction.ACTIVATE): KeyState.ACTIVE,
    (KeyState.ACTIVE, KeyAction.ROTATE): KeyState.DEACTIVATED,
    (KeyState.RENEWED, KeyAction.ROTATE): KeyState.DEACTIVATED,
    (KeyState.ACTIVE, KeyAction.SUSPEND): KeyState.SUSPENDED,
    (KeyState.RENEWED, KeyAction.SUSPEND): KeyState.SUSPENDED,
    (KeyState.SUSPENDED, KeyAction.RESUME): KeyState.ACTIVE,
    (KeyState.ACTIVE, KeyAction.RENEW): KeyState.RENEWED,
    (KeyState.RENEWED, KeyAction.RENEW): KeyState.RENEWED,
    (KeyState.ACTIVE, KeyAction.REVOKE): KeyState.REVOKED,
    (KeyState.RENEWED, KeyAction.REVOKE): KeyState.REVOKED,
    (KeyState.SUSPENDED, KeyAction.REVOKE): KeyState.REVOKED,
    # a suspended key does not expire: it would open values again without anybody's decision
    (KeyState.ACTIVE, KeyAction.EXPIRE): KeyState.DEACTIVATED,
    (KeyState.RENEWED, KeyAction.EXPIRE): KeyState.DEACTIVATED,
    (KeyState.DEACTIVATED, KeyAction.DESTROY): KeyState.DESTROYED,
    (KeyState.REVOKED, KeyAction.DESTROY): KeyState.DESTROYED,
    (KeyState.DEACTIVATED, KeyAction.DROP): KeyState.DESTROYED,
    (KeyState.DESTROYED, KeyAction.IMPORT): KeyState.DEACTIVATED,
}
CAN_ENCRYPT: Final = frozenset({KeyState.ACTIVE, KeyState.RENEWED})
CAN_DECRYPT: Final = CAN_ENCRYPT | {KeyState.DEACTIVATED, KeyState.REVOKED}


def next_state(key_id: str, state: KeyState, action: KeyAction) -> KeyState:
    """The state after `action`.

    Raises:
        IllegalTransition: when the table has no such row.
    """
    after = KEY_TRANSITIONS.get((state, action))
    if after is None:
        raise IllegalTransition("key.transition", key=key_id, state=state, action=action)
    return after


def may_decrypt(state: KeyState, while_suspended: bool) -> bool:
    """Whether a key in `state` may open values; `while_suspended` is its specification's wish."""
    return state in CAN_DECRYPT or (state is KeyState.SUSPENDED and while_suspended)
