"""Each call on record: what was shown, written and refused, and what that costs the database."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from keystead.access import rejections
from keystead.access.recorder import Recorder
from keystead.audit import log
from keystead.base.errors import Denied, Unavailable
from keystead.database.query import EVERY_ROW
from keystead.keys import service as keys
from keystead.keys import usage
from keystead.keys.model import KeyState
from keystead.keys.usage import LEASE
from keystead.records.query import parse
from keystead.records.session import Caller, Records


def caller(user: str | None) -> Caller:
    return Caller(user, f"user:{user}")


@pytest.fixture
def records(sealed: Any) -> Iterator[Records]:
    with Recorder(sealed.database) as recorder:
        yield Records(sealed.database, sealed.hierarchy, recorder)


def entries(site: Any, *actions: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    marks = ", ".join("?" * len(actions))
    rows = site.sql(
        "SELECT action, actor, subject, detail FROM keystead_audit"
        f" WHERE action IN ({marks}) ORDER BY sequence",
        *actions,
    )
    return [(action, actor, subject, json.loads(detail)) for action, actor, subject, detail in rows]


def flushed(records: Records) -> None:
    records._recorder.flush()


def test_a_read_leaves_one_entry_that_names_what_was_opened(sealed: Any, records: Records) -> None:
    with records.reading(caller("reader"), "people") as view:
        shown = view.rows(parse("team=north", view.table), ["id", "name", "team"], 2)
        assert view.count(EVERY_ROW) == 12
    assert len(shown.rows) == 2
    flushed(records)
    detail = {"rows": 2, "opened": "name, team", "searched": "team", "by": "user:reader"}
    assert entries(sealed, "table.show") == [("table.show", "user:reader", "people", detail)]
    with records.reading(caller("reader"), "people") as view:
        view.count(parse("team=north", view.table))
    flushed(records)
    *_, (*_, counted) = entries(sealed, "table.show")
    assert counted == {"rows": 0, "searched": "team", "by": "user:reader"}


def test_a_read_that_opens_nothing_is_written_down_with_the_next(
    sealed: Any, records: Records
) -> None:
    for _ in range(3):
        with records.reading(caller("guest"), "people") as view:
            view.rows(EVERY_ROW, None, 10)
    flushed(records)
    shown = entries(sealed, "table.show")
    assert [(actor, detail["rows"]) for _, actor, _, detail in shown] == [("user:guest", 10)] * 3
    assert all("opened" not in detail for *_, detail in shown)


def test_each_write_leaves_one_entry_in_its_transaction(sealed: Any, records: Records) -> None:
    with records.writing(caller("both"), "people") as writing:
        writing.insert({"id": "n1", "name": "x", "note": "y"})
    with records.writing(caller("both"), "people") as writing:
        writing.update(("n1",), {"name": "secret"})
    with records.writing(caller("guest"), "people") as writing:
        writing.delete(("n1",))
    written = entries(sealed, "record.insert", "record.update", "record.delete")
    assert written == [
        (
            *("record.insert", "user:both", "people"),
            {"record": "n1", "columns": "id, name, note", "by": "user:both"},
        ),
        (
            *("record.update", "user:both", "people"),
            {"record": "n1", "columns": "name", "searched": "name", "by": "user:both"},
        ),
        ("record.delete", "user:guest", "people", {"record": "n1", "by": "user:guest"}),
    ]
    with pytest.raises(Denied), records.writing(caller("reader"), "people") as writing:
        writing.insert({"id": "n2", "name": "x"})
    assert len(entries(sealed, "record.insert")) == 1


@pytest.mark.parametrize("guess", ["Zoë Ångström", ""])
def test_a_guess_by_writing_names_the_column(sealed: Any, records: Records, guess: str) -> None:
    """Who may decrypt and not encrypt learns from what is no change, and from the refusal."""
    row = "p01" if guess else "p06"
    with records.writing(caller("reader"), "people") as writing:
        writing.update((row,), {"name": guess})
    with records.writing(caller("writer"), "people") as writing:
        writing.update((row,), {"name": ""})
    (_, _, _, guessed), (_, _, _, blind) = entries(sealed, "record.update")
    assert guessed["searched"] == "name"
    assert "searched" not in blind


@pytest.mark.parametrize(("user", "operation"), [("reader", "encrypt"), ("guest", "encrypt")])
def test_a_refused_write_is_on_record_as_what_was_asked(
    sealed: Any, records: Records, user: str, operation: str
) -> None:
    with pytest.raises(Denied), records.writing(caller(user), "people") as writing:
        writing.update(("p01",), {"name": "x"})
    flushed(records)
    with sealed.snapshot() as tx:
        found = [(r["caller"], r["operation"]) for r in rejections.listed(tx)]
    assert found == [(f"user:{user}", operation)]
    assert entries(sealed, "record.update") == []


def test_who_writes_without_asking_to_read_is_refused_nothing(
    sealed: Any, records: Records
) -> None:
    with records.writing(caller("writer"), "people") as writing:
        writing.update(("p01",), {"name": "x"})
    flushed(records)
    with sealed.snapshot() as tx:
        assert rejections.listed(tx) == []


@contextmanager
def statements(site: Any) -> Iterator[list[str]]:
    seen: list[str] = []

    def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    engine = site.database._engine
    event.listen(engine, "before_cursor_execute", see)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", see)


def test_a_row_of_five_sealed_columns_costs_few_statements(sealed: Any, records: Records) -> None:
    """Most of them read, once, the tables that decide who may do what with which keys."""
    values = {"name": "a", "city": "b", "salary": 1, "email": "c", "team": "d"}
    for number in range(2):
        with statements(sealed) as seen, records.writing(caller("both"), "people") as writing:
            writing.insert({**values, "id": f"n{number}"})
    writes = [s for s in seen if s.split()[0] in ("INSERT", "UPDATE", "DELETE")]
    # the row, its values, the audit entry and its hashes
    assert [s.split()[:3] for s in writes] == [
        ["INSERT", "INTO", '"people"'],
        ["UPDATE", '"people"', "SET"],
        ["INSERT", "INTO", "keystead_audit"],
        ["INSERT", "INTO", "keystead_audit_node"],
    ]
    assert len(seen) <= 60


def test_uses_of_a_key_come_from_a_lease_and_only_where_they_count(
    sealed: Any, records: Records
) -> None:
    (standard,), (equal,) = sealed.keys_of("standard"), sealed.keys_of("equal")

    def reserved(key: dict[str, Any]) -> int:
        with sealed.snapshot() as tx:
            return usage.reserved(tx, sealed.hierarchy, key["sys_id"])

    before = reserved(standard), reserved(equal)
    for number in range(3):
        with records.writing(caller("both"), "people") as writing:
            writing.insert({"id": f"n{number}", "name": "x", "city": "y", "team": "z"})
    assert (reserved(standard), reserved(equal)) == (before[0] + LEASE, before[1])
    assert records._meter._left[standard["sys_id"]] == LEASE - 6


def test_one_without_rights_does_not_make_others_wait(sealed: Any, records: Records) -> None:
    """While somebody has the turn to write, those who are refused are answered."""
    done = threading.Event()

    def ask() -> None:
        for _ in range(50):
            with records.reading(caller("guest"), "people") as view:
                view.rows(EVERY_ROW, None, 1)
        done.set()

    thread = threading.Thread(target=ask)
    with sealed.transaction() as tx:
        before = log.size(tx)
        thread.start()
        assert done.wait(timeout=60)
        assert log.size(tx) == before
    thread.join()
    flushed(records)
    with sealed.snapshot() as tx:
        assert {(r["caller"], r["operation"]) for r in rejections.listed(tx)} == {
            ("user:guest", "decrypt")
        }
    assert len(entries(sealed, "access.refuse")) == 2  # one for each module


def test_nothing_more_is_shown_when_what_was_cannot_be_put_on_record(
    sealed: Any, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise Unavailable("database.busy")

    with monkeypatch.context() as patched:
        patched.setattr(log, "record_many", broken)
        with records.reading(caller("reader"), "people") as view:
            view.rows(EVERY_ROW, ["name"], 1)
        with pytest.raises(Unavailable):
            flushed(records)
        with pytest.raises(Unavailable), records.reading(caller("reader"), "people") as view:
            view.rows(EVERY_ROW, ["name"], 1)
    assert entries(sealed, "table.show") == []
    with records.reading(caller("reader"), "people") as view:  # what was noted is kept
        view.rows(EVERY_ROW, ["name"], 1)
    assert len(entries(sealed, "table.show")) == 3


def test_failed_log_ins_are_merged(sealed: Any) -> None:
    with Recorder(sealed.database) as recorder:
        for user in ("reader", "?", "reader", "reader"):
            recorder.refuse_log_in(user)
        recorder.flush()
        recorder.flush()
    found = [(subject, d["count"]) for _, _, subject, d in entries(sealed, "login.refuse")]
    assert found == [("reader", 3), ("?", 1)]


def test_the_thread_writes_by_itself_and_the_end_writes_the_rest(
    sealed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.access.recorder.SECONDS_BETWEEN_WRITES", 0.01)
    recorder = Recorder(sealed.database)
    recorder.refuse_log_in("reader")
    for _ in range(3000):
        if entries(sealed, "login.refuse"):
            break
        threading.Event().wait(0.01)
    assert len(entries(sealed, "login.refuse")) == 1
    recorder.refuse_log_in("reader")
    recorder.close()
    recorder.refuse_log_in("guest")  # by a thread that ended later
    assert [s for *_, s, _ in entries(sealed, "login.refuse")] == ["reader", "reader", "guest"]


def test_a_key_changes_only_by_who_may_seal_every_value_anew(sealed: Any, records: Records) -> None:
    """Or it would tell, while the module's key is suspended, which rows have a value."""
    sealed.put("name", "p02", None)
    sealed.put("city", "p02", None)
    sealed.put("salary", "p02", None)
    with sealed.transaction() as tx:
        active = keys.named_key(tx, sealed.hierarchy, "standard", KeyState.ACTIVE)
        keys.suspend(tx, sealed.hierarchy, active, "test")
    before = sealed.stored()
    for user in ("guest", "reader", "writer"):
        refused = []
        for key in ("p01", "p02"):
            with pytest.raises(Denied) as caught, records.writing(caller(user), "people") as w:
                w.update((key,), {"id": "moved"})
            refused.append((caught.value.code, caught.value.facts))
        assert refused[0] == refused[1]
        assert refused[0][0] == "record.key_denied"
    assert sealed.stored() == before
    with records.writing(caller("guest"), "people") as writing:
        assert writing.update(("p01",), {"id": "p01", "note": "same key"}) == ("p01",)


def test_a_write_names_what_was_shown_of_it(sealed: Any, records: Records) -> None:
    with records.writing(caller("both"), "people") as writing:
        writing.view.one(writing.update(("p01",), {"note": "x"}), ["name", "note", "team"])
    ((*_, detail),) = entries(sealed, "record.update")
    assert detail == {
        **{"record": "p01", "columns": "note", "by": "user:both"},
        "opened": "name, team",
    }
