"""How often somebody may try to log in: after some failures he waits, each time twice as long.

Failures are counted for a name, however it is written, and for an address, in this process. One try
after the other is checked for a name, so that many at once are no more than one. Longer than a
minute nobody waits: who guesses at somebody's name must not keep him out.
"""

from __future__ import annotations

import ipaddress
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Final

FREE_FOR_NAME: Final = 5
FREE_FOR_ADDRESS: Final = 20  # many may sit behind one
LONGEST_SECONDS: Final = 60.0
FORGOTTEN_AFTER_SECONDS: Final = 3600.0
MOST_KEPT: Final = 10_000
_LONGEST_NAME: Final = 64
_IPV6_PREFIX: Final = 64
_TURNS: Final = 64

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Tally:
    """Failures in a row, and the moment of the last in seconds."""

    failures: int
    last: float


def seconds_left(tally: Tally, free: int, now: float) -> float:
    """How long to wait after so many failures, of which `free` cost nothing; 0 when not at all."""
    if tally.failures < free or now - tally.last > FORGOTTEN_AFTER_SECONDS:
        return 0.0
    doublings = min(tally.failures - free, int(LONGEST_SECONDS))
    return max(0.0, min(2.0**doublings, LONGEST_SECONDS) - (now - tally.last))


class Attempts:
    """The failures of a process. `clock` gives seconds. Safe for several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tallies: dict[_Key, Tally] = {}
        self._lock = Lock()
        self._turns = [Lock() for _ in range(_TURNS)]

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Keep other tries for a name waiting as long as the block lasts."""
        with self._turns[hash(_folded(name)) % _TURNS]:
            yield

    def seconds_left(self, name: str, address: str) -> float:
        """How long to wait before the next try; an empty name or address does not count."""
        now = self._clock()
        with self._lock:
            waits = [
                seconds_left(self._tallies[key], free, now)
                for key, free in _keys(name, address).items()
                if key in self._tallies
            ]
        return max(waits, default=0.0)

    def fail(self, name: str, address: str) -> None:
        """Count a failure."""
        now = self._clock()
        with self._lock:
            for key in _keys(name, address):
                before = self._tallies.pop(key, Tally(0, now))
                forgotten = now - before.last > FORGOTTEN_AFTER_SECONDS
                # put at the end, so that the first is the one that failed longest ago
                self._tallies[key] = Tally(1 if forgotten else before.failures + 1, now)
            while len(self._tallies) > MOST_KEPT:
                del self._tallies[next(iter(self._tallies))]

    def succeed(self, name: str) -> None:
        """Forget the failures of a name; those of an address may be of other names."""
        with self._lock:
            for key in _keys(name, ""):
                self._tallies.pop(key, None)


def _keys(name: str, address: str) -> dict[_Key, int]:
    """What failures are counted under, each with how many are free."""
    keys = {("name", _folded(name)): FREE_FOR_NAME} if name else {}
    if address:
        keys["address", _network(address)] = FREE_FOR_ADDRESS
    return keys


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()[:_LONGEST_NAME]


def _network(address: str) -> str:
    """An address; of IPv6 the part that one customer gets."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
    return str(found)
