"""What goes on beside the application: keys that change, mass jobs, other transactions."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from keystead.base.errors import Conflict, NotFound, Tampered
from keystead.crypto import envelope
from keystead.fields import service as fields
from keystead.instance import opening
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys import usage
from keystead.keys.model import KeyState
from keystead.sqlalchemy import OpenInstance, knowledge

from .models import Person

PEOPLE: Any = Person.__table__


class Interrupted:
    """A database in which something happens after each page is read, before it is written."""

    def __init__(self, database: Any, after_page: Any) -> None:
        self._database = database
        self._after_page = after_page
        self._pages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def page(self, *arguments: Any) -> list[tuple[Any, ...]]:
        *others, limit = arguments
        rows: list[tuple[Any, ...]] = self._database.page(*others, min(limit, 5))
        self._pages += 1
        self._after_page(self._pages)
        return rows


def fill(estate: Any, number: int = 12) -> None:
    with estate.session() as session, session.begin():
        session.add_all(
            Person(id=f"p{n:02}", name=f"name {n}", team="north") for n in range(number)
        )


def test_writes_while_values_are_encrypted_and_rekeyed(estate: Any) -> None:
    estate.sql("INSERT INTO person (id, name, team) VALUES ('old', 'plain', 'north')")
    fill(estate)

    def write(page: int) -> None:
        if page > 3:
            return
        with estate.session() as session, session.begin():
            session.get_one(Person, f"p0{page}").name = f"meanwhile {page}"
            session.add(Person(id=f"new {page}", name=f"new {page}", team="north"))
            gone = session.get(Person, f"p1{page - 1}")
            if gone is not None:
                session.delete(gone)

    for kind in (JobKind.ENCRYPT, JobKind.REKEY):
        estate.move(estate.start(kind), Interrupted(estate.database, write))
        with estate.session("reader") as session:
            names = dict(session.execute(select(Person.id, Person.name)).all())
            assert names["old"] == "plain"
            assert [names[f"p0{n}"] for n in (1, 2, 3)] == [f"meanwhile {n}" for n in (1, 2, 3)]
            assert [names[f"new {n}"] for n in (1, 2, 3)] == [f"new {n}" for n in (1, 2, 3)]
            found = session.scalars(select(Person.id).where(Person.team == "north")).all()
            assert set(found) == set(names)
        estate.key(keys.rotate, "standard")
        with estate.session() as session, session.begin():
            session.execute(update(PEOPLE).where(PEOPLE.c.id.like("new%")).values(team="x"))
            session.execute(update(PEOPLE).values(team="north"))
            for row in session.scalars(select(Person).where(Person.id.like("new%"))):
                session.delete(row)
    assert all(c.plain == c.unreadable == 0 for c in estate.counted().values())


def test_clear_text_in_a_sealed_column_is_tampering(sqlite: Any) -> None:
    fill(sqlite, 1)
    sqlite.run(JobKind.ENCRYPT)
    sqlite.sql("INSERT INTO person (id, name) VALUES ('x', 'clear')")
    with sqlite.session("reader") as session, pytest.raises(Tampered):
        session.get(Person, "x")


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v[:-2] + ("A" if v[-2] != "A" else "B") + "~",
        lambda v: v[:-1],
        lambda v: v + "x",
        lambda v: "~ks1" + v[4:5] + ".AAAAAAAAAAAAAAAAAAAAAA." + v[29:],
        lambda v: "~ks1",
    ],
)
@pytest.mark.parametrize("column", ["name", "team"])
def test_a_changed_value_is_tampering(sqlite: Any, change: Any, column: str) -> None:
    fill(sqlite, 1)
    ((stored,),) = sqlite.stored(f"SELECT {column} FROM person")
    sqlite.sql(f"UPDATE person SET {column} = '{change(stored)}'")
    with sqlite.session("reader") as session:
        with pytest.raises(Tampered):
            session.get(Person, "p00")
        assert session.scalars(select(Person.id)).all() == ["p00"]


def test_a_value_of_another_column_is_tampering(sqlite: Any) -> None:
    fill(sqlite, 1)
    sqlite.sql("UPDATE person SET email = team")
    with sqlite.session("reader") as session, pytest.raises(Tampered):
        session.get(Person, "p00")


def test_a_rotated_key_is_followed(sqlite: Any, never_fresh: None) -> None:
    fill(sqlite, 1)
    with sqlite.session() as session, session.begin():
        with sqlite.database.transaction() as tx:
            keys.rotate(tx, sqlite.hierarchy, "standard", "test")
        session.add(Person(id="new", name="new"))
    prefixes = [row[0][:29] for row in sqlite.stored("SELECT name FROM person")]
    assert len(set(prefixes)) == 2
    with sqlite.session("reader") as session:
        assert session.scalars(select(Person.name)).all() == ["name 0", "new"]


def test_what_is_known_is_asked_for_again_after_a_second(
    sqlite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(knowledge.time, "monotonic", lambda: now)
    fill(sqlite, 1)
    with sqlite.session("reader") as session:
        session.get(Person, "p00")
        with sqlite.database.transaction() as tx:
            row = keys.named_key(tx, sqlite.hierarchy, "standard", KeyState.ACTIVE)
            keys.suspend(tx, sqlite.hierarchy, row, "test")
        session.expire_all()
        assert session.get_one(Person, "p00").name == "name 0"
        now += knowledge.FRESH_SECONDS
        session.expire_all()
        with pytest.raises(NotFound):
            session.get(Person, "p00")


def test_a_revoked_key_opens_and_encrypts_no_more(sqlite: Any) -> None:
    fill(sqlite, 1)
    sqlite.end(keys.revoke, "standard", "it leaked")
    with sqlite.session() as session, session.begin():
        assert session.get_one(Person, "p00").name == "name 0"
        session.add(Person(id="new", name="new"))
    old, new = (row[0][:29] for row in sqlite.stored("SELECT name FROM person ORDER BY id DESC"))
    assert old != new


@pytest.mark.parametrize(("action", "more"), [(keys.revoke, ["it leaked"]), (keys.suspend, [])])
def test_a_transaction_does_not_commit_under_a_key_that_ended(
    sqlite: Any, never_fresh: None, action: Any, more: list[str]
) -> None:
    with sqlite.session() as session:
        session.add(Person(id="a", name="sealed before"))

        def end(*_: Any) -> None:
            sqlite.end(action, "standard", *more)

        # the value is sealed by now, and the file not locked yet
        event.listen(sqlite.engine, "before_cursor_execute", end, once=True)
        with pytest.raises(Conflict) as caught:
            session.commit()
        assert caught.value.code == "key.overtaken"
    assert sqlite.stored("SELECT id FROM person") == []


def test_a_destroyed_key_is_an_error_and_not_an_empty_value(sqlite: Any) -> None:
    fill(sqlite, 1)
    sqlite.run(JobKind.ENCRYPT)
    with sqlite.database.transaction() as tx:
        row = keys.named_key(tx, sqlite.hierarchy, "standard", KeyState.ACTIVE)
    sqlite.key(keys.rotate, "standard")
    ((stored,),) = sqlite.stored("SELECT name FROM person")
    sqlite.run(JobKind.REKEY)
    with sqlite.database.transaction() as tx:
        row = keys.key(tx, sqlite.hierarchy, row["sys_id"])
        keys.destroy(tx, sqlite.hierarchy, row, lambda *_: [], "test")
    sqlite.forget()
    sqlite.sql(f"UPDATE person SET name = '{stored}'")
    with sqlite.session("reader") as session, pytest.raises(NotFound) as caught:
        session.get(Person, "p00")
    assert caught.value.code == "key.not_held"


def test_keys_are_noted_and_reserved_before_the_application_writes(sqlite: Any) -> None:
    """On SQLite nothing of the instance could be written in the same file afterwards."""
    with sqlite.session() as session, session.begin():
        session.connection().exec_driver_sql("INSERT INTO elsewhere (id) VALUES ('locks the file')")
        session.add_all(Person(id=f"p{n}", name="x", team="x") for n in range(300))
    with sqlite.database.snapshot() as tx:
        (of,) = fields.configurations(tx, sqlite.hierarchy, "person", "name")
        (key_id,) = fields.key_ids(tx, sqlite.hierarchy, of)
        assert usage.reserved(tx, sqlite.hierarchy, key_id) == 2**10


def test_a_key_that_is_used_up_encrypts_no_more(
    sqlite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite.open._link._meter._limit = 10
    fill(sqlite, 10)
    with sqlite.session() as session, pytest.raises(Conflict) as caught:
        session.execute(insert(PEOPLE).values(id="one more", name="x"))
    assert caught.value.code == "key.used_up"


def test_a_row_that_is_moved_and_changed_by_another_is_not_overwritten(sqlite: Any) -> None:
    fill(sqlite, 1)
    with sqlite.session() as session:
        person = session.get_one(Person, "p00")
        person.id = "moved"

        def change_meanwhile(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
            if text.startswith("UPDATE") and not changed:
                changed.append(True)
                with sqlite.session() as other, other.begin():
                    other.get_one(Person, "p00").name = "changed"

        changed: list[bool] = []
        event.listen(sqlite.engine, "before_cursor_execute", change_meanwhile)
        with pytest.raises(StaleDataError):
            session.commit()
    with sqlite.session("reader") as session:
        assert session.get_one(Person, "p00").name == "changed"


def test_two_processes_share_the_instance(sqlite: Any) -> None:
    again = OpenInstance(opening.open_instance(sqlite.folder, sqlite.connect))
    fill(sqlite, 3)
    with Session(again.attach(sqlite.engine, user="both")) as session, session.begin():
        assert session.get_one(Person, "p00").name == "name 0"
        session.add(Person(id="b", name="by the other"))
    again.close()
    with sqlite.session("reader") as session:
        assert session.get_one(Person, "b").name == "by the other"
    stored = sqlite.stored("SELECT name FROM person")
    assert all(envelope.is_marked(value) for (value,) in stored)
