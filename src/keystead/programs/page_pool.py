"""Working out the pages of mass jobs in processes of their own, one for each core.

A process opens the home itself, so no key leaves the process that uses it: rows go in as they are
stored, changes come out as they are to be stored. The processes stay for the next job, and end
with the one that made them, however that ends.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from keystead.base.errors import Unavailable
from keystead.fields.moves import Changes, page_changes

if TYPE_CHECKING:
    from keystead.database.port import Row
    from keystead.instance.opening import Instance


class ProcessPagePool:
    """Processes that have a home open; they are started when the first page comes."""

    def __init__(self, folder: Path, processes: int) -> None:
        self.width = processes + 1
        self._folder = folder
        self._processes = processes
        self._executor: ProcessPoolExecutor | None = None

    def submit(self, job_id: str, rows: Sequence[Row], key_width: int) -> Callable[[], Changes]:
        """Begin with a page; what is returned waits for its changes.

        Raises:
            Unavailable: (when waiting) when a process ended before it was done.
        """
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._processes,
                mp_context=get_context("spawn"),
                initializer=_open,
                initargs=(self._folder,),
            )
        try:
            future = self._executor.submit(_work_out, job_id, rows, key_width)
        except BrokenProcessPool:
            raise self._lost(job_id) from None
        return lambda: self._wait(job_id, future)

    def close(self) -> None:
        """End the processes."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _wait(self, job_id: str, future: Future[Changes]) -> Changes:
        try:
            return future.result()
        except BrokenProcessPool:
            raise self._lost(job_id) from None

    def _lost(self, job_id: str) -> Unavailable:
        self.close()
        return Unavailable("job.pages_lost", job=job_id)


_opened: list[Instance] = []


def _open(folder: Path) -> None:
    from keystead.programs.instance import open_instance

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever made them is told, and ends them
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _opened.append(open_instance(folder))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _work_out(job_id: str, rows: Sequence[Row], key_width: int) -> Changes:
    (instance,) = _opened
    return page_changes(instance.database, instance.hierarchy, job_id, rows, key_width)
