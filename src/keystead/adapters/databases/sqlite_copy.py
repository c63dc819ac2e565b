"""A whole SQLite database as one file, and back, by SQLite's own backup.

The source is read inside one read transaction, so the copy is of one moment while others write.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from keystead.base.errors import Invalid

_MAGIC: Final = b"SQLite format 3\0"
_PAGES = 2_000


def copy_to(source: sqlite3.Connection, file: Path, on_bytes: Callable[[int, int], None]) -> None:
    """Copy what a connection sees now to a new file that only its owner can read."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    (page_size,) = source.execute("PRAGMA page_size").fetchone()

    def report(_status: int, remaining: int, total: int) -> None:
        on_bytes((total - remaining) * page_size, total * page_size)

    with closing(sqlite3.connect(file, isolation_level=None)) as target:
        source.execute("BEGIN")
        try:
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(target, pages=_PAGES, progress=report)
        finally:
            source.execute("ROLLBACK")
        # one file, without a log beside it
        target.execute("PRAGMA journal_mode = DELETE")


def copy_from(target: sqlite3.Connection, file: Path) -> None:
    """Fill an empty database from such a file.

    Raises:
        Invalid: when the file is not a whole SQLite database.
    """
    with file.open("rb") as source:
        if source.read(len(_MAGIC)) != _MAGIC:
            raise Invalid("backup.engine")
    with closing(sqlite3.connect(file, isolation_level=None)) as source:
        source.backup(target)
    target.execute("PRAGMA journal_mode = WAL")
    if target.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise Invalid("backup.engine")
