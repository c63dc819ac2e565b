"""Leases: data is readable as long as the provider says so, and dark in time when it does not."""

from __future__ import annotations

import threading

import pytest
from tests.unit.conftest import ACTOR, PEOPLE
from tests.unit.external.conftest import Watched

from keystead.base.errors import Denied, KeysteadError, Unavailable
from keystead.external import configurations
from keystead.external.provider import Answer, Call
from keystead.fields.values import EncryptedColumn
from keystead.sqlalchemy.knowledge import read_columns

REFUSALS = [Answer.DISABLED, Answer.PENDING_DELETION, Answer.MISSING, Answer.DENIED, Answer.WRONG]


def is_dark(site: Watched) -> bool:
    shown = site.show(columns=["name"])
    names = {row[0] for row in shown.rows}
    if shown.not_held:
        assert names <= {"", None}
        return True
    assert "Zoë Ångström" in names
    return False


def settle(site: Watched) -> None:
    """Wait for renewals in the background."""
    for lease in list(site.leases._leases.values()):
        with lease.turn:
            pass


def test_values_open_under_an_external_key(wrapped):
    assert not is_dark(wrapped)
    assert all(row["ekek_id"] for row in wrapped.keys_of("standard"))
    assert wrapped.found("email=zoë@example.com") == ["p01", "p06", "p07"]


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_darkens_after_a_third_of_a_lease(wrapped, answer):
    assert not is_dark(wrapped)
    wrapped.vendor.answers[Call.UNWRAP] = answer
    wrapped.clock.now += 19
    assert not is_dark(wrapped)
    wrapped.clock.now += 2
    is_dark(wrapped)
    settle(wrapped)
    assert is_dark(wrapped)
    del wrapped.vendor.answers[Call.UNWRAP]
    wrapped.clock.now += 21
    assert not is_dark(wrapped)


def test_a_refusal_darkens_without_use_at_the_end_of_the_lease(wrapped):
    wrapped.vendor.state = Answer.DISABLED
    wrapped.clock.now += 61
    assert is_dark(wrapped)


@pytest.mark.parametrize("answer", [Answer.UNREACHABLE, Answer.THROTTLED, Answer.UNUSABLE])
def test_silence_darkens_when_the_lease_ends(wrapped, answer):
    wrapped.vendor.answers[Call.UNWRAP] = answer
    for passed in (21, 21):
        wrapped.clock.now += passed
        assert not is_dark(wrapped)
        settle(wrapped)
    wrapped.clock.now += 20
    assert is_dark(wrapped)


def test_grace_is_for_silence_alone(watched):
    watched.configure_external(grace_seconds=100)
    watched.wrap_all()
    assert not is_dark(watched)
    watched.vendor.answers[Call.UNWRAP] = Answer.UNREACHABLE
    watched.clock.now += 150
    assert not is_dark(watched)
    watched.clock.now += 21
    assert is_dark(watched)
    watched.vendor.answers.clear()
    watched.clock.now += 21
    assert not is_dark(watched)
    watched.vendor.answers[Call.UNWRAP] = Answer.DENIED
    watched.clock.now += 61
    assert is_dark(watched)


def test_a_dead_provider_is_asked_once_in_a_third_of_a_lease(wrapped):
    wrapped.vendor.answers[Call.UNWRAP] = Answer.UNREACHABLE
    wrapped.clock.now += 61
    before = len(wrapped.vendor.calls)
    for _ in range(20):
        assert is_dark(wrapped)
    assert len(wrapped.vendor.calls) == before + 1
    wrapped.clock.now += 21
    assert is_dark(wrapped)
    assert len(wrapped.vendor.calls) == before + 2


def test_a_revocation_darkens_at_once(wrapped):
    assert not is_dark(wrapped)
    with wrapped.transaction() as tx:
        row = configurations.named(tx, wrapped.hierarchy, "kms")
        configurations.revoke(tx, wrapped.hierarchy, row, "a drill", ACTOR)
    assert is_dark(wrapped)
    with wrapped.transaction() as tx:
        row = configurations.named(tx, wrapped.hierarchy, "kms")
        configurations.reinstate(tx, wrapped.hierarchy, row, ACTOR)
    assert not is_dark(wrapped)


