"""Any text as an encoded query: SQLite is asked what was meant and nothing else, or it is refused.

What SQLite finds is compared with `dictionary.finding`, which knows nothing of SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.errors import Invalid, NotFound
from keystead.dictionary.finding import encoded, found
from keystead.dictionary.model import Field, Kind, Table
from keystead.records.query import parse

FIELDS = (Field("a", "A"), Field("or 1--", "B"), Field("n", "N", Kind.NUMBER))
TABLE = Table("t", "t", "T", "Ts", "", FIELDS, lambda _tx, _context: [])
ROWS = [
    {"sys_id": "1", "a": "x", "or 1--": "%", "n": 1},
    {"sys_id": "2", "a": "X'", "or 1--": "_", "n": -5},
    {"sys_id": "3", "a": "", "or 1--": None, "n": None},
    {"sys_id": "4", "a": None, "or 1--": "!", "n": 40},
    {"sys_id": "5", "a": "javascript:x", "or 1--": "1,1", "n": 1},
]
COMPARING = {(sqlite3.SQLITE_FUNCTION, name) for name in ("lower", "like")}
JOINERS = ("^", "^OR", "^NQ", "^EQ", "")
COLUMNS = ("a", "or 1--", "n", "sys_id", "ORDERBYa", "ORDERBYDESCn")
OPERATORS = (
    *("=", "!=", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "STARTSWITH", "ENDSWITH", "*", "%"),
    *("!*", "IN", "NOT IN", "ISEMPTY", "ISNOTEMPTY", "ANYTHING", "EMPTYSTRING", ""),
)
VALUES = (
    *("", "x", "X'", "1", "-5", "+1", "%", "_", "!", ",", "1,x", "javascript:x", "'", '"', "--"),
    *(") OR (1=1", "'; DROP TABLE t; --", "?", "%s", "\\", " "),
)
PARTS = st.sampled_from((*JOINERS, *COLUMNS, *OPERATORS, *VALUES))
CONDITIONS = st.tuples(*map(st.sampled_from, (JOINERS, COLUMNS, OPERATORS, VALUES))).map("".join)
QUERIES = st.one_of(
    CONDITIONS,
    st.lists(CONDITIONS, max_size=4).map("".join),
    st.lists(PARTS, max_size=9).map("".join),
    st.text(max_size=30),
)


class Watched:
    """A database that notes what its statements do."""

    def __init__(self, file: Path) -> None:
        self.database = SqliteDatabase(file)
        self.done: set[tuple[int, str | None]] = set()
        with self.database.transaction() as tx:
            tx.exec_driver_sql(
                'CREATE TABLE t (sys_id TEXT PRIMARY KEY, a TEXT, "or 1--" TEXT, n INTEGER)'
            )
            names = ("sys_id", "a", "or 1--", "n")
            rows: list[tuple[Any, ...]] = [tuple(row[n] for n in names) for row in ROWS]
            self.database.insert(tx, "t", names, rows)
        self.ids("")
        self.usual = frozenset(self.done)

    def ids(self, text: str) -> list[str]:
        """The rows that a query finds, as SQLite does."""
        with self.database.snapshot() as tx:
            table = self.database.describe(tx, "t")
            query = parse(text, table).sorted(["sys_id"])
            raw: Any = tx.connection.dbapi_connection
            raw.set_authorizer(self._note)
            try:
                rows = self.database.select(tx, "t", ["sys_id"], query, 100, 0)
                count = self.database.count_rows(tx, "t", query)
            finally:
                raw.set_authorizer(None)
        assert count == len(rows)
        return [str(row[0]) for row in rows]

    def _note(self, action: int, one: str | None, other: str | None, *_: Any) -> int:
        self.done.add((action, other if action == sqlite3.SQLITE_FUNCTION else one))
        return sqlite3.SQLITE_OK


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    made = Watched(tmp_path_factory.mktemp("meaning") / "x.db")
    yield made
    made.database.close()


def check(watched: Watched, text: str) -> None:
    """SQLite and the pure evaluator find the same rows, or refuse the text alike."""
    try:
        expected = found(ROWS, encoded(text, TABLE).sorted(["sys_id"]), TABLE)
    except (Invalid, NotFound) as error:
        refused = error
    else:
        assert watched.ids(text) == [row["sys_id"] for row in expected], text
        assert watched.done <= watched.usual | COMPARING, text
        return
    with pytest.raises(type(refused)) as caught:
        watched.ids(text)
    assert caught.value.code == refused.code


def test_every_condition_means_the_same_to_both(watched: Watched) -> None:
    for condition in product(COLUMNS[:4], OPERATORS, VALUES):
        check(watched, "".join(condition))


@settings(max_examples=300, deadline=None)
@given(QUERIES)
def test_any_text_means_the_same_to_both_and_only_reads(watched: Watched, text: str) -> None:
    check(watched, text)
