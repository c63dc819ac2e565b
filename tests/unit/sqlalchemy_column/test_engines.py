"""Reading and writing on each database: what the application sees, and what is stored."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.orm import joinedload, selectinload

from keystead.base.errors import Tampered
from keystead.crypto import envelope

from .models import Note, Person, Pet, Seat

FULL = {"name": "Zoë", "salary": -7, "email": "zoë@example.com", "team": "north", "note": "one"}


def add(estate: Any, **people: dict[str, Any]) -> None:
    with estate.session() as session, session.begin():
        session.add_all(Person(id=key, **values) for key, values in people.items())


def shown(person: Person) -> dict[str, Any]:
    return {name: getattr(person, name) for name in FULL}


def test_clear_text_goes_in_and_comes_out_and_envelopes_are_stored(estate: Any) -> None:
    add(estate, a=FULL, b={}, c={"name": "", "email": ""})
    columns = "name, salary, email, team"
    (first, second, third) = estate.stored(f"SELECT {columns} FROM person ORDER BY id")
    assert all(envelope.is_marked(value) for value in first)
    assert second == (None,) * 4
    assert third == ("", None, "", None)
    with estate.session("reader") as session:
        found = session.scalars(select(Person).order_by(Person.id)).all()
        assert [shown(p) for p in found[:1]] == [FULL]
        assert (found[1].name, found[2].name, found[2].email) == (None, "", "")
    assert estate.counted()["name"].opened == 1


def test_get_refresh_expire_and_rollback(estate: Any) -> None:
    add(estate, a=FULL)
    with estate.session() as session:
        person = session.get_one(Person, "a")
        person.name = "other"
        session.flush()
        assert person.name == "other"
        session.rollback()
        assert person.name == "Zoë"
        session.expire(person, ["email"])
        assert person.email == FULL["email"]
        person.name = "third"
        session.commit()
        assert shown(person) == {**FULL, "name": "third"}
        session.refresh(person)
        assert person.name == "third"


def test_core_reads_and_writes(estate: Any) -> None:
    people: Any = Person.__table__
    with estate.open.attach(estate.engine, user="both").begin() as connection:
        connection.execute(insert(people), [{"id": "a", **FULL}, {"id": "b", **FULL}])
        connection.execute(insert(people).values(id="c", name="one", email="c@x"))
        connection.execute(
            insert(people).values([{"id": "d", "name": "d"}, {"id": "e", "name": None}])
        )
        connection.execute(update(people).where(people.c.id == "a").values(name="new", salary=5))
        connection.execute(update(people).where(people.c.id.in_(["a", "b"])).values(team="west"))
        found = connection.execute(
            select(people.c.name, people.c.salary, people.c.team).order_by(people.c.id)
        ).all()
    assert [tuple(row) for row in found] == [
        ("new", 5, "west"),
        ("Zoë", -7, "west"),
        ("one", None, None),
        ("d", None, None),
        (None, None, None),
    ]
    assert estate.counted()["name"].plain == 0


@pytest.mark.parametrize("loading", [joinedload, selectinload])
def test_relationships_are_opened(estate: Any, loading: Any) -> None:
    with estate.session() as session, session.begin():
        session.add(Person(id="a", name="Ann", pets=[Pet(nickname="Rex"), Pet(nickname=None)]))
        session.add(Person(id="b", name="Bob"))
    with estate.session("reader") as session:
        query = select(Person).options(loading(Person.pets)).order_by(Person.id)
        ann, bob = session.scalars(query).unique().all()
        assert sorted(str(pet.nickname) for pet in ann.pets) == ["None", "Rex"]
        assert (ann.name, bob.name, bob.pets) == ("Ann", "Bob", [])
        limited = query.limit(1)
        assert [p.name for p in session.scalars(limited).unique()] == ["Ann"]
        left = select(Person.name, Pet.nickname).outerjoin(Pet).where(Person.id == "b")
        assert session.execute(left).all() == [("Bob", None)]


def test_keys_of_several_columns(estate: Any) -> None:
    with estate.session() as session, session.begin():
        session.add_all([Seat(row="a", number=n, guest=f"guest {n}") for n in (-1, 7)])
    with estate.session() as session:
        assert session.get_one(Seat, ("a", -1)).guest == "guest -1"
        session.get_one(Seat, ("a", 7)).guest = "other"
        session.commit()
        assert session.get_one(Seat, ("a", 7)).guest == "other"
    assert estate.counted("seat")["guest"].opened == 2


def test_a_key_that_the_database_makes(estate: Any) -> None:
    with estate.session() as session, session.begin():
        session.add(Note(text="alone", tag="x"))
    with estate.session() as session, session.begin():
        session.add_all([Note(text=f"text {n}", tag=f"tag {n}") for n in range(20)])
    with estate.open.attach(estate.engine, user="both").begin() as connection:
        connection.execute(insert(Note.__table__).values(text="core"))
    with estate.session("reader") as session:
        found = session.scalars(select(Note).order_by(Note.id)).all()
        assert found[0].text == "alone"
        assert {(n.text, n.tag) for n in found[1:-1]} == {
            (f"text {n}", f"tag {n}") for n in range(20)
        }
        assert found[-1].text == "core"
    assert estate.counted("note")["text"].opened == 22


def test_a_new_key_of_a_row_seals_its_values_anew(estate: Any) -> None:
    add(estate, a=FULL, b=FULL)
    before = dict(estate.stored("SELECT id, name FROM person"))
    with estate.session("both") as session, session.begin():
        session.get_one(Person, "a").id = "moved"
    with estate.open.attach(estate.engine, user="both").begin() as connection:
        people: Any = Person.__table__
        moving = update(people).where(people.c.id == "b")
        assert connection.execute(moving.values(id="b2", name="new")).rowcount == 1
    with estate.session("reader") as session:
        assert shown(session.get_one(Person, "moved")) == FULL
        assert shown(session.get_one(Person, "b2")) == {**FULL, "name": "new"}
    after = dict(estate.stored("SELECT id, name FROM person"))
    assert set(after.values()).isdisjoint(before.values())


def test_values_that_were_swapped_do_not_open(estate: Any) -> None:
    add(estate, a=FULL, b={**FULL, "name": "Bob"})
    (name,) = estate.stored("SELECT name FROM person WHERE id = 'a'")[0]
    estate.sql(f"UPDATE person SET name = '{name}' WHERE id = 'b'")
    with estate.session("reader") as session:
        with pytest.raises(Tampered):
            session.get(Person, "b")
        assert session.get_one(Person, "a").name == "Zoë"


def test_text_keys_match_by_bytes(estate: Any) -> None:
    add(estate, a=FULL)
    people: Any = Person.__table__
    with estate.open.attach(estate.engine, user="both").begin() as connection:
        for key in ("A", "a "):
            statement = update(people).where(people.c.id == key).values(name="new")
            assert connection.execute(statement).rowcount == 0
    with estate.session("reader") as session:
        assert session.get_one(Person, "a").name == "Zoë"


def test_returning(estate: Any) -> None:
    with estate.session() as session, session.begin():
        rows = [{"id": key, "name": f"name {key}"} for key in "ab"]
        made = session.scalars(insert(Person).returning(Person), rows).all()
        assert sorted((p.id, p.name) for p in made) == [("a", "name a"), ("b", "name b")]
