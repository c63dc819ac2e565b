"""A message is heard once, from whom it says, by whom it is for; everything else is refused."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.base.errors import FAMILIES, Denied, Invalid, KeysteadError, Tampered
from keystead.clone import inventory, plan
from keystead.clone.model import KeyOption
from keystead.crypto import seal, sign
from keystead.exchange import messages

from .pairs import (
    Clock,
    Network,
    Node,
    ask,
    claims_of,
    frame_of,
    frame_parts,
    signed,
    specification,
    with_claims,
)

PURPOSE = "note"
LONGEST_HEADER = 64 * 1024
BODY = {"text": "three words here", "n": 7, "list": [1, None, "x"]}

properties = settings(
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# no half surrogate pairs: JSON can spell them, and nothing can store them
texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.integers(-(2**63), 2**64 - 1)
scalars = st.none() | st.booleans() | numbers | st.floats() | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
json_numbers = st.integers(-(2**53) + 1, 2**53 - 1)
packable = st.recursive(
    scalars | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | numbers, inner, max_size=4),
    max_leaves=12,
)
ODD_VALUES: list[object] = [
    None,
    True,
    -1,
    2**53,
    2**64 - 1,
    float("inf"),
    float("nan"),
    "",
    "9" * 5000,
    "é\0" * 70_000,
    b"\xff" * 100,
    [],
    [None, 1, "x", {}],
    {},
    {"a": {"b": {"c": []}}},
    {1: 2},
]


class Receiver:
    """`test`, taking notes."""

    def __init__(self, net: Network) -> None:
        self.node = net.test
        self.notes: list[tuple[str, dict[str, Any]]] = []

    def take(self, frame: bytes) -> bytes:
        return self.node.receive(frame, {PURPOSE: self._note})

    def _note(self, peer: Any, body: dict[str, Any]) -> Mapping[str, Any]:
        self.notes.append((peer.identity.name, body))
        return {"noted": len(self.notes)}

    def refuse(self, frame: bytes) -> str:
        """Assert that the frame is denied without an answer; the reason in the audit log."""
        entries, notes, contents = self.node.audit_length(), len(self.notes), self.node.contents()
        with pytest.raises(Denied) as caught:
            self.take(frame)
        assert caught.value.code == "message.denied"
        assert caught.value.__cause__ is None
        assert len(self.notes) == notes
        assert self.node.contents() == contents
        assert self.node.audit_length() == entries + 1
        (entry,) = self.node.audit(1)
        assert (entry["actor"], entry["action"]) == ("peer", "message.refuse")
        return str(entry["detail"]["reason"])


@pytest.fixture
def receiver(net: Network) -> Receiver:
    return Receiver(net)


def compose(sender: Node, receiver: Node, body: Mapping[str, Any] | None = None) -> bytes:
    frame, _ = messages.compose(sender.hierarchy, receiver.id, PURPOSE, body or BODY)
    return frame


@pytest.fixture
def frame(net: Network) -> bytes:
    return compose(net.prod, net.test)


# --- the way it should go ------------------------------------------------------------------------


def test_a_message_is_handled_once_and_answered(net: Network, receiver: Receiver) -> None:
    frame, message_id = messages.compose(net.prod.hierarchy, net.test.id, PURPOSE, BODY)
    answer = receiver.take(frame)
    assert receiver.notes == [("prod", BODY)]
    peer = net.prod.peer(net.test)
    body = messages.read_answer(net.prod.hierarchy, peer, PURPOSE, message_id, answer)
    assert body == {"noted": 1}
    claims = claims_of(frame_parts(answer)[0])
    assert claims["answers"] == message_id
    assert (claims["sender"], claims["audience"]) == (net.test.id, net.prod.id)
    assert claims["purpose"] == f"{PURPOSE}.answer"


def test_each_message_has_an_id_of_its_own(net: Network, receiver: Receiver) -> None:
    for _ in range(3):
        receiver.take(compose(net.prod, net.test))
    assert len(receiver.notes) == 3


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_refusal_is_signed_and_keeps_its_family(net: Network, family: str) -> None:
    def refuse(_peer: object, _body: object) -> Mapping[str, Any]:
        raise FAMILIES[family]("exchange.refused", request="of this test", reason=family)

    net.test.handlers[PURPOSE] = refuse
    channel = net.channel(net.prod)
    with pytest.raises(FAMILIES[family]) as caught:
        channel.send(net.prod.peer(net.test), PURPOSE, BODY)
    assert caught.value.code == "peer.refused"
    assert f"were refused: {family}." in caught.value.what
    assert caught.value.todo == "Nothing was imported. Make a new request."
    assert claims_of(frame_parts(channel.answers[0])[0])["sender"] == net.test.id
    entry = net.test.audit()[0]
    assert (entry["actor"], entry["subject"]) == (net.prod.id, "exchange.refused")


def test_an_unknown_purpose_is_refused_with_an_answer(net: Network) -> None:
    for purpose in ("unheard.of", "exchange.request.answer", ""):
        with pytest.raises(Invalid, match="its purpose is unknown here"):
            net.channel(net.prod).send(net.prod.peer(net.test), purpose, BODY)
        assert net.test.audit()[0]["action"] == "message.refuse"


# --- replay and redirection ----------------------------------------------------------------------


def test_a_replayed_message_is_refused(receiver: Receiver, frame: bytes) -> None:
    receiver.take(frame)
    for _ in range(2):
        assert "it was received before" in receiver.refuse(frame)
    assert len(receiver.notes) == 1


def test_a_message_whose_handler_refused_is_not_taken_again(net: Network, frame: bytes) -> None:
    answer = net.test.receive(frame, {})
    assert claims_of(frame_parts(answer)[0])["sender"] == net.test.id
    assert "it was received before" in Receiver(net).refuse(frame)


def test_a_replay_is_refused_at_any_later_time(net: Network, time: Clock) -> None:
    receiver = Receiver(net)
    frame = compose(net.prod, net.test)
    receiver.take(frame)
    for step in (1, 298, 59, 2, 3600, 24 * 3600):
        time.move(step)
        receiver.take(compose(net.prod, net.test))  # clears what need not be remembered
        receiver.refuse(frame)
    assert len(net.test.rows("keystead_seen_message")) == 1


def test_a_message_is_refused_by_another_instance_than_it_is_for(
    net: Network, receiver: Receiver, frame: bytes
) -> None:
    with pytest.raises(Denied):
        net.third.receive(frame, {PURPOSE: receiver._note})
    assert "addressed to another instance" in net.third.audit()[0]["detail"]["reason"]
    with pytest.raises(Denied):
        net.prod.receive(frame, {PURPOSE: receiver._note})
    assert receiver.notes == []
    receiver.take(frame)
    assert receiver.notes == [("prod", BODY)], "where it went in vain, it was not used up"


def test_an_answer_is_not_a_message(net: Network, receiver: Receiver, frame: bytes) -> None:
    answer = receiver.take(frame)
    reply = net.prod.receive(answer, {PURPOSE: lambda _peer, _body: {}})
    body = msgspec.msgpack.decode(frame_parts(reply)[1])
    assert (body["ok"], body["family"]) == (False, "invalid")


# --- senders -------------------------------------------------------------------------------------


def test_an_instance_that_is_not_paired_is_refused(net: Network, receiver: Receiver) -> None:
    net.test.unpair(net.third)
    reason = f"The sender {net.third.id} is not paired with this instance."
    assert receiver.refuse(compose(net.third, net.test)) == reason


def test_nobody_signs_for_another(net: Network, receiver: Receiver, frame: bytes) -> None:
    header, packed = frame_parts(frame)
    claims = claims_of(header)
    forged = sign.sign(
        net.third.hierarchy.signing,
        purpose=PURPOSE,
        sender=net.prod.id,
        audience=net.test.id,
        lifetime_seconds=300,
        claims={k: claims[k] for k in ("message_id", "body_sha256", "answers")},
    )
    assert "does not match the sender's key" in receiver.refuse(frame_of(forged, packed))
    theirs = with_claims(forged, sender=net.third.id)
    assert "does not match" in receiver.refuse(frame_of(theirs, packed))


@pytest.mark.parametrize("half", [0, 1])
def test_one_good_signature_of_two_is_not_enough(
    net: Network, receiver: Receiver, frame: bytes, half: int
) -> None:
    header, packed = frame_parts(frame)
    other = frame_parts(compose(net.prod, net.test))[0]
    header["signatures"][half] = other["signatures"][half]
    assert "does not match the sender's key" in receiver.refuse(frame_of(header, packed))


# --- altered frames ------------------------------------------------------------------------------


def test_no_byte_of_the_body_can_be_changed(receiver: Receiver, frame: bytes) -> None:
    header, packed = frame_parts(frame)
    for at in range(len(packed)):
        changed = bytearray(packed)
        changed[at] ^= 1
        assert "its body was changed" in receiver.refuse(frame_of(header, bytes(changed)))


@pytest.mark.parametrize(
    "change",
    [
        lambda packed: packed + b"\0",
        lambda packed: packed[1:],
        lambda packed: packed + packed,
        lambda _packed: b"",
        lambda _packed: msgspec.msgpack.encode({"text": "another"}),
    ],
)
def test_a_body_cannot_be_replaced(
    receiver: Receiver, frame: bytes, change: Callable[[bytes], bytes]
) -> None:
    header, packed = frame_parts(frame)
    assert "its body was changed" in receiver.refuse(frame_of(header, change(packed)))


def test_no_claim_can_be_changed(receiver: Receiver, frame: bytes) -> None:
    header, packed = frame_parts(frame)
    for claim in claims_of(header):
        for value in ("x", 5):
            reason = receiver.refuse(frame_of(with_claims(header, **{claim: value}), packed))
            expected = "is not paired" if claim == "sender" else "does not match the sender's key"
            assert expected in reason


def test_a_message_cannot_be_made_to_last_longer_or_go_elsewhere(
    net: Network, receiver: Receiver, frame: bytes
) -> None:
    header, packed = frame_parts(frame)
    for change in (
        {"expires": "9999-12-31T23:59:59.000000Z"},
        {"message_id": "0" * 32},
        {"sender": net.third.id},
        {"more": 1},
    ):
        assert "does not match" in receiver.refuse(frame_of(with_claims(header, **change), packed))
    with pytest.raises(Denied):
        net.third.receive(frame_of(with_claims(header, audience=net.third.id), packed), {})
    assert "does not match" in net.third.audit()[0]["detail"]["reason"]


def _without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda header: {k: v for k, v in header.items() if k != key}


OTHER_FORMS: list[Callable[[dict[str, Any]], object]] = [
    _without("payload"),
    _without("payloadType"),
    _without("signatures"),
    lambda h: {**h, "payloadType": "application/json"},
    lambda h: {**h, "payload": h["payload"][:-4]},
    lambda h: {**h, "payload": h["payload"] + "!"},
    lambda h: {**h, "payload": 5},
    lambda h: {**h, "payload": "é"},
    lambda h: {**h, "payload": base64.b64encode(b"[]").decode()},
    lambda h: {**h, "payload": base64.b64encode(b"\xff\xfe\xfd").decode()},
    lambda h: {**h, "payload": base64.b64encode(b"[" * 40_000).decode()},
    lambda h: {**h, "signatures": []},
    lambda h: {**h, "signatures": None},
    lambda h: {**h, "signatures": {}},
    lambda h: {**h, "signatures": "ed"},
    lambda h: {**h, "signatures": h["signatures"][:1]},
    lambda h: {**h, "signatures": h["signatures"][1:]},
    lambda h: {**h, "signatures": h["signatures"][::-1]},
    lambda h: {**h, "signatures": h["signatures"] * 2},
    lambda h: {**h, "signatures": [h["signatures"][0]] * 2},
    lambda h: {**h, "signatures": [{**s, "keyid": "ed25519"} for s in h["signatures"]]},
    lambda h: {**h, "signatures": [{**s, "sig": ""} for s in h["signatures"]]},
    lambda h: {**h, "signatures": [{**s, "sig": 1} for s in h["signatures"]]},
    lambda h: {**h, "signatures": [{**s, "sig": s["sig"][4:]} for s in h["signatures"]]},
    lambda h: [h],
    lambda _h: None,
    lambda _h: "text",
    lambda _h: 5,
    lambda _h: {},
    lambda _h: b"",
    lambda _h: b"{",
    lambda _h: b"\xff" * 20,
    lambda _h: b"9" * 5000,
    lambda _h: b"[" * 60_000,
]


def test_a_header_in_another_form_is_refused(receiver: Receiver, frame: bytes) -> None:
    header, packed = frame_parts(frame)
    for change in OTHER_FORMS:
        receiver.refuse(frame_of(change(header), packed))


@pytest.mark.parametrize("depth", [100, 300, 600, 900, 1200, 10_000])
def test_claims_nested_too_deep_are_refused(net: Network, receiver: Receiver, depth: int) -> None:
    """Whether they are read in vain, or found to have no signature."""
    nested = "[" * depth + "]" * depth
    for claims in (
        f'{{"purpose":{nested},"sender":"{net.prod.id}"}}',
        f'{{"purpose":"{PURPOSE}","sender":{nested}}}',
        f'{{"more":{nested},"purpose":"{PURPOSE}","sender":"{net.prod.id}"}}',
    ):
        header = {**_payload_of({}), "payload": base64.b64encode(claims.encode()).decode()}
        receiver.refuse(frame_of(header, b"\x80"))


def test_claims_in_another_spelling_are_refused(
    net: Network, receiver: Receiver, frame: bytes
) -> None:
    header, packed = frame_parts(frame)
    spelt = json.dumps(claims_of(header), indent=1).encode()
    receiver.refuse(frame_of({**header, "payload": base64.b64encode(spelt).decode()}, packed))


# --- cut frames ----------------------------------------------------------------------------------


def test_a_frame_cut_short_anywhere_is_refused(receiver: Receiver, frame: bytes) -> None:
    header_end = 4 + int.from_bytes(frame[:4], "big")
    cuts = {
        *range(10),  # in the length, and at the header's first bytes
        *range(10, header_end, 997),
        header_end - 1,
    }
    for cut in sorted(cuts):
        reason = receiver.refuse(frame[:cut])
        assert reason.startswith("The message cannot be read: it")
    for cut in range(header_end, len(frame)):
        assert "its body was changed" in receiver.refuse(frame[:cut])


@pytest.mark.parametrize("extra", [-1, 1, 2])
def test_a_wrong_length_is_refused(receiver: Receiver, frame: bytes, extra: int) -> None:
    length = int.from_bytes(frame[:4], "big") + extra
    receiver.refuse(length.to_bytes(4, "big") + frame[4:])


def test_a_header_may_be_only_so_long(net: Network, receiver: Receiver, frame: bytes) -> None:
    header, packed = frame_parts(frame)
    encoded = json.dumps(header).encode()
    receiver.take(frame_of(encoded.ljust(LONGEST_HEADER), packed))
    assert len(receiver.notes) == 1
    encoded = json.dumps(frame_parts(compose(net.prod, net.test))[0]).encode()
    long = frame_of(encoded.ljust(LONGEST_HEADER + 1), packed)
    assert "it is cut short" in receiver.refuse(long)
    receiver.refuse(b"\xff\xff\xff\xff" + long)


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (0, ""),
        (300, ""),
        (359.999999, ""),
        (360, "it has expired"),
        (3600, "it has expired"),
        (-60, ""),
        (-60.000001, "it is dated in the future"),
        (-3600, "it is dated in the future"),
    ],
)
def test_a_message_lives_five_minutes_give_or_take_one(
    net: Network, time: Clock, seconds: float, reason: str
) -> None:
    receiver = Receiver(net)
    frame = compose(net.prod, net.test)
    time.move(seconds)
    if reason:
        assert reason in receiver.refuse(frame)
    else:
        receiver.take(frame)
        assert len(receiver.notes) == 1


def test_an_expired_answer_is_refused(net: Network, time: Clock) -> None:
    frame, message_id = messages.compose(net.prod.hierarchy, net.test.id, PURPOSE, BODY)
    answer = Receiver(net).take(frame)
    time.move(360)
    with pytest.raises(Tampered, match="it has expired"):
        messages.read_answer(
            net.prod.hierarchy, net.prod.peer(net.test), PURPOSE, message_id, answer
        )


# --- answers -------------------------------------------------------------------------------------


def test_the_answer_of_another_message_is_refused(net: Network, receiver: Receiver) -> None:
    peer = net.prod.peer(net.test)
    asked = [messages.compose(net.prod.hierarchy, net.test.id, PURPOSE, {"n": n}) for n in range(2)]
    answers = [receiver.take(frame) for frame, _ in asked]
    for at, (_, message_id) in enumerate(asked):
        read = messages.read_answer(net.prod.hierarchy, peer, PURPOSE, message_id, answers[at])
        assert read == {"noted": at + 1}
        with pytest.raises(Tampered, match="it answers another message"):
            messages.read_answer(net.prod.hierarchy, peer, PURPOSE, message_id, answers[1 - at])


def test_an_earlier_answer_put_in_place_of_a_later_one_is_refused(net: Network) -> None:
    net.test.answer_with(PURPOSE, {"state": "ready"})
    channel = net.channel(net.prod)
    peer = net.prod.peer(net.test)
    channel.send(peer, PURPOSE, {})
    channel.on_answer = lambda _answer: channel.answers[0]
    with pytest.raises(Tampered, match="it answers another message"):
        channel.send(peer, PURPOSE, {})


def test_only_the_peers_own_answer_for_the_purpose_is_read(net: Network) -> None:
    prod, test, third = net.prod, net.test, net.third
    frame, message_id = messages.compose(prod.hierarchy, test.id, PURPOSE, BODY)

    def read(answer: bytes) -> dict[str, Any]:
        peer = prod.peer(test)
        return messages.read_answer(prod.hierarchy, peer, PURPOSE, message_id, answer)

    def answered(by: Node, to: Node, purpose: str, answers: str | None = message_id) -> bytes:
        good = {"ok": True, "body": {}}
        return messages.compose(by.hierarchy, to.id, purpose, good, answers)[0]

    assert read(answered(test, prod, "note.answer")) == {}
    for wrong, reason in (
        (answered(third, prod, "note.answer"), "does not match the sender's key"),
        (answered(test, third, "note.answer"), "addressed to another instance"),
        (answered(test, prod, "other.answer"), "made for another purpose"),
        (answered(test, prod, "note"), "made for another purpose"),
        (answered(test, prod, "note.answer", None), "answers another message"),
        (frame, "does not match the sender's key"),
    ):
        with pytest.raises(Tampered, match=reason):
            read(wrong)


def test_a_changed_answer_is_refused(net: Network, receiver: Receiver) -> None:
    frame, message_id = messages.compose(net.prod.hierarchy, net.test.id, PURPOSE, BODY)
    header, packed = frame_parts(receiver.take(frame))
    peer = net.prod.peer(net.test)
    for changed in (
        frame_of(header, packed + b"\0"),
        frame_of(header, msgspec.msgpack.encode({"ok": True, "body": {"noted": 9}})),
        frame_of(with_claims(header, expires="9999-12-31T23:59:59.000000Z"), packed),
    ):
        with pytest.raises(Tampered):
            messages.read_answer(net.prod.hierarchy, peer, PURPOSE, message_id, changed)
    for cut in (0, 3, 4, 100):
        with pytest.raises(Invalid):
            messages.read_answer(
                net.prod.hierarchy, peer, PURPOSE, message_id, frame_of(header, packed)[:cut]
            )


@pytest.mark.parametrize("family", [None, 5, "", "unheard of", ["denied"]])
def test_a_refusal_of_no_known_family_is_a_refusal(net: Network, family: object) -> None:
    body = {"ok": False, "family": family}
    answer, _ = messages.compose(net.test.hierarchy, net.prod.id, "note.answer", body, "id")
    with pytest.raises(Invalid) as caught:
        messages.read_answer(net.prod.hierarchy, net.prod.peer(net.test), "note", "id", answer)
    assert caught.value.code == "peer.refused"


# --- garbage -------------------------------------------------------------------------------------


def _payload_of(claims: object) -> dict[str, object]:
    return {
        "payloadType": sign.PAYLOAD_TYPE,
        "payload": base64.b64encode(json.dumps(claims).encode()).decode(),
        "signatures": [{"keyid": k, "sig": "AAAA"} for k in ("ed25519", "ml-dsa-65")],
    }


claim_names = st.sampled_from(
    ["purpose", "sender", "audience", "issued", "expires", "message_id", "body_sha256"]
)
garbage = st.one_of(
    st.binary(max_size=200),
    st.builds(frame_of, json_values, st.binary(max_size=20)),
    st.builds(frame_of, json_values.map(_payload_of), st.binary(max_size=20)),
    st.builds(
        frame_of,
        st.dictionaries(claim_names | texts, json_values).map(_payload_of),
        st.binary(max_size=20),
    ),
)


@properties
@given(junk=garbage)
def test_garbage_is_denied_and_written_down(receiver: Receiver, junk: bytes) -> None:
    receiver.refuse(junk)


@properties
@given(claims=st.dictionaries(claim_names, json_values))
def test_garbage_in_the_name_of_a_peer_is_denied(
    net: Network, receiver: Receiver, claims: dict[str, object]
) -> None:
    receiver.refuse(frame_of(_payload_of({**claims, "sender": net.prod.id}), b"\x80"))


def _meaning(frame: bytes) -> object:
    """A frame's parts as bytes; JSON and base64 have several spellings for some of them."""
    try:
        header, packed = frame_parts(frame)
        signatures = [(s["keyid"], base64.b64decode(s["sig"])) for s in header["signatures"]]
        payload = base64.b64decode(header["payload"])
        return header["payloadType"], payload, signatures, packed
    except (ValueError, KeyError, TypeError):
        return None


