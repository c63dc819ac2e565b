"""What an encrypted column may be asked, before and after rotation, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    except_,
    func,
    insert,
    literal,
    not_,
    null,
    select,
    text,
    type_coerce,
    union,
    union_all,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import aliased, joinedload

from keystead.base.errors import Invalid, NotFound
from keystead.crypto import envelope
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.sqlalchemy import Encrypted

from .models import Elsewhere, Note, Person, Pet, Seat

TEAMS = {"a": "north", "b": "North", "c": "", "d": None, "e": "~ks1", "f": "north"}
PEOPLE: Any = Person.__table__
ASKED: list[tuple[Any, set[str]]] = [
    (lambda c: c == "north", {"a", "f"}),
    (lambda c: c == "", {"c"}),
    (lambda c: c == "~ks1", {"e"}),
    (lambda c: c != "north", {"b", "c", "e"}),
    (lambda c: not_(c == "north"), {"b", "c", "e"}),
    (lambda c: c.in_(["north", "North", "none"]), {"a", "b", "f"}),
    (lambda c: c.in_([]), set()),
    (lambda c: c.not_in(["north"]), {"b", "c", "e"}),
    (lambda c: c.is_(None), {"d"}),
    (lambda c: c == None, {"d"}),  # noqa: E711
    (lambda c: c.is_not(None), {"a", "b", "c", "e", "f"}),
    (lambda c: c.is_distinct_from("north"), {"b", "c", "d", "e"}),
    (lambda c: c.is_not_distinct_from("north"), {"a", "f"}),
    (lambda c: and_(c != "north", c.is_not(None)), {"b", "c", "e"}),
]


def found(estate: Any, condition: Any, user: str = "reader") -> set[str]:
    with estate.session(user) as session:
        return set(session.scalars(select(Person.id).where(condition)))


def fill(estate: Any) -> None:
    with estate.session() as session, session.begin():
        session.add_all([Person(id=key, team=team, name=team) for key, team in TEAMS.items()])


@pytest.fixture
def people(sqlite: Any) -> Any:
    fill(sqlite)
    return sqlite


def test_equality_and_emptiness_before_and_after_rotation(estate: Any) -> None:
    fill(estate)
    for ask, expected in ASKED:
        assert found(estate, ask(Person.team)) == expected
    estate.key(keys.rotate, "equal")
    with estate.session() as session, session.begin():
        session.get_one(Person, "f").team = "other"
        session.flush()
        session.get_one(Person, "f").team = "north"
    prefixes = {
        row[0][:29] for row in estate.stored("SELECT team FROM person WHERE id IN ('a', 'f')")
    }
    assert len(prefixes) == 2
    for ask, expected in ASKED:
        assert found(estate, ask(Person.team)) == expected
    estate.run(JobKind.REKEY)
    for ask, expected in ASKED:
        assert found(estate, ask(Person.team)) == expected
    estate.run(JobKind.ENCRYPT)


def test_clear_values_of_a_mixed_column_are_found(people: Any) -> None:
    people.sql("INSERT INTO person (id, team) VALUES ('p', 'north')")
    assert found(people, Person.team == "north") == {"a", "f", "p"}


def test_searching_in_aliases_and_relationships_and_changes(people: Any) -> None:
    other = aliased(Person)
    assert found(people, Person.id.in_(select(other.id).where(other.team == "north"))) == {"a", "f"}
    assert found(people, Person.pets.any(Pet.owner.has(Person.team == "north"))) == set()
    with people.session() as session, session.begin():
        session.execute(update(Person).where(Person.team == "north").values(note="seen"))
        session.execute(delete(Person).where(Person.team == "North"))
    assert found(people, Person.note == "seen") == {"a", "f"}
    assert found(people, Person.team == "North") == set()


def test_one_cached_statement_asks_for_different_values(people: Any) -> None:
    for team in ("north", "North", "none", "north"):
        assert found(people, Person.team == team) == {k for k, v in TEAMS.items() if v == team}


@pytest.mark.parametrize(
    "asked",
    [
        lambda c: c < "x",
        lambda c: c >= "x",
        lambda c: c.like("%x%"),
        lambda c: c.ilike("%x%"),
        lambda c: c.contains("x"),
        lambda c: c.startswith("x"),
        lambda c: c.between("a", "b"),
        lambda c: c.regexp_match("x"),
        lambda c: c + "x" == "x",
        lambda c: "x" + c == "x",
        lambda c: c.collate("NOCASE") == "x",
        lambda c: c.in_(select(PEOPLE.c.note)),
        lambda c: c.in_("north"),
        lambda c: c.concat("x") == "x",
        lambda c: c.distinct(),
    ],
)
@pytest.mark.parametrize("column", [Person.team, Person.name, PEOPLE.c.team])
def test_other_operators_are_refused(asked: Any, column: Any) -> None:
    with pytest.raises(Invalid) as caught:
        asked(column)
    assert caught.value.code == "query.operator"


@pytest.mark.parametrize("order", [lambda c: c.asc(), lambda c: c.desc().nulls_last()])
def test_an_order_is_refused(order: Any) -> None:
    with pytest.raises(Invalid) as caught:
        order(Person.team)
    assert caught.value.code == "query.order"


other = aliased(Person)
OTHER = aliased(Person)
MISUSED: dict[str, Any] = {
    "order": select(Person).order_by(Person.team),
    "order by label": select(Person.id, Person.team.label("t")).order_by("t"),
    "order by name": select(Person.id, Person.team).order_by("team"),
    "group": select(func.count()).group_by(Person.team),
    "distinct": select(Person.team).distinct(),
    "distinct subquery": select(func.count()).select_from(
        select(Person.team).distinct().subquery()
    ),
    "union": union(select(Person.team), select(Person.team)),
    "except": except_(select(Person.id, Person.team), select(Person.id, Person.note)),
    "union of two columns": union_all(select(Person.note), select(Person.team)),
    "function": select(func.lower(Person.team)),
    "aggregate": select(func.max(Person.team)),
    "counted": select(func.count(Person.team)),
    "cast": select(cast(Person.team, Text)),
    "coerced": select(type_coerce(Person.team, Text())),
    "case": select(case((Person.id == "a", Person.team), else_="x")),
    "coalesce": select(func.coalesce(Person.team, "x")),
    "joined to another column": select(Person.id).join(Pet, Person.team == Pet.nickname),
    "compared with another column": select(Person.id).where(Person.team == Person.note),
    "compared with itself": select(Person.id).join(other, Person.team == other.team),
    "among a subquery": select(Person.id).where(Person.note.in_(select(Person.team))),
    "scalar subquery": select(select(Person.team).limit(1).scalar_subquery()),
    "having": select(Person.id).group_by(Person.id).having(func.length(Person.team) > 3),
    "parameter": select(Person.id).where(Person.team == bindparam("team", "x")),
    "without its key": select(select(Person.team).subquery().c.team),
    "text": text("SELECT team FROM person").columns(team=Encrypted()),
    "literal": select(literal("x", Encrypted())),
    "set to an expression": update(Person).where(Person.id == "a").values(team=Person.note),
    "set to a function": update(Person).where(Person.id == "a").values(team=func.lower("X")),
    "inserted from a select": insert(Person).from_select(
        ["id", "team"], select(Person.note, Person.id)
    ),
    "an alias changed": update(OTHER).where(OTHER.id == "a").values({OTHER.name: literal("x")}),
    "an alias emptied": update(OTHER).where(OTHER.id == "a").values({OTHER.name: null()}),
    "set to a stored form": update(Person).where(Person.id == "a").values(note=Person.team),
    "set to something made of it": update(Person)
    .where(Person.id == "a")
    .values(note=func.coalesce(Person.name, "")),
    "a stored form selected for another": insert(Person).from_select(
        ["id", "note"], select(Person.note + "x", Person.team)
    ),
    "an upsert of a stored form": upsert(Person)
    .values(id="a", note="x")
    .on_conflict_do_update(index_elements=["id"], set_={"note": Person.name}),
    "an upsert of a key": upsert(Person)
    .values(id="a", note="x")
    .on_conflict_do_update(index_elements=["id"], set_={"id": "b"}),
    "set in many rows": update(Person).where(Person.note == "x").values(name="x"),
    "set in several rows": update(Person).where(Person.id.in_(["a", "b"])).values(name="x"),
    "upsert": upsert(Person)
    .values(id="a", team="x")
    .on_conflict_do_update(index_elements=["id"], set_={"team": "y"}),
    "keys of the database": insert(Note.__table__).values([{"text": "a"}, {"text": "b"}]),
    "a key of another type": insert(Seat.__table__).values(row="a", number="1", guest="x"),
    "not text": insert(Person).values(id="z", team=7),
    "not a number": insert(Person).values(id="z", salary="7"),
    "not configured": select(Elsewhere),
}


@pytest.mark.parametrize("name", MISUSED)
def test_what_would_give_a_wrong_answer_is_refused(people: Any, name: str) -> None:
    before = people.stored("SELECT * FROM person")
    with people.session() as session:
        with pytest.raises((Invalid, NotFound)):
            session.execute(MISUSED[name])
        session.commit()
    assert people.stored("SELECT * FROM person") == before


def test_what_gives_a_right_answer_is_not(people: Any) -> None:
    inner = select(Person).subquery()
    both = aliased(Person, inner)
    label = Person.team.label("t")
    right: dict[str, Any] = {
        "distinct with its key": select(Person).distinct(),
        "union of whole rows": union(
            select(Person.id, Person.team), select(Person.id, Person.team)
        ),
        "union all": union_all(select(Person.team), select(Person.team)),
        "subquery": select(inner.c.team),
        "entity of a subquery": select(both.team),
        "label": select(label),
        "alias": select(aliased(Person).team),
        "cte": select(select(Person).cte().c.team),
        "eager": select(Person.team).join(Person.pets, isouter=True),
        "counted rows": select(func.count()).select_from(inner),
        "limited": select(Person).options(joinedload(Person.pets)).limit(3),
    }
    wanted = set(TEAMS.values())
    with people.session("reader") as session:
        for name, statement in right.items():
            rows = session.execute(statement).unique().all()
            values = {r[-1].team if isinstance(r[-1], Person) else r[-1] for r in rows}
            assert values <= wanted | {6}, name
            assert values, name


def test_a_standard_column_is_not_searched(people: Any) -> None:
    with pytest.raises(Invalid) as caught:
        found(people, Person.name == "north")
    assert caught.value.code == "query.standard"
    assert found(people, Person.name.is_(None)) == {"d"}


def test_a_suspended_key_stops_reading_and_searching(people: Any) -> None:
    people.end(keys.suspend, "equal")
    with pytest.raises(NotFound) as caught:
        found(people, Person.team == "north")
    assert caught.value.code == "key.is_suspended"
    with people.session("reader") as session, pytest.raises(NotFound):
        session.get(Person, "a")
    with people.session() as session, pytest.raises(NotFound) as caught:
        session.execute(insert(PEOPLE).values(id="z", team="x"))
    assert caught.value.code == "key.suspended"


def test_an_engine_that_is_not_attached_shows_and_takes_nothing(people: Any) -> None:
    with people.engine.connect() as plain:
        for statement in (
            select(PEOPLE),
            insert(PEOPLE).values(id="z", team="x"),
            select(PEOPLE.c.id).where(PEOPLE.c.team == "north"),
        ):
            with pytest.raises(Exception) as caught:  # noqa: PT011
                plain.execute(statement).all()
            original = getattr(caught.value, "orig", None) or caught.value
            assert isinstance(original, Invalid)
            assert original.code == "column.unattached"
    stored = people.stored("SELECT team FROM person WHERE id = 'a'")
    assert envelope.is_marked(stored[0][0])
