"""A key under an external key reaches only who may use that same external key, for one request."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from tests.unit.external.vendor import Vendor

from keystead.base.errors import Denied, KeysteadError
from keystead.base.secret import REVEAL
from keystead.crypto import seal
from keystead.database.integrity import Fields
from keystead.exchange import service
from keystead.exchange.model import Status, seal_info, transport_context
from keystead.external import configurations
from keystead.external.provider import Answer, Call
from keystead.keys import service as keys
from keystead.keys.tables import MODULES

from .pairs import (
    ACTOR,
    KEY_TABLE,
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
)
from .watched import NAME, Watched

CLONE = "c" * 32


class Nodes:
    """The instances of a network, of which some have external keys."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.spec = specification(net.prod, "people")
        self._watched: dict[str, Watched] = {}

    def put(self, node: Node, vendor: Vendor, *modules: str) -> Watched:
        """Give an instance an external key, and put modules under it."""
        made = self._watched[node.id] = Watched(node, vendor)
        made.configure()
        made.wrap(*modules)
        return made

    def end(self) -> None:
        for one in self._watched.values():
            one.end()

    def asked(self, node: Node | None = None) -> Fields:
        """A request that the source's policy grants."""
        receiver = node or self.net.test
        allow(self.net.prod, receiver, [self.spec], CLONE)
        return ask(receiver, self.net.prod, [self.spec], CLONE)

    def obtain(self, request: Fields, channel: MemoryChannel | None = None) -> Fields:
        return obtain(self.net, request, channel)

    def refused(self, request: Fields, code: str, reason: str) -> None:
        """Nothing is imported, and the request can be granted another time."""
        node = self.net.test
        before = node.rows(KEY_TABLE)
        with pytest.raises(KeysteadError, match=reason) as caught:
            self.obtain(request)
        assert caught.value.code == code
        assert node.rows(KEY_TABLE) == before
        assert node.request(request["sys_id"])["status"] == Status.PENDING

    def opened(self, node: Node) -> dict[str, bytes]:
        """The bytes of every key of the specification, by id."""
        with node.db.snapshot() as tx:
            rows = [r for r in keys.keys_of(tx, node.hierarchy, self.spec) if keys.can_open(r)]
            return {
                row["sys_id"]: keys.open_key(tx, node.hierarchy, row).reveal(REVEAL) for row in rows
            }

    def bundle(self, request: Fields) -> dict[str, Any]:
        ((stored,),) = self.net.prod.sql(
            "SELECT bundle FROM keystead_exchange_request WHERE sys_id = ?", request["sys_id"]
        )
        return dict(json.loads(stored))


@pytest.fixture
def nodes(net: Network) -> Iterator[Nodes]:
    found = Nodes(net)
    yield found
    found.end()


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def both(nodes: Nodes, vendor: Vendor) -> Nodes:
    """`people` is under one external key at the source and at the target."""
    nodes.put(nodes.net.prod, vendor, "people")
    nodes.put(nodes.net.test, vendor, "people")
    return nodes


def test_a_key_arrives_under_the_targets_own_ekek(both, vendor):
    source_keys = both.opened(both.net.prod)
    vendor.contexts.clear()
    request = both.obtain(both.asked())
    assert (request["status"], request["moved_key_count"]) == (Status.COMPLETE, 2)
    here = both.opened(both.net.test)
    assert {key_id: here[key_id] for key_id in source_keys} == source_keys
    assert all(
        row["ekek_id"] is not None
        for row in both.net.test.key_rows()
        if row["sys_id"] in source_keys
    )
    transport = {
        "keystead:source": both.net.prod.id,
        "keystead:receiver": both.net.test.id,
        "keystead:request": request["sys_id"],
    }
    assert vendor.contexts.count(transport) == 3, "wrapped, opened again, opened by the target"


def test_the_seal_alone_opens_nothing(both):
    """Who has the target's sealing key, and not the external key, holds wrapped keys."""
    request = both.obtain(both.asked())
    claims = claims_of(both.bundle(request))
    opened = seal.unseal(
        both.net.test.hierarchy.sealing,
        base64.b64decode(claims["sealed"]),
        seal_info(request["request_hash"]),
    )
    packed = msgspec.msgpack.decode(opened.reveal(REVEAL))
    bare = set(both.opened(both.net.prod).values())
    assert len(packed) == 2
    assert all(len(material) > 32 and material not in bare for _, _, material in packed)