@properties
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255), length=st.integers(0, 3))
def test_no_damage_to_a_frame_goes_through(
    receiver: Receiver, frame: bytes, at: int, flip: int, length: int
) -> None:
    damaged = bytearray(frame)
    damaged[at % len(frame)] ^= flip
    damaged += b"\0" * length
    if _meaning(bytes(damaged)) != _meaning(frame):
        receiver.refuse(bytes(damaged))


# --- nonsense from a peer ------------------------------------------------------------------------


class Talker:
    """A peer that signs well and sends nonsense."""

    def __init__(self, net: Network, sender: Node, receiver: Node) -> None:
        self.sender = sender
        self.receiver = receiver
        self.peer = sender.peer(receiver)
        self.channel = net.channel(sender)

    def refused(self, purpose: str, body: Mapping[str, Any]) -> KeysteadError:
        """Assert that a signed refusal comes back and that nothing was changed."""
        before = self.receiver.contents()
        with pytest.raises(KeysteadError) as caught:
            self.channel.send(self.peer, purpose, body)
        assert caught.value.code == "peer.refused"
        assert self.receiver.contents() == before
        entry = self.receiver.audit(1)[0]
        assert (entry["actor"], entry["action"]) == (self.sender.id, "message.refuse")
        return caught.value


@pytest.fixture
def talker(net: Network) -> Talker:
    return Talker(net, net.prod, net.test)


