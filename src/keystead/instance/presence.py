"""Which processes work on an instance: each says so in the database, and holds a lock in its home.

The lock ends with its process, so whoever shares the home knows at once that it is gone. Others see
it by a beat that stands still (`jobs.processes`). A process that was taken for dead and comes back
says so and goes on: what was taken from it is fenced.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

from sqlalchemy import Connection, inspect

from keystead.base import clock
from keystead.base.errors import Conflict, KeysteadError
from keystead.base.ids import new_id
from keystead.database.port import Database
from keystead.instance.home import Home
from keystead.jobs import processes
from keystead.jobs.processes import BEAT_SECONDS, PROCESSES, Process, Role, Watch

_LOOK_SECONDS: Final = 0.5
_LOCK: Final = ".lock"
_DRAFT: Final = ".new"
_ID: Final = re.compile(r"[0-9a-f]{32}")


class Report(Protocol):
    """Where a process says what became of others."""

    def __call__(self, event: str, **facts: object) -> None:
        """Take one event."""
        ...


class Presence:
    """The place of a process among those of an instance, from `join` to `leave`."""

    def __init__(
        self, home: Home, database: Database, role: Role, patience_seconds: float, report: Report
    ) -> None:
        self.process = Process(
            new_id(), role, socket.gethostname(), str(home.folder), os.getpid(), clock.now()
        )
        self.leads = False
        self._home = home
        self._database = database
        self._report = report
        self._watch = watching(home, database, patience_seconds)
        self._lock: IO[str] | None = None
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._keep_beating, name="beat", daemon=True)

    @property
    def state_file(self) -> Path:
        """Where the job engine of this process keeps its state."""
        return self._home.processes_folder / f"{self.process.sys_id}.db"

    def join(self) -> None:
        """Take a place among the others, and keep it; what dead ones left here is removed.

        Raises:
            Conflict: naming a process that does not go together with this one.
        """
        self._lock = locked(self._home, self.process)
        try:
            while self._stands_in_the_way():
                time.sleep(_LOOK_SECONDS)
        except BaseException:
            self._unlock()
            raise
        self._beating.start()

    def leave(self) -> None:
        """Give the place up: others take over what this process has not ended."""
        self._ended.set()
        self._beating.join(timeout=BEAT_SECONDS)
        try:
            with self._database.transaction() as tx:
                processes.remove(tx, self.process.sys_id)
        except KeysteadError as error:  # they will see that the beat stands still
            self._report("process.leave", reason=error.what)
        self._unlock()

    def _stands_in_the_way(self) -> bool:
        """Join unless somebody is in the way; false then. True while one may be dead."""
        with self._database.transaction() as tx:
            dead, others = self._look(tx)
            unfit = [other for other in others if self._is_unfit(other)]
            if not unfit:
                processes.add(tx, self.process)
                self.leads = self._is_first(others)
        self._tell(dead)
        for other in unfit:
            if _is_locked(self._home, self._database, other) or self._watch.has_beaten(other):
                raise _refusal(self._home, other)
        if not unfit:
            _remove_left(self._home, {p.sys_id for p in (self.process, *others)})
        return bool(unfit)

    def _is_unfit(self, other: Process) -> bool:
        if Role.ALONE in (self.process.role, other.role):
            return True
        both_serve = self.process.role == other.role == Role.SERVE
        return both_serve and not self._database.is_shared

    def _keep_beating(self) -> None:
        said = ""
        while not self._ended.wait(BEAT_SECONDS):
            try:
                with self._database.transaction() as tx:
                    returned = not processes.beat(tx, self.process.sys_id)
                    if returned:
                        processes.add(tx, self.process)
                    dead, others = self._look(tx)
                    self.leads = self._is_first(others)
            except Exception as error:
                reason = error.what if isinstance(error, KeysteadError) else type(error).__name__
                if reason != said:
                    self._report("process.beat", reason=reason)
                said = reason
                continue
            said = ""
            if returned:
                self._report("process.return", process=self.process.sys_id)
            self._tell(dead)

    def _look(self, tx: Connection) -> tuple[list[Process], list[Process]]:
        """Strike out the dead; them, and the others."""
        found = [p for p in processes.listed(tx) if p.sys_id != self.process.sys_id]
        dead = self._watch.dead(found)
        for process in dead:
            processes.remove(tx, process.sys_id)
        return dead, [process for process in found if process not in dead]

    def _is_first(self, others: list[Process]) -> bool:
        return all(self.process.sys_id < other.sys_id for other in others)

    def _tell(self, dead: list[Process]) -> None:
        for process in dead:
            self._report("process.dead", **process._asdict())

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            _remove(self._home, self.process.sys_id)


@contextmanager
def alone(home: Home, database: Database, patience_seconds: float) -> Iterator[None]:
    """Keep the processes of other homes off a database, for who holds this home alone.

    Raises:
        Conflict: while there is one, naming it.
    """
    if not database.is_shared or not _has_processes(database):
        yield  # nobody else can be there, or was of a version that told nobody
        return
    presence = Presence(home, database, Role.ALONE, patience_seconds, _say_nothing)
    presence.join()
    try:
        yield
    finally:
        presence.leave()


def watching(home: Home, database: Database, patience_seconds: float) -> Watch:
    """A watch over the processes of an instance, from one of its homes."""
    return Watch(lambda process: _is_gone(home, database, process), patience_seconds)


def here(home: Home) -> Process | None:
    """A process that works in this home now, by its lock; None when there is none."""
    for file in sorted(home.processes_folder.glob(f"*{_LOCK}")):
        if _is_held(file):
            role, host, pid, started = file.read_text(encoding="utf-8").split("\n")
            return Process(file.stem, role, host, str(home.folder), int(pid), started)
    return None


def _has_processes(database: Database) -> bool:
    with database.snapshot() as tx:
        return bool(inspect(tx).has_table(PROCESSES.name))


def _say_nothing(event: str, **facts: object) -> None:
    del event, facts


def _refusal(home: Home, other: Process) -> Conflict:
    if other.home == str(home.folder):
        return Conflict("home.served", home=home.folder, pid=other.pid, role=other.role)
    return Conflict(
        "process.lives", host=other.host, pid=other.pid, role=other.role, home=other.home
    )


def _is_here(home: Home, database: Database, process: Process) -> bool:
    """Whether a process has its lock in this home, as this machine sees it."""
    own = (socket.gethostname(), str(home.folder))
    return not database.is_shared or (process.host, process.home) == own


def _is_gone(home: Home, database: Database, process: Process) -> bool:
    return _is_here(home, database, process) and not _is_held(_lock_file(home, process.sys_id))


def _is_locked(home: Home, database: Database, process: Process) -> bool:
    return _is_here(home, database, process) and _is_held(_lock_file(home, process.sys_id))


def _lock_file(home: Home, process_id: str) -> Path:
    if not _ID.fullmatch(process_id):  # rows of processes are not tagged
        process_id = "0" * 32
    return home.processes_folder / f"{process_id}{_LOCK}"


def locked(home: Home, process: Process) -> IO[str]:
    """The lock file of a process, which appears under its name only once it is locked."""
    home.processes_folder.mkdir(exist_ok=True)
    file = _lock_file(home, process.sys_id)
    draft = file.with_suffix(_DRAFT)
    lock = draft.open("x", encoding="utf-8")
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.write(f"{process.role}\n{process.host}\n{process.pid}\n{process.started_at}")
    lock.flush()
    draft.rename(file)
    return lock


def _is_held(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _remove_left(home: Home, living: set[str]) -> None:
    """Remove what processes left here that are gone and struck out."""
    for process_id in {file.stem for file in home.processes_folder.iterdir()} - living:
        lock = _lock_file(home, process_id)
        if not _is_held(lock) and not _is_held(lock.with_suffix(_DRAFT)):
            _remove(home, process_id)


def _remove(home: Home, process_id: str) -> None:
    for file in home.processes_folder.glob(f"{process_id}.*"):
        file.unlink(missing_ok=True)
