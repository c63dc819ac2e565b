"""The processes that work on one database, as rows: each counts its own beats.

Clocks of several machines are never compared. Who watches counts, by its own clock, how long the
beat of another stands still; a pause in its own watching counts for little, since it may have been
the database, or the watcher itself, that stood still.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from keystead.database.schema import OnClone, number, own_table, text

BEAT_SECONDS: Final = 2.0
_LONGEST_STEP: Final = 2 * BEAT_SECONDS

PROCESSES = own_table(
    "keystead_process",
    OnClone.KEEP,
    text("role"),
    text("host"),
    text("home"),
    number("pid"),
    text("started_at"),
    number("beat"),
)


class Role(StrEnum):
    """What a process is there for."""

    SERVE = "serve"
    WORKER = "worker"
    ALONE = "alone"  # replaces what the others rely on: none of them may be there


class Process(NamedTuple):
    """One process: where it runs, and how often it has said that it lives."""

    sys_id: str
    role: str
    host: str
    home: str
    pid: int
    started_at: str
    beat: int = 0


def add(tx: Connection, process: Process) -> None:
    """Write a process down."""
    tx.execute(insert(PROCESSES).values(**process._asdict()))


def beat(tx: Connection, process_id: str) -> bool:
    """Say that a process lives; whether it still counted as living."""
    mine = update(PROCESSES).where(PROCESSES.c.sys_id == process_id)
    return tx.execute(mine.values(beat=PROCESSES.c.beat + 1)).rowcount == 1


def remove(tx: Connection, process_id: str) -> None:
    """Strike out a process that ended: what it held is free."""
    tx.execute(delete(PROCESSES).where(PROCESSES.c.sys_id == process_id))


def remove_all(tx: Connection) -> None:
    """Strike out every process of a database that was copied from elsewhere."""
    tx.execute(delete(PROCESSES))


def listed(tx: Connection) -> list[Process]:
    """Every process that was not struck out, oldest first."""
    found = tx.execute(select(PROCESSES).order_by(PROCESSES.c.sys_id))
    return [Process(**row._mapping) for row in found]


class Watch:
    """Tells which processes are dead: at once where that is known, else when their beat stands."""

    def __init__(
        self,
        is_gone: Callable[[Process], bool],
        patience_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_gone = is_gone
        self._patience = patience_seconds
        self._clock = clock
        self._looked = clock()
        self._silent: dict[str, tuple[int, float]] = {}
        self._moving: set[str] = set()

    def dead(self, found: Iterable[Process]) -> list[Process]:
        """Those that are dead, as far as this watcher has seen; to be asked again and again."""
        now = self._clock()
        step, self._looked = min(now - self._looked, _LONGEST_STEP), now
        silent = {}
        out = []
        for process in found:
            beat, seconds = self._silent.get(process.sys_id, (process.beat, -step))
            if beat != process.beat:
                self._moving.add(process.sys_id)
                seconds = -step
            silent[process.sys_id] = (process.beat, seconds + step)
            if self._is_gone(process) or seconds + step >= self._patience:
                out.append(process)
        self._silent = silent
        return out

    def has_beaten(self, process: Process) -> bool:
        """Whether this watcher saw its beat move."""
        return process.sys_id in self._moving