def change(site: Watched, **seconds: int) -> None:
    with site.transaction() as tx:
        row = configurations.named(tx, site.hierarchy, "kms")
        configurations.change(tx, site.hierarchy, row, ACTOR, **seconds)


@pytest.mark.parametrize("seconds", [{"lease_seconds": 3600}, {"grace_seconds": 86_400}])
@pytest.mark.parametrize("lapsed", [True, False])
def test_other_times_prolong_no_lease_that_has_begun(wrapped, seconds, lapsed):
    assert not is_dark(wrapped)
    wrapped.vendor.answers[Call.UNWRAP] = Answer.UNREACHABLE
    wrapped.clock.now += 61 if lapsed else 1
    assert is_dark(wrapped) == lapsed
    change(wrapped, **seconds)
    wrapped.clock.now += 1 if lapsed else 60
    assert is_dark(wrapped)


def test_a_shorter_lease_counts_at_once(wrapped):
    assert not is_dark(wrapped)
    wrapped.vendor.answers[Call.UNWRAP] = Answer.UNREACHABLE
    change(wrapped, lease_seconds=5)
    wrapped.clock.now += 6
    assert is_dark(wrapped)


@pytest.mark.parametrize("is_used", [True, False])
def test_what_has_lapsed_is_not_in_memory_any_more(wrapped, is_used):
    assert not is_dark(wrapped)
    wrapped.vendor.answers[Call.UNWRAP] = Answer.UNREACHABLE
    wrapped.leases.forget_lapsed()
    assert all(lease.secret for lease in wrapped.leases._leases.values())
    wrapped.clock.now += 61
    if is_used:
        assert is_dark(wrapped)
    else:
        wrapped.leases.forget_lapsed()
    assert not any(lease.secret for lease in wrapped.leases._leases.values())


def test_a_machine_without_threads_keeps_nobody_waiting_for_ever(wrapped, monkeypatch):
    def no_more(_thread):
        raise RuntimeError("can't start new thread")

    assert not is_dark(wrapped)
    wrapped.clock.now += 21
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_more)
        assert not is_dark(wrapped)
    assert not any(lease.turn.locked() for lease in wrapped.leases._leases.values())
    wrapped.clock.now += 61
    assert not is_dark(wrapped)


def test_a_slow_provider_is_not_asked_by_everybody_who_waits(watched):
    watched.configure_external(lease_seconds=5, timeout_seconds=30)
    watched.wrap_all()
    watched.clock.now += 6
    watched.vendor.seconds, watched.vendor.clock = 30, watched.clock
    watched.vendor.answers[Call.UNWRAP] = Answer.UNREACHABLE
    before = len(watched.vendor.calls)
    for _ in range(10):
        assert is_dark(watched)
    assert len(watched.vendor.calls) == before + 1


def test_a_revocation_reaches_a_transaction_that_reads_on(wrapped):
    configuration = wrapped.configurations()["name"]
    key_id = wrapped.keys_of("standard")[0]["sys_id"]
    with wrapped.snapshot() as tx:
        column = EncryptedColumn(tx, wrapped.hierarchy, configuration)
        with wrapped.transaction() as writing:
            row = configurations.named(writing, wrapped.hierarchy, "kms")
            configurations.revoke(writing, wrapped.hierarchy, row, "a drill", ACTOR)
        column.cipher(key_id)
        assert is_dark(wrapped)
        with pytest.raises(Denied) as caught:
            column.cipher(key_id)
        assert caught.value.code == "external.revoked"
        with pytest.raises(Denied):
            EncryptedColumn(tx, wrapped.hierarchy, configuration).cipher(key_id)