HANDLERS = ["exchange.request", "exchange.receipt", "clone.begin", "clone.rows", "clone.commit"]
PARTS = ["document", "receipt", "clone_id", "attempt", "plan", "inventory", "sequence", "rows"]


def test_these_are_all_handlers(net: Network) -> None:
    assert {*HANDLERS, "clone.preflight", "clone.state"} == set(net.test.handlers)


@pytest.mark.parametrize("purpose", HANDLERS)
def test_a_body_with_nothing_in_it_is_refused(talker: Talker, purpose: str) -> None:
    talker.refused(purpose, {})


@pytest.mark.parametrize("purpose", HANDLERS)
def test_bodies_of_wrong_types_are_refused(talker: Talker, purpose: str) -> None:
    for value in ODD_VALUES:
        talker.refused(purpose, dict.fromkeys([*PARTS, "table"], value))


@pytest.mark.parametrize("packed", [b"", b"\x80\x80", b"\x90", b"\x01", b"\xc0", b"\xc1", b"\x81"])
def test_a_body_that_is_no_map_is_denied(net: Network, receiver: Receiver, packed: bytes) -> None:
    claims = {"message_id": "1", "body_sha256": sign.digest(packed), "answers": None}
    header = signed(net.prod, PURPOSE, net.test, claims)
    assert "its body cannot be read" in receiver.refuse(frame_of(header, packed))


