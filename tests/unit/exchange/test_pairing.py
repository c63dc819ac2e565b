"""Pairing is by a fingerprint that was compared; who is not paired is not heard."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from keystead.base.errors import Conflict, Denied, Invalid, KeysteadError, NotFound
from keystead.exchange import messages, peers
from keystead.exchange.identity import Identity, from_json, same_fingerprint

from .pairs import ACTOR, Network, Node, url_of


def pair(node: Node, shown: Identity, fingerprint: str) -> None:
    with node.db.transaction() as tx:
        peers.pair(tx, node.hierarchy, shown, url_of(shown), fingerprint, ACTOR)


def refused(node: Node, shown: Identity, fingerprint: str, code: str) -> KeysteadError:
    before = node.contents()
    with pytest.raises(KeysteadError) as caught:
        pair(node, shown, fingerprint)
    assert caught.value.code == code
    assert node.contents() == before
    return caught.value


def hear(net: Network, sender: Node, receiver: Node) -> bytes:
    """An honest message, past the sender's own list of peers."""
    frame, _ = messages.compose(sender.hierarchy, receiver.id, "note", {"n": 1})
    return receiver.receive(frame, {"note": lambda _peer, _body: {"heard": True}})


@pytest.fixture
def alone(net: Network) -> Node:
    """An instance that has forgotten its peer `prod`."""
    net.test.unpair(net.prod)
    return net.test


def test_a_pair_is_kept_as_it_was_shown(alone: Node, net: Network) -> None:
    shown = net.prod.identity
    pair(alone, shown, shown.fingerprint)
    assert alone.peer(net.prod) == peers.Peer(shown, url_of(shown))
    entry = alone.audit()[0]
    assert (entry["action"], entry["subject"]) == ("peer.pair", net.prod.id)
    assert entry["detail"] == {"fingerprint": shown.fingerprint}
    with alone.db.snapshot() as tx:
        assert peers.by_name(tx, alone.hierarchy, "prod") == peers.Peer(shown, url_of(shown))
        listed = peers.listed(tx, alone.hierarchy)
    assert {peer.instance_id for peer in listed} == {net.prod.id, net.third.id}


@pytest.mark.parametrize(
    "write",
    [
        str.upper,
        lambda f: f.replace("-", ""),
        lambda f: f.replace("-", " "),
        lambda f: f.replace("-", ":"),
        lambda f: f.replace("-", " - "),
        lambda f: f" {f}\n",
        lambda f: ":".join(f.replace("-", "").upper()[i : i + 2] for i in range(0, 64, 2)),
        lambda f: f.replace("-", "\n\t"),
    ],
)
def test_a_fingerprint_is_the_same_however_it_is_written(
    alone: Node, net: Network, write: object
) -> None:
    shown = net.prod.identity
    pair(alone, shown, write(shown.fingerprint))  # type: ignore[operator]
    assert alone.peer(net.prod).identity == shown


def test_a_fingerprint_is_eight_groups_of_eight_hexadecimal_digits(net: Network) -> None:
    groups = net.prod.identity.fingerprint.split("-")
    assert [len(group) for group in groups] == [8] * 8
    assert set("".join(groups)) <= set("0123456789abcdef")


def test_another_fingerprint_is_refused(alone: Node, net: Network) -> None:
    right = net.prod.identity.fingerprint
    first = "1" if right[0] == "0" else "0"
    for wrong in (
        "",
        "-",
        right[:-1],
        right[:8],
        right + "0",
        first + right[1:],
        right.replace("-", "_"),
        net.third.identity.fingerprint,
        alone.identity.fingerprint,
    ):
        error = refused(alone, net.prod.identity, wrong, "peer.fingerprint")
        assert isinstance(error, Denied)
        assert right not in error.what


def test_no_two_instances_show_the_same_fingerprint(net: Network) -> None:
    shown = {node.identity.fingerprint for node in net.nodes.values()}
    assert len(shown) == len(net.nodes)


@pytest.mark.parametrize("part", ["instance_id", "name", "signing", "sealing", "certificate"])
def test_what_is_put_in_place_of_a_part_shows_in_the_fingerprint(
    alone: Node, net: Network, part: str
) -> None:
    shown = net.prod.identity
    swapped = replace(shown, **{part: getattr(net.third.identity, part)})
    refused(alone, swapped, shown.fingerprint, "peer.fingerprint")


def test_an_instance_does_not_pair_with_itself(net: Network) -> None:
    own = net.test.identity
    error = refused(net.test, own, own.fingerprint, "peer.self")
    assert isinstance(error, Conflict)


def test_an_instance_is_paired_once(net: Network) -> None:
    shown = net.prod.identity
    assert isinstance(refused(net.test, shown, shown.fingerprint, "peer.exists"), Conflict)
    renamed = replace(shown, name="another")
    refused(net.test, renamed, renamed.fingerprint, "peer.exists")


