"""What only MariaDB has: changes of tables that commit by themselves, its limits, its errors."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest
from sqlalchemy import URL

from keystead.adapters.databases import mariadb as adapter
from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.mariadb_changes import Changes
from keystead.base.errors import Conflict, Invalid, KeysteadError, Misconfigured, Unavailable
from keystead.database.model import STAGING_PREFIX, Column, ColumnType, Table
from keystead.database.port import change
from keystead.database.versions import migrate
from keystead.instance.registry import CAPABILITIES

TEXT, INTEGER = ColumnType.TEXT, ColumnType.INTEGER
T = Table("t", (Column("id", TEXT, nullable=False), Column("n", INTEGER)), ("id",))


@pytest.fixture
def database(mariadb: URL) -> Iterator[MariadbDatabase]:
    made = MariadbDatabase(mariadb)
    yield made
    made.close()


def run(database: MariadbDatabase, *statements: str) -> None:
    with database.transaction() as tx:
        for statement in statements:
            tx.exec_driver_sql(statement)


def names(database: MariadbDatabase) -> list[str]:
    """The tables, after what was left has been settled."""
    with database.transaction() as tx:
        return database.table_names(tx)


class Killed(BaseException):
    """The program died here."""


@pytest.fixture
def dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs die at the end of their transactions, before they tidy up."""

    def die(self: Changes, *, committed: bool) -> None:
        if self._aside is not None:
            self._aside.close()
        monkeypatch.undo()
        raise Killed

    monkeypatch.setattr(Changes, "end", die)


def test_a_table_that_was_never_committed_goes_away(database, dies):
    def act() -> None:
        with database.transaction() as tx:
            database.create_table(tx, T)
            database.insert(tx, "t", ["id", "n"], [("a", 1)])
            raise RuntimeError

    with pytest.raises(Killed):
        act()
    with database.snapshot() as tx:
        assert database.table_names(tx) == ["t"]
    assert names(database) == []


def test_a_table_that_was_committed_stays(database, dies):
    def act() -> None:
        with database.transaction() as tx:
            database.create_table(tx, T)
            database.insert(tx, "t", ["id", "n"], [("a", 1)])

    with pytest.raises(Killed):
        act()
    assert names(database) == ["t"]
    with database.snapshot() as tx:
        assert database.count_rows(tx, "t") == 1


def test_what_was_committed_is_done_by_whoever_comes_next(database, request):
    with database.transaction() as tx:
        for name in ("a", "b", "c"):
            database.create_table(tx, Table(name, T.columns, T.primary_key))
    request.getfixturevalue("dies")

    def act() -> None:
        with database.transaction() as tx:
            database.rename_table(tx, "a", "new")
            database.drop_table(tx, "b")
            assert database.table_names(tx) == ["c", "new"]
            assert database.describe(tx, "new").primary_key == ("id",)

    with pytest.raises(Killed):
        act()
    assert names(database) == ["c", "new"]
    assert names(database) == ["c", "new"]


def test_several_columns_of_a_table_are_widened_in_one_transaction(database):
    run(database, "CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(9), c INT DEFAULT 7)")
    with database.transaction() as tx:
        for column in "abc":
            counted = database.count_by_prefix(tx, "t", column, "~ks1", 29)
            assert counted == {}
            database.create_table(tx, Table(f"of {column}", T.columns, T.primary_key))
            database.widen(tx, database.describe(tx, "t"), column)
    with database.snapshot() as tx:
        assert all(adapter.schema.stored(tx, "t")[column].is_wide for column in "abc")


def test_a_table_is_not_altered_after_its_rows_were_written(database):
    with database.transaction() as tx:
        database.create_table(tx, T)

    def act() -> None:
        with database.transaction() as tx:
            database.insert(tx, "t", ["id", "n"], [("a", 1)])
            database.widen(tx, T, "n")

    with pytest.raises(RuntimeError):
        act()


def test_what_the_default_collation_takes_for_equal_differs(database):
    run(
        database,
        "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, v VARCHAR(9)) COLLATE utf8mb4_general_ci",
        "INSERT INTO t VALUES ('1', 'JOSÉ ')",
    )
    with database.transaction() as tx:
        one = change(("1",), ("Jose",), ("lost",))
        assert database.compare_and_set(tx, "t", ["id"], ["v"], [one]) == 0
        other = change(("1",), ("JOSÉ ",), ("kept",))
        assert database.compare_and_set(tx, "t", ["id"], ["v"], [other]) == 1


