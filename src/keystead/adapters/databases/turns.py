"""One writer at a time within a process, so that those who wait hold no connection meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from keystead.base.errors import Unavailable


@contextmanager
def turn(lock: threading.Lock, patience: float) -> Iterator[None]:
    """Hold the lock for as long as the block lasts.

    Raises:
        Unavailable: when it is not free within `patience` seconds.
    """
    if not lock.acquire(timeout=patience):
        raise Unavailable("database.busy")
    try:
        yield
    finally:
        lock.release()
