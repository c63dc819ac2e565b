"""What only PostgreSQL has: its catalogue, its limits, its errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import errors
from sqlalchemy import URL

from keystead.adapters.databases import postgresql as adapter
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.base.errors import Conflict, Invalid, KeysteadError, Misconfigured, Unavailable
from keystead.database.model import Column, ColumnType, Table
from keystead.database.port import change
from keystead.instance.registry import CAPABILITIES

TEXT, INTEGER = ColumnType.TEXT, ColumnType.INTEGER


@pytest.fixture
def database(postgresql: URL) -> Iterator[PostgresqlDatabase]:
    made = PostgresqlDatabase(postgresql)
    yield made
    made.close()


def run(database: PostgresqlDatabase, *statements: str) -> None:
    with database.transaction() as tx:
        for statement in statements:
            tx.exec_driver_sql(statement)


def describe(database: PostgresqlDatabase, *statements: str) -> Table:
    run(database, *statements)
    with database.snapshot() as tx:
        return database.describe(tx, "t")


def widen(database: PostgresqlDatabase, column: str) -> None:
    with database.transaction() as tx:
        database.widen(tx, database.describe(tx, "t"), column)


@pytest.mark.parametrize(
    ("statement", "unique"),
    [
        ("CREATE UNIQUE INDEX ON t (lower(a))", {"a"}),
        ("CREATE UNIQUE INDEX ON t (b, lower(a || b))", {"a", "b"}),
        ("CREATE UNIQUE INDEX ON t (b) WHERE a <> ''", {"a", "b"}),
        ("CREATE INDEX ON t (a, b)", set()),
        ("ALTER TABLE t ADD EXCLUDE USING btree (a WITH =)", {"a"}),
    ],
)
def test_an_index_holds_every_column_it_looks_at(database, statement, unique):
    found = describe(database, "CREATE TABLE t (id int PRIMARY KEY, a text, b text)", statement)
    assert found.unique == unique


def test_a_column_that_others_refer_to_is_held(database):
    found = describe(
        database,
        "CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE)",
        "CREATE TABLE o (id int PRIMARY KEY, code text REFERENCES t (code))",
    )
    assert found.foreign == {"code"}


@pytest.mark.parametrize("declared", ["jsonb", "bytea", "short", "mood", "text[]", "inet"])
def test_types_that_are_neither_text_nor_whole_numbers(database, declared):
    run(database, "CREATE DOMAIN short AS text CHECK (length(VALUE) < 9)")
    run(database, "CREATE TYPE mood AS ENUM ('glad')")
    found = describe(database, f"CREATE TABLE t (id int PRIMARY KEY, v {declared})")
    assert found.columns[1].type is ColumnType.OTHER


def test_the_column_that_parts_a_table_is_left_alone(database):
    found = describe(
        database,
        "CREATE TABLE t (id int, year int, PRIMARY KEY (id, year)) PARTITION BY RANGE (year)",
        "CREATE TABLE t_2026 PARTITION OF t FOR VALUES FROM (2026) TO (2027)",
    )
    assert [c.checked for c in found.columns] == [False, True]
    with database.snapshot() as tx:
        assert database.table_names(tx) == ["t"]


@pytest.mark.parametrize("kind", ["uuid", "numeric(9, 2)", "timestamptz", "bytea", "char(4)"])
def test_keys_of_every_type_are_paged_and_compared(database, kind):
    of = {
        "uuid": lambda n: f"{9 - n:08d}-0000-4000-8000-00000000000{n}",
        "numeric(9, 2)": lambda n: f"{9 * 10**n}.00",
        "timestamptz": lambda n: f"2026-01-0{n + 1} 10:00:00.5+00",
        "bytea": lambda n: f"\\x0{n}ff",
        "char(4)": lambda n: f"k{n}",
    }[kind]
    keys = [of(n) for n in range(5)]
    run(database, f"CREATE TABLE t (id {kind} PRIMARY KEY, v text)")
    with database.transaction() as tx:
        database.insert(tx, "t", ["id", "v"], [(key, str(n)) for n, key in enumerate(keys)])
    found, after = [], None
    with database.transaction() as tx:
        while page := database.page(tx, "t", ["id"], ["v"], after, 2):
            found += page
            after = page[-1][:1]
        assert sorted(found) == sorted((key, str(n)) for n, key in enumerate(keys))
        changes = [change(row[:1], row[1:], ("new",)) for row in found]
        assert database.compare_and_set(tx, "t", ["id"], ["v"], changes) == 5


@pytest.mark.parametrize("declared", ["uuid", "char(9)", "varchar(9)", "text COLLATE loose"])
def test_widening_makes_text_that_compares_by_bytes(database, declared):
    run(
        database,
        "CREATE COLLATION loose"
        " (provider = icu, locale = 'und-u-ks-level1', deterministic = false)",
        f"CREATE TABLE t (id int PRIMARY KEY, v {declared})",
    )
    widen(database, "v")
    with database.snapshot() as tx:
        kept = adapter.schema.stored(tx, "t")["v"]
    assert kept.is_wide


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW w AS SELECT n FROM t",
        "ALTER TABLE t ADD m int GENERATED ALWAYS AS (n + 1) STORED",
        "ALTER TABLE t ALTER n SET NOT NULL, ALTER n ADD GENERATED ALWAYS AS IDENTITY",
    ],
)
def test_a_column_that_something_is_made_of_is_not_widened(database, statement):
    run(database, "CREATE TABLE t (id int PRIMARY KEY, n int)", statement)
    with pytest.raises(Invalid) as caught:
        widen(database, "n")
    assert caught.value.code == "field.refused"


def test_a_value_too_long_for_an_index_is_refused_and_not_quoted(database):
    run(database, "CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE INDEX ON t (v)")
    long = "".join(chr(0x4E00 + n) for n in range(9_000))
    with pytest.raises(Invalid) as caught, database.transaction() as tx:
        database.insert(tx, "t", ["id", "v"], [(1, long)])
    assert caught.value.code == "database.value"


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 2**63, "seven"])
def test_a_value_that_cannot_be_held_is_refused_and_not_quoted(database, value):
    column = "n" if value in (2**63, "seven") else "v"
    run(database, "CREATE TABLE t (id int PRIMARY KEY, v text, n bigint)")
    with pytest.raises(Invalid) as caught, database.transaction() as tx:
        database.insert(tx, "t", ["id", column], [(1, value)])
    assert caught.value.code == "database.value"
    assert "seven" not in caught.value.what


def test_names_that_the_server_would_cut_off_are_refused(database):
    key = (Column("id", TEXT, nullable=False),)
    for made in (
        Table("社" * 22, key, ("id",)),
        Table("pg_class", key, ("id",)),
        Table("t", (*key, Column("é" * 32, TEXT)), ("id",)),
    ):
        with pytest.raises(Invalid) as caught, database.transaction() as tx:
            database.create_table(tx, made)
        assert caught.value.code == "name.engine"
    with database.transaction() as tx:
        database.create_table(tx, Table("社" * 21, key, ("id",)))


def test_one_database_holds_one_instance(database):
    assert CAPABILITIES
    with database.transaction() as tx:
        database.create_own_tables(tx)
    with pytest.raises(Conflict) as caught, database.transaction() as tx:
        database.create_own_tables(tx)
    assert caught.value.code == "database.taken"


def test_a_turn_that_does_not_come_is_told(database, postgresql, monkeypatch):
    monkeypatch.setitem(adapter._SETTINGS, "lock_timeout", "50")
    impatient = PostgresqlDatabase(postgresql)
    with database.transaction():
        with pytest.raises(Unavailable) as caught, impatient.transaction():
            pass
        with impatient.snapshot() as tx:
            assert impatient.table_names(tx) == []
    impatient.close()
    assert caught.value.code == "database.busy"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DeadlockDetected("k"), "database.busy"),
        (errors.SerializationFailure("k"), "database.busy"),
        (errors.DiskFull("k"), "disk.full"),
        (errors.InsufficientPrivilege("k"), "database.rights"),
        (errors.AdminShutdown("k"), "database.away"),
        (errors.UndefinedFunction("k"), "database.broken"),
    ],
)
def test_errors_have_meanings(error, code):
    assert adapter._translated(error, "server").code == code


@pytest.mark.parametrize(
    ("part", "code", "family"),
    [
        ({"password": "wrong"}, "database.login", Misconfigured),
        ({"database": "absent"}, "database.absent", Misconfigured),
        ({"port": 1}, "database.away", Unavailable),
    ],
)
def test_a_server_that_cannot_be_used_says_why(postgresql, part, code, family):
    database = PostgresqlDatabase(postgresql.set(**part))
    with pytest.raises(KeysteadError) as caught, database.snapshot():
        pass
    assert type(caught.value) is family
    assert caught.value.code == code
    assert str(postgresql.password) not in caught.value.what


def test_a_server_that_goes_away_is_told_and_found_again(database, postgresql):
    with pytest.raises(Unavailable) as caught:
        run(database, "CREATE TABLE t (id int)", "SELECT pg_terminate_backend(pg_backend_pid())")
    assert caught.value.code == "database.away"
    with database.snapshot() as tx:
        assert database.table_names(tx) == []
