"""A SQLite database copied whole: what is not whole is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.errors import Invalid, KeysteadError
from keystead.database.model import Column, ColumnType, Table

TABLE = Table("t", (Column("id", ColumnType.INTEGER), Column("a", ColumnType.TEXT)), ("id",))
ROWS = [(n, f"value {n}" * 20) for n in range(2_000)]


def ignore(_done: int, _total: int) -> None:
    """Nobody watches."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    database = SqliteDatabase(tmp_path / "from.db")
    with database.transaction() as tx:
        database.create_table(tx, TABLE)
        database.insert(tx, "t", ["id", "a"], ROWS)
    file = tmp_path / "copy"
    file.write_bytes(b"".join(database.copy(tmp_path / "scratch", ignore)))
    assert (tmp_path / "scratch").stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.glob("scratch*")) == ["scratch"]
    database.close()
    return file


def filled(file: Path, folder: Path) -> list[tuple[object, ...]]:
    database = SqliteDatabase(folder / "to.db")
    try:
        database.fill(iter([file.read_bytes()]), folder / "filling")
        with database.snapshot() as tx:
            mode = tx.exec_driver_sql("PRAGMA journal_mode").scalar()
            assert mode == "wal"
            return list(database.page(tx, "t", ["id"], ["a"], None, 10_000))
    finally:
        database.close()


def test_it_comes_back(copy: Path, tmp_path: Path) -> None:
    assert filled(copy, tmp_path) == ROWS


def test_it_never_replaces_a_file(copy: Path, tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "from.db")
    before = copy.read_bytes()
    with pytest.raises(FileExistsError):
        next(database.copy(copy, ignore))
    database.close()
    assert copy.read_bytes() == before


@pytest.mark.parametrize("keep", [0, 10, 100])
def test_what_is_no_database_is_refused(copy: Path, tmp_path: Path, keep: int) -> None:
    copy.write_bytes(copy.read_bytes()[:keep] + b"x" * 4096 * (keep < 16))
    with pytest.raises(KeysteadError):
        filled(copy, tmp_path)


def test_one_with_a_damaged_page_is_refused(copy: Path, tmp_path: Path) -> None:
    content = bytearray(copy.read_bytes())
    content[4096 * 3 : 4096 * 3 + 200] = bytes(200)
    copy.write_bytes(content)
    with pytest.raises((Invalid, KeysteadError)):
        filled(copy, tmp_path)