@pytest.mark.parametrize("kind", ["UUID", "DECIMAL(9, 2)", "DATETIME(1)", "BINARY(2)", "CHAR(4)"])
def test_keys_of_every_type_are_paged_and_compared(database, kind):
    written, of = {
        "UUID": ("'{0}'", lambda n: f"{9 - n:08d}-0000-4000-8000-00000000000{n}"),
        "DECIMAL(9, 2)": ("{0}", lambda n: f"{9 * 10**n}.00"),
        "DATETIME(1)": ("'{0}'", lambda n: f"2026-01-0{n + 1} 10:00:00.5"),
        "BINARY(2)": ("UNHEX('{0}')", lambda n: f"0{n}FF"),
        "CHAR(4)": ("'{0}'", lambda n: f"k{n}"),
    }[kind]
    keys = [of(n) for n in range(5)]
    rows = ", ".join(f"({written.format(key)}, '{n}')" for n, key in enumerate(keys))
    run(database, f"CREATE TABLE t (id {kind} PRIMARY KEY, v TEXT)", f"INSERT INTO t VALUES {rows}")
    found, after = [], None
    with database.transaction() as tx:
        while page := database.page(tx, "t", ["id"], ["v"], after, 2):
            found += page
            after = page[-1][:1]
        assert sorted(found) == sorted((key, str(n)) for n, key in enumerate(keys))
        changes = [change(row[:1], row[1:], ("new",)) for row in found]
        assert database.compare_and_set(tx, "t", ["id"], ["v"], changes) == 5


def test_a_value_longer_than_its_key_is_refused_and_nothing_is_cut_off(database):
    def act() -> None:
        with database.transaction() as tx:
            database.create_table(tx, T)
            database.insert(tx, "t", ["id"], [("x" * 769,)])

    with pytest.raises(Invalid) as caught:
        act()
    assert caught.value.code == "database.value"
    assert names(database) == []


def test_names_that_the_server_cannot_hold_are_refused(database):
    for name in ("x" * 65, "😀"):
        with pytest.raises(Invalid) as caught, database.transaction() as tx:
            database.create_table(tx, Table(name, T.columns, T.primary_key))
        assert caught.value.code == "name.engine"


def test_staging_tables_are_dropped_and_made_again_in_one_transaction(database):
    staged = Table(f"{STAGING_PREFIX}0", T.columns, T.primary_key)
    for _ in range(2):
        with database.transaction() as tx:
            database.drop_table(tx, staged.name)
            database.create_table(tx, staged)
            database.insert(tx, staged.name, ["id"], [("a",)])
    with database.snapshot() as tx:
        assert database.count_rows(tx, staged.name) == 1


def test_one_database_holds_one_instance(database):
    assert CAPABILITIES
    with database.transaction() as tx:
        database.create_own_tables(tx)
    with pytest.raises(Conflict) as caught, database.transaction() as tx:
        database.create_own_tables(tx)
    assert caught.value.code == "database.taken"


def test_own_tables_that_were_not_committed_go_away(database):
    def act() -> None:
        with database.transaction() as tx:
            database.create_own_tables(tx)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        act()
    with database.transaction() as tx:
        database.create_own_tables(tx)


def test_a_turn_that_does_not_come_is_told(database, mariadb, monkeypatch):
    monkeypatch.setattr(adapter, "_PATIENCE", 0)
    impatient = MariadbDatabase(mariadb)
    with database.transaction():
        with pytest.raises(Unavailable) as caught, impatient.transaction():
            pass
        with impatient.snapshot() as tx:
            assert impatient.table_names(tx) == []
    impatient.close()
    assert caught.value.code == "database.busy"


@pytest.mark.parametrize(
    ("part", "code", "family"),
    [
        ({"password": "wrong"}, "database.login", Misconfigured),
        ({"database": "absent"}, "database.absent", Misconfigured),
        ({"port": 1}, "database.away", Unavailable),
    ],
)
def test_a_server_that_cannot_be_used_says_why(mariadb, part, code, family):
    database = MariadbDatabase(mariadb.set(**part))
    with pytest.raises(KeysteadError) as caught, database.snapshot():
        pass
    assert type(caught.value) is family
    assert caught.value.code == code
    assert str(mariadb.password) not in caught.value.what


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (1213, "database.busy"),
        (1114, "disk.full"),
        (1142, "database.rights"),
        (9, "database.broken"),
    ],
)
def test_errors_have_meanings(number, code):
    error = pymysql.OperationalError(number, "k")
    assert adapter._translated(error, "server").code == code


@pytest.mark.parametrize("make", [MariadbDatabase.create_own_tables, lambda _, tx: migrate(tx)])
def test_text_of_attachments_is_compared_by_its_bytes(database, make):
    with database.transaction() as tx:
        make(database, tx)
    with database.snapshot() as tx:
        found = tx.exec_driver_sql(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns"
            " WHERE table_schema = database() AND table_name LIKE 'sys_attachment%%'"
            " AND collation_name NOT LIKE '%%nopad_bin'"
        )
        assert found.all() == []
