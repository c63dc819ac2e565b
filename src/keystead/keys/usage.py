"""How often a key encrypts: AES-GCM with random nonces takes 2^32 values, then another key.

The bound (NIST SP 800-38D §8.3) spans all processes, so each reserves leases of 2^20 values in the
database before it uses them; what a killed process did not use is lost, never used twice. AES-SIV
has no such bound and is not counted.
"""

from __future__ import annotations

import threading
from collections import Counter
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
        # who waits for a transaction holds this one; who is in one never asks for it
        self._turn = threading.Lock()

    def ensure(self, key_id: str, calls: int) -> None:
        """Have so many encryptions reserved, in a transaction of its own: not within another.

        Raises:
            Conflict: when the key may not encrypt so often any more.
        """
        with self._turn:
            self._ensure(key_id, calls)

    def take(self, key_id: str, calls: int) -> None:
        """Use up so many encryptions, reserving a lease when there are too few.

        Raises:
            Conflict: when the key may not encrypt so often any more.
        """
        with self._turn:
            while not self._take(key_id, calls):
                self._ensure(key_id, calls)

    def take_within(self, tx: Connection, key_id: str, calls: int) -> int:
        """The same in a transaction that writes; how many it reserved, as a lease, or 0.

        Raises:
            Conflict: when the key may not encrypt so often any more.
        """
        if self._take(key_id, calls):
            return 0
        return self._reserve(tx, key_id, calls)

    def credit(self, key_id: str, calls: int) -> None:
        """Add what is left of a lease, or take off what was used and is not reserved."""
        with self._lock:
            self._left[key_id] = self._left.get(key_id, 0) + calls

    def _take(self, key_id: str, calls: int) -> bool:
        with self._lock:
            left = self._left.get(key_id, 0)
            if left >= calls:
                self._left[key_id] = left - calls
            return left >= calls

    def _ensure(self, key_id: str, calls: int) -> None:
        with self._lock:
            missing = calls - self._left.get(key_id, 0)
        if missing <= 0:
            return
        with self._database.transaction() as tx:
            granted = self._reserve(tx, key_id, missing)
        self.credit(key_id, granted)

    def _reserve(self, tx: Connection, key_id: str, missing: int) -> int:
        room = self._limit - reserved(tx, self._hierarchy, key_id)
        granted = max(missing, min(self._lease, room))
        reserve(tx, self._hierarchy, key_id, granted, limit=self._limit)
        return granted


class Use:
    """What one transaction that writes encrypts; open it around the transaction.

    A lease that is reserved within it is the meter's once it is committed. If it is taken back, the
    reservation is too, and what was encrypted is owed.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._granted: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()

    def __enter__(self) -> Use:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for key_id, calls in self._taken.items():
            kept = self._granted[key_id] if kind is None else 0
            self._meter.credit(key_id, kept - calls)

    def take(self, tx: Connection, key_id: str, calls: int) -> None:
        """Use up so many encryptions.

        Raises:
            Conflict: when the key may not encrypt so often any more.
        """
        granted = self._meter.take_within(tx, key_id, calls)
        if granted:
            self._granted[key_id] += granted
            self._taken[key_id] += calls


def _row(tx: Connection, hierarchy: Hierarchy, key_id: str) -> Fields | None:
    found = hierarchy.integrity.all(tx, KEY_USE, KEY_USE.c.key_id == key_id)
    return found[0] if found else None
