"""Encryption and rekeying of a table that others write meanwhile: what they wrote is there, once.

Four users write as the Table API does, four applications by SQL of their own. At the end every row
is opened and compared with what was acknowledged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from tests.concurrency.clients import Clients, writing
from tests.concurrency.foreign import Foreign, Refused
from tests.concurrency.places import seed
from tests.concurrency.table import (
    assert_is_sealed_as_noted,
    configure,
    opened,
    prepare,
    resume,
    rotate,
    run_stages,
    shown,
    start,
)

from keystead.base.errors import Invalid, NotFound, Tampered, Unavailable
from keystead.database.port import Database
from keystead.fields import mass_job
from keystead.instance.opening import Instance
from keystead.jobs.model import JobKind
from keystead.records.writing import Writer

ROWS, PACE, PASSES_WITH_PLAIN = 100, 250, 2


class PlainKeepsComing:
    """A database in which, at the end of each pass, there is a plain value until it may end."""

    def __init__(
        self, database: Database, put_plain: Callable[[], None], may_end: Callable[[], bool]
    ) -> None:
        self._database = database
        self._put_plain = put_plain
        self._may_end = may_end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def page(self, *arguments: Any) -> list[tuple[Any, ...]]:
        rows = self._database.page(*arguments)
        if not rows and not self._may_end():
            self._put_plain()
        return rows


@pytest.fixture
def at(place: Any) -> Iterator[Instance]:
    with closing(Foreign(place)) as foreign:
        foreign.create()
    with closing(place.open()) as opened_instance:
        prepare(opened_instance)
        yield opened_instance


@pytest.mark.parametrize(
    "place",
    ["sqlite", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("postgresql", "mariadb"))],
    indirect=True,
)
def test_what_clients_wrote_meanwhile_is_there_once(place, at):
    clients = Clients(place, seed(), users=4, applications=4)
    clients.fill(ROWS)
    foreign = Foreign(place)
    foreign.insert({"id": "last", "uid": "last", "name": "at first"})
    clients.journal["last"] = dict.fromkeys(("city", "age", "note")) | {"id": "last", "uid": "last"}
    passes = 0

    def put_plain() -> None:
        nonlocal passes
        passes += 1
        if passes > PASSES_WITH_PLAIN:
            clients.refuse_plain()
        foreign.update("last", {"name": f"pass {passes}"})
        clients.journal["last"]["name"] = f"pass {passes}"

    coming = PlainKeepsComing(at.database, put_plain, lambda: passes > PASSES_WITH_PLAIN)
    try:
        clients.start()
        run_stages(at, start(at, JobKind.ENCRYPT, PACE), coming)
        rotate(at)
        run_stages(at, start(at, JobKind.REKEY, PACE))
    finally:
        clients.stop()
        foreign.close()
    assert_is_sealed_as_noted(at, clients.journal)


def test_a_key_changed_behind_keysteads_back_is_noticed(place, at):
    """Bound to the row, the values of these rows open no more; equal ones are bound to the column.

    Nothing is lost: under its old key the row opens again, and the job that met it goes on.
    """
    clients = Clients(place, seed(), users=1, applications=1)
    clients.fill(12)
    clients.stop()
    run_stages(at, start(at, JobKind.ENCRYPT))
    assert_is_sealed_as_noted(at, clients.journal)
    foreign = Foreign(place)
    moved = [uid for uid, row in clients.journal.items() if row["name"]][:3]
    for uid in moved:
        assert foreign.update(uid, {"id": f"moved {uid}"}) == 1

    unreadable = {column: found.unreadable for column, found in opened(at).items()}
    assert unreadable == {
        column: sum(clients.journal[uid][column] not in ("", None) for uid in moved)
        for column in ("name", "age")
    } | {"city": 0}
    for uid, row in clients.journal.items():
        if uid in moved:
            with pytest.raises(Tampered) as caught:
                shown(at, f"uid={uid}")
            assert caught.value.code == "value.tampered"
            assert caught.value.facts == {"table": "people", "column": "name"}
        else:
            assert shown(at, f"uid={uid}") == {uid: row}

    rotate(at)
    job_id = start(at, JobKind.REKEY)
    with pytest.raises(Tampered):
        run_stages(at, job_id)
    for uid in moved:
        foreign.update(uid, {"id": clients.journal[uid]["id"]})
    foreign.close()
    resume(at, job_id)
    run_stages(at, job_id)
    assert_is_sealed_as_noted(at, clients.journal)


class GivenUp:
    """A database that gives up some of the job's pages, as one of two in a deadlock is."""

    def __init__(self, database: Database, times: int) -> None:
        self._database = database
        self.left = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def compare_and_set(self, *arguments: Any) -> int:
        applied = self._database.compare_and_set(*arguments)
        self.left -= 1
        if self.left >= 0:
            raise Unavailable("database.busy")
        return applied


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_page_that_was_given_up_is_done_again(place, at):
    clients = Clients(place, seed(), users=1, applications=1)
    clients.fill(12)
    clients.stop()
    job_id = start(at, JobKind.ENCRYPT)
    stuck = GivenUp(at.database, times=100)
    with pytest.raises(Unavailable):
        run_stages(at, job_id, stuck)
    assert stuck.left == 100 - mass_job.MOST_TRIES
    resume(at, job_id)
    run_stages(at, job_id, GivenUp(at.database, times=mass_job.MOST_TRIES - 1))
    assert_is_sealed_as_noted(at, clients.journal)