def test_a_wrapping_that_was_replaced_outside_keeps_nobody_in_the_dark(wrapped):
    other = Watched(wrapped.folder, wrapped.vendor)
    try:
        assert not is_dark(other)
        wrapped.vendor.rotate()
        wrapped.external.rewrap("kms", ACTOR)
        wrapped.vendor.versions[0] = wrapped.vendor.versions[1]  # the old one is destroyed
        other.clock.now += 61
        other.leases.refusal(wrapped.keys_of("standard")[0]["ekek_id"])
        assert not is_dark(other)
    finally:
        other.close()


def test_what_an_application_knows_is_confirmed_by_asking_and_used_without(wrapped):
    def read(known):
        with wrapped.snapshot() as tx:
            names = frozenset({("people", "name")})
            return read_columns(tx, wrapped.database, wrapped.hierarchy, names, known)

    known = read(None)
    wrapped.clock.now += 61
    before = len(wrapped.vendor.calls)
    known = read(known)
    assert len(wrapped.vendor.calls) == before + 1
    known.by_name["people", "name"].column.cipher(wrapped.keys_of("standard")[0]["sys_id"])
    assert len(wrapped.vendor.calls) == before + 1


def test_a_held_column_is_refused_once_its_lease_ends(wrapped):
    configuration = wrapped.configurations()["name"]
    with wrapped.snapshot() as tx:
        column = EncryptedColumn(tx, wrapped.hierarchy, configuration)
    wrapped.vendor.state = Answer.DISABLED
    wrapped.clock.now += 61
    key_id = wrapped.keys_of("standard")[0]["sys_id"]
    with pytest.raises(Denied) as caught:
        column.cipher(key_id)
    assert caught.value.code == "external.dark"


def test_a_dark_search_is_refused_and_not_empty(wrapped):
    wrapped.vendor.answers[Call.UNWRAP] = Answer.UNREACHABLE
    wrapped.clock.now += 61
    with pytest.raises(Unavailable):
        wrapped.found("email=zoë@example.com")


def test_who_is_refused_is_not_told_what_the_provider_said(wrapped):
    wrapped.vendor.answers[Call.UNWRAP] = Answer.UNREACHABLE
    wrapped.clock.now += 61
    with pytest.raises(Unavailable) as caught:
        wrapped.found("email=zoë@example.com")
    assert "the vendor said" not in f"{caught.value.what} {caught.value.facts}"


def test_no_key_is_made_in_the_dark(wrapped):
    wrapped.vendor.state = Answer.DISABLED
    wrapped.clock.now += 61
    before = wrapped.keys_of("standard")
    with pytest.raises(KeysteadError):
        wrapped.rotate("standard")
    assert wrapped.keys_of("standard") == before


def test_another_process_hears_of_it_with_the_next_transaction(wrapped):
    other = Watched(wrapped.folder, wrapped.vendor)
    try:
        assert not is_dark(other)
        wrapped.vendor.state = Answer.DISABLED
        wrapped.external.synchronise(ACTOR)
        assert is_dark(other)
        wrapped.vendor.state = Answer.ENABLED
        wrapped.external.synchronise(ACTOR)
        assert not is_dark(other)
    finally:
        other.close()


def test_nothing_is_lost(wrapped):
    wrapped.vendor.state = Answer.DISABLED
    wrapped.clock.now += 61
    assert is_dark(wrapped)
    wrapped.vendor.state = Answer.ENABLED
    wrapped.clock.now += 61
    assert [row[1] for row in wrapped.rows()] == [person[1] for person in PEOPLE]


def test_a_lease_that_ends_while_a_page_is_opened_hides_its_values(wrapped, monkeypatch):
    assert not is_dark(wrapped)
    configuration = wrapped.configurations()["name"]
    with wrapped.snapshot() as tx:
        column = EncryptedColumn(tx, wrapped.hierarchy, configuration)
    stored = [row[1] for row in wrapped.stored() if row[1]]
    answers = [None, Denied("external.lapsed", name="kms")]
    monkeypatch.setattr(
        wrapped.leases, "refusal", lambda _: answers.pop(0) if len(answers) > 1 else answers[0]
    )
    values, refused = column.open_held(stored, [b""] * len(stored))
    assert set(values) == {""}
    assert len(refused) == len(stored)
