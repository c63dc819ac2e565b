"""Errors: eight families, stable codes, one catalogue of messages.

A caller handles families; people read messages; codes are for programs and do not change.
Each message is one line of what happened and one of what to do about it.
"""

from __future__ import annotations

from typing import ClassVar, Final

from keystead.base.messages import CATALOGUE


class KeysteadError(Exception):
    """Anything Keystead refuses or cannot do. Raise a family, never this."""

    family: ClassVar[str] = "error"

    def __init__(self, code: str, **facts: object) -> None:
        message = CATALOGUE[code]
        self.code = code
        self.facts = facts
        self.what = message.what.format_map(facts)
        self.todo = message.todo.format_map(facts)
        super().__init__(self.what)

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (type(self), self.code, self.facts)


class Invalid(KeysteadError):
    """What was given is not in a form that can be used."""

    family = "invalid"


class Denied(KeysteadError):
    """The caller, or the peer, may not do this."""

    family = "denied"


class NotFound(KeysteadError):
    """What was named does not exist here."""

    family = "not_found"


class Conflict(KeysteadError):
    """It clashes with what exists or with what is running."""

    family = "conflict"


class IllegalTransition(KeysteadError):
    """The thing is not in a state that allows this action."""

    family = "illegal_transition"


class Tampered(KeysteadError):
    """Something is not as Keystead wrote it. Never data, never a default."""

    family = "tampered"


class Unavailable(KeysteadError):
    """It would work at another time: a peer, a disk or a server is not there now."""

    family = "unavailable"


class Misconfigured(KeysteadError):
    """The installation or its files are not set up right."""

    family = "misconfigured"


def _made(family: type[KeysteadError], code: str, facts: dict[str, object]) -> KeysteadError:
    return family(code, **facts)


FAMILIES: Final[dict[str, type[KeysteadError]]] = {
    family.family: family
    for family in (
        Invalid,
        Denied,
        NotFound,
        Conflict,
        IllegalTransition,
        Tampered,
        Unavailable,
        Misconfigured,
    )
}
