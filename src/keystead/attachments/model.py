"""An attachment: its states, what is known of it, and where it belongs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from keystead.crypto import envelope
from keystead.crypto.encoding import length_prefixed
from keystead.crypto.sha256 import sha256
from keystead.database.port import Row

# the columns that `facts` are bound to (docs/formats/attachment.md, clause 5)
BOUND: Final = (
    *("sys_id", "table_name", "table_sys_id", "place"),
    *("size_bytes", "created_by", "created_at"),
)


class State(StrEnum):
    """Where an attachment stands: only a ready one is ever shown.

    `pending` content is on its way in; `removed` content is on its way out, its key gone already.
    Nothing leads out of `removed`.
    """

    PENDING = "pending"
    READY = "ready"
    REMOVED = "removed"


class Facts(msgspec.Struct, frozen=True):
    """What is said about a file and may tell something. `sha256` is of the clear content."""

    file_name: str
    content_type: str
    sha256: str


def belongs(row: dict[str, Any]) -> tuple[str, ...]:
    """What an attachment's facts are bound to, as texts."""
    return tuple(str(row[name]) for name in BOUND)


def place(table: str, key: Row) -> str:
    """One text for a record, whatever its key is made of (clause 2.2).

    Raises:
        Tampered: for a key that is not of whole numbers and text.
    """
    return sha256(length_prefixed(table.encode()) + envelope.record(key)).hex()
