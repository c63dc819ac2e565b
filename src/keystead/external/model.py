"""Configurations and EKEKs: their states, and the actions that are legal in each."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from keystead.base.errors import IllegalTransition


class State(StrEnum):
    """State of a configuration of an external key."""

    DRAFT = "draft"
    ACTIVE = "active"
    REVOKED = "revoked"  # by us: what it wraps is dark here, whatever the provider says
    RETIRED = "retired"


class Action(StrEnum):
    """What can be done to a configuration."""

    CHANGE = "be changed"
    ACTIVATE = "be activated"
    WRAP = "wrap the keys of a module"
    REWRAP = "have its EKEK rewrapped"
    ROTATE = "have its EKEK rotated"
    REVOKE = "be revoked"
    REINSTATE = "be reinstated"
    RETIRE = "be retired"


TRANSITIONS: Final[dict[tuple[State, Action], State]] = {
    (State.DRAFT, Action.CHANGE): State.DRAFT,
    (State.ACTIVE, Action.CHANGE): State.ACTIVE,
    (State.REVOKED, Action.CHANGE): State.REVOKED,
    (State.DRAFT, Action.ACTIVATE): State.ACTIVE,
    (State.ACTIVE, Action.WRAP): State.ACTIVE,
    (State.ACTIVE, Action.REWRAP): State.ACTIVE,
    (State.ACTIVE, Action.ROTATE): State.ACTIVE,
    (State.ACTIVE, Action.REVOKE): State.REVOKED,
    (State.REVOKED, Action.REINSTATE): State.ACTIVE,
    (State.DRAFT, Action.RETIRE): State.RETIRED,
    (State.ACTIVE, Action.RETIRE): State.RETIRED,
}


def next_state(name: str, state: State, action: Action) -> State:
    """The state after `action`.

    Raises:
        IllegalTransition: when the table has no such row.
    """
    after = TRANSITIONS.get((state, action))
    if after is None and state is State.DRAFT:
        raise IllegalTransition("external.draft", name=name, action=action)
    if after is None:
        raise IllegalTransition("external.transition", name=name, state=state, action=action)
    return after


class EkekState(StrEnum):
    """State of an EKEK: one is active, those before it open what they wrapped until it is moved."""

    ACTIVE = "active"
    REPLACED = "replaced"
    RETIRED = "retired"