def test_no_provider_is_asked_while_a_database_is_locked(both, vendor, monkeypatch):
    files = [node.instance.home.database_file for node in (both.net.prod, both.net.test)]
    asked = vendor.asked
    calls = []

    def unlocked(call: Call) -> None:
        for file in files:
            with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
        calls.append(call)
        asked(call)

    request = both.asked()
    for watched in both._watched.values():
        watched.lapse()
    monkeypatch.setattr(vendor, "asked", unlocked)
    assert both.obtain(request)["status"] == Status.COMPLETE
    assert calls


def test_a_target_under_no_external_key_gets_nothing(nodes, vendor):
    nodes.put(nodes.net.prod, vendor, "people")
    nodes.refused(nodes.asked(), "peer.refused", "only to a module under the same external key")
    used = "SELECT count(*) FROM sys_kmf_crypto_caller_policy WHERE consumed_at IS NOT NULL"
    assert nodes.net.prod.sql(used) == [(0,)]


def test_a_target_under_another_external_key_gets_nothing(nodes, vendor):
    nodes.put(nodes.net.prod, vendor, "people")
    nodes.put(nodes.net.test, Vendor(reference="key 2"), "people")
    nodes.refused(nodes.asked(), "peer.refused", "only to a module under the same external key")


def test_who_claims_the_same_external_key_without_access_opens_nothing(nodes, vendor):
    nodes.put(nodes.net.prod, vendor, "people")
    nodes.put(nodes.net.test, Vendor(reference=vendor.reference), "people")
    nodes.refused(nodes.asked(), "external.dark", "wrong")


def test_a_request_of_an_older_release_counts_as_internal(both, monkeypatch):
    request = both.asked()
    document = json.loads(request["document"])
    del document["external"]
    channel = both.net.channel(both.net.test)
    peer = both.net.test.peer(both.net.prod)
    with pytest.raises(Denied, match="only to a module under the same external key"):
        channel.send(peer, "exchange.request", {"document": document})


def test_an_internal_key_is_given_to_a_request_of_an_older_release(nodes):
    request = nodes.asked()
    document = json.loads(request["document"])
    del document["external"]
    channel = nodes.net.channel(nodes.net.test)
    answer = channel.send(
        nodes.net.test.peer(nodes.net.prod), "exchange.request", {"document": document}
    )
    assert answer["status"] == Status.APPROVED


@pytest.mark.parametrize("external", [[], "key 1", {"x": 1}, None])
def test_what_is_said_of_external_keys_must_be_of_its_form(both, external):
    document = {**json.loads(both.asked()["document"]), "external": external}
    channel = both.net.channel(both.net.test)
    with pytest.raises(Denied, match="does not fit"):
        channel.send(both.net.test.peer(both.net.prod), "exchange.request", {"document": document})


def test_the_external_key_of_a_request_is_not_changed_afterwards(nodes, vendor):
    nodes.put(nodes.net.prod, vendor, "people")
    request = nodes.asked()
    nodes.refused(request, "peer.refused", "same external key")
    channel = nodes.net.channel(nodes.net.test)
    peer = nodes.net.test.peer(nodes.net.prod)
    # a request without a policy is on record at the source; the same one may not say another key
    document = {**json.loads(request["document"]), "clone_id": "d" * 32}
    assert (
        channel.send(peer, "exchange.request", {"document": document})["status"]
        == "Request Pending"
    )
    changed = {**document, "external": {nodes.spec: vendor.reference}}
    with pytest.raises(Denied, match="another request has this id"):
        channel.send(peer, "exchange.request", {"document": changed})


def test_an_internal_key_comes_to_lie_under_the_targets_external_key(nodes, vendor):
    nodes.put(nodes.net.test, vendor, "people")
    before = nodes.opened(nodes.net.prod)
    assert nodes.obtain(nodes.asked())["status"] == Status.COMPLETE
    rows = {row["sys_id"]: row for row in nodes.net.test.key_rows()}
    assert all(rows[key_id]["ekek_id"] for key_id in before)