def test_a_body_nested_too_deep_is_denied(net: Network, receiver: Receiver) -> None:
    packed = b"\x81\xa1a" + b"\x91" * 100_000 + b"\xc0"
    claims = {"message_id": "1", "body_sha256": sign.digest(packed), "answers": None}
    header = signed(net.prod, PURPOSE, net.test, claims)
    assert "its body cannot be read" in receiver.refuse(frame_of(header, packed))


def test_a_body_that_is_not_utf8_is_denied(net: Network, receiver: Receiver) -> None:
    for packed in (b"\x81\xa1\xff\x01", b"\x81\xa1a\xa1\xff"):
        claims = {"message_id": "1", "body_sha256": sign.digest(packed), "answers": None}
        receiver.refuse(frame_of(signed(net.prod, PURPOSE, net.test, claims), packed))


def test_a_message_without_an_id_is_denied(net: Network, receiver: Receiver) -> None:
    header = signed(net.prod, PURPOSE, net.test, {"body_sha256": sign.digest(b"\x80")})
    receiver.refuse(frame_of(header, b"\x80"))


def test_half_a_character_for_a_sender_is_denied(receiver: Receiver) -> None:
    receiver.refuse(frame_of(_payload_of({"sender": "\ud800", "purpose": PURPOSE}), b"\x80"))


