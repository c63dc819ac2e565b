"""`kill -9` while clients write and a table is encrypted and rekeyed: it ends as if nothing was.

What is killed is the process that serves, by which callers write and which runs the job, and the
database server itself. Clients do again what was not acknowledged; a job that failed is resumed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from demo import servers
from demo.servers import Server
from tests.concurrency.clients import Clients
from tests.concurrency.foreign import Foreign
from tests.concurrency.places import Place, seed
from tests.concurrency.table import (
    assert_is_sealed_as_noted,
    prepare,
    resume,
    rotate,
    start,
)

from keystead.base.errors import Unavailable
from keystead.instance.opening import Instance
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind, JobState
from keystead.jobs.service import Job

ROWS, PACE, PATIENCE = 160, 300, 300.0


class Site:
    """A serving process, and the database server that it needs, if any."""

    def __init__(self, place: Place, server: Server | None) -> None:
        self.place = place
        self.server = server
        self._process: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        words = [sys.executable, "-m", "keystead.programs.cli", "serve", str(self.place.folder)]
        log = (self.place.folder.parent / "serve.log").open("ab")
        with log:
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Serving"), log.name
        self._process = process

    def kill_process(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def kill_server(self) -> None:
        """The database server; where there is none, the process once more."""
        if self.server is None:
            self.kill_process()
        else:
            self.server.kill()

    def again(self) -> None:
        """Start what was killed."""
        if self.server is not None and not _is_alive(self.server.pid):
            self.server = self.server.again()
        if self._process is None or self._process.poll() is not None:
            self.serve()

    def end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=30)
            assert self._process.stdout is not None
            self._process.stdout.close()
        if self.server is not None:
            self.server.stop()


def _is_alive(pid: int) -> bool:
    """Whether a child of this process runs."""
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


@pytest.fixture(params=["sqlite", *servers.KINDS])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    engine, url = str(request.param), None
    with ExitStack() as stack:
        server = None
        if engine != "sqlite":
            try:
                server = servers.start(engine, durable=True)
            except servers.Missing as missing:
                pytest.skip(str(missing))
            stack.callback(server.stop)
            servers.create_database(server, "prod")
            url = f"{server.url}/prod"
        place = Place(engine, tmp_path / "home", url)
        place.init(_free_port())
        with closing(Foreign(place)) as foreign:
            foreign.create()
        made = Site(place, server)
        with closing(place.open()) as at:
            prepare(at)
        stack.pop_all()
        stack.callback(made.end)
        made.serve()
        yield made


@pytest.mark.long
def test_no_write_is_lost_and_none_is_done_twice(site):
    clients = Clients(site.place, seed(), users=2, callers=3, applications=3)
    clients.fill(ROWS)
    with closing(site.place.open()) as at:
        clients.start()
        try:
            job_id = start(at, JobKind.ENCRYPT, PACE)
            wait_until(site, at, job_id, past(0.1))
            site.kill_process()
            clients.refuse_plain()  # before the job can have ended
            site.again()
            wait_until(site, at, job_id, past(0.4))
            site.kill_server()
            site.again()
            finish(site, at, job_id)

            rotate(at)
            job_id = start(at, JobKind.REKEY, PACE)
            wait_until(site, at, job_id, past(0.2))
            site.kill_server()
            site.again()
            wait_until(site, at, job_id, past(0.5))
            site.kill_process()
            site.kill_server()
            site.again()
            finish(site, at, job_id)
        finally:
            clients.stop()
        assert clients.done["again"]
        assert_is_sealed_as_noted(at, clients.journal)


def past(part: float) -> Callable[[Job], bool]:
    """Whether a job has come so far, or has ended."""
    return lambda job: job["done"] > part * ROWS or job["state"] == JobState.DONE


def wait_until(site: Site, at: Instance, job_id: str, holds: Callable[[Job], bool]) -> None:
    """Wait for a job, resuming it when it failed because the database was away."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with at.database.snapshot() as tx:
                job = jobs.get(tx, job_id)
            if holds(job):
                return
            if job["state"] == JobState.FAILED:
                assert job["error_family"] == Unavailable.family
                resume(at, job_id)
        except Unavailable:
            site.again()  # a server that crashed by itself, too
        time.sleep(0.02)
    pytest.fail(f"the job stands at {job}")


def finish(site: Site, at: Instance, job_id: str) -> None:
    wait_until(site, at, job_id, lambda job: job["state"] == JobState.DONE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
