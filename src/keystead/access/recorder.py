"""What is written down after a request: what was shown, what was refused, who failed to log in.

To write takes the one turn to write, which must not be asked of a database once for each request.
So it is merged and written together by one thread of the process, after a few seconds at most: to
wait for it would make every reader wait for whoever writes. When much is waiting, or the last
write failed, nothing more is shown before it is written.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import Final

from sqlalchemy import Connection

from keystead.access.rejections import Refusals
from keystead.audit import log
from keystead.audit.entries import Detail
from keystead.database.port import Database

SECONDS_BETWEEN_WRITES: Final = 2
MOST_WAITING: Final = 1_000
UNKNOWN: Final = "?"


class _Waiting:
    """What is to be written down."""

    def __init__(self) -> None:
        self.refusals: dict[str, Refusals] = {}
        self.log_ins: Counter[str] = Counter()
        self.shown: list[log.Done] = []

    def __bool__(self) -> bool:
        return bool(self.refusals or self.log_ins or self.shown)

    def add(self, others: _Waiting) -> None:
        for actor, refusals in others.refusals.items():
            self.refusals.setdefault(actor, Refusals()).add(refusals)
        self.log_ins.update(others.log_ins)
        self.shown += others.shown

    def write(self, tx: Connection) -> None:
        log.record_many(tx, self.shown)
        for actor, refusals in self.refusals.items():
            refusals.write(tx, actor)
        for user, count in self.log_ins.items():
            log.record(tx, "nobody", "login.refuse", user, count=count)


class Recorder:
    """Writes down what happened in requests that have ended. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting = _Waiting()
        self._lock = Lock()
        self._turn = Lock()
        self._ended = Event()
        self._thread: Thread | None = None
        self._is_behind = False

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def refusals(self, actor: str) -> Iterator[Refusals]:
        """Collect refusals, to be written later, also when the request failed.

        Open it around the request's own transaction, which has ended by then.
        """
        refusals = Refusals()
        try:
            yield refusals
        finally:
            if refusals:
                noted = _Waiting()
                noted.refusals[actor] = refusals
                self._later(noted)

    def refuse_log_in(self, user: str) -> None:
        """Note that somebody was not proven to be a user; one who is not there is `UNKNOWN`."""
        noted = _Waiting()
        noted.log_ins[user] = 1
        self._later(noted)

    def show(self, caller: str, action: str, subject: str, detail: Detail) -> None:
        """Note that something was shown: an entry of the audit log.

        Raises:
            Unavailable: when what was noted before could not be written, and still cannot.
        """
        noted = _Waiting()
        noted.shown.append(log.Done(caller, action, subject, detail))
        self._later(noted)
        if self._is_behind:
            self.flush()

    def flush(self) -> None:
        """Write down all that was noted until now.

        Raises:
            Unavailable: when it cannot be written now; it is kept.
        """
        with self._turn:
            with self._lock:
                taken, self._waiting = self._waiting, _Waiting()
            if not taken:
                return
            try:
                with self._database.transaction() as tx:
                    taken.write(tx)
            except BaseException:
                self._is_behind = True
                with self._lock:
                    taken.add(self._waiting)
                    self._waiting = taken
                raise
            self._is_behind = False

    def close(self) -> None:
        """Write down what is left, and end the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _later(self, noted: _Waiting) -> None:
        with self._lock:
            self._waiting.add(noted)
            is_full = len(self._waiting.shown) > MOST_WAITING
            if self._thread is None and not self._ended.is_set():
                self._thread = Thread(target=self._run, name="recorder", daemon=True)
                self._thread.start()
        if is_full or self._ended.is_set():
            self.flush()

    def _run(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_WRITES):
            try:
                self.flush()
            except Exception as error:
                # it is kept, and tried again
                logging.getLogger(__name__).warning("not written down: %s", type(error).__name__)