def test_an_envelope_made_for_another_use_is_no_message(net: Network, receiver: Receiver) -> None:
    for purpose in ("clone.plan", "exchange.keys", "exchange.receipt", PURPOSE):
        header = signed(net.prod, purpose, net.test, {"request_hash": "0" * 64})
        for packed in (b"", b"\x80"):
            assert "its body was changed" in receiver.refuse(frame_of(header, packed))


@pytest.mark.parametrize("purpose", HANDLERS)
@settings(properties, max_examples=25)
@given(body=st.dictionaries(st.sampled_from(PARTS) | texts, packable, max_size=6))
def test_nonsense_from_a_peer_is_refused(
    talker: Talker, purpose: str, body: dict[str, object]
) -> None:
    talker.refused(purpose, body)


@settings(properties, max_examples=12)
@given(body=st.dictionaries(texts, packable, max_size=4))
def test_a_preflight_looks_at_nothing_in_its_body(talker: Talker, body: dict[str, object]) -> None:
    error = talker.refused("clone.preflight", body)
    assert "The target is not empty" in error.what


# --- requests and receipts with something wrong in them ------------------------------------------


@pytest.fixture
def asker(net: Network) -> Talker:
    return Talker(net, net.test, net.prod)


@pytest.fixture
def document(net: Network) -> dict[str, Any]:
    specs = [specification(net.prod, name) for name in ("people", "names")]
    return json.loads(ask(net.test, net.prod, specs, None)["document"])