def test_two_peers_do_not_share_a_name(alone: Node, net: Network) -> None:
    double = replace(net.prod.identity, name="third")
    refused(alone, double, double.fingerprint, "peer.exists")


def test_a_name_that_is_the_id_of_another_stands_for_neither(alone: Node, net: Network) -> None:
    double = replace(net.prod.identity, name=net.third.id)
    pair(alone, double, double.fingerprint)
    with pytest.raises(Conflict) as caught, alone.db.snapshot() as tx:
        peers.by_name(tx, alone.hierarchy, net.third.id)
    assert caught.value.code == "peer.ambiguous"
    assert alone.peer(net.third).identity == net.third.identity


def test_an_instance_that_was_removed_can_be_paired_again(alone: Node, net: Network) -> None:
    with pytest.raises(NotFound), alone.db.transaction() as tx:
        peers.unpair(tx, alone.hierarchy, net.prod.id, ACTOR)
    with pytest.raises(NotFound), alone.db.snapshot() as tx:
        peers.by_name(tx, alone.hierarchy, "prod")
    alone.pair(net.prod)
    assert hear(net, net.prod, alone)


def test_a_peer_that_was_changed_in_the_database_is_not_used(net: Network) -> None:
    other = net.third.identity
    net.test.sql(
        "UPDATE keystead_peer SET identity = (SELECT identity FROM keystead_peer WHERE sys_id = ?)"
        " WHERE sys_id = ?",
        other.instance_id,
        net.prod.id,
    )
    with pytest.raises(KeysteadError) as caught:
        net.test.peer(net.prod)
    assert caught.value.code == "row.tampered"
    with pytest.raises(Denied):
        hear(net, net.prod, net.test)
    assert net.test.audit()[0]["detail"]["reason"] == caught.value.what


def test_who_is_not_paired_is_not_heard(alone: Node, net: Network) -> None:
    with pytest.raises(Denied) as caught:
        hear(net, net.prod, alone)
    assert caught.value.code == "message.denied"
    assert alone.audit()[0]["action"] == "message.refuse"
    assert hear(net, alone, net.prod), "the other side still has its half of the pair"
    assert hear(net, net.third, alone), "other pairs are not touched"


def test_pairing_on_one_side_lets_only_that_side_hear(net: Network) -> None:
    net.prod.unpair(net.test)
    with pytest.raises(Denied):
        hear(net, net.test, net.prod)
    assert hear(net, net.prod, net.test)
    with pytest.raises(Denied):
        net.channel(net.test).send(net.test.peer(net.prod), "clone.preflight", {})


def test_an_identity_survives_being_sent(net: Network) -> None:
    shown = net.prod.identity
    again = from_json(shown.as_json())
    assert again == shown
    assert again.fingerprint == shown.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"signing": None},
        {"signing": 5},
        {"sealing": "not base64!"},
        {"sealing": "é"},
        {"certificate": "no certificate"},
        {"certificate": None},
        {"name": ""},
        {"name": "two words"},
        {"name": "a\x1b[2J\nb"},
        {"name": "1st"},
        {"name": "a" * 41},
        {"instance_id": ""},
        {"instance_id": "0" * 31},
        {"instance_id": "G" * 32},
        {"instance_id": None},
    ],
)
def test_what_is_not_an_identity_is_refused(net: Network, change: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        from_json({**net.prod.identity.as_json(), **change})


@pytest.mark.parametrize("part", ["instance_id", "name", "signing", "sealing", "certificate"])
def test_an_identity_with_a_part_missing_is_refused(net: Network, part: str) -> None:
    document = net.prod.identity.as_json()
    del document[part]
    with pytest.raises(Invalid):
        from_json(document)


@pytest.mark.parametrize("document", [None, 5, "text", [], {}, [1, 2], True])
def test_what_has_no_parts_is_no_identity(document: object) -> None:
    with pytest.raises(Invalid):
        from_json(document)


def test_fingerprints_that_differ_are_not_the_same() -> None:
    assert same_fingerprint("0a-1b", "0A:1B")
    assert not same_fingerprint("0a-1b", "0a-1c")
    assert not same_fingerprint("0a-1b", "")
    assert not same_fingerprint("0a-1b", "0a1b0")


def test_the_public_keys_in_an_identity_are_those_of_the_instance(net: Network) -> None:
    shown = net.prod.identity.as_json()
    assert base64.b64decode(shown["signing"]) == net.test.peer(net.prod).identity.signing
    assert len(base64.b64decode(shown["signing"])) == 32 + 1952
    assert len(base64.b64decode(shown["sealing"])) == 1184 + 32
