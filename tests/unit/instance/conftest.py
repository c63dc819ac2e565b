"""A home of the first version, from frozen SQL and files, as `init` and the mass jobs made it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from keystead.base import clock
from keystead.base.ids import new_id
from keystead.instance import presence
from keystead.instance.home import Home
from keystead.jobs.processes import Process, Role

FIRST = Path(__file__).parent / "home_0001"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    shutil.copytree(FIRST, folder)
    with closing(sqlite3.connect(folder / "instance.db")) as connection:
        connection.executescript((folder / "instance.sql").read_text(encoding="utf-8"))
    (folder / "instance.sql").unlink()
    (folder / "root.key").chmod(0o600)
    return folder


@pytest.fixture
def served() -> Callable[[Home], AbstractContextManager[None]]:
    """Lets a home be served, as far as its locks tell."""

    @contextmanager
    def serve(home: Home) -> Iterator[None]:
        process = Process(new_id(), Role.SERVE, "here", str(home.folder), 4711, clock.now())
        with presence.locked(home, process):
            yield

    return serve
