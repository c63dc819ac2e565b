"""The port to whoever holds an external key: AWS KMS, an HSM, a file.

A provider wraps and opens a few dozen bytes under one key that never leaves it. It never sees an
EKEK bare: that is wrapped by the instance first (`Hierarchy.wrap_ekek`). A transport key it sees,
which opens nothing without the sealing key of the instance that receives it.

An adapter says in these words what its vendor answered; what that means for data is decided by
`external.status` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Context = Mapping[str, str]
"""What a wrapping is bound to, in the clear: names and values, such as those of the instance."""


class Answer(StrEnum):
    """What a provider said of its key, or how it failed to say anything."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    PENDING_DELETION = "pending deletion"
    MISSING = "missing"  # there is no such key: deleted, or not known everywhere yet
    DENIED = "denied"  # the provider knows who asks, or not, and refuses: credentials, a policy
    UNREACHABLE = "unreachable"  # no answer, an outage, a time-out, a token that is not there
    THROTTLED = "throttled"
    UNUSABLE = "unusable"  # the provider itself cannot use the key now, or it is being made
    WRONG = "wrong"  # what came back is not what was wrapped, or is in no form that is known


class Call(StrEnum):
    """The three things that a provider is asked for."""

    DESCRIBE = "describe"
    WRAP = "encrypt"
    UNWRAP = "decrypt"


class Refused(Exception):
    """A provider did not do what it was asked.

    `reason` is one line for those who run the instance: the vendor's own code or words, without
    credentials, key bytes or ciphertexts.
    """

    def __init__(self, call: Call, answer: Answer, reason: str) -> None:
        super().__init__(f"{call}: {answer}: {reason}")
        self.call = call
        self.answer = answer
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Described:
    """An external key as its provider describes it.

    `reference` names the key for all who can use it: two configurations with one reference use one
    key. `material_id` names its present bytes, and is another after a rotation outside; None where
    the provider does not say. `deletion_at` is a UTC moment as `base.clock` writes it. `unfit` says
    why it cannot be an external key (asymmetric, multi-Region, of somebody else), in a few words.
    """

    reference: str
    answer: Answer
    material_id: str | None = None
    deletion_at: str | None = None
    unfit: str | None = None


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """What was wrapped, and which bytes of the external key opened it, where the provider says."""

    plain: bytes
    material_id: str | None


class Provider(Protocol):
    """One external key at its provider. Safe for several threads.

    No call takes longer than the time-out that the provider was opened with, retries included.
    """

    def describe(self) -> Described:
        """The key as it is now; a key that is disabled or about to be deleted is described too.

        Raises:
            Refused: when there is no such key, or no answer.
        """
        ...

    def wrap(self, plain: bytes, context: Context) -> bytes:
        """Up to 4,096 bytes under the key's newest bytes, bound to `context`.

        Raises:
            Refused: when the key may not be used, or there is no answer.
        """
        ...

    def unwrap(self, wrapped: bytes, context: Context) -> Unwrapped:
        """What `wrap` was given, also under older bytes of the key.

        Raises:
            Refused: when the key may not be used, there is no answer, or (`WRONG`) it was not
                wrapped by this key for this context.
        """
        ...

    def close(self) -> None:
        """Let go of connections and sessions. A closed provider is not used again."""
        ...


Settings = Mapping[str, str]
"""What a configuration says, by the names of `external.kinds`, credentials among it."""

OpenProvider = Callable[[str, Settings, float], Provider]
"""Opens a provider: its kind, its settings, and the seconds that one call may take.

Nothing is asked of the provider yet. Raises Misconfigured when the library for it is not installed,
and Invalid when a setting is in no form that can be used.
"""
