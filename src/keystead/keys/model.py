"""Modules and keys: their states, and the actions that are legal in each.

Every transition is in `KEY_TRANSITIONS`; what is not there is refused.
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
    """Life of a module key (NIST SP 800-57 part 1 revision 5, §7)."""

    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    DESTROYED = "destroyed"


class KeyAction(StrEnum):
    """What can be done to a key."""

    ROTATE = "be rotated"
    DROP = "be dropped"
    IMPORT = "be received again"


class Origin(StrEnum):
    """Where a key was made."""

    GENERATED = "generated"
    IMPORTED = "imported"


KEY_TRANSITIONS: Final[dict[tuple[KeyState, KeyAction], KeyState]] = {
    (KeyState.ACTIVE, KeyAction.ROTATE): KeyState.DEACTIVATED,
    (KeyState.DEACTIVATED, KeyAction.DROP): KeyState.DESTROYED,
    (KeyState.DESTROYED, KeyAction.IMPORT): KeyState.DEACTIVATED,
}
CAN_DECRYPT: Final = frozenset({KeyState.ACTIVE, KeyState.DEACTIVATED})


def next_state(key_id: str, state: KeyState, action: KeyAction) -> KeyState:
    """The state after `action`.

    Raises:
        IllegalTransition: when the table has no such row.
    """
    after = KEY_TRANSITIONS.get((state, action))
    if after is None:
        raise IllegalTransition("key.transition", key=key_id, state=state, action=action)
    return after