def test_another_receiver_of_the_same_external_key_cannot_open_it(both, vendor):
    other = both.put(both.net.third, vendor, "people")
    request = both.obtain(both.asked())
    claims = claims_of(both.bundle(request))
    wrapped = base64.b64decode(claims["transports"][vendor.reference])
    node = both.net.third
    document = {**json.loads(request["document"]), "target": node.id}
    with node.db.snapshot() as tx:
        row = configurations.named(tx, node.hierarchy, NAME)
    with pytest.raises(Denied):
        other.leases.unwrap_transport(row, wrapped, transport_context(document))


def test_a_transport_key_of_another_request_is_refused(both, vendor):
    """A source that hands out one transport key twice is not believed either."""
    first = both.obtain(both.asked())
    before = claims_of(both.bundle(first))
    with both.net.test.db.transaction() as tx:
        for row in both.net.test.key_rows():
            if row["origin"] == "imported":
                keys.drop_key(tx, both.net.test.hierarchy, row, ACTOR)
    second = both.asked()
    forged = both.net.prod
    bundle = bundle_for(second, forged, both.net.test, [])
    claims = {**claims_of(bundle), "transports": before["transports"]}
    again = signed(forged, "exchange.keys", both.net.test, claims)
    forged.answer_with("exchange.request", {"status": Status.APPROVED, "bundle": again})
    both.refused(second, "external.dark", "wrong")


@pytest.mark.parametrize("transports", [None, {}, [], {"key 1": 7}, {"key 1": "ä"}])
def test_wrapped_keys_without_their_transport_key_are_refused(both, transports):
    request = both.asked()
    held = [("a" * 32, both.spec, b"w" * 61)]
    bundle = bundle_for(request, both.net.prod, both.net.test, held)
    claims = {**claims_of(bundle), "transports": transports}
    again = signed(both.net.prod, "exchange.keys", both.net.test, claims)
    both.net.prod.answer_with("exchange.request", {"status": Status.APPROVED, "bundle": again})
    both.refused(request, "exchange.refused", "transport key does not open them")


def test_a_bundle_is_imported_once(both):
    request = both.obtain(both.asked())
    bundle = both.bundle(request)
    node = both.net.test
    before = node.rows(KEY_TABLE)
    peer = node.peer(both.net.prod)
    with pytest.raises(Denied, match="imported before"), node.db.transaction() as tx:
        service.import_bundle(tx, node.hierarchy, peer, request["sys_id"], bundle)
    assert node.rows(KEY_TABLE) == before


def test_a_module_that_moved_to_another_external_key_receives_nothing(both, vendor):
    request = both.asked()
    other = Vendor(reference="key 2")
    away = Watched(both.net.test, other)
    try:
        away.configure("other")
        node = both.net.test
        with node.db.transaction() as tx:
            chosen = configurations.named(tx, node.hierarchy, "other")
            row = keys.module(tx, node.hierarchy, "people")
            node.hierarchy.integrity.update(
                tx, MODULES, row, "people", external_configuration=chosen["sys_id"]
            )
        both.refused(request, "exchange.refused", "under another external key by now")
    finally:
        away.end()


def test_nobodys_provider_is_asked_for_what_no_policy_grants(both, vendor):
    request = ask(both.net.test, both.net.prod, [both.spec], CLONE)
    vendor.calls.clear()
    assert both.obtain(request)["status"] == Status.PENDING
    assert vendor.calls == []


def test_an_answer_that_was_lost_is_given_again_as_it_was(both, vendor):
    request = both.asked()
    channel = both.net.channel(both.net.test)
    channel.lost_answers = {0}
    with pytest.raises(KeysteadError):
        both.obtain(request, channel)
    bundle = both.bundle(request)
    vendor.calls.clear()
    assert both.obtain(request)["status"] == Status.COMPLETE
    assert Call.WRAP not in vendor.calls
    assert both.bundle(request) == bundle


def test_a_source_whose_key_is_dark_says_no_more_than_that(both, vendor):
    request = both.asked()
    vendor.state = Answer.DISABLED
    for watched in both._watched.values():
        watched.lapse()
    both.refused(request, "peer.refused", "may not use the external key of what was asked for now")
    vendor.state = Answer.ENABLED
    for watched in both._watched.values():
        watched.lapse()
    assert both.obtain(request)["status"] == Status.COMPLETE
