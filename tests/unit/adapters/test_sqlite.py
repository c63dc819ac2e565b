"""What SQLite's own schema statements say, in the many ways they can be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.errors import Invalid
from keystead.database.model import Table


class Site:
    def __init__(self, file: Path) -> None:
        self.raw = sqlite3.connect(file, isolation_level=None)
        self.database = SqliteDatabase(file)

    def table(self, create: str, *more: str) -> Table:
        for statement in (create, *more):
            self.raw.execute(statement)
        with self.database.snapshot() as tx:
            return self.database.describe(tx, "t")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "a.db")
    yield made
    made.raw.close()
    made.database.close()


@pytest.mark.parametrize(
    ("create", "unique"),
    [
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE)", {"a"}),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL COLLATE NOCASE unique)", {"a"}),
        ('CREATE TABLE t (id INTEGER PRIMARY KEY, "a" TEXT CONSTRAINT u UNIQUE, b TEXT)', {"a"}),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c, UNIQUE (a, [c]))", {"a", "c"}),
        ("CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (a, b))", set()),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT 'UNIQUE')", set()),
    ],
)
def test_unique_columns_are_found_however_they_were_declared(
    site: Site, create: str, unique: set[str]
) -> None:
    assert site.table(create).unique == unique


@pytest.mark.parametrize(
    ("index", "unique"),
    [
        ("CREATE UNIQUE INDEX i ON t (a)", {"a"}),
        ("CREATE INDEX i ON t (a)", set()),
        ("CREATE UNIQUE INDEX i ON t (lower(A))", {"a"}),
        ("CREATE UNIQUE INDEX i ON t (b, a || 'x') WHERE b > 1", {"a", "b"}),
    ],
)
def test_unique_indexes_hold_the_columns_they_name(
    site: Site, index: str, unique: set[str]
) -> None:
    create = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER)"
    assert site.table(create, index).unique == unique


@pytest.mark.parametrize(
    ("columns", "checked"),
    [
        ("a TEXT CHECK (a <> ''), b TEXT", {"a"}),
        ("a TEXT, b TEXT, CHECK (length(A) > 2 AND (a <> ')' OR \"b\" IS NULL))", {"a", "b"}),
        ("a TEXT CONSTRAINT c check(a IN ('x', 'y')), b TEXT", {"a"}),
        ("a TEXT DEFAULT 'CHECK (b)', b TEXT /* CHECK (a) */", set()),
        ("a TEXT, -- CHECK (a > b)\n b TEXT CHECK ([b] <> '(')", {"b"}),
        ("a TEXT, b TEXT", set()),
    ],
)
def test_checked_columns_are_found_however_they_were_declared(
    site: Site, columns: str, checked: set[str]
) -> None:
    table = site.table(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})")
    assert {column.name for column in table.columns if column.checked} == checked


def test_a_column_is_widened_under_its_views_and_triggers(site: Site) -> None:
    table = site.table(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER DEFAULT 5, b TEXT)",
        "CREATE VIEW seen AS SELECT a, b FROM t",
        "CREATE TABLE other (n)",
        "CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO other VALUES (new.a); END",
        "INSERT INTO t (b) VALUES ('x')",
    )
    with site.database.transaction() as tx:
        site.database.widen(tx, table, "a")
    assert site.raw.execute("SELECT a, b FROM seen").fetchall() == [("5", "x")]
    site.raw.execute("INSERT INTO t (a, b) VALUES ('long', 'y')")
    assert site.raw.execute("SELECT n FROM other").fetchall() == [(5,), ("long",)]
    assert site.raw.execute("PRAGMA legacy_alter_table").fetchone() == (0,)


def test_text_that_is_not_utf8_is_told(site: Site) -> None:
    site.table("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    site.raw.execute("INSERT INTO t VALUES (1, CAST(x'ff41' AS TEXT))")
    with pytest.raises(Invalid, match="not valid UTF-8"), site.database.snapshot() as tx:
        site.database.page(tx, "t", ["id"], ["a"], None, 10)
