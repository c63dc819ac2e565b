"""What an entry of the audit log is, and the bytes that are hashed (`docs/formats/audit.md`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keystead.audit import merkle
from keystead.base.errors import Tampered
from keystead.crypto import sign

Detail = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done. Sequences begin with 1 and have no gap."""

    sequence: int
    sys_id: str
    at: str
    actor: str
    action: str
    subject: str
    detail: Detail

    def as_json(self) -> dict[str, Any]:
        """The entry as plain data."""
        return {name: getattr(self, name) for name in Entry.__slots__}

    def leaf(self) -> bytes:
        """The hash of its canonical form (RFC 8785) as a leaf."""
        return merkle.leaf_hash(sign.canonical(self.as_json()))


def detail_text(detail: Detail) -> str:
    """The one form in which details are stored."""
    return json.dumps(detail, ensure_ascii=False, sort_keys=True)


def from_row(row: Mapping[str, Any]) -> Entry:
    """An entry as it is stored.

    Raises:
        Tampered: when it is not in the form that is written.
    """
    sequence = row["sequence"]
    try:
        detail = json.loads(row["detail"])
        whole = isinstance(detail, dict) and detail_text(detail) == row["detail"]
    except (TypeError, ValueError, RecursionError):
        whole = False
    if not whole:
        raise Tampered("audit.entry", sequence=sequence)
    return from_json({**row, "detail": detail})


def from_json(found: Any) -> Entry:
    """An entry from plain data.

    Raises:
        Tampered: when it has not exactly the fields of one, each of its type.
    """
    names = Entry.__slots__
    if not isinstance(found, dict) or set(found) != set(names):
        raise Tampered("audit.entry", sequence="?")
    texts = (found[name] for name in names[1:-1])
    if (
        type(found["sequence"]) is not int
        or not isinstance(found["detail"], dict)
        or not all(isinstance(text, str) for text in texts)
    ):
        raise Tampered("audit.entry", sequence=found["sequence"])
    return Entry(**found)
