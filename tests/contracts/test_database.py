"""What every database adapter keeps, whatever engine is behind it."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, inspect
from sqlalchemy.exc import IntegrityError

from keystead.adapters.databases import mariadb, postgresql, sqlite
from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.errors import Invalid, NotFound, Unavailable
from keystead.database.model import STAGING_PREFIX, Column, ColumnType, Table
from keystead.database.port import Database, Row, change
from keystead.database.query import Condition, Operator, Order, Query

ADAPTERS = {"postgresql": PostgresqlDatabase, "mariadb": MariadbDatabase}
ENGINES = ("sqlite", *ADAPTERS)
# collations in which 'Zoe ' equals 'ZOE ', or equals 'Zoe'; and what must be done to have them
NO_CASE = {"sqlite": "NOCASE", "postgresql": "no_case", "mariadb": "utf8mb4_general_ci"}
NO_SPACES = {"sqlite": "RTRIM", "postgresql": "no_spaces", "mariadb": "utf8mb4_general_ci"}
COLLATIONS = {
    "postgresql": (
        "CREATE COLLATION no_case"
        " (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE COLLATION no_spaces"
        " (provider = icu, locale = 'und-u-ka-shifted', deterministic = false)",
    )
}
# what MariaDB wants said of a text in an index
OF_TEXT = {"mariadb": "(40)"}
TEXT, INTEGER, OTHER = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.OTHER
MARKER, LENGTH = "~ks1", 29
LEAST, GREATEST = -(2**63), 2**63 - 1

properties = settings(
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# what every database can hold: no NUL, no half of a surrogate pair
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
values = st.none() | texts


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_database(
    engine: str, new_database: Callable[[str], URL], tmp_path: Path
) -> Iterator[Callable[[], Any]]:
    """Opens the same database each time it is called."""
    opened: list[Database] = []
    url = None if engine == "sqlite" else new_database(engine)

    def connected() -> Database:
        if url is None:
            opened.append(SqliteDatabase(tmp_path / "contract.db"))
        else:
            opened.append(ADAPTERS[engine](url))
        return opened[-1]

    yield connected
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: Callable[[], Database]) -> Database:
    return open_database()


def table(name: str, key: str, **columns: ColumnType) -> Table:
    made = tuple(Column(n, kind, nullable=n not in key.split()) for n, kind in columns.items())
    return Table(name, made, tuple(key.split()))


def make(database: Database, made: Table, rows: list[tuple[Any, ...]]) -> Table:
    with database.transaction() as tx:
        database.create_table(tx, made)
        database.insert(tx, made.name, [c.name for c in made.columns], rows)
    return made


def content(database: Database, made: Table) -> list[tuple[Any, ...]]:
    names = [c.name for c in made.columns]
    with database.snapshot() as tx:
        return database.select(tx, made.name, names, Query().sorted(made.primary_key), 100_000)


def only(column: str, operator: Operator, *values: str) -> Query:
    return Query().narrowed([Condition(column, operator, values)])


def run(database: Database, *statements: str) -> None:
    with database.transaction() as tx:
        for statement in statements:
            tx.exec_driver_sql(statement)


NOTES = table("notes", "id", id=TEXT, a=TEXT, b=TEXT)


class TestTransaction:
    def test_is_kept_whole(self, database, open_database):
        make(database, NOTES, [("1", "x", None)])
        assert content(open_database(), NOTES) == [("1", "x", None)]

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, NotFound])
    def test_is_taken_back_whole(self, database, error):
        make(database, NOTES, [("1", "x", None)])
        raised = NotFound("table.missing", table="x") if error is NotFound else error()

        def act() -> None:
            with database.transaction() as tx:
                database.insert(tx, "notes", ["id"], [("2",)])
                one = change(("1",), ("x",), ("changed",))
                assert database.compare_and_set(tx, "notes", ["id"], ["a"], [one]) == 1
                database.create_table(tx, replace(NOTES, name="more"))
                database.rename_table(tx, "notes", "renamed")
                raise raised

        with pytest.raises(error) as caught:
            act()
        assert caught.value is raised
        with database.snapshot() as tx:
            assert database.table_names(tx) == ["notes"]
        assert content(database, NOTES) == [("1", "x", None)]

    def test_that_stands_still_on_a_server_is_taken_back_and_its_turn_ends(
        self, database, engine, open_database, monkeypatch
    ):
        """Its program may be frozen; SQLite knows nothing of the kind."""
        assert database.is_shared == (engine != "sqlite")
        if not database.is_shared:
            return
        make(database, NOTES, [("1", "x", None)])
        other = open_database()
        begin = postgresql._WRITE["keystead_begin"].replace("timeout = 10000;", "timeout = 500;")
        monkeypatch.setitem(postgresql._WRITE, "keystead_begin", begin)
        monkeypatch.setattr(mariadb, "_STANDS_SECONDS", 1)

        def stand_still() -> None:
            with database.transaction() as tx:
                database.insert(tx, "notes", ["id"], [("2",)])
                make(other, replace(NOTES, name="next"), [])
                tx.exec_driver_sql("SELECT 1")

        with pytest.raises(Unavailable):
            stand_still()
        assert content(database, NOTES) == [("1", "x", None)]

    def test_is_taken_back_when_tables_were_changed(self, database):
        made = make(database, table("t", "id", id=TEXT, n=INTEGER), [("1", 5)])

        def act() -> None:
            with database.transaction() as tx:
                database.widen(tx, made, "n")
                database.drop_table(tx, "t")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            act()
        assert content(database, made) == [("1", 5)]
        with database.snapshot() as tx:
            assert database.describe(tx, "t") == made

    def test_is_taken_back_when_a_row_is_refused(self, database):
        make(database, NOTES, [("1", "x", None)])
        with pytest.raises(IntegrityError), database.transaction() as tx:
            database.insert(tx, "notes", ["id"], [("0",), ("2",), ("1",), ("3",)])
        with pytest.raises(IntegrityError), database.transaction() as tx:
            database.insert(tx, "notes", ["id", "a"], [("0", "a"), (None, "b")])
        assert content(database, NOTES) == [("1", "x", None)]

    def test_is_used_again_after_an_error(self, database):
        with pytest.raises(RuntimeError), database.transaction():
            raise RuntimeError
        make(database, NOTES, [])
        assert content(database, NOTES) == []

    def test_sees_its_own_writes(self, database):
        with database.transaction() as tx:
            database.create_table(tx, NOTES)
            database.insert(tx, "notes", ["id"], [("1",)])
            assert database.count_rows(tx, "notes") == 1
            assert database.table_names(tx) == ["notes"]

    def test_waits_for_the_one_before(self, database, open_database):
        made = make(database, table("t", "id", id=INTEGER, n=TEXT), [(1, "0")])
        barrier = threading.Barrier(2)

        def add(writer: Database) -> None:
            barrier.wait(timeout=30)
            for _ in range(5):
                with writer.transaction() as tx:
                    ((old,),) = writer.select(tx, "t", ["n"], Query(), 1)
                    one = change((1,), (old,), (str(int(old) + 1),))
                    assert writer.compare_and_set(tx, "t", ["id"], ["n"], [one]) == 1

        threads = [threading.Thread(target=add, args=(open_database(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert content(database, made) == [(1, "10")]


class TestSnapshot:
    def test_sees_one_point_in_time(self, database, engine, open_database):
        make(database, NOTES, [("1", "x", None)])
        other = open_database()
        with database.snapshot() as tx:
            assert database.count_rows(tx, "notes") == 1
            make(other, replace(NOTES, name="more"), [])
            with other.transaction() as writing:
                other.insert(writing, "notes", ["id"], [("2",)])
                other.compare_and_set(
                    writing, "notes", ["id"], ["a"], [change(("1",), ("x",), ("changed",))]
                )
            assert database.count_rows(tx, "notes") == 1
            assert database.page(tx, "notes", ["id"], ["a"], None, 10) == [("1", "x")]
            if engine != "mariadb":  # which shows new tables to everybody
                assert database.table_names(tx) == ["notes"]
        with database.snapshot() as tx:
            assert database.page(tx, "notes", ["id"], ["a"], None, 10) == [
                ("1", "changed"),
                ("2", None),
            ]
            assert database.table_names(tx) == ["more", "notes"]

    def test_does_not_see_what_is_not_committed(self, database, open_database):
        make(database, NOTES, [])
        other = open_database()
        with other.transaction() as writing:
            other.insert(writing, "notes", ["id"], [("1",)])
            assert content(database, NOTES) == []
        assert content(database, NOTES) == [("1", None, None)]


class TestTables:
    def test_names_are_those_of_business_tables_in_order(self, database):
        with database.transaction() as tx:
            database.create_own_tables(tx)
            assert database.table_names(tx) == []
            for name in ("zebra", "Apple", "incident task", "社員", f"{STAGING_PREFIX}0"):
                database.create_table(tx, replace(NOTES, name=name))
            names = ["Apple", "incident task", "zebra", "社員"]
            assert database.table_names(tx) == names
            assert database.staging_names(tx) == [f"{STAGING_PREFIX}0"]

    def test_staging_tables_become_business_tables_by_a_new_name(self, database):
        staged = make(database, replace(NOTES, name=f"{STAGING_PREFIX}7"), [("1", "x", None)])
        with database.transaction() as tx:
            database.rename_table(tx, staged.name, "社員 list")
        with database.snapshot() as tx:
            assert database.staging_names(tx) == []
            assert database.table_names(tx) == ["社員 list"]
            assert database.describe(tx, "社員 list") == replace(NOTES, name="社員 list")
            with pytest.raises(NotFound):
                database.describe(tx, staged.name)
        assert content(database, replace(NOTES, name="社員 list")) == [("1", "x", None)]

    def test_renamed_keeps_what_refers_to_it(self, database, engine):
        make(database, NOTES, [("1", "x", None)])
        run(
            database,
            f"CREATE INDEX notes_by_a ON notes (a{OF_TEXT.get(engine, '')})",
            "CREATE UNIQUE INDEX notes_by_b ON notes (b)",
        )
        with database.transaction() as tx:
            database.rename_table(tx, "notes", "letters")
        with database.snapshot() as tx:
            assert database.describe(tx, "letters").unique == {"b"}

    def test_dropped_is_gone(self, database):
        make(database, NOTES, [("1", "x", None)])
        with database.transaction() as tx:
            database.drop_table(tx, "notes")
            database.drop_table(tx, "notes")
            database.drop_table(tx, "was never there")
            assert database.table_names(tx) == []

    def test_inserting_takes_any_number_of_rows_from_an_iterator(self, database):
        made = make(database, table("t", "id", id=INTEGER, v=TEXT), [])
        with database.transaction() as tx:
            database.insert(tx, "t", ["v", "id"], ((str(n), n) for n in range(4_321)))
            database.insert(tx, "t", ["id", "v"], iter(()))
        assert content(database, made) == [(n, str(n)) for n in range(4_321)]

    @properties
    @given(row=st.tuples(values, st.none() | st.integers(LEAST, GREATEST)))
    def test_hold_any_text_and_any_integer(self, database, row):
        made = table("t", "id", id=INTEGER, v=TEXT, n=INTEGER)
        with database.transaction() as tx:
            database.drop_table(tx, "t")
        make(database, made, [(1, *row)])
        found = content(database, made)
        assert found == [(1, *row)]
        assert type(found[0][2]) is type(row[1])


class TestDescribe:
    def test_what_was_created(self, database):
        made = Table(
            "社員 list",
            (
                Column("番号", INTEGER, nullable=False),
                Column("full name", TEXT),
                Column("select", TEXT, nullable=False),
                Column("ÄÖ%:?", INTEGER),
                Column("part", TEXT, nullable=False),
            ),
            ("part", "番号"),
        )
        make(database, made, [])
        with database.snapshot() as tx:
            assert database.describe(tx, "社員 list") == made

    @pytest.mark.parametrize(
        ("declared", "expected"),
        [
            ("TEXT", TEXT),
            ("VARCHAR(40)", TEXT),
            ("CHAR(3)", TEXT),
            ("INTEGER", INTEGER),
            ("BIGINT", INTEGER),
            ("SMALLINT", INTEGER),
            ("REAL", OTHER),
            ("NUMERIC(10, 2)", OTHER),
            ("TIMESTAMP", OTHER),
            ("DATE", OTHER),
            ("BOOLEAN", OTHER),
        ],
    )
    def test_types(self, database, engine, declared, expected):
        if (engine, declared) == ("mariadb", "BOOLEAN"):
            expected = INTEGER  # another name of TINYINT there
        run(database, f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared}, w {declared})")
        with database.snapshot() as tx:
            found = database.describe(tx, "t")
        assert [c.type for c in found.columns] == [INTEGER, expected, expected]
        assert [c.name for c in found.columns] == ["id", "v", "w"]

    def test_keys_and_constraints(self, database):
        run(
            database,
            "CREATE TABLE teams (id VARCHAR(40) PRIMARY KEY)",
            """CREATE TABLE people (
                part VARCHAR(40) NOT NULL,
                id INTEGER NOT NULL,
                team VARCHAR(40) REFERENCES teams (id),
                email VARCHAR(40) UNIQUE,
                first VARCHAR(40),
                last VARCHAR(40) NOT NULL,
                code VARCHAR(40),
                age INTEGER,
                doubled INTEGER GENERATED ALWAYS AS (age * 2) STORED,
                deputy VARCHAR(40),
                free VARCHAR(40),
                PRIMARY KEY (part, id),
                UNIQUE (first, last),
                FOREIGN KEY (deputy) REFERENCES teams (id),
                CHECK (age > 0)
            )""",
            "CREATE UNIQUE INDEX people_by_code ON people (code)",
            "CREATE INDEX people_by_free ON people (free)",
        )
        with database.snapshot() as tx:
            found = database.describe(tx, "people")
        assert found.primary_key == ("part", "id")
        assert found.foreign == {"team", "deputy"}
        assert found.unique == {"email", "first", "last", "code"}
        assert {c.name for c in found.columns if c.checked} == {"age"}
        assert {c.name for c in found.columns if c.generated} == {"doubled"}
        assert {c.name for c in found.columns if not c.nullable} == {"part", "id", "last"}
        assert [c.name for c in found.columns][:4] == ["part", "id", "team", "email"]

    def test_a_table_without_a_key(self, database):
        run(database, "CREATE TABLE t (v TEXT)")
        with database.snapshot() as tx:
            assert database.describe(tx, "t").primary_key == ()

    def test_a_table_that_is_not_there(self, database):
        with database.snapshot() as tx, pytest.raises(NotFound) as caught:
            database.describe(tx, "nothing")
        assert caught.value.code == "table.missing"

    @pytest.mark.parametrize("name", ["", "x" * 65, "𝒳", "a.b", 'a"b`', "%s"])
    def test_a_name_that_no_table_has(self, database, name):
        with database.snapshot() as tx, pytest.raises(NotFound):
            database.describe(tx, name)

    @pytest.mark.parametrize("engine", ["mariadb"])
    def test_nobody_alters_a_table_that_is_being_asked_about(
        self, database, open_database, monkeypatch
    ):
        """It would be shown without its indexes for a moment, or not at all."""
        monkeypatch.setitem(mariadb._SETTINGS, "lock_wait_timeout", "1")
        make(database, NOTES, [("1", "x", None)])
        altering = open_database()
        with database.snapshot() as tx:
            database.describe(tx, "notes")
            with pytest.raises(Unavailable):
                altering.scrub("notes")
        with database.transaction() as tx:  # nor does it stand in the way for longer
            database.describe(tx, "notes")
            altering.scrub("notes")


def pages(database: Database, made: Table, limit: int) -> list[list[tuple[Any, ...]]]:
    """Every page, each read in a snapshot of its own."""
    found: list[list[tuple[Any, ...]]] = []
    after = None
    width = len(made.primary_key)
    others = [c.name for c in made.columns if c.name not in made.primary_key]
    while True:
        with database.snapshot() as tx:
            page = database.page(tx, made.name, made.primary_key, others, after, limit)
        if not page:
            return found
        found.append(page)
        after = page[-1][:width]


class TestPage:
    KEYS = (
        ("integer", ["id"], [(n,) for n in (LEAST, -10, -9, 0, 1, 9, 10, 11, 2**53 + 1, GREATEST)]),
        (
            "text",
            ["id"],
            [(t,) for t in ("", " ", "0", "10", "9", "A", "a", "a ", "ä", "山", "😀")],
        ),
        (
            "composite",
            ["part", "n"],
            [(p, n) for p in ("", "a", "ä", "山") for n in (-1, 0, 9, 10)],
        ),
    )

    @pytest.mark.parametrize(("kind", "names", "keys"), KEYS, ids=[k[0] for k in KEYS])
    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
    def test_each_row_is_given_once(self, database, kind, names, keys, limit):
        types = {n: INTEGER if kind == "integer" or n == "n" else TEXT for n in names}
        made = table("t", " ".join(names), **types, v=TEXT)
        make(database, made, [(*key, str(key)) for key in reversed(keys)])

        found = pages(database, made, limit)

        assert all(len(page) == limit for page in found[:-1])
        rows = [row for page in found for row in page]
        assert sorted(rows) == sorted((*key, str(key)) for key in keys)
        if kind == "integer":
            assert [row[0] for row in rows] == sorted(key[0] for key in keys)

    def test_the_order_is_the_same_each_time(self, database):
        made = table("t", "part n", part=TEXT, n=INTEGER, v=TEXT)
        rows = [(p, n, None) for n in range(7) for p in "cab"]
        make(database, made, rows)
        flat = [[row for page in pages(database, made, n) for row in page] for n in (1, 4, 100)]
        assert flat[0] == flat[1] == flat[2] == sorted(rows)

    def test_the_key_order_may_differ_from_the_column_order(self, database):
        made = table("t", "b a", a=INTEGER, v=TEXT, b=INTEGER)
        make(database, made, [(a, f"{a}{b}", b) for a in range(3) for b in range(3)])
        rows = [row for page in pages(database, made, 2) for row in page]
        assert rows == [(b, a, f"{a}{b}") for b in range(3) for a in range(3)]

    def test_goes_on_past_a_row_that_was_deleted(self, database):
        made = table("t", "id", id=TEXT, v=TEXT)
        make(database, made, [(i, None) for i in "abcdef"])
        run(database, "DELETE FROM t WHERE id IN ('b', 'c')")
        with database.snapshot() as tx:
            assert database.page(tx, "t", ["id"], [], ("b",), 2) == [("d",), ("e",)]
            assert database.page(tx, "t", ["id"], [], ("f",), 2) == []

    @properties
    @given(keys=st.sets(texts, max_size=12), limit=st.integers(1, 4))
    def test_any_text_can_be_a_key(self, database, keys, limit):
        made = table("t", "id", id=TEXT, v=TEXT)
        with database.transaction() as tx:
            database.drop_table(tx, "t")
        make(database, made, [(key, key[:3]) for key in keys])
        rows = [row for page in pages(database, made, limit) for row in page]
        assert sorted(rows) == sorted((key, key[:3]) for key in keys)


class TestCompareAndSet:
    def set(self, database: Database, *changes: Row, columns: str = "a b") -> int:
        with database.transaction() as tx:
            return database.compare_and_set(tx, "notes", ["id"], columns.split(), changes)

    def test_applies_where_the_old_values_stand(self, database):
        make(database, NOTES, [("1", "x", "y"), ("2", "x", "y"), ("3", "x", "z")])
        applied = self.set(
            database,
            change(("1",), ("x", "y"), ("X", None)),
            change(("2",), ("x", "other"), ("lost", "lost")),
            change(("3",), ("other", "z"), ("lost", "lost")),
            change(("4",), ("x", "y"), ("lost", "lost")),
        )
        assert applied == 1
        assert content(database, NOTES) == [("1", "X", None), ("2", "x", "y"), ("3", "x", "z")]

    def test_of_nothing_changes_nothing(self, database):
        make(database, NOTES, [("1", "x", "y")])
        assert self.set(database) == 0

    def test_leaves_the_columns_that_are_not_named(self, database):
        make(database, NOTES, [("1", "x", "y")])
        assert self.set(database, change(("1",), ("x",), ("X",)), columns="a") == 1
        assert content(database, NOTES) == [("1", "X", "y")]

    def test_null_equals_null_and_nothing_else(self, database):
        make(database, NOTES, [("1", None, None), ("2", None, ""), ("3", "", None)])
        assert self.set(database, change(("1",), (None, None), ("new", "new"))) == 1
        for key in ("2", "3"):
            assert self.set(database, change((key,), (None, None), ("lost", "lost"))) == 0
        assert self.set(database, change(("2",), ("", None), ("lost", "lost"))) == 0
        assert self.set(database, change(("2",), (None, ""), (None, None))) == 1
        assert content(database, NOTES) == [
            ("1", "new", "new"),
            ("2", None, None),
            ("3", "", None),
        ]

    @pytest.mark.parametrize(
        ("stands", "expected"),
        [
            ("Zoe", "zoe"),
            ("zoë", "zoe"),
            ("zoe ", "zoe"),
            ("zoe", "zoe "),
            (" zoe", "zoe"),
            ("zoe\n", "zoe"),
            ("zoe\t", "zoe "),
            (unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")),
            ("ß", "ss"),
            ("ﬁ", "fi"),
            ("山", "⼭"),
            ("I", "ı"),
            ("1", "1.0"),
            ("01", "1"),
            ("a%", "ab"),
            ("a_", "ab"),
            ("\u200b", ""),
            (" ", ""),
        ],
    )
    def test_compares_by_bytes(self, database, stands, expected):
        make(database, NOTES, [("1", stands, None)])
        assert self.set(database, change(("1",), (expected, None), ("lost", None))) == 0
        assert content(database, NOTES) == [("1", stands, None)]
        assert self.set(database, change(("1",), (stands, None), (expected, None))) == 1
        assert content(database, NOTES) == [("1", expected, None)]

    @properties
    @given(stands=values, expected=values, new=values)
    def test_compares_any_two_values_by_bytes(self, database, stands, expected, new):
        with database.transaction() as tx:
            database.drop_table(tx, "notes")
        make(database, NOTES, [("1", stands, None)])
        applied = self.set(database, change(("1",), (expected, None), (new, None)))
        assert applied == (1 if stands == expected else 0)
        assert content(database, NOTES) == [("1", new if applied else stands, None)]

    @pytest.mark.parametrize(("collations", "other"), [(NO_CASE, "ZOE "), (NO_SPACES, "Zoe")])
    def test_compares_by_bytes_whatever_the_collation(self, database, engine, collations, other):
        collation = collations[engine]
        run(
            database,
            *COLLATIONS.get(engine, ()),
            "CREATE TABLE notes"
            f" (id VARCHAR(9) PRIMARY KEY, a VARCHAR(9) COLLATE {collation}, b VARCHAR(9))",
            "INSERT INTO notes VALUES ('1', 'Zoe ', NULL)",
        )
        assert self.set(database, change(("1",), (other, None), ("lost", None))) == 0
        assert self.set(database, change(("1",), ("Zoe ", None), (other, None))) == 1
        assert content(database, NOTES) == [("1", other, None)]

    def test_a_key_is_compared_by_bytes_whatever_the_collation(self, database, engine):
        run(
            database,
            *COLLATIONS.get(engine, ()),
            "CREATE TABLE notes"
            f" (id VARCHAR(9) COLLATE {NO_CASE[engine]} PRIMARY KEY, a VARCHAR(9), b VARCHAR(9))",
            "INSERT INTO notes VALUES ('Zoe', 'x', NULL)",
        )
        assert self.set(database, change(("ZOE",), ("x", None), ("lost", None))) == 0
        assert self.set(database, change(("Zoe",), ("x", None), ("y", None))) == 1

    def test_by_a_key_of_several_columns(self, database):
        made = table("t", "n part", n=INTEGER, part=TEXT, v=TEXT)
        make(database, made, [(1, "a", "x"), (1, "A", "x"), (2, "a", "x"), (10, "a ", "x")])
        changes = [
            change((1, "a"), ("x",), ("1a",)),
            change((2, "A"), ("x",), ("lost",)),
            change((10, "a"), ("x",), ("lost",)),
            change((2, "a"), ("x",), ("2a",)),
        ]
        with database.transaction() as tx:
            assert database.compare_and_set(tx, "t", ["n", "part"], ["v"], changes) == 2
        assert sorted(content(database, made)) == [
            (1, "A", "x"),
            (1, "a", "1a"),
            (2, "a", "2a"),
            (10, "a ", "x"),
        ]

    def test_counts_each_change_of_many(self, database):
        made = table("t", "id", id=INTEGER, v=TEXT)
        make(database, made, [(n, str(n % 2)) for n in range(3_000)])
        changes = [change((n,), ("0",), ("new",)) for n in range(3_000)]
        with database.transaction() as tx:
            assert database.compare_and_set(tx, "t", ["id"], ["v"], changes) == 1_500
        with database.snapshot() as tx:
            found = database.select(tx, "t", ["id"], only("v", Operator.EQUAL, "new"), 9_999)
        assert sorted(found) == [(n,) for n in range(0, 3_000, 2)]

    def test_names_with_spaces_and_in_any_script(self, database):
        made = Table(
            "社員 list",
            (Column("番号 1", INTEGER, nullable=False), Column("order", TEXT), Column("a?b", TEXT)),
            ("番号 1",),
        )
        make(database, made, [(1, "x", None)])
        with database.transaction() as tx:
            one = change((1,), ("x", None), (None, "y"))
            columns = ["order", "a?b"]
            assert database.compare_and_set(tx, made.name, ["番号 1"], columns, [one]) == 1
        assert content(database, made) == [(1, None, "y")]


class TestCount:
    def count(self, database: Database, column: str = "a") -> dict[str, int]:
        with database.snapshot() as tx:
            return database.count_by_prefix(tx, "notes", column, MARKER, LENGTH)

    def fill(self, database: Database, *stored: str | None) -> None:
        make(database, NOTES, [(str(n), value, None) for n, value in enumerate(stored)])

    def test_of_an_empty_table(self, database):
        self.fill(database)
        assert self.count(database) == {}

    def test_groups_marked_values_by_their_prefix(self, database):
        one, two = (f"{MARKER}s.{letter * 22}." for letter in "AB")
        assert len(one) == LENGTH
        self.fill(database, one + "x~", one + "y~", two + "x~", one)
        assert self.count(database) == {one: 3, two: 1}

    def test_does_not_confuse_prefixes_that_differ_by_case(self, database):
        one, two = (f"{MARKER}s.{letter * 22}." for letter in "Aa")
        self.fill(database, one + "x~", two + "x~", two + "y~")
        assert self.count(database) == {one: 1, two: 2}

    def test_never_groups_clear_text(self, database):
        clear = ["secret", "secret", "", None, None, " ", "~ks", "~KS1", "~ks2", " ~ks1", "plain"]
        self.fill(database, *clear)
        assert self.count(database) == {"plain": 8, "empty": 1, "null": 2}

    def test_takes_a_short_marked_value_as_it_is(self, database):
        self.fill(database, MARKER, f"{MARKER}s.", f"{MARKER}山é")
        assert self.count(database) == {MARKER: 1, f"{MARKER}s.": 1, f"{MARKER}山é": 1}

    def test_a_space_is_not_empty_whatever_the_collation(self, database, engine):
        run(
            database,
            *COLLATIONS.get(engine, ()),
            f"CREATE TABLE notes (id VARCHAR(9) PRIMARY KEY, a VARCHAR(9)"
            f" COLLATE {NO_SPACES[engine]}, b VARCHAR(9))",
            "INSERT INTO notes VALUES ('1', ' ', NULL), ('2', '', NULL)",
        )
        assert self.count(database) == {"plain": 1, "empty": 1}

    def test_of_integers(self, database):
        made = table("t", "id", id=INTEGER, n=INTEGER)
        make(database, made, [(1, 0), (2, None), (3, -5)])
        with database.snapshot() as tx:
            counted = database.count_by_prefix(tx, "t", "n", MARKER, LENGTH)
            assert counted == {"plain": 2, "null": 1}
            assert database.count_rows(tx, "t") == 3


class TestWiden:
    STATEMENTS = (
        "CREATE TABLE teams (id VARCHAR(40) PRIMARY KEY)",
        "INSERT INTO teams VALUES ('x')",
        """CREATE TABLE people (
            "full name" VARCHAR(40) NOT NULL,
            id INTEGER NOT NULL,
            age BIGINT,
            年齢 BIGINT DEFAULT 7,
            half DOUBLE PRECISION,
            team VARCHAR(40) REFERENCES teams (id),
            part VARCHAR(40) NOT NULL,
            email VARCHAR(40) UNIQUE,
            doubled INTEGER GENERATED ALWAYS AS (id * 2) STORED,
            PRIMARY KEY (part, id)
        )""",
        "CREATE INDEX people_by_age ON people (age, half)",
        'CREATE UNIQUE INDEX people_by_name ON people ("full name", id)',
    )
    INSERTED = ("full name", "id", "age", "年齢", "half", "team", "part", "email")
    ROWS = (
        ("Zoë", 1, GREATEST, 0, 1.5, "x", "p", "a@b"),
        ("山田", 2, LEAST, -5, None, None, "p", None),
        ("", 3, None, None, 0.25, "x", "q", ""),
        (" ", 4, 0, 10, -1e300, "x", "q", "c@d"),
    )

    @pytest.fixture
    def people(self, database: Database) -> Table:
        run(database, *self.STATEMENTS)
        with database.transaction() as tx:
            database.insert(tx, "people", self.INSERTED, self.ROWS)
            return database.describe(tx, "people")

    def widened(self, database: Database, *columns: str) -> Table:
        for column in columns:
            with database.transaction() as tx:
                database.widen(tx, database.describe(tx, "people"), column)
        with database.snapshot() as tx:
            return database.describe(tx, "people")

    @pytest.mark.parametrize("columns", [["age"], ["年齢"], ["age", "年齢"], ["年齢", "age"]])
    def test_values_become_their_text(self, database, people, columns):
        names = [c.name for c in people.columns]
        before = content(database, people)
        assert before == [(*row, 2 * row[1]) for row in self.ROWS]

        self.widened(database, *columns)

        at = {names.index(column) for column in columns}
        expected = [
            tuple(str(v) if i in at and v is not None else v for i, v in enumerate(row))
            for row in before
        ]
        assert content(database, people) == expected

    def test_everything_else_stays(self, database, people):
        after = self.widened(database, "age", "年齢")
        changed = tuple(
            replace(c, type=TEXT) if c.name in ("age", "年齢") else c for c in people.columns
        )
        assert after == replace(people, columns=changed)

    def test_holds_text_of_any_length_afterwards(self, database, people):
        self.widened(database, "年齢")
        long = "~ks1" + "山x" * 100_000
        with database.transaction() as tx:
            one = change(("p", 1), ("0",), (long,))
            assert database.compare_and_set(tx, "people", ["part", "id"], ["年齢"], [one]) == 1
        assert content(database, people)[0][3] == long

    def test_digits_stay_text_afterwards(self, database, people):
        self.widened(database, "age")
        for text in ("0123", "1e5", " 5", "5.0", "9" * 30):
            with database.transaction() as tx:
                where = only("id", Operator.EQUAL, "1")
                ((old,),) = database.select(tx, "people", ["age"], where, 1)
                one = change(("p", 1), (old,), (text,))
                database.compare_and_set(tx, "people", ["part", "id"], ["age"], [one])
            assert content(database, people)[0][2] == text

    def test_indexes_and_constraints_still_hold(self, database, people):
        self.widened(database, "age")
        columns = ["full name", "id", "team", "part", "email"]
        for row in (
            ("Zoë", 1, "x", "z", None),  # the unique index
            ("new", 1, "x", "p", None),  # the primary key
            ("new", 9, "x", "p", "a@b"),  # the unique column
            ("new", 9, "missing", "p", None),  # the foreign key
            (None, 9, "x", "p", None),  # not null
        ):
            with pytest.raises(IntegrityError), database.transaction() as tx:
                database.insert(tx, "people", columns, [row])
        with database.transaction() as tx:
            database.insert(tx, "people", columns, [("new", 9, "x", "p", None)])
        assert content(database, people)[2] == ("new", 9, None, 7, None, "x", "p", None, 18)

    def test_the_indexes_are_there_by_name(self, database, people):
        before = self.index_names(database)
        assert {"people_by_age", "people_by_name"} <= before
        self.widened(database, "age")
        assert self.index_names(database) == before

    def index_names(self, database: Database) -> set[str]:
        with database.snapshot() as tx:
            return {str(index["name"]) for index in inspect(tx).get_indexes("people")}

    def test_text_stays_as_it_is(self, database, people):
        before = content(database, people)
        assert self.widened(database, "full name", "email") == people
        assert content(database, people) == before

    def test_of_a_created_table_with_odd_names(self, database):
        made = Table(
            "社員 list",
            (
                Column("id", TEXT, nullable=False),
                Column("int", INTEGER),
                Column("age in years", INTEGER),
                Column("INTEGER", INTEGER),
                Column("年 齢", INTEGER, nullable=False),
                Column("a.b*c", INTEGER),
            ),
            ("id",),
        )
        rows = [("1", 1, 2, 3, 4, 5), ("2", None, None, None, 0, None)]
        make(database, made, rows)
        for at, column in enumerate(made.columns[1:], start=1):
            with database.transaction() as tx:
                database.widen(tx, database.describe(tx, made.name), column.name)
            rows = [
                tuple(str(v) if i == at and v is not None else v for i, v in enumerate(row))
                for row in rows
            ]
            assert content(database, made) == rows
            with database.snapshot() as tx:
                found = database.describe(tx, made.name)
            assert [c.type for c in found.columns[1:]] == [TEXT] * at + [INTEGER] * (5 - at)
            assert [c.nullable for c in found.columns] == [c.nullable for c in made.columns]

    def test_leaves_no_other_table(self, database, people):
        self.widened(database, "age")
        with database.snapshot() as tx:
            assert database.table_names(tx) == ["people", "teams"]
            assert database.staging_names(tx) == []


class TestSelect:
    ROWS = (
        ("1", "a", 1),
        ("2", "A", 2),
        ("3", "ä", 3),
        ("4", "a ", 10),
        ("5", "", 0),
        ("6", None, None),
        ("7", "Ä 50%_!\\", GREATEST),
    )

    @pytest.fixture(autouse=True)
    def items(self, database: Database) -> Table:
        return make(database, table("items", "id", id=TEXT, v=TEXT, n=INTEGER), list(self.ROWS))

    def ids(self, database: Database, query: Query, table: str = "items") -> str:
        with database.snapshot() as tx:
            found = database.select(tx, table, ["id"], query.sorted(["id"]), 100)
            assert database.count_rows(tx, table, query) == len(found)
        return "".join(str(row[0]) for row in found)

    def test_everything_in_order_up_to_a_limit(self, database):
        with database.snapshot() as tx:
            query = Query(order=(Order("n", descending=True),)).sorted(["id"])
            found = database.select(tx, "items", ["n", "id"], query, 9)
            assert [n for n, _ in found if n is not None] == [GREATEST, 10, 3, 2, 1, 0]
            by_id = Query().sorted(["id"])
            assert database.select(tx, "items", ["id"], by_id, 2, 1) == [("2",), ("3",)]
            assert database.select(tx, "items", ["id"], by_id, 9, 7) == []

    @pytest.mark.parametrize(
        ("column", "operator", "values", "ids"),
        [
            ("v", Operator.EQUAL, ["a"], "1"),
            ("v", Operator.EQUAL, [""], "5"),
            ("v", Operator.IN, ["a", "ä", "z"], "13"),
            ("v", Operator.IN, ["a%"], ""),
            ("v", Operator.NOT_EQUAL, ["a"], "234567"),
            ("v", Operator.NOT_IN, ["a", "A", ""], "3467"),
            ("v", Operator.EMPTY, [], "56"),
            ("v", Operator.NOT_EMPTY, [], "12347"),
            ("v", Operator.ANYTHING, [], "1234567"),
            ("v", Operator.CONTAINS, ["A"], "124"),
            ("v", Operator.CONTAINS, ["%_!\\"], "7"),
            ("v", Operator.CONTAINS, ["5_%"], ""),
            ("v", Operator.CONTAINS_NOT, ["a"], "3567"),
            ("v", Operator.STARTS_WITH, ["A"], "124"),
            ("v", Operator.ENDS_WITH, [" "], "4"),
            ("n", Operator.EQUAL, ["2"], "2"),
            ("n", Operator.EQUAL, ["+02"], "2"),
            ("n", Operator.EQUAL, [""], ""),
            ("n", Operator.IN, ["0", "10"], "45"),
            ("n", Operator.NOT_IN, ["1", "2", "3"], "4567"),
            ("n", Operator.LESS, ["2"], "15"),
            ("n", Operator.AT_MOST, ["2"], "125"),
            ("n", Operator.GREATER, ["10"], "7"),
            ("n", Operator.AT_LEAST, ["10"], "47"),
            ("n", Operator.STARTS_WITH, ["1"], "14"),
            ("n", Operator.EMPTY, [], "6"),
        ],
    )
    def test_each_operator(self, database, column, operator, values, ids):
        assert self.ids(database, only(column, operator, *values)) == ids

    def test_blocks_alternatives_and_conditions(self, database):
        def one(column: str, value: str) -> Condition:
            return Condition(column, Operator.EQUAL, (value,))

        query = Query((((one("v", "a"), one("v", "A")), (one("n", "2"),)), ((one("id", "5"),),)))
        assert self.ids(database, query) == "25"

    @pytest.mark.parametrize("collations", [NO_CASE, NO_SPACES])
    def test_text_is_compared_by_its_bytes_whatever_the_collation(
        self, database, engine, collations
    ):
        run(
            database,
            *COLLATIONS.get(engine, ()),
            f"CREATE TABLE t (id VARCHAR(9) COLLATE {collations[engine]} PRIMARY KEY,"
            f" v VARCHAR(9) COLLATE {collations[engine]})",
            "INSERT INTO t VALUES ('Abc', 'Abc')",
        )
        for column in ("id", "v"):
            assert self.ids(database, only(column, Operator.EQUAL, "Abc"), "t") == "Abc"
            assert self.ids(database, only(column, Operator.NOT_EQUAL, "ABC"), "t") == "Abc"
            assert self.ids(database, only(column, Operator.CONTAINS, "BC"), "t") == "Abc"
            for other in ("ABC", "Abc ", "abc"):
                assert self.ids(database, only(column, Operator.EQUAL, other), "t") == ""
        with database.transaction() as tx:
            assert database.update(tx, "t", ["id"], ("ABC",), {"v": "x"}) == 0
            assert database.delete(tx, "t", ["id"], ("Abc ",)) == 0
            assert database.update(tx, "t", ["id"], ("Abc",), {"v": "x", "id": "new"}) == 1
            assert database.select(tx, "t", ["id", "v"], Query(), 9) == [("new", "x")]
            assert database.delete(tx, "t", ["id"], ("new",)) == 1
            assert database.count_rows(tx, "t") == 0

    def test_what_is_neither_text_nor_a_number_is_found_and_comes_as_text(self, database, engine):
        uuid = "UUID" if engine != "sqlite" else "TEXT"
        run(
            database,
            f"CREATE TABLE t (id {uuid} PRIMARY KEY, born DATE, pay NUMERIC(9,2), at TIMESTAMP,"
            " code CHAR(8))",
        )
        first, second = (f"abcdef0{n}-0000-4000-8000-0000000000ff" for n in range(2))
        with database.transaction() as tx:
            names = ["id", "born", "pay", "at", "code"]
            rows = [
                (first, "2020-01-01", "1.50", "2020-01-01 10:00:00", "x"),
                (second, "2020-01-02", None, None, "y"),
            ]
            database.insert(tx, "t", names, rows)
        for column, operator, value, ids in (
            ("id", Operator.EQUAL, second, second),
            ("id", Operator.NOT_EQUAL, second, first),
            ("born", Operator.GREATER, "2020-01-01", second),
            ("born", Operator.EQUAL, "2020-01-01", first),
            ("born", Operator.STARTS_WITH, "2020-01-02", second),
            ("born", Operator.EMPTY, None, ""),
            ("pay", Operator.EQUAL, "1.5", first),
            ("pay", Operator.LESS, "1.6", first),
            ("pay", Operator.EMPTY, None, second),
            ("at", Operator.AT_LEAST, "2020-01-01 10:00:00", first),
            ("code", Operator.EQUAL, "x", first),
        ):
            asked = only(column, operator, *([] if value is None else [value]))
            assert self.ids(database, asked, "t") == ids, (column, operator)
        by_born = Query(order=(Order("born", descending=True),))
        with database.snapshot() as tx:
            found = database.select(tx, "t", ["id", "born", "code"], by_born, 9)
        assert found == [(second, "2020-01-02", "y"), (first, "2020-01-01", "x")]
        if engine != "sqlite":
            assert self.ids(database, only("id", Operator.EQUAL, first.upper()), "t") == first
            assert self.ids(database, only("id", Operator.EQUAL, "none"), "t") == ""
            for column, value in (("born", "x"), ("pay", "x"), ("at", "2020"), ("pay", "1e400")):
                with pytest.raises(Invalid):
                    self.ids(database, only(column, Operator.GREATER, value), "t")

    @pytest.mark.parametrize("value", [str(2**63), "9" * 5_000, "x", "1_0", "½", "--1", "2.5"])
    def test_what_is_no_number_is_refused(self, database, value):
        for operator in (Operator.EQUAL, Operator.LESS):
            with pytest.raises(Invalid), database.snapshot() as tx:
                database.select(tx, "items", ["id"], only("n", operator, value), 1)

    def test_a_value_is_never_part_of_the_statement(self, database):
        for value in ("' OR '1'='1", '" OR ""="', "a'--", "?", ":v", "%s", "a\\"):
            for operator in (Operator.EQUAL, Operator.CONTAINS, Operator.STARTS_WITH):
                assert self.ids(database, only("v", operator, value)) == ""

    def test_names_with_spaces_and_in_any_script(self, database):
        made = Table(
            "社員 list",
            (Column("番号", INTEGER, nullable=False), Column("full name", TEXT), Column("%", TEXT)),
            ("番号",),
        )
        make(database, made, [(1, "x", "%"), (2, "y", "?")])
        with database.transaction() as tx:
            query = only("full name", Operator.IN, "x", "y").narrowed(
                [Condition("%", Operator.NOT_EQUAL, ("%",))]
            )
            assert database.select(tx, "社員 list", ["%", "番号"], query, 9) == [("?", 2)]
            assert database.page(tx, "社員 list", ["番号"], ["full name"], (1,), 9) == [(2, "y")]
            assert database.count_rows(tx, "社員 list") == 2
            assert database.count_by_prefix(tx, "社員 list", "full name", MARKER, 29) == {
                "plain": 2
            }
            assert database.update(tx, "社員 list", ["番号"], (2,), {"%": "z", "full name": None})
            assert database.select(
                tx, "社員 list", ["%"], only("番号", Operator.EQUAL, "2"), 9
            ) == [("z",)]
            assert database.delete(tx, "社員 list", ["番号"], (1,)) == 1

    def test_too_long_a_value_is_refused_and_not_cut_off(self, database, engine):
        if engine == "sqlite":
            return  # it takes any length
        run(database, "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, v VARCHAR(3))")
        run(database, "INSERT INTO t VALUES ('1', 'abc')")
        with pytest.raises(Invalid), database.transaction() as tx:
            database.update(tx, "t", ["id"], ("1",), {"v": "abcd"})
        assert self.ids(database, only("v", Operator.EQUAL, "abc"), "t") == "1"


def test_what_generated_columns_are_made_from(database):
    run(
        database,
        "CREATE TABLE made (id VARCHAR(9) PRIMARY KEY, a VARCHAR(9), b VARCHAR(9), c VARCHAR(9),"
        " d VARCHAR(9) DEFAULT 'a', g VARCHAR(9) GENERATED ALWAYS AS (coalesce(b, a)) STORED)",
    )
    with database.snapshot() as tx:
        assert database.describe(tx, "made").sources == {"a", "b"}


class TestScrub:
    def test_keeps_what_is_there_and_says_what_it_did(self, database):
        make(database, NOTES, [("1", "x", None), ("2", "", "山")])
        with database.transaction() as tx:
            one = change(("1",), ("x",), ("new",))
            database.compare_and_set(tx, "notes", ["id"], ["a"], [one])
        report = database.scrub("notes")
        assert report.done
        assert report.may_remain
        assert content(database, NOTES) == [("1", "new", None), ("2", "", "山")]
        assert database.scrub("notes") == report
        make(database, replace(NOTES, name="other"), [("1", "x", None)])
        assert database.scrub("notes", "other") == report

    def test_leaves_nothing_of_what_was_replaced_in_the_files(self, database, engine, on_disk):
        clear = [f"clear text number {n}" for n in range(2_000)]
        made = make(database, NOTES, [(str(n), value, value) for n, value in enumerate(clear)])
        run(database, f"CREATE INDEX notes_by_a ON notes (a{OF_TEXT.get(engine, '')})")
        run(
            database, "ANALYZE" if engine != "mariadb" else "ANALYZE TABLE notes PERSISTENT FOR ALL"
        )
        assert b"clear text number 1999" in on_disk()
        changes = [
            change((str(n),), (value, value), ("~ks1", None)) for n, value in enumerate(clear)
        ]
        with database.transaction() as tx:
            columns = ["a", "b"]
            assert database.compare_and_set(tx, "notes", ["id"], columns, changes) == 2_000
        database.scrub("notes")
        assert b"clear text number" not in on_disk()
        assert content(database, made)[0] == ("0", "~ks1", None)
        assert len(content(database, made)) == 2_000

    @pytest.mark.parametrize("read", ["notes", "other"])
    def test_is_refused_while_somebody_may_still_read_what_was_replaced(
        self, database, engine, open_database, read, monkeypatch
    ):
        monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 100)
        monkeypatch.setitem(postgresql._SETTINGS, "lock_timeout", "100")
        monkeypatch.setitem(mariadb._SETTINGS, "lock_wait_timeout", "1")
        make(database, NOTES, [("1", "x", None)])
        make(database, replace(NOTES, name="other"), [("1", "x", None)])
        impatient = open_database()
        with database.snapshot() as reading:
            database.count_rows(reading, read)
            self.replace(impatient)
            # MariaDB keeps what others may read in its undo logs, and its report says so
            if (engine, read) != ("mariadb", "other"):
                with pytest.raises(Unavailable):
                    impatient.scrub("notes")
        impatient.scrub("notes")

    def replace(self, database: Database) -> None:
        with database.transaction() as tx:
            one = change(("1",), ("x",), ("~ks1",))
            assert database.compare_and_set(tx, "notes", ["id"], ["a"], [one]) == 1

    @pytest.fixture
    def on_disk(
        self, engine: str, database: Database, tmp_path: Path, server_folder: Callable[[str], Path]
    ) -> Callable[[], bytes]:
        """What the files of the database hold; not the logs, which a scrub says it leaves."""

        def read() -> bytes:
            return b"\0".join(file.read_bytes() for file in sorted(folder().iterdir()))

        def folder() -> Path:
            if engine == "sqlite":
                return tmp_path
            data = server_folder(engine) / "data"
            with database.snapshot() as tx:
                if engine == "mariadb":
                    tx.exec_driver_sql("FLUSH TABLES notes FOR EXPORT")
                    tx.exec_driver_sql("UNLOCK TABLES")
                    return data / str(tx.exec_driver_sql("SELECT database()").scalar_one())
                tx.exec_driver_sql("COMMIT; CHECKPOINT")
                found = "SELECT oid FROM pg_database WHERE datname = current_database()"
                return data / "base" / str(tx.exec_driver_sql(found).scalar_one())

        return read


class TestTrim:
    def test_nothing_is_lost_before_or_after_the_commit(self, database: Database) -> None:
        rows = [(f"{n:03}", "x" * 9_000, None) for n in range(200)]
        made = make(database, NOTES, rows[:100])
        with database.transaction() as tx:
            database.insert(tx, "notes", ["id", "a", "b"], rows[100:])
            database.trim(tx)
            assert database.count_rows(tx, "notes") == 200
        with database.snapshot() as tx:
            database.trim(tx)
        assert content(database, made) == rows
