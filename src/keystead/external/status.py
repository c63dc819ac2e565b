"""What a provider's answers mean: the status of an external key, and whether a lease outlasts them.

Nothing irreversible follows from any status, and each can change into each: a key that answers
again is enabled, whatever was heard before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keystead.base import clock
from keystead.external.provider import Answer


class Status(StrEnum):
    """The status of an external key as people see it."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    PENDING_DELETION = "pending deletion"
    DELETED = "deleted"
    UNAVAILABLE = "unavailable"


# a key that is not there may not be known everywhere yet: it is `DELETED` only when it stays away
STATUS_AFTER: Final[dict[Answer, Status]] = {
    Answer.ENABLED: Status.ENABLED,
    Answer.DISABLED: Status.DISABLED,
    Answer.PENDING_DELETION: Status.PENDING_DELETION,
    Answer.MISSING: Status.UNAVAILABLE,
    Answer.DENIED: Status.UNAVAILABLE,
    Answer.UNREACHABLE: Status.UNAVAILABLE,
    Answer.THROTTLED: Status.UNAVAILABLE,
    Answer.UNUSABLE: Status.UNAVAILABLE,
    Answer.WRONG: Status.UNAVAILABLE,
}
# the provider said nothing about the key: what was opened before may be used until its lease ends
TRANSIENT: Final = frozenset({Answer.UNREACHABLE, Answer.THROTTLED, Answer.UNUSABLE})
# the provider described the key, with the day of its deletion if there is one
DESCRIBED: Final = frozenset({Answer.ENABLED, Answer.DISABLED, Answer.PENDING_DELETION})
MISSING_SECONDS: Final = 15 * 60


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of an external key after an answer; moments as `base.clock` writes them."""

    status: Status
    answer: Answer
    deletion_at: str | None = None
    missing_since: str | None = None


def heard(
    answer: Answer, now: str, deletion_at: str | None = None, before: Heard | None = None
) -> Heard:
    """What is known after an answer, given what was known before.

    A key that is missing counts as deleted once its announced day has come, or when it has been
    missing for a quarter of an hour. The day stays announced until the key is described otherwise.
    """
    announced = before.deletion_at if before else None
    if answer in DESCRIBED:
        return Heard(STATUS_AFTER[answer], answer, deletion_at)
    if answer is not Answer.MISSING:
        return Heard(STATUS_AFTER[answer], answer, announced)
    since = (before.missing_since if before else None) or now
    is_gone = (announced is not None and announced <= now) or (
        clock.later(since, MISSING_SECONDS) <= now
    )
    status = Status.DELETED if is_gone else STATUS_AFTER[answer]
    return Heard(status, answer, announced, since)