def test_a_request_with_a_part_missing_is_refused(asker: Talker, document: dict[str, Any]) -> None:
    may_be_missing = {"source_fingerprint", "external"}  # older releases do not say the latter
    for part in sorted(set(document) - may_be_missing):
        asker.refused("exchange.request", {"document": _without(part)(document)})


@pytest.mark.parametrize(
    ("part", "takes_text"),
    [
        ("request_id", True),
        ("nonce", True),
        ("expires", True),
        ("clone_id", True),
        ("source", False),
        ("target", False),
        ("specifications", False),
        ("suite", False),
        ("sealing_key", False),
        ("frequency", False),
    ],
)
def test_a_request_with_a_part_of_another_type_is_refused(
    asker: Talker, document: dict[str, Any], part: str, takes_text: bool
) -> None:
    for value in ODD_VALUES:
        if (takes_text and isinstance(value, str)) or (part == "clone_id" and value is None):
            continue
        error = asker.refused("exchange.request", {"document": {**document, part: value}})
        assert "it does not fit the pair of instances" in error.what


def test_a_request_that_does_not_fit_the_pair_is_refused(
    net: Network, asker: Talker, document: dict[str, Any]
) -> None:
    specs = document["specifications"]
    for change in (
        {"source": net.third.id},
        {"source": net.test.id},
        {"target": net.third.id},
        {"target": net.prod.id},
        {"sealing_key": base64.b64encode(net.third.identity.sealing).decode()},
        {"sealing_key": document["sealing_key"][:-4]},
        {"suite": seal.SUITE_NAME.replace("256", "128")},
        {"frequency": "Always"},
        {"specifications": specs[::-1]},
        {"specifications": [specs[0], specs[0]]},
        {"specifications": []},
        {"specifications": [*specs, 5]},
        {"specifications": specs[0]},
        {"specifications": dict.fromkeys(specs)},
    ):
        error = asker.refused("exchange.request", {"document": {**document, **change}})
        assert "it does not fit the pair of instances" in error.what


def test_a_request_that_cannot_be_hashed_is_refused(
    asker: Talker, document: dict[str, Any]
) -> None:
    for more in (2**53, float("nan"), b"bytes", {1: 2}, [[2**60]]):
        asker.refused("exchange.request", {"document": {**document, "more": more}})


def test_a_request_of_any_depth_is_answered_or_denied(
    net: Network, document: dict[str, Any]
) -> None:
    """At some depth it can be read and not be hashed; it is not an accident then either."""
    for depth in range(900, 1000, 3):
        nested = b"\x91" * depth + b"\xc0"
        marked = msgspec.msgpack.encode({"document": {**document, "more": "MARK"}})
        packed = marked.replace(b"\xa4MARK", nested)
        digest = sign.digest(packed)
        claims = {"message_id": str(depth), "body_sha256": digest, "answers": None}
        frame = frame_of(signed(net.test, "exchange.request", net.prod, claims), packed)
        with contextlib.suppress(Denied):
            header, _ = frame_parts(net.prod.receive(frame))
            assert claims_of(header)["answers"] == str(depth)


