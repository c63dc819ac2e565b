"""Asynchronous engines and sessions, on each database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from keystead.base.errors import Denied

from .models import Note, Person, Pet


def test_reading_writing_and_searching(estate: Any) -> None:
    async def run() -> None:
        engine = estate.new_async_engine()
        both = estate.open.attach(engine, user="both")
        async with AsyncSession(both, expire_on_commit=False) as session, session.begin():
            session.add(Person(id="a", name="Ann", team="north", pets=[Pet(nickname="Rex")]))
            session.add_all([Person(id=f"p{n}", name=f"name {n}") for n in range(50)])
            session.add_all([Note(text="one"), Note(text="two")])
        async with AsyncSession(estate.open.attach(engine, user="reader")) as session:
            query = select(Person).options(selectinload(Person.pets))
            person = (await session.scalars(query.where(Person.team == "north"))).one()
            assert (person.name, person.pets[0].nickname) == ("Ann", "Rex")
            names = [name async for name in await session.stream_scalars(select(Person.name))]
            assert len(names) == 51
            await session.refresh(person, ["name"])
            assert person.name == "Ann"
            assert set(await session.scalars(select(Note.text))) == {"one", "two"}
            person.name = "other"
            with pytest.raises(Denied):
                await session.flush()
        await engine.dispose()

    asyncio.run(run())


def test_a_transaction_that_waits_for_the_file_does_not_stop_the_loop(sqlite: Any) -> None:
    """The second prepares while the first holds the lock on the file that both use."""

    async def run() -> None:
        engine = sqlite.new_async_engine()
        both = sqlite.open.attach(engine, user="both")
        locked = asyncio.Event()

        async def first() -> None:
            async with engine.begin() as plain:
                await plain.exec_driver_sql("INSERT INTO elsewhere (id) VALUES ('lock')")
                locked.set()
                await asyncio.sleep(0.3)

        async def second() -> None:
            await locked.wait()
            async with AsyncSession(both) as session, session.begin():
                session.add(Person(id="a", name="Ann"))

        await asyncio.wait_for(asyncio.gather(first(), second()), 20)
        await engine.dispose()

    asyncio.run(run())
    with sqlite.session("reader") as session:
        assert session.get_one(Person, "a").name == "Ann"
