"""Attachments go with the rows that an application moves or deletes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from keystead.access.recorder import Recorder
from keystead.attachments import service as attachments
from keystead.attachments.tables import ATTACHMENTS, PIECES
from keystead.base.errors import Conflict, Invalid, KeysteadError
from keystead.fields import service as fields
from keystead.keys.usage import Meter
from keystead.records.attached import Desk
from keystead.records.session import Caller

from .conftest import ACTOR
from .models import Person, Seat

PEOPLE: Any = Person.__table__
SEATS: Any = Seat.__table__
PLAIN = Table("person", MetaData(), Column("id", String(40), primary_key=True))


@pytest.fixture(autouse=True)
def people(request: pytest.FixtureRequest) -> Any:
    """Two people with a file each, on the database that the test is about."""
    name = "estate" if "estate" in request.fixturenames else "sqlite"
    found = request.getfixturevalue(name)
    with found.session() as session, session.begin():
        session.add_all([Person(id="a", name="Zoë"), Person(id="b", name="Ann"), Person(id="c")])
    for record in ("a", "b"):
        add(found, record)
    yield found
    with found.database.transaction() as tx:
        tx.execute(delete(PIECES))
        tx.execute(delete(ATTACHMENTS))


def desk(estate: Any) -> Desk:
    recorder, meter = Recorder(estate.database), Meter(estate.database, estate.hierarchy)
    caller = Caller("both", ACTOR)
    return Desk(estate.database, estate.hierarchy, recorder, meter, caller, 16)


def add(estate: Any, record: str, table: str = "person") -> str:
    upload = desk(estate).upload(table, record, "a.txt", "text/plain")
    upload.write(f"of {record}".encode())
    return upload.finish().sys_id


def files(estate: Any, table: str = "person") -> dict[str, bytes]:
    """The content of each attachment, by the record that it is at."""
    with estate.database.snapshot() as tx:
        rows = attachments.listed(tx, ATTACHMENTS.c.table_name == table)
    return {
        r["table_sys_id"]: b"".join(desk(estate).download(r["sys_id"]).chunks)
        for r in rows
        if len(desk(estate).of(table, r["table_sys_id"], 9)[0]) == 1
    }


def run(estate: Any, *statements: Any, user: str = "both") -> str:
    try:
        with estate.open.attach(estate.engine, user=user).begin() as connection:
            for statement in statements:
                connection.execute(*statement if isinstance(statement, tuple) else (statement,))
    except KeysteadError as error:
        return error.code
    return ""


def test_they_go_with_rows_of_a_session(estate: Any) -> None:
    with estate.session() as session, session.begin():
        session.get_one(Person, "a").id = "moved"
        session.delete(session.get_one(Person, "b"))
    assert files(estate) == {"moved": b"of a"}
    with estate.session() as session, session.begin():
        session.add_all([Person(id="a"), Person(id="b")])
    assert files(estate) == {"moved": b"of a"}
    with estate.session() as session, session.begin():
        for person in session.scalars(select(Person)):
            session.delete(person)
    assert files(estate) == {}


def test_they_go_with_rows_that_statements_name(estate: Any) -> None:
    moving = update(PEOPLE).where(PEOPLE.c.id == "a").values(id="moved")
    assert run(estate, moving, delete(PEOPLE).where(PEOPLE.c.id == "b")) == ""
    assert files(estate) == {"moved": b"of a"}


def test_they_stay_when_the_rows_do(estate: Any) -> None:
    before = files(estate)
    with estate.session() as session:
        session.get_one(Person, "a").id = "moved"
        session.delete(session.get_one(Person, "b"))
        session.flush()
        session.rollback()
    other = PEOPLE.c.note == "other"
    assert run(estate, delete(PEOPLE).where(PEOPLE.c.id == "a", other)) == ""
    moving = update(PEOPLE).where(PEOPLE.c.id == "a", other).values(id="moved")
    assert run(estate, moving) == "row.changed"
    assert files(estate) == before == {"a": b"of a", "b": b"of b"}


def test_they_go_with_rows_of_an_asynchronous_session(sqlite: Any) -> None:
    engine = sqlite.new_async_engine()

    async def act() -> None:
        async with AsyncSession(sqlite.open.attach(engine, user="both")) as session:
            (await session.get_one(Person, "a")).id = "moved"
            await session.delete(await session.get_one(Person, "b"))
            await session.commit()
        await engine.dispose()

    asyncio.run(act())
    assert files(sqlite) == {"moved": b"of a"}


def test_encrypted_ones_open_at_their_new_record(sqlite: Any) -> None:
    with sqlite.database.transaction() as tx:
        fields.configure_attachments(
            tx, sqlite.database, sqlite.hierarchy, table="person", module="standard", actor=ACTOR
        )
    add(sqlite, "c")
    assert run(sqlite, update(PEOPLE).where(PEOPLE.c.id == "c").values(id="moved")) == ""
    assert files(sqlite)["moved"] == b"of c"


def test_a_later_row_with_the_same_key_has_none(sqlite: Any) -> None:
    deleting = delete(PEOPLE).where(PEOPLE.c.id == "a")
    assert run(sqlite, deleting, insert(PEOPLE).values(id="a")) == ""
    assert files(sqlite) == {"b": b"of b"}


def test_keys_of_several_columns(sqlite: Any) -> None:
    with sqlite.session() as session, session.begin():
        session.add_all([Seat(row="A", number=1), Seat(row="A", number=2)])
    add(sqlite, "A,1", "seat")
    add(sqlite, "A,2", "seat")
    first = (SEATS.c.row == "A", SEATS.c.number == 1)
    second = (SEATS.c.row == "A", SEATS.c.number == 2)
    moving = update(SEATS).where(*first).values(number=3)
    assert run(sqlite, moving, delete(SEATS).where(*second)) == ""
    assert files(sqlite, "seat") == {"A,3": b"of A,1"}


def test_rows_are_deleted_by_a_list_of_keys(sqlite: Any) -> None:
    deleting = delete(PEOPLE).where(PEOPLE.c.id == bindparam("old"))
    assert run(sqlite, (deleting, [{"old": "a"}, {"old": "gone"}, {"old": "b"}])) == ""
    assert files(sqlite) == {}


@pytest.mark.parametrize(
    "statement",
    [
        delete(PEOPLE),
        delete(PEOPLE).where(PEOPLE.c.note.is_(None)),
        delete(PEOPLE).where(PEOPLE.c.id.in_(["a"])),
        delete(PEOPLE).where((PEOPLE.c.id == "a") | (PEOPLE.c.id == "b")),
        delete(PLAIN).where(PLAIN.c.id != "c"),
        update(PLAIN).where(PLAIN.c.id.in_(["a"])).values(id="moved"),
    ],
)
def test_statements_that_do_not_name_the_row_are_refused(sqlite: Any, statement: Any) -> None:
    before = sqlite.stored("SELECT * FROM person ORDER BY id")
    assert run(sqlite, statement) == "column.attached"
    assert sqlite.stored("SELECT * FROM person ORDER BY id") == before
    assert files(sqlite) == {"a": b"of a", "b": b"of b"}


def test_tables_without_attachments_are_deleted_from_as_ever(sqlite: Any) -> None:
    with sqlite.session() as session, session.begin():
        session.add(Seat(row="A", number=1))
    assert run(sqlite, delete(SEATS)) == ""
    assert sqlite.stored("SELECT * FROM seat") == []


def test_a_table_without_encrypted_columns(sqlite: Any) -> None:
    sqlite.sql("CREATE TABLE thing (id TEXT PRIMARY KEY, note TEXT)")
    sqlite.sql("INSERT INTO thing VALUES ('x', ''), ('y', '')")
    things = Table("thing", MetaData(), Column("id", String(40), primary_key=True))
    add(sqlite, "x", "thing")
    add(sqlite, "y", "thing")
    moving = update(things).where(things.c.id == "x").values(id="z")
    assert run(sqlite, moving, delete(things).where(things.c.id == "y"), user="guest") == ""
    assert files(sqlite, "thing") == {"z": b"of x"}


def test_a_row_does_not_take_the_place_of_one_that_moves_with_it(sqlite: Any) -> None:
    moving = update(PEOPLE).where(PEOPLE.c.id == bindparam("old"))
    rows = [{"old": "b", "id": "d"}, {"old": "a", "id": "b"}]
    assert run(sqlite, (moving, rows)) == "column.attached"
    assert run(sqlite, (moving, [{"old": "b", "id": "d"}, {"old": "a", "id": "e"}])) == ""
    assert files(sqlite) == {"d": b"of b", "e": b"of a"}


def test_what_was_done_in_part_is_not_committed(
    sqlite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise Invalid("value.missing", column="x")

    with monkeypatch.context() as patch:
        patch.setattr(attachments, "remove_of_record", fail)
        connection = sqlite.open.attach(sqlite.engine, user="both").connect()
        with connection:
            with pytest.raises(Invalid):
                connection.execute(delete(PEOPLE).where(PEOPLE.c.id == "a"))
            with pytest.raises(Conflict):
                connection.commit()
    assert files(sqlite) == {"a": b"of a", "b": b"of b"}
    assert run(sqlite, delete(PEOPLE).where(PEOPLE.c.id == "a")) == ""