def test_an_instance_cannot_ask_in_the_name_of_another(
    net: Network, document: dict[str, Any]
) -> None:
    other = Talker(net, net.third, net.prod)
    other.refused("exchange.request", {"document": document})
    other.refused("exchange.request", {"document": {**document, "target": net.third.id}})


FIXED = ["source", "target", "specifications", "suite", "sealing_key", "frequency"]


@settings(properties, max_examples=30)
@given(changes=st.dictionaries(st.sampled_from(FIXED), packable, min_size=1))
def test_a_request_with_nonsense_in_it_is_refused(
    asker: Talker, document: dict[str, Any], changes: dict[str, Any]
) -> None:
    asker.refused("exchange.request", {"document": {**document, **changes}})


@settings(properties, max_examples=30)
@given(claims=st.dictionaries(texts, json_numbers | texts, max_size=3), receipt=packable)
def test_a_receipt_of_nothing_is_refused(
    net: Network, asker: Talker, claims: dict[str, object], receipt: object
) -> None:
    asker.refused("exchange.receipt", {"receipt": receipt})
    envelope = signed(net.test, "exchange.receipt", net.prod, claims)
    asker.refused("exchange.receipt", {"receipt": envelope})


# --- parts of a clone with something wrong in them -----------------------------------------------


@pytest.fixture
def cloner(paired: Network) -> Talker:
    """`prod`, in the middle of a clone of one table into `test`."""
    paired.prod.sql("CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, note TEXT)")
    paired.prod.sql("INSERT INTO notes VALUES (1, 'a note'), (2, NULL)")
    talker = Talker(paired, paired.prod, paired.test)
    answer = talker.channel.send(talker.peer, "clone.begin", {**_planned(talker), "attempt": 1})
    assert answer == {"state": "staging", "external": []}
    return talker


def _planned(talker: Talker) -> dict[str, Any]:
    source = talker.sender
    with source.db.transaction() as tx:
        clone = plan.make(tx, source.db, source.hierarchy, talker.peer, KeyOption.WITHHELD, "admin")
        taken = inventory.take(tx, source.db, source.hierarchy)
    return {"plan": clone["plan"], "inventory": taken}


def _head(cloner: Talker) -> dict[str, Any]:
    ((clone_id, attempt),) = cloner.receiver.sql("SELECT sys_id, attempt FROM keystead_clone")
    return {"clone_id": clone_id, "attempt": attempt}


def test_a_clone_with_a_part_missing_is_refused(cloner: Talker) -> None:
    begin = {**_planned(cloner), "attempt": 2}
    rows = {**_head(cloner), "sequence": 0, "table": 0, "rows": [[1, "a note"]]}
    commit = _head(cloner)
    for purpose, body in (("clone.begin", begin), ("clone.rows", rows), ("clone.commit", commit)):
        for part in body:
            cloner.refused(purpose, _without(part)(body))  # type: ignore[arg-type]


def _content(signed_plan: str) -> dict[str, Any]:
    given = ("purpose", "sender", "audience", "issued", "expires")
    return {k: v for k, v in claims_of(signed_plan).items() if k not in given}


MODULE = {"sys_id": "a" * 32, "name": "global.m", "state": "draft"}
SPECIFICATION = {
    "sys_id": "b" * 32,
    "module_id": "a" * 32,
    "purpose": "symmetric encryption",
    "algorithm": "AES-GCM",
    "size_bits": 256,
    "equality_preserving": 0,
}
POLICY = {
    "sys_id": "d" * 32,
    "type": "role",
    "module_id": "a" * 32,
    "role": "reader",
    "operation": "decrypt",
    "result": "track",
    "active": 1,
}
ODD_INVENTORIES: list[dict[str, object]] = [
    {"tables": 5},
    {"tables": None},
    {"tables": [{}]},
    {"tables": [{"name": ["x"], "columns": [], "primary_key": []}]},
    {"tables": [{"name": "x", "columns": [], "primary_key": []}]},
    {"tables": [{"name": "sys_user", "columns": [], "primary_key": []}]},
    {"modules": 5},
    {"modules": None},
    {"modules": [{}]},
    {"modules": [5]},
    {"modules": [{**MODULE, "name": {}}]},
    {"modules": [{**MODULE, "name": None}]},
    {"modules": [MODULE, {**MODULE, "sys_id": "c" * 32}]},
    {"modules": [MODULE, MODULE]},
    {"modules": [{**MODULE, "state": "published"}]},
    {"specifications": [SPECIFICATION]},
    {"specifications": ["text"]},
    {"specifications": [{"sys_id": 1}]},
    {"modules": [MODULE], "specifications": [SPECIFICATION, SPECIFICATION]},
    {"configurations": [{}]},
    {"configurations": [5]},
    {"configurations": [{"sys_id": "e" * 32, "table_name": "notes", "column_name": "none"}]},
    {"column_keys": [{"configuration_id": "1", "key_id": None}]},
    {"policies": [{"sys_id": 1}]},
    {"policies": [POLICY]},
    {"modules": [MODULE], "policies": [{**POLICY, "type": "resource exchange"}]},
    {"modules": [MODULE], "policies": [{**POLICY, "type": None}]},
    {"counts": {}},
    {"counts": None},
    {"counts": {"notes": {}}},
]


