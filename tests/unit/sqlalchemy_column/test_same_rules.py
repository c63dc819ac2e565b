"""Who writes through a column meets the rules that records have."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table, insert, select, update

from keystead.access import rejections
from keystead.access.effect import MASK
from keystead.base.errors import Denied, Invalid, KeysteadError
from keystead.fields import service as fields
from keystead.sqlalchemy import Encrypted

from .conftest import ACTOR
from .models import Note, Person

PEOPLE: Any = Person.__table__
BADGE = Table(
    "badge",
    MetaData(),
    Column("id", String(9), primary_key=True),
    Column("ssn", Encrypted()),
    Column("number", Encrypted()),
    Column("count", Encrypted(int)),
)


@pytest.fixture
def estate(sqlite: Any) -> Any:
    """People, and badges whose `ssn` is unique and whose `number` and `count` were numbers."""
    sqlite.sql(
        "CREATE TABLE badge (id TEXT PRIMARY KEY, ssn TEXT UNIQUE, number INTEGER, count INTEGER)"
    )
    with sqlite.database.transaction() as tx:
        for column in ("ssn", "number", "count"):
            fields.configure(
                tx,
                sqlite.database,
                sqlite.hierarchy,
                table="badge",
                column=column,
                module="equal",
                actor=ACTOR,
            )
    with sqlite.session() as session, session.begin():
        session.add_all([Person(id="a", name="Zoë", team="north"), Person(id="b")])
    return sqlite


def stored(estate: Any, table: str = "person") -> list[tuple[Any, ...]]:
    return estate.stored(f"SELECT * FROM {table} ORDER BY id")  # type: ignore[no-any-return]


def attempt(estate: Any, user: str, statement: Any) -> str:
    try:
        with estate.open.attach(estate.engine, user=user).begin() as connection:
            connection.execute(statement)
    except KeysteadError as error:
        return error.code
    return ""


def shown(estate: Any, statement: Any) -> list[tuple[Any, ...]]:
    with estate.open.attach(estate.engine, user="reader").connect() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def test_a_unique_column_answers_no_guesses(estate: Any) -> None:
    add = lambda key, ssn: insert(BADGE).values(id=key, ssn=ssn)  # noqa: E731
    change = lambda ssn: update(BADGE).where(BADGE.c.id == "1").values(ssn=ssn)  # noqa: E731
    assert attempt(estate, "both", add("1", "123")) == ""
    for ssn in ("123", "456"):
        assert attempt(estate, "writer", add("2", ssn)) == "value.unique"
        assert attempt(estate, "writer", change(ssn)) == "value.unique"
        assert attempt(estate, "guest", add("2", ssn)) == "value.denied"
    assert attempt(estate, "both", add("3", "")) == ""
    assert attempt(estate, "writer", add("4", "")) == ""
    assert attempt(estate, "writer", change("")) == ""
    assert shown(estate, select(BADGE.c.id, BADGE.c.ssn)) == [("1", "123"), ("3", ""), ("4", None)]
    estate.open._link._recorder.flush()
    with estate.database.snapshot() as tx:
        refused = {(r["caller"], r["operation"]) for r in rejections.listed(tx)}
    assert {("user:writer", "decrypt"), ("user:guest", "encrypt")} <= refused


@pytest.mark.parametrize("user", ["guest", "reader", "writer"])
@pytest.mark.parametrize("key", ["a", "b"])
def test_a_key_changes_only_by_who_may_seal_every_value_anew(
    estate: Any, user: str, key: str
) -> None:
    before = stored(estate)
    moving = update(PEOPLE).where(PEOPLE.c.id == key)
    assert attempt(estate, user, moving.values(id="moved")) == "record.key_denied"
    with estate.session(user) as session:
        session.get_one(Person, key).id = "moved"
        with pytest.raises(Denied) as caught:
            session.flush()
    assert caught.value.code == "record.key_denied"
    assert stored(estate) == before
    assert attempt(estate, user, moving.values(id=key, note="same key")) == ""


@pytest.mark.parametrize("value", ["", None])
def test_who_may_only_decrypt_may_save_nothing_where_nothing_is(
    estate: Any, value: str | None
) -> None:
    before = stored(estate)
    for name in ("name", "team"):
        changing = update(PEOPLE).where(PEOPLE.c.id == "b").values({name: value})
        assert attempt(estate, "reader", changing) == ""
    assert stored(estate) == before
    emptying = update(PEOPLE).where(PEOPLE.c.id == "a").values(name=value)
    assert attempt(estate, "reader", emptying) == "value.denied"


@pytest.mark.parametrize("user", ["both", "writer", "guest", "reader"])
def test_asterisks_in_a_new_row_are_no_value(estate: Any, user: str) -> None:
    with estate.session(user) as session, session.begin():
        session.add(Person(id="c", name=MASK, team=MASK, salary=None))
    assert stored(estate)[-1] == ("c", None, None, None, None, None)
    with estate.session(user) as session:
        session.add(Note(text=MASK))
        with pytest.raises(Invalid) as caught:
            session.flush()
    assert caught.value.code == "value.missing"


def test_asterisks_are_stored_by_who_may_read_and_write(estate: Any) -> None:
    changing = update(PEOPLE).where(PEOPLE.c.id == "a").values(name=MASK, team=MASK)
    assert attempt(estate, "writer", changing) == ""
    assert shown(estate, select(PEOPLE.c.id, PEOPLE.c.name))[0] == ("a", "Zoë")
    assert attempt(estate, "both", changing) == ""
    assert shown(estate, select(PEOPLE.c.id, PEOPLE.c.name, PEOPLE.c.team))[0] == ("a", MASK, MASK)


@pytest.mark.parametrize(("text", "kept"), [("042", "42"), ("+7", "7"), ("-0", "0")])
def test_whole_numbers_are_written_in_one_form(estate: Any, text: str, kept: str) -> None:
    assert attempt(estate, "both", insert(BADGE).values(id="1", number=text)) == ""
    assert shown(estate, select(BADGE.c.id, BADGE.c.number)) == [("1", kept)]
    for asked in (text, kept):
        found = select(BADGE.c.id).where(BADGE.c.number == asked)
        assert shown(estate, found) == [("1",)]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        *[("number", text, "value.number") for text in ("4_2", " 42 ", "x", "４２")],
        *[("number", str(number), "value.range") for number in (2**63, -(2**63) - 1)],
        *[("count", number, "value.range") for number in (2**63, -(2**63) - 1, -(10**4000))],
    ],
)
def test_what_is_no_whole_number_of_64_bits_is_refused(
    estate: Any, name: str, value: Any, code: str
) -> None:
    assert attempt(estate, "both", insert(BADGE).values(id="1", **{name: value})) == code
    assert stored(estate, "badge") == []


def test_numbers_of_64_bits_are_kept(estate: Any) -> None:
    for key, number in (("1", 2**63 - 1), ("2", -(2**63))):
        statement = insert(BADGE).values(id=key, number=str(number), count=number)
        assert attempt(estate, "both", statement) == ""
        found = select(BADGE.c.id, BADGE.c.number, BADGE.c.count).where(BADGE.c.count == number)
        assert shown(estate, found) == [(key, str(number), number)]
