"""The type itself, what is shown of it, and many rows at once."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table, event, insert, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session, make_transient
from sqlalchemy.schema import CreateTable

from keystead.base.errors import Invalid
from keystead.sqlalchemy import Encrypted

from .models import Note, Person

ROWS = 10_000


def test_many_rows_in_one_statement_and_back(sqlite: Any) -> None:
    taken: list[int] = []
    meter = sqlite.open._link._meter
    event.listen(sqlite.engine, "before_cursor_execute", lambda *a: taken.append(len(a[3])))
    rows = [
        {"id": f"{n:05}", "name": f"name {n}", "salary": n, "team": f"team {n % 10}"}
        for n in range(ROWS)
    ]
    meter.ensure(key_of(sqlite), 2 * ROWS)
    with sqlite.session() as session, session.begin():
        session.execute(insert(Person), rows)
    assert max(taken) == ROWS
    with sqlite.session("reader") as session:
        columns = select(Person.id, Person.name, Person.salary, Person.team).order_by(Person.id)
        assert [row._asdict() for row in session.execute(columns)] == rows
        pages = session.scalars(select(Person).execution_options(yield_per=1000)).partitions()
        assert [len(page) for page in pages] == [1000] * 10
    assert meter._left[key_of(sqlite)] < 2 * ROWS


def key_of(estate: Any) -> str:
    known = estate.open._link.columns().by_name["person", "name"]
    return str(known.key_id)


def test_rows_whose_keys_the_database_makes(sqlite: Any) -> None:
    with sqlite.session() as session, session.begin():
        session.add_all(Note(text=f"text {n}") for n in range(1000))
    with sqlite.session("reader") as session:
        found = session.scalars(select(Note.text)).all()
        assert sorted(found) == sorted(f"text {n}" for n in range(1000))


def test_nothing_that_holds_keys_is_shown_or_pickled(sqlite: Any) -> None:
    with sqlite.session() as session, session.begin():
        session.add(Person(id="a", name="Zoë"))
    bound = sqlite.open.attach(sqlite.engine, user="reader")
    (caller,) = bound.get_execution_options().values()
    with Session(bound) as session:
        person = session.get_one(Person, "a")
        shown = [repr(thing) for thing in (sqlite.open, caller, bound, session, person)]
        shown.append(repr(bound.get_execution_options()))
        assert not any("Zoë" in text or "Secret" in text or "AESGCM" in text for text in shown)
        for thing in (sqlite.open, caller, sqlite.open._link):
            with pytest.raises(TypeError):
                pickle.dumps(thing)
        again = pickle.loads(pickle.dumps(person))
        assert again.name == "Zoë"
        assert pickle.loads(pickle.dumps(Encrypted(int))).kind is int


def test_errors_do_not_quote_clear_values(sqlite: Any) -> None:
    with sqlite.session() as session, session.begin():
        session.add(Person(id="a", name="Zoë"))
    with sqlite.session() as session:
        session.add(Person(id="a", name="a secret"))
        with pytest.raises(Exception) as caught:  # noqa: PT011
            session.flush()
    assert "a secret" not in str(caught.value)
    assert "UNIQUE" in str(caught.value)


def test_an_object_that_is_inserted_again_under_another_key(sqlite: Any) -> None:
    with sqlite.session() as session, session.begin():
        person = Person(id="a", name="Zoë", team="north")
        session.add(person)
        session.flush()
        make_transient(person)
        person.id = "b"
        session.add(person)
    with sqlite.session("reader") as session:
        assert session.execute(select(Person.id, Person.name)).all() == [("a", "Zoë"), ("b", "Zoë")]
        merged = session.merge(Person(id="a", name="Zoë"))
        assert merged not in session.dirty or not session.is_modified(merged)


def test_defaults_in_python_are_sealed(sqlite: Any) -> None:
    column = Person.__table__.c.team
    assert column.default is None
    metadata = MetaData()
    person = Table(
        "person",
        metadata,
        Column("id", String(40), primary_key=True, default=lambda: "made"),
        Column("team", Encrypted(), default=lambda context: context.current_parameters["id"]),
        Column("name", Encrypted(), default="unnamed"),
    )
    with sqlite.open.attach(sqlite.engine, user="both").begin() as connection:
        connection.execute(insert(person))
        connection.execute(insert(person), [{"id": "a"}, {"id": "b"}])
        rows = connection.execute(select(person).order_by(person.c.id)).all()
    assert [tuple(row) for row in rows] == [
        ("a", "a", "unnamed"),
        ("b", "b", "unnamed"),
        ("made", "made", "unnamed"),
    ]


def test_defaults_of_the_database_are_refused(sqlite: Any) -> None:
    person = Table(
        "person",
        MetaData(),
        Column("id", String(40), primary_key=True),
        Column("name", Encrypted(), server_default="clear"),
    )
    bound = sqlite.open.attach(sqlite.engine, user="both")
    with bound.begin() as connection, pytest.raises(Invalid) as caught:
        connection.execute(insert(person).values(id="a"))
    assert caught.value.code == "column.expression"


def test_one_type_for_several_columns() -> None:
    shared = Encrypted()
    table = Table(
        "t",
        MetaData(),
        Column("id", String(40), primary_key=True),
        Column("a", shared),
        Column("b", shared),
    )
    copy = table.to_metadata(MetaData(), name="copy")
    assert [c.type.where for c in (table.c.a, table.c.b)] == [("t", "a"), ("t", "b")]  # type: ignore[attr-defined]
    assert [c.type.where for c in (copy.c.a, copy.c.b)] == [("copy", "a"), ("copy", "b")]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("dialect", "declared"),
    [
        (sqlite.dialect(), "a TEXT"),
        (postgresql.dialect(), 'a TEXT COLLATE "C"'),
        (mysql.dialect(), "a LONGTEXT COLLATE utf8mb4_nopad_bin"),
    ],
)
@pytest.mark.parametrize("kind", [str, int])
def test_it_is_text_that_compares_by_bytes(dialect: Any, declared: str, kind: Any) -> None:
    table = Table("t", MetaData(), Column("a", Encrypted(kind)))
    assert declared in str(CreateTable(table).compile(dialect=dialect))


def test_other_kinds_are_refused() -> None:
    with pytest.raises(Invalid):
        Encrypted(float)  # type: ignore[arg-type]