def test_an_inventory_whose_parts_do_not_fit_is_refused(cloner: Talker) -> None:
    """The source plans and signs it; it is refused at once, or when it is to be put in place."""
    honest = _planned(cloner)
    for at, odd in enumerate(ODD_INVENTORIES):
        taken = {**honest["inventory"], **odd}
        claims = {**_content(honest["plan"]), "inventory_hash": plan.inventory_hash(taken)}
        claims["clone_id"] = f"{at:032x}"
        own = json.dumps(signed(cloner.sender, "clone.plan", cloner.receiver, claims))
        head = {"clone_id": claims["clone_id"], "attempt": 1}
        rows = {**head, "sequence": 0, "table": 0, "rows": [[1, "a note"], [2, None]]}
        with contextlib.suppress(KeysteadError):
            begun = {**head, "plan": own, "inventory": taken}
            cloner.channel.send(cloner.peer, "clone.begin", begun)
            cloner.channel.send(cloner.peer, "clone.rows", rows)
        cloner.refused("clone.commit", head)


NO_NUMBERS: list[object] = [None, "x", "", [], {}, b"", float("inf"), float("nan"), "9" * 5000]


def test_a_clone_with_a_part_of_another_type_is_refused(cloner: Talker) -> None:
    begin = {**_planned(cloner), "attempt": 2}
    rows = {**_head(cloner), "sequence": 0, "table": 0, "rows": [[1, "a note"]]}
    commit = _head(cloner)
    for odd in (*NO_NUMBERS, 2**64 - 1, -(2**63)):
        cloner.refused("clone.begin", {**begin, "attempt": odd})
        cloner.refused("clone.commit", {**commit, "attempt": odd})
        for part in ("attempt", "sequence", "table"):
            cloner.refused("clone.rows", {**rows, part: odd})
    for odd in ODD_VALUES:
        cloner.refused("clone.begin", {**begin, "plan": odd})
        cloner.refused("clone.begin", {**begin, "inventory": {"tables": odd}})
        cloner.refused("clone.rows", {**rows, "clone_id": odd})
        cloner.refused("clone.commit", {**commit, "clone_id": odd})


def test_an_inventory_that_is_no_map_is_refused(cloner: Talker) -> None:
    begin = {**_planned(cloner), "attempt": 2}
    for odd in (None, 5, "text", [], [begin["inventory"]]):
        cloner.refused("clone.begin", {**begin, "inventory": odd})


def test_a_plan_nested_too_deep_is_refused(cloner: Talker) -> None:
    for depth in (500, 1000, 100_000):
        cloner.refused("clone.begin", {**_planned(cloner), "attempt": 2, "plan": "[" * depth})


def test_the_id_of_a_clone_of_another_source_is_refused(paired: Network, cloner: Talker) -> None:
    """A second source signs a plan of its own under the id of the first one's clone."""
    given = _planned(cloner)
    claims = {**_content(given["plan"]), "clone_id": _head(cloner)["clone_id"]}
    own = json.dumps(signed(paired.third, "clone.plan", paired.test, claims))
    other = Talker(paired, paired.third, paired.test)
    other.refused("clone.begin", {**given, "plan": own, "attempt": 5})


@pytest.mark.parametrize("table", [1, 2, -1, -2, 2**31])
def test_rows_for_a_table_that_is_not_there_are_refused(cloner: Talker, table: int) -> None:
    body = {**_head(cloner), "sequence": 0, "table": table, "rows": [[1, "a note"]]}
    cloner.refused("clone.rows", body)


@pytest.mark.parametrize(
    "rows",
    [
        None,
        5,
        "rows",
        {},
        {"0": [1, "a"]},
        b"rows",
        [None],
        [5],
        [[]],
        [[1]],
        [[1, "a", None]],
        [[1, "a"], [2]],
        [[1, "a"], None],
        [[1, 1.5]],
        [[1, b"a"]],
        [[1, ["a"]]],
        [[1, {}]],
        [[2**63, "a"]],
        [[1, 2**64 - 1]],
        [[1, "a"], [2, 2**63]],
        [[1, "a"], [1, "b"]],
        [["one", "a"]],
    ],
)
def test_rows_that_do_not_fit_the_table_are_refused(cloner: Talker, rows: object) -> None:
    cloner.refused("clone.rows", {**_head(cloner), "sequence": 0, "table": 0, "rows": rows})


no_rows = st.lists(packable.filter(lambda row: not hasattr(row, "__len__") or len(row) != 2))


@settings(properties, max_examples=30)
@given(rows=packable.filter(lambda rows: not isinstance(rows, list)) | no_rows.filter(bool))
def test_nonsense_for_rows_is_refused(cloner: Talker, rows: object) -> None:
    cloner.refused("clone.rows", {**_head(cloner), "sequence": 0, "table": 0, "rows": rows})