@pytest.mark.parametrize("place", ["postgresql", "mariadb"], indirect=True)
def test_a_change_between_reading_and_sealing_anew_is_not_lost(place, at, monkeypatch):
    """A row gets another key while an application gives it another name, in plain."""
    row = {"id": "a", "uid": "a", "name": "before", "city": "Oslo", "age": 5, "note": None}
    foreign = Foreign(place)
    foreign.insert(row)

    def rename() -> None:
        try:
            foreign.update("a", {"name": "after"})
        except Refused:  # MariaDB sees a deadlock in it
            rename()

    late = threading.Thread(target=rename)
    seal = Writer._sealed

    def sealed(writer: Writer, *arguments: Any) -> str:
        if not late.ident:
            late.start()
            late.join(timeout=0.5)
        return seal(writer, *arguments)

    monkeypatch.setattr(Writer, "_sealed", sealed)
    writing(at, lambda writer: writer.update(("a",), {"id": "b"}))
    late.join(timeout=60)
    foreign.close()
    assert shown(at) == {"a": row | {"id": "b", "name": "after"}}


def test_a_row_is_found_by_its_key_as_it_is_stored_alone(place, at):
    """A collation may take two spellings for one; values are bound to the one that is stored."""
    row = {"id": "Zoe", "uid": "a", "name": "x", "city": "Oslo", "age": 5, "note": None}
    writing(at, lambda writer: writer.insert(row))
    for spelling in ("ZOE", "Zoé", "Zoe "):
        with pytest.raises(NotFound):
            writing(at, lambda writer, key=(spelling,): writer.update(key, {"name": "y"}))
        with pytest.raises(NotFound):
            writing(at, lambda writer, key=(spelling,): writer.delete(key))
    assert shown(at) == {"a": row}
    assert writing(at, lambda writer: writer.update(("Zoe",), {"id": "ZOË 2"})) == ("ZOË 2",)
    assert shown(at) == {"a": row | {"id": "ZOË 2"}}


def test_a_key_that_its_column_keeps_otherwise_is_refused(place, at):
    """Else the values would be bound to a key that no row has."""
    declared = {"sqlite": "NUMERIC"}.get(place.engine, "CHAR(6)")
    given, kept = {
        "sqlite": ("7.5", "n7"),
        "postgresql": ("ab ", "ab"),
        "mariadb": ("ab ", "ab"),
    }[place.engine]
    foreign = Foreign(place)
    foreign.run(f"CREATE TABLE codes (id {declared} PRIMARY KEY, name VARCHAR(9))")
    foreign.close()
    configure(at, "codes", "name", "standard")

    with pytest.raises(Invalid):
        writing(at, lambda writer: writer.insert({"id": given, "name": "x"}), "codes")
    writing(at, lambda writer: writer.insert({"id": kept, "name": "x"}), "codes")
    with pytest.raises(Invalid):
        writing(at, lambda writer: writer.update((kept,), {"id": given}), "codes")
    (counted,) = opened(at, "codes").values()
    assert (counted.opened, counted.unreadable) == (1, 0)
