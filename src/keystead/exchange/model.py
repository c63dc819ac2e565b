"""A resource exchange request: its states, and the document that both sides hold word for word."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from keystead.access.exchange_policies import ONE_TIME_CLONE
from keystead.base.errors import IllegalTransition
from keystead.crypto import sign


class Side(StrEnum):
    """Whose copy of the request this is."""

    SOURCE = "source"
    TARGET = "target"


class Frequency(StrEnum):
    """How often keys are asked for."""

    ONE_TIME_CLONE = ONE_TIME_CLONE


class Status(StrEnum):
    """Where a request stands; the words are those people read on both sides."""

    PENDING = "Request Pending"
    APPROVED = "Request Approved"
    IMPORTED = "Keys Imported"
    COMPLETE = "Exchange Complete"
    EXPIRED = "Request Expired"


class Action(StrEnum):
    """What can happen to a request."""

    APPROVE = "be approved"
    IMPORT = "receive its keys"
    COMPLETE = "be completed"
    EXPIRE = "expire"


TRANSITIONS: Final[dict[tuple[Status, Action], Status]] = {
    (Status.PENDING, Action.APPROVE): Status.APPROVED,
    (Status.APPROVED, Action.IMPORT): Status.IMPORTED,
    (Status.IMPORTED, Action.COMPLETE): Status.COMPLETE,
    (Status.APPROVED, Action.COMPLETE): Status.COMPLETE,
    (Status.PENDING, Action.EXPIRE): Status.EXPIRED,
    (Status.APPROVED, Action.EXPIRE): Status.EXPIRED,
}


def next_status(request_id: str, status: Status, action: Action) -> Status:
    """The status after `action`.

    Raises:
        IllegalTransition: when the table has no such row.
    """
    after = TRANSITIONS.get((status, action))
    if after is None:
        raise IllegalTransition(
            "exchange.transition", request=request_id, state=status, action=action
        )
    return after


def request_hash(document: dict[str, Any]) -> str:
    """What both sides sign: SHA-256 of the whole request in canonical form."""
    return sign.digest(sign.canonical(document))


def seal_info(hash_of_request: str) -> bytes:
    """What the sealed keys are bound to."""
    return b"keystead/1/exchange " + hash_of_request.encode("ascii")


def transport_context(document: dict[str, Any]) -> dict[str, str]:
    """What a source has its external key bind the transport key of a request to."""
    return {
        "keystead:source": document["source"],
        "keystead:receiver": document["target"],
        "keystead:request": document["request_id"],
    }


def transport_place(hash_of_request: str, key_id: str, spec_id: str) -> tuple[str, ...]:
    """What a key that is wrapped by a transport key is bound to."""
    return ("exchange", hash_of_request, key_id, spec_id)
