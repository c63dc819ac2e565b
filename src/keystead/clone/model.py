"""A clone: its states on both sides, what happens to the keys, and the plan both sides hold."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from keystead.base.errors import IllegalTransition


class Side(StrEnum):
    """Whose copy of the clone this is."""

    SOURCE = "source"
    TARGET = "target"


class State(StrEnum):
    """Where a clone stands. `staging` is the target's word for `running`."""

    PLANNED = "planned"
    RUNNING = "running"
    STAGING = "staging"
    COMMITTED = "committed"
    CANCELLED = "cancelled"


class Action(StrEnum):
    """What can happen to a clone."""

    RUN = "be run"
    STAGE = "be staged"
    COMMIT = "be committed"
    CANCEL = "be cancelled"


class KeyOption(StrEnum):
    """What happens to the keys that the copied values need."""

    EXCHANGE = "exchange"
    EXCHANGE_AND_REKEY = "exchange and rekey"
    WITHHELD = "withheld"


TRANSITIONS: Final[dict[tuple[State, Action], State]] = {
    (State.PLANNED, Action.RUN): State.RUNNING,
    (State.RUNNING, Action.RUN): State.RUNNING,
    (State.RUNNING, Action.COMMIT): State.COMMITTED,
    (State.RUNNING, Action.CANCEL): State.CANCELLED,
    (State.CANCELLED, Action.RUN): State.RUNNING,
    (State.STAGING, Action.STAGE): State.STAGING,
    (State.STAGING, Action.COMMIT): State.COMMITTED,
}


def next_state(clone_id: str, state: State, action: Action) -> State:
    """The state after `action`.

    Raises:
        IllegalTransition: when the table has no such row.
    """
    after = TRANSITIONS.get((state, action))
    if after is None:
        raise IllegalTransition("clone.transition", clone=clone_id, state=state, action=action)
    return after
