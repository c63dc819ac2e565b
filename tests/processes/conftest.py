"""Several processes of one instance, from its home and from a copy as on another machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text
from tests.cli.conftest import free_port, ok

ROWS = 2_000
PATIENCE = 60.0
PROCESS_PATIENCE = 5


class Running:
    """A `keystead serve` or `keystead worker`."""

    def __init__(self, role: str, home: Path) -> None:
        self.role, self.home, self.port = role, home, free_port()
        environment = {
            **os.environ,
            "KEYSTEAD_PORT": str(self.port),
            "KEYSTEAD_PROCESS_PATIENCE": str(PROCESS_PATIENCE),
        }
        words = [sys.executable, "-m", "keystead.programs.cli", role, str(home)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment)
        self.pid = self.process.pid

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        said = self.process.stdout.readline().decode()
        assert said.startswith(("Serving", "Working")), said

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(timeout=PATIENCE)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What this process wrote about an event into the log of its home."""
        lines = (self.home / "logs" / "serve.log").read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        return [one for one in found if one["event"] == event and one["pid"] == self.pid]


class Site:
    """An instance with two homes on one server, or one home with a file."""

    def __init__(self, folder: Path, url: URL | None) -> None:
        self.home, self.copy = folder / "prod", folder / "copy"
        self.url = url
        server = ["--database", url.render_as_string(hide_password=False)] if url else []
        ok("init", self.home, "--name", "prod", "--port", free_port(), *server)
        ok("module", "create", self.home, "m", "--publish")
        if url:
            shutil.copytree(self.home, self.copy)
        self._stack = ExitStack()

    def start(self, *roles: tuple[str, Path]) -> list[Running]:
        """Start processes together and wait until each is ready."""
        started = [Running(role, home) for role, home in roles]
        for one in started:
            self._stack.callback(one.end)
        for one in started:
            one.wait_until_ready()
        return started

    def load(self, table: str, rows: int = ROWS) -> None:
        """A table with one encrypted column."""
        file = self.home.parent / f"{table}.csv"
        lines = [f"{n:06d},value {n}\n" for n in range(rows)]
        file.write_text("number,name\n" + "".join(lines), encoding="utf-8")
        ok("load", self.home, table, file, "--key", "number")
        ok("field", "add", self.home, table, "name", "--module", "m")

    def encrypt(self, table: str, rate: int) -> str:
        return str(ok("encrypt", self.home, table, "--rate", rate, "--no-wait")["job"])

    def job(self, job_id: str) -> dict[str, Any]:
        return next(job for job in ok("job", "list", self.home) if job["job"] == job_id)

    def query(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        url = self.url or f"sqlite:///{self.home / 'instance.db'}"
        if self.url:
            url = self.url.set(drivername="postgresql+psycopg")
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(statement), values)]
        finally:
            engine.dispose()

    def holder(self, job_id: str) -> tuple[int, int, int]:
        """Process id of who holds a job, its fence, and how many rows are done."""
        found = self.query(
            "SELECT p.pid, j.fence, j.done FROM keystead_job j"
            " LEFT JOIN keystead_process p ON p.sys_id = j.holder WHERE j.sys_id = :job",
            job=job_id,
        )
        return found[0][0] or 0, found[0][1], found[0][2]

    def close(self) -> None:
        self._stack.close()


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until a condition holds; what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"it never came: {what}")


@pytest.fixture
def site(postgresql: URL, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, postgresql)
    yield made
    made.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, None)
    yield made
    made.close()
