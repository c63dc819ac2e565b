"""Who uses a home: many at once, or one alone who changes what the others rely on.

An opened instance keeps keys in memory. Were the root key, the KEK or the tables replaced
meanwhile, it would write what nobody can open. So everyone who opens a home shares its lock, and
who replaces one of these must hold it alone. The operating system frees a dead process's lock.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from keystead.base.errors import Conflict, Unavailable
from keystead.instance import presence
from keystead.instance.home import Home

_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Hold:
    """A shared hold of a home, until it is released or forgotten."""

    _file: IO[str]

    def release(self) -> None:
        """Let others have the home alone."""
        self._file.close()


def share(home: Home) -> Hold:
    """Hold a home together with others, waiting some seconds for one who holds it alone.

    Raises:
        Unavailable: when that one does not end.
    """
    file = home.use_lock_file.open("a+", encoding="ascii")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _taken(file, fcntl.LOCK_SH):
        if time.monotonic() > deadline:
            file.close()
            raise Unavailable("home.busy", home=home.folder)
        time.sleep(_POLL_SECONDS)
    return Hold(file)


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Hold a home alone: no process works in it, and nobody has it open.

    Other homes of the same database are kept off by `presence.alone`.

    Raises:
        Conflict: when a process works in it.
        Unavailable: when another command has it open.
    """
    served = presence.here(home)
    if served is not None:
        raise Conflict("home.served", home=home.folder, pid=served.pid, role=served.role)
    with home.use_lock_file.open("a+", encoding="ascii") as file:
        if not _taken(file, fcntl.LOCK_EX):
            raise Unavailable("home.busy", home=home.folder)
        yield


def _taken(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
