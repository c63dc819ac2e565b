"""How often a key encrypts: AES-GCM with random nonces takes 2^32 values, then another key.

The bound (NIST SP 800-38D §8.3) spans all processes, so each reserves leases of 2^20 values in the
database before it uses them; what a killed process did not use is lost, never used twice. AES-SIV
has no such bound and is not counted.
"""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy import Connection

from keystead.base.errors import Conflict
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.tables import KEY_USE

LIMIT: Final = 2**32
LEASE: Final = 2**20
_COUNTED: Final = "AES-GCM"


def is_counted(spec: Fields) -> bool:
    """Whether the keys of a specification may encrypt only so often."""
    return bool(spec["algorithm"] == _COUNTED)


def reserved(tx: Connection, hierarchy: Hierarchy, key_id: str) -> int:
    """How many encryptions under a key were reserved until now."""
    row = _row(tx, hierarchy, key_id)
    return int(row["reserved"]) if row else 0


def is_nearly_used_up(
    tx: Connection, hierarchy: Hierarchy, key_id: str, limit: int = LIMIT
) -> bool:
    """Whether a sixteenth or less of what a key may encrypt is left: time to rotate."""
    return reserved(tx, hierarchy, key_id) >= limit - limit // 16


def reserve(
    tx: Connection, hierarchy: Hierarchy, key_id: str, calls: int, *, limit: int = LIMIT
) -> None:
    """Reserve encryptions, to be used after this transaction has committed, or within it.

    Raises:
        Conflict: when the key may not encrypt so often any more.
    """
    row = _row(tx, hierarchy, key_id)
    total = calls + (int(row["reserved"]) if row else 0)
    if total > limit:
        raise Conflict("key.used_up", key=key_id, limit=limit)
    if row is None:
        hierarchy.integrity.insert(tx, KEY_USE, key_id=key_id, reserved=total)
    else:
        hierarchy.integrity.update(tx, KEY_USE, row, f"use of key {key_id}", reserved=total)


class Meter:
    """What this process has reserved and not used yet. Safe for several threads."""

    def __init__(
        self, database: Database, hierarchy: Hierarchy, *, limit: int = LIMIT, lease: int = LEASE
    ) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._limit = limit
        self._lease = lease
        self._left: dict[str, int] = {}
        self._lock = threading.Lock()

    def ensure(self, key_id: str, calls: int) -> None:
        """Have so many encryptions reserved, in a transaction of its own: not within another.

        Raises:
            Conflict: when the key may not encrypt so often any more.
        """
        with self._lock:
            self._ensure(key_id, calls)

    def take(self, key_id: str, calls: int) -> None:
        """Use up so many encryptions, reserving a lease when there are too few.

        Raises:
            Conflict: when the key may not encrypt so often any more.
        """
        with self._lock:
            self._ensure(key_id, calls)
            self._left[key_id] = self._left.get(key_id, 0) - calls

    def _ensure(self, key_id: str, calls: int) -> None:
        left = self._left.get(key_id, 0)
        if left >= calls:
            return
        missing = calls - left
        with self._database.transaction() as tx:
            room = self._limit - reserved(tx, self._hierarchy, key_id)
            granted = max(missing, min(self._lease, room))
            reserve(tx, self._hierarchy, key_id, granted, limit=self._limit)
        self._left[key_id] = left + granted


def _row(tx: Connection, hierarchy: Hierarchy, key_id: str) -> Fields | None:
    found = hierarchy.integrity.all(tx, KEY_USE, KEY_USE.c.key_id == key_id)
    return found[0] if found else None
