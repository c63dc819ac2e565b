"""What a caller is shown, what he may write and search, and what is written down of refusals."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select, update

from keystead.access import people as access_people
from keystead.access import rejections
from keystead.access.effect import MASK
from keystead.access.rejections import Refusals
from keystead.audit.tables import AUDIT
from keystead.base.errors import Denied, NotFound, Unavailable

from .conftest import ACTOR
from .models import Note, Person

FULL = {"name": "Zoë", "salary": -7, "email": "zoë@example.com", "team": "north", "note": "one"}
HIDDEN = {"guest": ("", None, "", ""), "writer": (MASK, None, MASK, MASK), None: ("", None, "", "")}
PEOPLE: Any = Person.__table__


@pytest.fixture
def estate(sqlite: Any) -> Any:
    with sqlite.session() as session, session.begin():
        session.add_all([Person(id="a", **FULL), Person(id="b")])
    return sqlite


def stored(estate: Any) -> list[tuple[Any, ...]]:
    return estate.stored("SELECT * FROM person ORDER BY id")  # type: ignore[no-any-return]


def refusals(estate: Any) -> set[tuple[str, str, str]]:
    estate.open._link._recorder.flush()
    with estate.database.snapshot() as tx:
        return {(r["caller"], r["module"], r["operation"]) for r in rejections.listed(tx)}


def flushed(estate: Any, user: str | None, act: Any) -> None:
    with estate.session(user) as session:
        act(session)
        session.flush()


@pytest.mark.parametrize("user", ["reader", "both"])
def test_who_may_decrypt_sees_clear_values(estate: Any, user: str) -> None:
    with estate.session(user) as session:
        assert session.get_one(Person, "a").salary == FULL["salary"]
    assert refusals(estate) == set()


@pytest.mark.parametrize("user", HIDDEN)
def test_who_may_not_sees_the_same_in_every_row(estate: Any, user: str | None) -> None:
    with estate.session(user) as session:
        for person in session.scalars(select(Person)):
            seen = (person.name, person.salary, person.email, person.team)
            assert seen == HIDDEN[user]
    noted = {(f"user:{user}", module, "decrypt") for module in ("global.standard", "global.equal")}
    assert refusals(estate) == (noted if user else set())


@pytest.mark.parametrize("user", ["guest", "writer"])
@pytest.mark.parametrize("shown", ["", None, MASK])
def test_who_was_shown_nothing_changes_nothing_by_saving_it(
    estate: Any, user: str, shown: str | None
) -> None:
    before = stored(estate)
    with estate.session(user) as session, session.begin():
        person = session.get_one(Person, "a")
        for name in ("name", "salary", "email", "team"):
            setattr(person, name, None)
            setattr(person, name, shown)
    with estate.session(user) as session, session.begin():
        session.execute(update(Person).where(Person.id == "a").values(name=shown, note="one"))
        session.execute(update(Person), [{"id": "a", "team": shown}, {"id": "b", "team": ""}])
    assert stored(estate) == before


def test_one_of_several_is_changed_and_the_others_kept(estate: Any) -> None:
    with estate.session("both") as session, session.begin():
        session.add(Person(id="c", name="kept", team="kept"))
    with estate.session("writer") as session, session.begin():
        session.execute(
            update(Person),
            [{"id": "a", "name": "new", "team": "new"}, {"id": "c", "name": MASK, "team": ""}],
        )
    with estate.session("reader") as session:
        found = session.execute(select(Person.id, Person.name, Person.team).order_by(Person.id))
        assert found.all() == [("a", "new", "new"), ("b", None, None), ("c", "kept", "kept")]


@pytest.mark.parametrize("user", ["guest", "reader", None])
def test_who_may_not_encrypt_writes_nothing(estate: Any, user: str | None) -> None:
    before = stored(estate)

    def change(session: Any) -> None:
        session.get_one(Person, "a").name = "other"

    for act in (
        change,
        lambda session: session.add(Person(id="c", team="x")),
        lambda session: session.execute(insert(PEOPLE).values(id="c", name="x")),
        lambda session: session.execute(update(PEOPLE).values(team="x")),
        lambda session: session.add(Note(text="x")),
    ):
        with pytest.raises(Denied) as caught:
            flushed(estate, user, act)
        assert caught.value.code == "value.denied"
    assert stored(estate) == before
    assert (("user:reader", "global.standard", "encrypt") in refusals(estate)) == (user == "reader")


def test_refusals_that_cannot_be_written_yet_are_kept(
    estate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise Unavailable("database.busy")

    with monkeypatch.context() as patch:
        patch.setattr(Refusals, "write", fail)
        with estate.session("reader") as session, pytest.raises(Denied):
            session.execute(update(PEOPLE).values(team="x"))
        with pytest.raises(Unavailable):
            estate.open._link._recorder.flush()
    assert refusals(estate) == {("user:reader", "global.equal", "encrypt")}


def test_who_may_only_decrypt_may_save_what_he_read(estate: Any) -> None:
    before = stored(estate)
    with estate.session("reader") as session, session.begin():
        session.execute(update(PEOPLE).where(PEOPLE.c.id == "a").values(name="Zoë", salary=-7))
        session.execute(update(PEOPLE).where(PEOPLE.c.id == "b").values(name=None))
    assert stored(estate) == before
    with estate.session("reader") as session, pytest.raises(Denied):
        session.execute(update(PEOPLE).where(PEOPLE.c.id == "a").values(name=""))


def test_who_may_only_encrypt_writes_what_he_cannot_read(estate: Any) -> None:
    with estate.session("writer") as session, session.begin():
        session.get_one(Person, "a").name = "new"
        session.add(Person(id="c", name="third"))
    with estate.session("reader") as session:
        assert session.get_one(Person, "a").name == "new"
        assert session.get_one(Person, "c").name == "third"


@pytest.mark.parametrize("user", ["guest", "writer", None])
@pytest.mark.parametrize(
    "asked", [lambda c: c == "x", lambda c: c.in_(["x"]), lambda c: c.is_(None), lambda c: c != "x"]
)
def test_to_search_takes_the_right_to_decrypt(estate: Any, user: str | None, asked: Any) -> None:
    with estate.session(user) as session, pytest.raises(Denied) as caught:
        session.scalars(select(Person.id).where(asked(Person.team))).all()
    assert caught.value.code == "query.denied"
    if user:
        assert (f"user:{user}", "global.equal", "decrypt") in refusals(estate)
        with estate.database.snapshot() as tx:
            found = tx.execute(select(AUDIT.c.action, AUDIT.c.actor)).all()
        assert ("table.search.refuse", f"user:{user}") in [tuple(row) for row in found]


def test_rights_that_are_taken_are_seen(estate: Any, never_fresh: None) -> None:
    with estate.session("reader") as session:
        assert session.get_one(Person, "a").name == "Zoë"
        with estate.database.transaction() as tx:
            access_people.take_role(tx, estate.hierarchy.integrity, "reader", "readers", ACTOR)
        session.expire_all()
        assert session.get_one(Person, "a").name == ""


def test_two_callers_share_a_statement_and_not_a_view(estate: Any) -> None:
    query = select(Person.name).where(Person.id == "a")
    with estate.session("reader") as one, estate.session("guest") as other:
        mine, theirs = one.execute(query), other.execute(query)
        assert (theirs.scalar_one(), mine.scalar_one()) == ("", "Zoë")


def test_a_user_who_is_not_there(estate: Any) -> None:
    with estate.session("nobody here") as session, pytest.raises(NotFound):
        session.get(Person, "a")
