"""Conditions over verified rows select what the database would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, MetaData, Table, create_engine, func, insert, not_, select

from keystead.database.schema import number, text
from keystead.database.verified import Row, VerifiedRows

ROWS_TABLE = Table(
    "t",
    MetaData(),
    text("sys_id", primary_key=True),
    text("name", nullable=True),
    number("active", nullable=True),
    text("tag"),
)
C = ROWS_TABLE.c
CONDITIONS = [
    C.name == "a",
    C.name != "a",
    C.name == None,  # noqa: E711 - a condition, not a comparison
    C.name.is_(None),
    C.name > "a",
    C.name >= "b",
    C.active < 1,
    C.active <= 1,
    C.name.in_({"a", "c"}),
    C.name.in_([]),
    (C.name == "a") & (C.active == 1),
    (C.name != "b") & C.active.is_(None) & (C.sys_id > "1"),
    (C.name == "a") | (C.active == 1),
    ((C.name == "a") | (C.name == "b")) & (C.active == 0),
]
values = st.tuples(st.sampled_from([None, "a", "b", "c"]), st.sampled_from([None, 0, 1, 2]))


def rows_of(found: list[tuple[str | None, int | None]]) -> list[Row]:
    return [(f"{n:02}", name, active, f"tag {n % 7} {n}") for n, (name, active) in enumerate(found)]


def state(rows: list[Row]) -> VerifiedRows:
    return VerifiedRows.of(ROWS_TABLE, {}, rows)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        ROWS_TABLE.metadata.create_all(opened)
        yield opened


@given(st.lists(values, max_size=12))
def test_a_condition_selects_what_the_database_would(connection, found):
    rows = rows_of(found)
    connection.execute(ROWS_TABLE.delete())
    if rows:
        names = ROWS_TABLE.columns.keys()
        made = [dict(zip(names, row, strict=True)) for row in rows]
        connection.execute(insert(ROWS_TABLE), made)
    held = state(list(reversed(rows)))
    for condition in CONDITIONS:
        wanted = connection.execute(select(C.sys_id).where(condition).order_by(C.sys_id))
        assert held.find([condition]) == list(wanted.scalars())
    both = connection.execute(select(C.sys_id).where(C.active == 1, C.name != "a"))
    assert held.find([C.active == 1, C.name != "a"]) == sorted(both.scalars())
    assert held.find([]) == [row[0] for row in rows]


@given(st.lists(values, max_size=12), st.data())
def test_a_changed_state_is_that_of_its_rows(found, data):
    before = rows_of(found)
    held = state(before)
    for condition in CONDITIONS:  # what is indexed stays so
        held.find([condition])
    gone = data.draw(st.lists(st.sampled_from(before), unique=True)) if before else []
    new = [(row[0], *data.draw(values), f"new {row[0]}") for row in gone[::2]]
    new += [("late", "a", 1, "a tag"), ("later", "b", None, "a tag")]
    after = state([row for row in before if row not in gone] + new)
    changed = held.changed([row[0] for row in gone], new)
    assert (changed.rows, changed.tags) == (after.rows, after.tags)
    for condition in CONDITIONS:
        assert changed.find([condition]) == after.find([condition])
        assert held.find([condition]) == state(before).find([condition])


@pytest.mark.parametrize(
    "condition",
    [
        C.name.like("a%"),
        not_(C.name.in_(["a"])),
        C.name == C.tag,
        func.lower(C.name) == "a",
        C.name.is_not(None),
        not_((C.name == "a") & (C.active == 1)),
    ],
    ids=str,
)
def test_any_other_condition_is_refused(condition):
    with pytest.raises(NotImplementedError):
        state(rows_of([("a", 1)])).find([condition])


def test_what_cannot_be_a_value_is_in_no_row():
    assert state(rows_of([("a", 1)])).find([C.name == ["a"]]) == []
