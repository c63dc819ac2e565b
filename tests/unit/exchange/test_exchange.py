"""Keys reach whom they are for, once, for one request; nothing else is ever imported."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from tests.unit.opened import opened

from keystead.base import clock
from keystead.base.errors import Conflict, Denied, KeysteadError, NotFound, Tampered, Unavailable
from keystead.base.secret import REVEAL
from keystead.database.integrity import Fields
from keystead.exchange import service
from keystead.exchange.job import ExchangeJob
from keystead.exchange.model import TRANSITIONS, Action, Status, next_status
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys

from .pairs import (
    ACTOR,
    HELD,
    KEY_TABLE,
    Clock,
    Killed,
    MemoryChannel,
    Network,
    Node,
    allow,
    ask,
    bundle_for,
    claims_of,
    obtain,
    signed,
    specification,
    with_claims,
)

CLONE = "c" * 32
OTHER_CLONE = "d" * 32
REQUESTS = "keystead_exchange_request"
PENDING = (Status.PENDING, 0)


def held_by(node: Node, spec_ids: Sequence[str]) -> HELD:
    """Id, specification and bytes of each key, as an honest source would send them."""
    return [
        (row["sys_id"], row["spec_id"], opened(node, row).reveal(REVEAL))
        for row in node.key_rows()
        if row["spec_id"] in spec_ids and keys.can_open(row)
    ]


def imported(node: Node) -> dict[str, bytes]:
    """Bytes of each key that came from elsewhere, by id."""
    return {
        row["sys_id"]: opened(node, row).reveal(REVEAL)
        for row in node.key_rows()
        if row["origin"] == "imported"
    }


@dataclass
class Case:
    """A request of `test` to `prod` that `prod` would grant."""

    net: Network
    specs: list[str]
    request: Fields

    @property
    def request_id(self) -> str:
        return str(self.request["sys_id"])

    @property
    def source(self) -> Node:
        return self.net.prod

    @property
    def target(self) -> Node:
        return self.net.test

    @property
    def held(self) -> HELD:
        return held_by(self.source, self.specs)

    def obtain(self, channel: MemoryChannel | None = None) -> Fields:
        return obtain(self.net, self.request, channel)

    def standing(self, node: Node) -> tuple[str, int]:
        row = node.request(self.request_id)
        return row["status"], row["moved_key_count"]

    def offer(self, bundle: object) -> None:
        """Let the source answer the request with this bundle."""
        answer = {"status": Status.APPROVED, "total_key_count": 3, "bundle": bundle}
        self.source.answer_with("exchange.request", answer)

    @contextmanager
    def importing_nothing(self) -> Iterator[None]:
        before = self.target.rows(KEY_TABLE)
        yield
        assert self.target.rows(KEY_TABLE) == before
        assert imported(self.target) == {}
        row = self.target.request(self.request_id)
        assert row["status"] in (Status.PENDING, Status.EXPIRED)
        assert (row["moved_key_count"], row["bundle"], row["receipt"]) == (0, None, None)

    def refuse(self, bundle: object, reason: str) -> KeysteadError:
        """Assert that a bundle is refused, and that the true one is imported all the same."""
        honest = dict(self.source.handlers)
        self.offer(bundle)
        with self.importing_nothing(), pytest.raises(KeysteadError) as caught:
            self.obtain()
        assert reason in caught.value.what
        self.source.handlers.update(honest)
        return caught.value

    def complete(self) -> None:
        """Assert that the request comes to its end, as if nothing had happened."""
        assert self.obtain()["status"] == Status.COMPLETE
        assert imported(self.target) == {key_id: material for key_id, _, material in self.held}
        for node in (self.source, self.target):
            assert self.standing(node) == (Status.COMPLETE, len(self.held))


@pytest.fixture
def specs(net: Network) -> list[str]:
    return sorted(specification(net.prod, name) for name in ("people", "names"))


@pytest.fixture
def case(net: Network, specs: list[str]) -> Case:
    allow(net.prod, net.test, specs, CLONE)
    return Case(net, specs, ask(net.test, net.prod, specs, CLONE))


# --- the way it should go ------------------------------------------------------------------------


def test_keys_arrive_and_both_sides_say_so(case: Case) -> None:
    result = case.obtain()
    assert result["status"] == Status.COMPLETE
    here, there = case.target.request(case.request_id), case.source.request(case.request_id)
    assert (here["side"], there["side"]) == ("target", "source")
    assert (here["peer_id"], there["peer_id"]) == (case.source.id, case.target.id)
    for same in (
        "sys_id",
        "frequency",
        "status",
        "document",
        "request_hash",
        "clone_id",
        "total_key_count",
        "moved_key_count",
        "receipt",
    ):
        assert here[same] == there[same], same
    # what the target kept of the sealed keys would outlive their being dropped
    assert here["bundle"] is None
    assert (here["total_key_count"], here["moved_key_count"]) == (3, 3)
    assert (here["frequency"], here["clone_id"]) == ("One Time Clone", CLONE)
    assert claims_of(here["receipt"])["imported_key_count"] == 3
    assert claims_of(here["receipt"])["sender"] == case.target.id


def test_an_imported_key_opens_and_does_not_encrypt(case: Case) -> None:
    own = {row["sys_id"]: row for row in case.target.key_rows()}
    case.obtain()
    received = [row for row in case.target.key_rows() if row["sys_id"] not in own]
    assert {row["sys_id"] for row in received} == {key_id for key_id, _, _ in case.held}
    for row in received:
        assert (row["state"], row["origin"]) == ("deactivated", "imported")
        assert row["source_instance"] == case.source.id
        assert row["activated_at"] is None
        assert keys.can_open(row)
    assert imported(case.target) == {key_id: material for key_id, _, material in case.held}
    for row in case.target.key_rows():
        if row["sys_id"] in own:
            assert row == own[row["sys_id"]]
    with case.target.db.snapshot() as tx:
        for spec_id in case.specs:
            assert keys.active_key(tx, case.target.hierarchy, spec_id)["sys_id"] in own


def test_the_source_keeps_its_keys(case: Case) -> None:
    before = case.source.rows(KEY_TABLE)
    case.obtain()
    assert case.source.rows(KEY_TABLE) == before


def test_no_key_is_in_the_clear_on_the_way_or_at_rest(case: Case) -> None:
    channel = case.net.channel(case.target)
    case.obtain(channel)
    at_rest = repr((case.target.contents(), case.source.contents())).encode()
    carried = b"".join([*(frame for _, frame in channel.sent), *channel.answers])
    for _, _, material in case.held:
        for form in (material, material.hex().encode(), base64.b64encode(material)[:-2]):
            assert form not in at_rest
            assert form not in carried


def test_both_sides_write_down_what_happened(case: Case) -> None:
    case.obtain()
    done = {
        node: [e["action"] for e in node.audit() if e["subject"] == case.request_id]
        for node in (case.source, case.target)
    }
    assert done[case.source] == ["exchange.complete", "exchange.approve", "exchange.receive"]
    assert done[case.target] == ["exchange.complete", "exchange.import", "exchange.request"]


def test_a_request_for_one_specification_moves_only_its_keys(net: Network) -> None:
    (names,) = specs = [specification(net.prod, "names")]
    allow(net.prod, net.test, specs, CLONE)
    assert obtain(net, ask(net.test, net.prod, specs, CLONE))["moved_key_count"] == 1
    assert {row["spec_id"] for row in net.test.key_rows() if row["origin"] == "imported"} == {names}


def test_a_specification_without_a_key_moves_none(net: Network) -> None:
    specs = [specification(net.prod, "spare")]
    allow(net.prod, net.test, specs, CLONE)
    result = obtain(net, ask(net.test, net.prod, specs, CLONE))
    assert (result["status"], result["moved_key_count"]) == (Status.COMPLETE, 0)
    assert imported(net.test) == {}


def test_every_message_delivered_twice_changes_nothing(case: Case) -> None:
    channel = case.net.channel(case.target)
    channel.twice = True
    case.obtain(channel)
    case.complete()


def test_obtaining_again_sends_nothing(case: Case) -> None:
    case.obtain()
    before = case.target.contents(), case.source.contents()
    channel = case.net.channel(case.target)
    assert case.obtain(channel)["status"] == Status.COMPLETE
    assert channel.sent == []
    assert (case.target.contents(), case.source.contents()) == before


def test_a_second_request_brings_no_key_twice(case: Case) -> None:
    case.obtain()
    before = case.target.rows(KEY_TABLE)
    allow(case.source, case.target, case.specs, OTHER_CLONE)
    again = obtain(case.net, ask(case.target, case.source, case.specs, OTHER_CLONE))
    assert (again["status"], again["moved_key_count"]) == (Status.COMPLETE, 3)
    assert case.target.rows(KEY_TABLE) == before


def test_a_key_that_was_dropped_can_be_received_again(case: Case) -> None:
    case.obtain()
    dropped = next(row for row in case.target.key_rows() if row["origin"] == "imported")
    with case.target.db.transaction() as tx:
        keys.drop_key(tx, case.target.hierarchy, dropped, ACTOR)
    assert dropped["sys_id"] not in [
        r["sys_id"] for r in case.target.key_rows() if keys.can_open(r)
    ]
    allow(case.source, case.target, case.specs, OTHER_CLONE)
    obtain(case.net, ask(case.target, case.source, case.specs, OTHER_CLONE))
    assert imported(case.target) == {key_id: material for key_id, _, material in case.held}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("action", Action)
def test_a_request_moves_only_as_the_table_says(status: Status, action: Action) -> None:
    if (status, action) in TRANSITIONS:
        assert next_status("r", status, action) is TRANSITIONS[status, action]
    else:
        with pytest.raises(KeysteadError) as caught:
            next_status("r", status, action)
        assert caught.value.code == "exchange.transition"


# --- policies ------------------------------------------------------------------------------------


def assert_pending(net: Network, request: Fields, total: int) -> None:
    before = net.test.rows(KEY_TABLE)
    for _ in range(2):
        assert obtain(net, request)["status"] == Status.PENDING
    for node in (net.prod, net.test):
        row = node.request(request["sys_id"])
        assert (row["status"], row["moved_key_count"]) == PENDING
        assert row["total_key_count"] == total
        assert (row["bundle"], row["receipt"]) == (None, None)
    assert net.test.rows(KEY_TABLE) == before


def test_without_a_policy_a_request_waits_on_both_sides(net: Network, specs: list[str]) -> None:
    assert_pending(net, ask(net.test, net.prod, specs, CLONE), 3)


def test_a_request_that_waits_goes_on_when_it_is_allowed(net: Network, specs: list[str]) -> None:
    request = ask(net.test, net.prod, specs, CLONE)
    assert_pending(net, request, 3)
    allow(net.prod, net.test, specs, CLONE)
    Case(net, specs, request).complete()


def test_a_policy_for_another_instance_allows_nothing(net: Network, specs: list[str]) -> None:
    allow(net.prod, net.third, specs, CLONE)
    assert_pending(net, ask(net.test, net.prod, specs, CLONE), 3)


@pytest.mark.parametrize("asked", [OTHER_CLONE, None, "", CLONE.upper()])
def test_a_policy_for_another_clone_allows_nothing(
    net: Network, specs: list[str], asked: str | None
) -> None:
    allow(net.prod, net.test, specs, CLONE)
    assert_pending(net, ask(net.test, net.prod, specs, asked), 3)


def test_a_policy_for_some_of_the_specifications_allows_nothing(
    net: Network, specs: list[str]
) -> None:
    for spec_id in specs:
        allow(net.prod, net.test, [spec_id], CLONE)
        waiting = ask(net.test, net.prod, sorted([*specs, specification(net.prod, "spare")]), CLONE)
        assert_pending(net, waiting, 3)


def test_policies_of_two_clones_do_not_add_up(net: Network, specs: list[str]) -> None:
    allow(net.prod, net.test, specs[:1], CLONE)
    allow(net.prod, net.test, specs[1:], OTHER_CLONE)
    for clone_id in (CLONE, OTHER_CLONE):
        assert_pending(net, ask(net.test, net.prod, specs, clone_id), 3)


def test_the_policy_of_another_clone_does_not_stand_in_the_way(
    net: Network, specs: list[str]
) -> None:
    for clone_id in (OTHER_CLONE, CLONE, "e" * 32):
        allow(net.prod, net.test, specs, clone_id)
    Case(net, specs, ask(net.test, net.prod, specs, CLONE)).complete()
    assert_pending(net, ask(net.test, net.prod, specs, CLONE), 3)


def test_a_policy_for_another_fingerprint_allows_nothing(net: Network, specs: list[str]) -> None:
    """The instance was paired anew, with other keys under its old id."""
    allow(net.prod, net.test, specs, CLONE, fingerprint=net.third.identity.fingerprint)
    allow(net.prod, net.third, specs, CLONE, fingerprint=net.test.identity.fingerprint)
    assert_pending(net, ask(net.test, net.prod, specs, CLONE), 3)


@pytest.mark.parametrize(("hours", "status"), [(23, Status.COMPLETE), (24, Status.PENDING)])
def test_a_policy_lasts_a_day(
    time: Clock, net: Network, specs: list[str], hours: int, status: Status
) -> None:
    allow(net.prod, net.test, specs, CLONE)
    time.move(hours * 3600)
    assert obtain(net, ask(net.test, net.prod, specs, CLONE))["status"] == status


def test_only_keys_that_a_policy_names_travel(case: Case) -> None:
    named = case.held
    with case.source.db.transaction() as tx:
        keys.rotate(tx, case.source.hierarchy, "people", ACTOR)
        keys.rotate(tx, case.source.hierarchy, "names", ACTOR)
    assert len(case.held) == 5
    assert case.obtain()["moved_key_count"] == 3
    assert imported(case.target) == {key_id: material for key_id, _, material in named}
    for node in (case.source, case.target):
        assert node.request(case.request_id)["total_key_count"] == 3


def test_a_request_for_an_unknown_specification_waits(net: Network, specs: list[str]) -> None:
    allow(net.prod, net.test, specs, CLONE)
    assert_pending(net, ask(net.test, net.prod, ["0" * 32], CLONE), 0)
    assert_pending(net, ask(net.test, net.prod, sorted([*specs, "0" * 32]), CLONE), 3)


def test_a_policy_serves_once(case: Case) -> None:
    case.obtain()
    second = ask(case.target, case.source, case.specs, CLONE)
    assert obtain(case.net, second)["status"] == Status.PENDING
    assert case.source.request(second["sys_id"])["status"] == Status.PENDING
    consumed = case.source.sql(
        "SELECT active, consumed_at IS NOT NULL FROM sys_kmf_crypto_caller_policy"
        " WHERE type = 'resource exchange'"
    )
    assert consumed == [(0, 1), (0, 1)]


def test_a_policy_serves_one_of_two_requests(case: Case) -> None:
    second = ask(case.target, case.source, case.specs, CLONE)
    case.complete()
    assert obtain(case.net, second)["status"] == Status.PENDING


def test_a_policy_for_one_part_leaves_the_others(net: Network, specs: list[str]) -> None:
    allow(net.prod, net.test, specs, CLONE)
    Case(net, specs[:1], ask(net.test, net.prod, specs[:1], CLONE)).obtain()
    assert_pending(net, ask(net.test, net.prod, specs, CLONE), 3)
    assert obtain(net, ask(net.test, net.prod, specs[1:], CLONE))["status"] == Status.COMPLETE


def test_a_policy_that_was_changed_in_the_database_allows_nothing(
    net: Network, specs: list[str]
) -> None:
    allow(net.prod, net.third, specs, CLONE)
    changed = "UPDATE sys_kmf_crypto_caller_policy SET target_instance = ?, target_fingerprint = ?"
    net.prod.sql(changed, net.test.id, net.test.identity.fingerprint)
    request = ask(net.test, net.prod, specs, CLONE)
    with Case(net, specs, request).importing_nothing(), pytest.raises(Tampered):
        obtain(net, request)


# --- the request ---------------------------------------------------------------------------------


def send(asker: Node, net: Network, document: dict[str, Any]) -> dict[str, Any]:
    """A request as the asker pleases, well signed."""
    return net.channel(asker).send(asker.peer(net.prod), "exchange.request", {"document": document})


def test_a_request_is_not_changed_after_it_was_made(net: Network, specs: list[str]) -> None:
    request = ask(net.test, net.prod, specs[:1], CLONE)
    document = json.loads(request["document"])
    assert obtain(net, request)["status"] == Status.PENDING
    allow(net.prod, net.test, specs, CLONE)
    before = net.prod.contents()
    for change in (
        {"specifications": specs},
        {"specifications": specs[1:]},
        {"clone_id": OTHER_CLONE},
        {"nonce": "0" * 32},
        {"expires": clock.after(60)},
        {"more": 1},
    ):
        with pytest.raises(Denied, match="another request has this id"):
            send(net.test, net, {**document, **change})
    assert net.prod.contents() == before
    Case(net, specs[:1], request).complete()


@pytest.mark.parametrize("expires", ["zzz", "", "9999-12-31T23:59:59.000000Z"])
def test_a_request_does_not_choose_its_own_time(
    net: Network, specs: list[str], expires: str
) -> None:
    document = json.loads(ask(net.test, net.prod, specs, CLONE)["document"])
    with pytest.raises(Denied, match="does not fit the pair"):
        send(net.test, net, {**document, "expires": expires})


@pytest.mark.parametrize("fingerprint", ["", 7, "0" * 8])
def test_a_request_names_the_identity_of_the_source_it_trusts(
    net: Network, specs: list[str], fingerprint: object
) -> None:
    allow(net.prod, net.test, specs, CLONE)
    document = json.loads(ask(net.test, net.prod, specs, CLONE)["document"])
    with pytest.raises(Denied, match="does not fit the pair"):
        send(net.test, net, {**document, "source_fingerprint": fingerprint})


def test_a_longer_list_than_was_allowed_waits(net: Network, specs: list[str]) -> None:
    allow(net.prod, net.test, specs[:1], CLONE)
    request = ask(net.test, net.prod, specs[:1], CLONE)
    document = {**json.loads(request["document"]), "specifications": specs}
    answer = send(net.test, net, document)
    assert (answer["status"], "bundle" in answer) == (Status.PENDING, False)


def test_the_request_of_another_instance_cannot_be_taken_over(case: Case) -> None:
    obtain(case.net, case.request)
    document = {**json.loads(case.request["document"]), "target": case.net.third.id}
    third_key = base64.b64encode(case.net.third.identity.sealing).decode()
    with pytest.raises(Denied, match="another request has this id"):
        send(case.net.third, case.net, {**document, "sealing_key": third_key})


def test_a_request_that_waited_too_long_expires_on_both_sides(
    net: Network, specs: list[str], time: Clock
) -> None:
    request = ask(net.test, net.prod, specs, CLONE)
    assert_pending(net, request, 3)
    time.move(service.REQUEST_SECONDS - 1)
    assert_pending(net, request, 3)
    time.move(1)
    allow(net.prod, net.test, specs, CLONE)
    before = net.test.rows(KEY_TABLE)
    for _ in range(2):
        assert obtain(net, request)["status"] == Status.EXPIRED
    assert net.prod.request(request["sys_id"])["status"] == Status.EXPIRED
    assert net.test.rows(KEY_TABLE) == before
    Case(net, specs, ask(net.test, net.prod, specs, CLONE)).complete()


def test_a_request_that_was_never_sent_in_time_expires(case: Case, time: Clock) -> None:
    request = ask(case.target, case.source, case.specs, CLONE)
    time.move(service.REQUEST_SECONDS)
    assert obtain(case.net, request)["status"] == Status.EXPIRED
    assert case.source.request(request["sys_id"])["status"] == Status.EXPIRED


def test_keys_for_an_expired_request_are_refused(
    net: Network, specs: list[str], time: Clock
) -> None:
    case = Case(net, specs, ask(net.test, net.prod, specs, CLONE))
    time.move(service.REQUEST_SECONDS)
    case.offer(bundle_for(case.request, net.prod, net.test, case.held))
    with case.importing_nothing(), pytest.raises(Denied, match="the request has expired"):
        case.obtain()


# --- bundles -------------------------------------------------------------------------------------


def good(case: Case, **changed: Any) -> dict[str, Any]:
    return bundle_for(case.request, case.source, case.target, case.held, **changed)


def test_a_bundle_made_here_by_hand_is_as_good_as_the_sources_own(case: Case) -> None:
    case.offer(good(case))
    del case.source.handlers["exchange.receipt"]
    with pytest.raises(KeysteadError, match="its purpose is unknown here"):
        case.obtain()
    assert case.standing(case.target) == (Status.IMPORTED, 3)
    assert imported(case.target) == {key_id: material for key_id, _, material in case.held}


def import_again(case: Case, bundle: object) -> KeysteadError:
    before = case.target.contents()
    peer = case.target.peer(case.source)
    with pytest.raises(KeysteadError) as caught, case.target.db.transaction() as tx:
        service.import_bundle(tx, case.target.hierarchy, peer, case.request_id, bundle)
    assert case.target.contents() == before
    return caught.value


def test_a_bundle_is_imported_once(case: Case) -> None:
    case.obtain()
    bundle = json.loads(case.source.request(case.request_id)["bundle"])
    assert "imported before" in import_again(case, bundle).what
    assert "imported before" in import_again(case, good(case)).what


def test_a_bundle_is_not_imported_again_before_the_receipt_went_out(case: Case) -> None:
    channel = case.net.channel(case.target)
    channel.lost_messages = {1}
    with pytest.raises(Unavailable):
        case.obtain(channel)
    assert case.standing(case.target) == (Status.IMPORTED, 3)
    bundle = json.loads(case.source.request(case.request_id)["bundle"])
    assert "imported before" in import_again(case, bundle).what


def test_a_receipt_can_be_sent_long_after_the_keys_came(time: Clock, case: Case) -> None:
    channel = case.net.channel(case.target)
    channel.lost_messages = {1}
    with pytest.raises(Unavailable):
        case.obtain(channel)
    time.move(30 * service.REQUEST_SECONDS)
    case.complete()


def test_a_bundle_can_be_fetched_again_until_the_request_expires(time: Clock, case: Case) -> None:
    channel = case.net.channel(case.target)
    channel.lost_answers = {0}
    with pytest.raises(Unavailable):
        case.obtain(channel)
    time.move(service.REQUEST_SECONDS - 1)
    case.complete()


def test_a_bundle_for_another_request_is_refused(case: Case) -> None:
    other = ask(case.target, case.source, case.specs, CLONE)
    theirs = bundle_for(other, case.source, case.target, case.held)
    case.refuse(theirs, "they answer another request")
    relabelled = good(case, sealed_hash=other["request_hash"])
    case.refuse(relabelled, "sealed to another receiver or request")
    case.complete()


def test_the_bundle_of_another_instance_is_refused(case: Case) -> None:
    third = case.net.third
    allow(case.source, third, case.specs, CLONE)
    own = ask(third, case.source, case.specs, CLONE)
    before = third.rows(KEY_TABLE)
    honest = case.source.handlers["exchange.request"]
    case.obtain()
    bundle = json.loads(case.source.request(case.request_id)["bundle"])

    def refused(offered: object, reason: str) -> None:
        case.offer(offered)
        with pytest.raises(KeysteadError, match=reason):
            obtain(case.net, own)
        assert third.rows(KEY_TABLE) == before
        assert third.request(own["sys_id"])["status"] == Status.PENDING

    refused(bundle, "addressed to another instance")
    # the source itself is in league: it signs for the third what it sealed for the other
    sealed = base64.b64decode(claims_of(bundle)["sealed"])
    resigned = bundle_for(own, case.source, third, case.held, sealed=sealed)
    refused(resigned, "sealed to another receiver or request")
    refused(
        bundle_for(own, case.source, third, case.held, sealed_for=case.target),
        "sealed to another receiver or request",
    )
    case.source.handlers["exchange.request"] = honest
    assert obtain(case.net, own)["status"] == Status.COMPLETE


def test_only_the_source_signs_a_bundle(case: Case) -> None:
    third = case.net.third
    case.refuse(good(case, sender=third), "names another sender")
    forged = bundle_for(case.request, third, case.target, case.held, sender=case.source)
    case.refuse(forged, "does not match the sender's key")
    theirs = bundle_for(case.request, third, case.target, case.held)
    case.refuse(theirs, "does not match the sender's key")
    own = bundle_for(case.request, case.target, case.target, case.held, sender=case.source)
    case.refuse(own, "does not match the sender's key")
    case.complete()


@pytest.mark.parametrize("purpose", ["exchange.receipt", "clone.plan", "exchange.request", ""])
def test_what_was_signed_for_another_purpose_is_no_bundle(case: Case, purpose: str) -> None:
    case.refuse(good(case, purpose=purpose), "made for another purpose")
    case.complete()


def test_the_signatures_of_a_receipt_do_not_fit_a_bundle(case: Case) -> None:
    claims = {"request_hash": case.request["request_hash"], "imported_key_count": 3}
    receipt = signed(case.source, "exchange.receipt", case.target, claims)
    lifted = {**good(case), "signatures": receipt["signatures"]}
    case.refuse(lifted, "does not match the sender's key")
    case.refuse(receipt, "made for another purpose")
    case.refuse(with_claims(receipt, purpose="exchange.keys"), "does not match the sender's key")
    case.complete()


def test_a_clone_plan_is_no_bundle(case: Case) -> None:
    claims = claims_of(good(case))
    plan = {k: claims[k] for k in ("request_hash", "key_count", "sealed")}
    envelope = signed(case.source, "clone.plan", case.target, {**plan, "clone_id": CLONE})
    case.refuse(envelope, "made for another purpose")
    case.complete()


@pytest.mark.parametrize(
    "change",
    [
        {"request_hash": "0" * 64},
        {"key_count": 2},
        {"sealed": "AAAA"},
        {"expires": "9999-12-31T23:59:59.000000Z"},
        {"audience": "x"},
        {"sender": "x"},
    ],
)
def test_no_claim_of_a_bundle_can_be_changed(case: Case, change: dict[str, object]) -> None:
    case.refuse(with_claims(good(case), **change), "does not match the sender's key")


@pytest.mark.parametrize("bundle", [None, 5, "text", [], {}, {"payload": "AAAA"}, [[]]])
def test_what_is_not_signed_at_all_is_no_bundle(case: Case, bundle: object) -> None:
    case.refuse(bundle, "is not valid")


def test_an_expired_bundle_is_refused(time: Clock, case: Case) -> None:
    bundle = good(case, lifetime=1)
    time.move(61)
    case.refuse(bundle, "it has expired")
    case.complete()


def test_a_swapped_or_damaged_seal_is_refused(case: Case) -> None:
    other = ask(case.target, case.source, case.specs, CLONE)
    swapped = base64.b64decode(
        claims_of(bundle_for(other, case.source, case.target, case.held))["sealed"]
    )
    sealed = base64.b64decode(claims_of(good(case))["sealed"])
    flipped = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in (0, 1100, -40)]
    for blob in (swapped, *flipped, sealed[:-1], sealed + b"\0", sealed[:100], b"", b"\0" * 2000):
        case.refuse(good(case, sealed=blob), "sealed to another receiver or request")
    case.complete()


@pytest.mark.parametrize("sealed", [None, 5, "not base64!", ["AAAA"], "é"])
def test_a_seal_that_cannot_be_read_is_refused(case: Case, sealed: object) -> None:
    claims = {**claims_of(good(case)), "sealed": sealed}
    fields = {k: claims[k] for k in ("request_hash", "key_count", "sealed")}
    envelope = signed(case.source, "exchange.keys", case.target, fields)
    case.refuse(envelope, "sealed to another receiver or request")


NOT_ASKED = "they are not the keys that were asked for"


@pytest.mark.parametrize("count", [0, 1, 2, 4, -3, "3", 2**50, [3]])
def test_more_or_fewer_keys_than_announced_are_refused(case: Case, count: object) -> None:
    case.refuse(good(case, key_count=count), NOT_ASKED)


def test_a_bundle_that_announces_nothing_is_refused(case: Case) -> None:
    claims = claims_of(good(case))
    fields = {k: claims[k] for k in ("request_hash", "sealed")}
    case.refuse(signed(case.source, "exchange.keys", case.target, fields), NOT_ASKED)


def test_keys_that_were_not_asked_for_are_refused(net: Network, specs: list[str]) -> None:
    """The source adds, or puts in place of the others, keys of a specification not asked for."""
    asked, other = specs
    allow(net.prod, net.test, [asked], CLONE)
    case = Case(net, [asked], ask(net.test, net.prod, [asked], CLONE))
    extra = held_by(net.prod, [other])
    mislabelled = [(key_id, other, material) for key_id, _, material in case.held]
    unknown = [(key_id, "0" * 32, material) for key_id, _, material in case.held]
    for held in (case.held + extra, extra + case.held, extra, mislabelled, unknown):
        case.refuse(bundle_for(case.request, net.prod, net.test, held), NOT_ASKED)
    case.complete()


def test_a_key_of_a_specification_that_is_not_here_is_refused(net: Network) -> None:
    missing = "0" * 32
    case = Case(net, [missing], ask(net.test, net.prod, [missing], CLONE))
    held = [(os.urandom(16).hex(), missing, os.urandom(32))]
    case.refuse(bundle_for(case.request, net.prod, net.test, held), f"specification '{missing}'")


def test_a_key_that_belongs_to_another_specification_here_is_refused(case: Case) -> None:
    """Both are asked for, but the key is known here under the other."""
    own = case.target.key_rows()[0]
    other = next(s for s in case.specs if s != own["spec_id"])
    stolen = [(own["sys_id"], other, os.urandom(32))]
    for held in (stolen, case.held + stolen, stolen + case.held):
        bundle = bundle_for(case.request, case.source, case.target, held)
        error = case.refuse(bundle, "belongs to another specification here")
        assert isinstance(error, Conflict)
    case.complete()


def test_a_bundle_does_not_replace_a_key_that_is_here(case: Case) -> None:
    """The source sends other bytes under the id of a key that the target holds."""
    for own in case.target.key_rows():
        other = (own["sys_id"], own["spec_id"], os.urandom(32))
        for held in ([other], [*case.held, other]):
            bundle = bundle_for(case.request, case.source, case.target, held)
            error = case.refuse(bundle, "Other bytes are held here for the key")
            assert isinstance(error, Conflict)
    case.complete()


def test_one_source_does_not_replace_a_key_of_another(case: Case) -> None:
    case.obtain()
    (key_id, spec_id, _) = case.held[0]
    before = case.target.rows(KEY_TABLE)
    own = ask(case.target, case.net.third, case.specs, CLONE)
    for dropped in (False, True):
        if dropped:
            with case.target.db.transaction() as tx:
                row = keys.key(tx, case.target.hierarchy, key_id)
                keys.drop_key(tx, case.target.hierarchy, row, ACTOR)
            before = case.target.rows(KEY_TABLE)
        held = [(key_id, spec_id, os.urandom(32))]
        bundle = bundle_for(own, case.net.third, case.target, held)
        case.net.third.answer_with("exchange.request", {"status": "x", "bundle": bundle})
        with pytest.raises(Conflict, match="Other bytes are held here for the key"):
            obtain(case.net, own)
        assert case.target.rows(KEY_TABLE) == before


def test_a_bundle_with_a_key_twice_is_refused(case: Case) -> None:
    bundle = bundle_for(case.request, case.source, case.target, [case.held[0]] * 3)
    case.refuse(bundle, "not the keys that were asked for")


def test_malformed_keys_are_not_counted_as_none(case: Case) -> None:
    short = [(key_id, spec_id, material[:16]) for key_id, spec_id, material in case.held]
    bundle = bundle_for(case.request, case.source, case.target, short, key_count=0)
    case.refuse(bundle, "not the keys that were asked for")


@pytest.mark.parametrize("total", [2**63, -1, "3", None])
def test_an_odd_count_in_an_answer_is_refused(case: Case, total: object) -> None:
    answer = {"status": Status.PENDING, "total_key_count": total}
    case.source.answer_with("exchange.request", answer)
    with pytest.raises(Unavailable):
        case.obtain()


@pytest.mark.parametrize("size", [0, 1, 16, 31, 33, 64])
def test_key_material_of_another_size_is_refused(case: Case, size: int) -> None:
    held = [*case.held[:2], (*case.held[2][:2], os.urandom(size))]
    bundle = bundle_for(case.request, case.source, case.target, held)
    case.refuse(bundle, NOT_ASKED)


@pytest.mark.parametrize("key_id", ["", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "0" * 31 + "\n"])
def test_a_key_id_in_another_form_is_refused(case: Case, key_id: str) -> None:
    held = [*case.held[:2], (key_id, *case.held[2][1:])]
    case.refuse(bundle_for(case.request, case.source, case.target, held), NOT_ASKED)


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1],
        [["0" * 32, "s"]],
        [["0" * 32, "s", b"k" * 32, "more"]],
        [[0, "s", b"k" * 32]],
        [["0" * 32, None, b"k" * 32]],
        [["0" * 32, "s", 5]],
        "text",
        None,
    ],
)
def test_sealed_content_in_another_form_is_refused(case: Case, content: object) -> None:
    packed = msgspec.msgpack.encode(content)
    for count in (1, 3):
        bundle = bundle_for(case.request, case.source, case.target, packed, key_count=count)
        case.refuse(bundle, NOT_ASKED)


def test_sealed_content_that_is_cut_short_is_refused(case: Case) -> None:
    packed = msgspec.msgpack.encode(case.held)
    for cut in (0, 1, 40, len(packed) - 1):
        bundle = bundle_for(case.request, case.source, case.target, packed[:cut], key_count=3)
        case.refuse(bundle, NOT_ASKED)


# --- receipts ------------------------------------------------------------------------------------


@pytest.fixture
def approved(case: Case) -> Case:
    """The source approved, and its answer was lost."""
    channel = case.net.channel(case.target)
    channel.lost_answers = {0}
    with pytest.raises(Unavailable):
        case.obtain(channel)
    assert case.standing(case.source) == (Status.APPROVED, 0)
    assert case.standing(case.target) == PENDING
    return case


def receipt_for(case: Case, signer: Node, count: object = 3, **changed: Any) -> dict[str, Any]:
    claims = {"request_hash": case.request["request_hash"], "imported_key_count": count}
    purpose = changed.pop("purpose", "exchange.receipt")
    return signed(signer, purpose, case.source, claims, **changed)


def refuse_receipt(case: Case, sender: Node, receipt: object, reason: str) -> None:
    before = case.source.contents()
    channel = case.net.channel(sender)
    with pytest.raises(KeysteadError, match=reason):
        channel.send(sender.peer(case.source), "exchange.receipt", {"receipt": receipt})
    assert case.source.contents() == before


@pytest.mark.parametrize("count", [0, 2, 4, None, "3", -3])
def test_a_receipt_for_another_number_of_keys_is_refused(approved: Case, count: object) -> None:
    receipt = receipt_for(approved, approved.target, count)
    refuse_receipt(approved, approved.target, receipt, "the receipt counts other keys")
    approved.complete()


def test_only_the_target_signs_a_receipt(approved: Case) -> None:
    third = approved.net.third
    for sender, receipt, reason in (
        (third, receipt_for(approved, third), "no exchange request"),
        (third, receipt_for(approved, approved.target), "does not match the sender's key"),
        (approved.target, receipt_for(approved, third), "does not match the sender's key"),
        (
            approved.target,
            receipt_for(approved, third, sender=approved.target),
            "does not match the sender's key",
        ),
        (approved.target, receipt_for(approved, approved.target, sender=third), "another sender"),
    ):
        refuse_receipt(approved, sender, receipt, reason)
    approved.complete()


def test_what_was_signed_for_another_purpose_is_no_receipt(approved: Case) -> None:
    for purpose in ("exchange.keys", "clone.plan", "exchange.request", "exchange.receipt.answer"):
        receipt = receipt_for(approved, approved.target, purpose=purpose)
        refuse_receipt(approved, approved.target, receipt, "made for another purpose")
    bundle = json.loads(approved.source.request(approved.request_id)["bundle"])
    refuse_receipt(approved, approved.target, bundle, "does not match the sender's key")
    approved.complete()


def test_a_receipt_of_another_request_is_refused(approved: Case) -> None:
    claims = {"request_hash": "0" * 64, "imported_key_count": 3}
    receipt = signed(approved.target, "exchange.receipt", approved.source, claims)
    refuse_receipt(approved, approved.target, receipt, "no exchange request")


def test_a_receipt_before_the_approval_is_refused(net: Network, specs: list[str]) -> None:
    case = Case(net, specs, ask(net.test, net.prod, specs, CLONE))
    case.obtain()
    receipt = receipt_for(case, net.test)
    refuse_receipt(case, net.test, receipt, "it cannot be completed")


def test_an_expired_receipt_is_refused(time: Clock, approved: Case) -> None:
    receipt = receipt_for(approved, approved.target, lifetime=1)
    time.move(61)
    refuse_receipt(approved, approved.target, receipt, "it has expired")


# --- ends in the middle --------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["away", "killed"])
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("lost", ["lost_messages", "lost_answers"])
def test_an_exchange_that_ended_anywhere_is_completed(
    case: Case, lost: str, number: int, failure: str
) -> None:
    channel = case.net.channel(case.target)
    setattr(channel, lost, {number})
    if failure == "killed":
        channel.failure = lambda _peer: Killed()
    with pytest.raises((Unavailable, Killed)):
        case.obtain(channel)
    expected = {
        ("lost_messages", 0): (None, Status.PENDING),
        ("lost_answers", 0): (Status.APPROVED, Status.PENDING),
        ("lost_messages", 1): (Status.APPROVED, Status.IMPORTED),
        ("lost_answers", 1): (Status.COMPLETE, Status.IMPORTED),
    }
    at_source, at_target = expected[lost, number]
    assert case.target.request(case.request_id)["status"] == at_target
    if at_source is None:
        with pytest.raises(NotFound):
            case.source.request(case.request_id)
    else:
        assert case.source.request(case.request_id)["status"] == at_source
    case.complete()
    assert len(case.target.key_rows()) == 2 + 3, "its own, and each received one once"


def test_an_import_that_ended_half_way_leaves_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, made = keys.import_key, []

    def dying(*args: Any, **fields: Any) -> bool:
        if len(made) == 2:
            raise Killed
        made.append(fields["key_id"])
        return honest(*args, **fields)

    monkeypatch.setattr(keys, "import_key", dying)
    with case.importing_nothing(), pytest.raises(Killed):
        case.obtain()
    monkeypatch.undo()
    assert case.standing(case.source) == (Status.APPROVED, 0)
    case.complete()


def test_the_same_answer_is_given_again_word_for_word(approved: Case) -> None:
    first = approved.source.request(approved.request_id)["bundle"]
    approved.obtain(approved.net.channel(approved.target))
    assert approved.source.request(approved.request_id)["bundle"] == first


def test_keys_made_after_the_approval_do_not_slip_in(approved: Case) -> None:
    before = dict(imported(approved.target))
    held = approved.held
    with approved.source.db.transaction() as tx:
        keys.rotate(tx, approved.source.hierarchy, "people", ACTOR)
    assert len(approved.held) == 4
    assert approved.obtain()["moved_key_count"] == 3
    received = {k: v for k, v in imported(approved.target).items() if k not in before}
    assert received == {key_id: material for key_id, _, material in held}


# --- the job -------------------------------------------------------------------------------------


def make_job(case: Case, **more: object) -> str:
    arguments = {"peer": case.source.id, "specifications": case.specs, "clone_id": CLONE, **more}
    with case.target.db.transaction() as tx:
        return jobs.create(tx, JobKind.EXCHANGE, CLONE, arguments, ACTOR)


def run_job(case: Case, job_id: str, channel: MemoryChannel | None = None) -> None:
    used = channel or case.net.channel(case.target)
    stage = ExchangeJob(case.target.db, case.target.hierarchy, used).obtain
    jobs.run_stage(case.target.db, job_id, stage)


def job_of(case: Case, job_id: str) -> jobs.Job:
    with case.target.db.snapshot() as tx:
        return jobs.get(tx, job_id)


def test_a_job_makes_its_request_and_counts_its_keys(case: Case) -> None:
    job_id = make_job(case)
    run_job(case, job_id)
    job = job_of(case, job_id)
    assert (job["state"], job["done"], job["total"]) == ("done", 3, 3)
    assert (job["counts"]["status"], job["counts"]["keys"]) == (Status.COMPLETE, 3)
    assert case.target.request(job["counts"]["request_id"])["clone_id"] == CLONE


def test_a_job_for_a_request_goes_on_with_it(net: Network, specs: list[str]) -> None:
    case = Case(net, specs, ask(net.test, net.prod, specs, CLONE))
    with net.test.db.transaction() as tx:
        arguments = {"request_id": case.request_id}
        made = [jobs.create(tx, JobKind.EXCHANGE, net.prod.id, arguments, ACTOR) for _ in range(2)]
    run_job(case, made[0])
    assert job_of(case, made[0])["counts"]["status"] == Status.PENDING
    allow(net.prod, net.test, specs, CLONE)
    run_job(case, made[1])
    assert job_of(case, made[1])["counts"]["keys"] == 3
    assert len(net.test.rows(REQUESTS)) == 1
    case.complete()


@pytest.mark.parametrize("failure", ["away", "killed"])
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("lost", ["lost_messages", "lost_answers"])
def test_a_job_that_ended_anywhere_is_run_again(
    case: Case, lost: str, number: int, failure: str
) -> None:
    job_id = make_job(case)
    channel = case.net.channel(case.target)
    setattr(channel, lost, {number})
    if failure == "killed":
        channel.failure = lambda _peer: Killed()
    with pytest.raises((Unavailable, Killed)):
        run_job(case, job_id, channel)
    job = job_of(case, job_id)
    assert job["state"] == ("running" if failure == "killed" else "failed")
    if failure == "away":
        assert job["error_code"] == "peer.unreachable"
        with case.target.db.transaction() as tx:
            jobs.resume(tx, job_id, ACTOR)
    run_job(case, job_id)
    job = job_of(case, job_id)
    assert (job["state"], job["counts"]["keys"]) == ("done", 3)
    assert len(case.target.rows(REQUESTS)) == 2, "the job's own request, made once"
    assert len(case.target.key_rows()) == 2 + 3
    assert imported(case.target) == {key_id: material for key_id, _, material in case.held}


def test_a_refused_bundle_fails_the_job_with_the_reason(case: Case) -> None:
    job_id = make_job(case)
    case.offer(good(case))
    with case.importing_nothing(), pytest.raises(Denied):
        run_job(case, job_id)
    job = job_of(case, job_id)
    assert (job["state"], job["error_code"]) == ("failed", "exchange.refused")
    assert "they answer another request" in job["error_what"]


def test_a_job_whose_request_expired_fails_and_says_so(time: Clock, case: Case) -> None:
    job_id = make_job(case, clone_id=OTHER_CLONE)
    channel = case.net.channel(case.target)
    channel.lost_messages = {0}
    with pytest.raises(Unavailable):
        run_job(case, job_id, channel)
    time.move(service.REQUEST_SECONDS)
    with case.target.db.transaction() as tx:
        jobs.resume(tx, job_id, ACTOR)
    with pytest.raises(Conflict, match="expired before its keys were here"):
        run_job(case, job_id)
    assert job_of(case, job_id)["error_code"] == "exchange.expired"


def test_whoever_loses_the_job_while_the_source_answers_imports_nothing(case: Case) -> None:
    job_id = make_job(case)
    channel = case.net.channel(case.target)

    def take_over(_purpose: str) -> None:
        with case.target.db.transaction() as tx:
            jobs.claim(tx, job_id)

    channel.before = take_over
    with pytest.raises(Conflict) as caught, case.importing_nothing():
        run_job(case, job_id, channel)
    assert caught.value.code == "job.fenced"
    assert (job_of(case, job_id)["state"], job_of(case, job_id)["error_code"]) == ("running", None)
    run_job(case, job_id)
    assert job_of(case, job_id)["state"] == "done"


def test_whoever_lost_the_job_can_not_end_it(case: Case) -> None:
    job_id = make_job(case)
    stage = ExchangeJob(case.target.db, case.target.hierarchy, case.net.channel(case.target)).obtain
    with case.target.db.transaction() as tx:
        late = jobs.claim(tx, job_id)
    run_job(case, job_id)
    before = case.target.contents()
    with pytest.raises(Conflict) as caught:
        stage(late)
    assert caught.value.code == "job.fenced"
    assert case.target.contents() == before
