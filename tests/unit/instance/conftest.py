"""A home of the first version, from frozen SQL and files, as `init` and the mass jobs made it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

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
