"""Columns of an application whose module is under an external key: dark and back, no restart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.unit.external.conftest import Clock
from tests.unit.external.vendor import Vendor

from keystead.base.errors import KeysteadError
from keystead.external import configurations
from keystead.external.leases import Leases
from keystead.external.provider import Answer
from keystead.external.service import ExternalKeys
from keystead.instance import opening
from keystead.sqlalchemy import OpenInstance
from keystead.sqlalchemy.knowledge import FRESH_SECONDS

from .models import Person

ACTOR = "test"


class Application:
    """An application beside an instance whose module `standard` is under an external key."""

    def __init__(self, estate: Any) -> None:
        self.vendor, self.clock, self._estate = Vendor(), Clock(), estate
        hierarchy = estate.hierarchy
        leases = Leases(hierarchy, self.vendor.open_provider)
        external = ExternalKeys(estate.database, hierarchy.with_ekeks(leases), leases)
        with estate.database.transaction() as tx:
            configurations.create(
                tx, hierarchy, name="kms", kind="file", settings={"path": "/none"}, actor=ACTOR
            )
        external.activate("kms", ACTOR)
        assert external.wrap_module("standard", "kms", ACTOR).left == 0
        instance = opening.open_instance(estate.folder, estate.connect, self.vendor.open_provider)
        instance.external.leases._clock = self.clock
        self.open = OpenInstance(instance, lease=2**10)

    def session(self, user: str = "both") -> Session:
        return Session(self.open.attach(self._estate.engine, user=user))

    def forget(self) -> None:
        """As when a second has passed: what is known is confirmed or read anew."""
        link = self.open._link
        if link._columns is not None:
            object.__setattr__(link._columns, "moment", link._columns.moment - FRESH_SECONDS)

    def names(self) -> list[str | None]:
        with self.session("reader") as session:
            return list(session.scalars(select(Person.name).order_by(Person.id)))

    def is_refused(self) -> bool:
        with pytest.raises(KeysteadError) as caught:
            self.names()
        return bool(caught.value.code == "external.dark")

    def darken(self) -> None:
        self.vendor.state = Answer.DISABLED
        self.clock.now += 61

    def lighten(self) -> None:
        self.vendor.state = Answer.ENABLED
        self.clock.now += 61
        self.forget()


@pytest.fixture
def application(sqlite: Any) -> Iterator[Application]:
    made = Application(sqlite)
    with made.session() as session, session.begin():
        session.add(Person(id="a", name="Zoë"))
    assert made.names() == ["Zoë"]
    yield made
    made.open.close()


def test_what_is_known_does_not_outlast_the_lease(application):
    application.darken()
    assert application.is_refused(), "although nothing was read anew"


def test_a_dark_column_takes_no_value(application, sqlite):
    application.darken()
    before = sqlite.stored("SELECT * FROM person")
    with application.session() as session:
        session.add(Person(id="b", name="Bo"))
        with pytest.raises(KeysteadError) as caught:
            session.commit()
    assert caught.value.code == "external.dark"
    assert sqlite.stored("SELECT * FROM person") == before


@pytest.mark.parametrize("is_read_anew", [False, True])
def test_a_column_is_back_without_a_restart(application, is_read_anew):
    application.darken()
    if is_read_anew:
        application.forget()
    assert application.is_refused()
    application.lighten()
    assert application.names() == ["Zoë"]
    with application.session() as session, session.begin():
        session.add(Person(id="b", name="Bo"))
    assert application.names() == ["Zoë", "Bo"]


def test_a_column_that_was_dark_when_it_was_first_used_is_there_later(application, sqlite):
    application.darken()
    application.open._link._columns = None
    assert application.is_refused()
    application.lighten()
    assert application.names() == ["Zoë"]
