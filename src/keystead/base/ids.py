"""Identifiers: record ids that sort by age, and random key ids."""

from __future__ import annotations

import os
import threading
import time

_lock = threading.Lock()
_last = 0
_DIGITS = 32


def new_id() -> str:
    """A record id: 32 hexadecimal digits, laid out as UUID version 7 (RFC 9562 §5.7).

    Ids of one process ascend, so rows inserted together lie together under their primary key.
    """
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """`count` ascending record ids."""
    global _last  # noqa: PLW0603 - the one clock that keeps ids of this process ascending
    with _lock:
        start = max(time.time_ns() // 1_000_000 << 12, _last + 1)
        _last = start + count - 1
    tail = os.urandom(8 * count)
    ids = []
    for i in range(count):
        stamp = start + i
        rest = int.from_bytes(tail[8 * i : 8 * i + 8], "big") & (2**62 - 1) | 2**63
        ids.append(f"{stamp >> 12:012x}7{stamp & 0xFFF:03x}{rest:016x}")
    return ids


def is_id(text: str) -> bool:
    """Whether a text from outside has the form of a record or key id."""
    return len(text) == _DIGITS and set(text) <= set("0123456789abcdef")


def new_key_id() -> bytes:
    """A key id: 16 random bytes (envelope format, clause 2)."""
    return os.urandom(16)
