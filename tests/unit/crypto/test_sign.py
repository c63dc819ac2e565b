"""Each of the seven steps of verification refuses on its own, and with nothing but Tampered."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keystead.base import clock
from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import sign

properties = settings(derandomize=True, deadline=None, max_examples=40)

PRIVATE, OTHER_PRIVATE = Secret(bytes(range(64))), Secret(bytes(range(64, 128)))
PUBLIC, OTHER_PUBLIC = sign.public_of(PRIVATE), sign.public_of(OTHER_PRIVATE)
SHARED = {"purpose": "pairing", "sender": "north", "audience": "south"}
CLAIMS = {"number": 7, "text": "zoë", "list": [1, None, {"a": True}]}
LIFETIME = 300
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = START

    def text(self, seconds: float = 0) -> str:
        return (self.moment + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    stands = Time()
    fixed = SimpleNamespace(now=stands.text, after=stands.text, parse=clock.parse)
    monkeypatch.setattr(sign, "clock", fixed)
    return stands


def signed(**changes: Any) -> dict[str, Any]:
    return sign.sign(
        PRIVATE, **{**SHARED, "lifetime_seconds": LIFETIME, "claims": CLAIMS, **changes}
    )


def verified(envelope: Any, public: bytes = PUBLIC, **changes: Any) -> dict[str, Any]:
    return sign.verify(public, envelope, **{**SHARED, **changes})


def reason(envelope: Any, public: bytes = PUBLIC, **changes: Any) -> str:
    """Why `envelope` is refused."""
    with pytest.raises(Tampered) as refusal:
        verified(envelope, public, **changes)
    assert refusal.value.code == "signature.invalid"
    return str(refusal.value.facts["reason"])


def halves(private: Secret) -> tuple[Ed25519PrivateKey, MLDSA65PrivateKey]:
    raw = private.reveal(REVEAL)
    return (
        Ed25519PrivateKey.from_private_bytes(raw[:32]),
        MLDSA65PrivateKey.from_seed_bytes(raw[32:]),
    )


def pre_authentication_encoding(payload_type: bytes, payload: bytes) -> bytes:
    """PAE of the DSSE protocol."""
    return b"DSSEv1 " + b" ".join(
        part for text in (payload_type, payload) for part in (str(len(text)).encode(), text)
    )


def signed_payload(
    payload: bytes, ed25519_by: Secret = PRIVATE, mldsa_by: Secret = PRIVATE
) -> dict[str, Any]:
    """An envelope over any payload, made without `sign`."""
    message = pre_authentication_encoding(b"application/vnd.keystead+json", payload)
    signatures = (halves(ed25519_by)[0].sign(message), halves(mldsa_by)[1].sign(message))
    return {
        "payloadType": "application/vnd.keystead+json",
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {"keyid": name, "sig": base64.b64encode(signature).decode()}
            for name, signature in zip(("ed25519", "ml-dsa-65"), signatures, strict=True)
        ],
    }


def claims_of(envelope: dict[str, Any]) -> dict[str, Any]:
    return json.loads(base64.b64decode(envelope["payload"]))


FORM = "it is not in the expected form"
KEY = "it does not match the sender's key"
CONTENT = "its content is not canonical"


# what passes


def test_round_trip(time: Time) -> None:
    assert verified(signed()) == {
        **CLAIMS,
        **SHARED,
        "issued": "2026-03-01T12:00:00.000000Z",
        "expires": "2026-03-01T12:05:00.000000Z",
    }


def test_round_trip_by_the_real_clock() -> None:
    private = sign.new_private()
    assert len(private) == 64
    public = sign.public_of(private)
    assert len(public) == 32 + 1952
    envelope = sign.sign(private, **SHARED, lifetime_seconds=LIFETIME, claims={})
    assert verified(json.loads(json.dumps(envelope)), public).items() >= SHARED.items()


def test_claims_cannot_replace_what_is_checked(time: Time) -> None:
    """A claim named like a checked field loses against it."""
    envelope = signed(claims={"purpose": "x", "audience": "x", "sender": "x", "expires": "x"})
    assert verified(envelope).items() >= SHARED.items()


def test_envelope_is_dsse(time: Time) -> None:
    """Both signatures stand over the pre-authentication encoding, as DSSE describes it."""
    kind, payload = b"http://example.com/HelloWorld", b"hello world"
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"  # the example of DSSE
    assert pre_authentication_encoding(kind, payload) == expected
    envelope = signed()
    assert set(envelope) == {"payloadType", "payload", "signatures"}
    message = pre_authentication_encoding(
        envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    )
    ed25519, mldsa = (base64.b64decode(entry["sig"]) for entry in envelope["signatures"])
    assert [entry["keyid"] for entry in envelope["signatures"]] == ["ed25519", "ml-dsa-65"]
    Ed25519PublicKey.from_public_bytes(PUBLIC[:32]).verify(ed25519, message)
    MLDSA65PublicKey.from_public_bytes(PUBLIC[32:]).verify(mldsa, message)


def test_payload_is_canonical(time: Time) -> None:
    payload = base64.b64decode(signed(claims={"b": 1, "a": "é\u2028"})["payload"])
    assert payload.startswith('{"a":"é\u2028","audience":"south","b":1,'.encode())


@properties
@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda name: name not in {*SHARED, "issued", "expires"}),
        st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.text()),
        max_size=4,
    )
)
def test_round_trip_of_any_claims(claims: dict[str, Any]) -> None:
    assert verified(signed(claims=claims)).items() >= claims.items()


# step 1: the form


def forms() -> Iterator[tuple[str, Any]]:
    good = signed()
    first, second = good["signatures"]
    yield "no payload", {name: good[name] for name in ("payloadType", "signatures")}
    yield "no type", {name: good[name] for name in ("payload", "signatures")}
    yield "no signatures", {name: good[name] for name in ("payload", "payloadType")}
    yield "another type", {**good, "payloadType": "application/vnd.in-toto+json"}
    yield "type in another case", {**good, "payloadType": sign.PAYLOAD_TYPE.upper()}
    for name, entries in (
        ("none", []),
        ("only the first", [first]),
        ("only the second", [second]),
        ("the first twice", [first, first]),
        ("one more", [first, second, second]),
        ("other order", [second, first]),
        ("names exchanged", [{**first, "keyid": "ml-dsa-65"}, {**second, "keyid": "ed25519"}]),
        ("another name", [first, {**second, "keyid": "ml-dsa-87"}]),
        ("no name", [first, {"sig": second["sig"]}]),
        ("no signature", [first, {"keyid": "ml-dsa-65"}]),
        ("signature is null", [first, {**second, "sig": None}]),
        ("signature is no base64", [first, {**second, "sig": "*"}]),
        ("entries are text", ["ed25519", "ml-dsa-65"]),
        ("entries by name", {"ed25519": first, "ml-dsa-65": second}),
    ):
        yield f"signatures: {name}", {**good, "signatures": entries}
    for name, payload in (
        ("null", None),
        ("number", 7),
        ("list", []),
        ("line break", good["payload"] + "\n"),
        ("no padding", base64.b64encode(b"{ }{").decode().rstrip("=")),
        ("base64url", "__--"),
        ("not ASCII", "é"),
    ):
        yield f"payload: {name}", {**good, "payload": payload}
    for anything in (None, True, 7, 1.5, "text", b"bytes", [], [good], {}):
        yield f"{anything!r:.20}", anything


@pytest.mark.parametrize("envelope", [pytest.param(form, id=name) for name, form in forms()])
def test_step_1_form(envelope: Any) -> None:
    assert reason(envelope) == FORM


# step 2: both signatures


def test_step_2_only_the_ed25519_half_is_valid() -> None:
    payload = base64.b64decode(signed()["payload"])
    assert verified(signed_payload(payload))
    assert reason(signed_payload(payload, mldsa_by=OTHER_PRIVATE)) == KEY


def test_step_2_only_the_mldsa_half_is_valid() -> None:
    payload = base64.b64decode(signed()["payload"])
    assert reason(signed_payload(payload, ed25519_by=OTHER_PRIVATE)) == KEY


@pytest.mark.parametrize("at", [0, 1])
def test_step_2_a_half_is_empty(at: int) -> None:
    envelope = signed()
    envelope["signatures"][at]["sig"] = ""
    assert reason(envelope) == KEY


@pytest.mark.parametrize("at", [0, 1])
def test_step_2_a_half_of_another_envelope(at: int) -> None:
    envelope = signed()
    envelope["signatures"][at] = signed(claims={"number": 8})["signatures"][at]
    assert reason(envelope) == KEY


def test_step_2_halves_swapped() -> None:
    envelope = signed()
    first, second = envelope["signatures"]
    first["sig"], second["sig"] = second["sig"], first["sig"]
    assert reason(envelope) == KEY


@pytest.mark.parametrize("at", [0, 1])
def test_step_2_any_bit_of_a_signature(at: int) -> None:
    envelope = signed()
    good = base64.b64decode(envelope["signatures"][at]["sig"])
    step = 1 if at == 0 else 97
    for position in range(0, len(good), step):
        changed = bytearray(good)
        changed[position] ^= 1 << (position % 8)
        envelope["signatures"][at]["sig"] = base64.b64encode(changed).decode()
        assert reason(envelope) == KEY, position


def test_step_2_payload_changed() -> None:
    envelope = signed()
    payload = base64.b64decode(envelope["payload"])
    changed = payload.replace(b'"number":7', b'"number":8')
    assert changed != payload
    envelope["payload"] = base64.b64encode(changed).decode()
    assert reason(envelope) == KEY


def test_step_2_signed_without_the_encoding() -> None:
    """Signatures over the bare payload are none: the type of the payload is signed with it."""
    payload = base64.b64decode(signed()["payload"])
    for message in (payload, pre_authentication_encoding(b"application/json", payload)):
        envelope = signed_payload(payload)
        for entry, half in zip(envelope["signatures"], halves(PRIVATE), strict=True):
            entry["sig"] = base64.b64encode(half.sign(message)).decode()
        assert reason(envelope) == KEY


@pytest.mark.parametrize(
    "public",
    [
        OTHER_PUBLIC,
        PUBLIC[:32] + OTHER_PUBLIC[32:],
        OTHER_PUBLIC[:32] + PUBLIC[32:],
        PUBLIC[32:] + PUBLIC[:32],
        PUBLIC[:-1],
        PUBLIC + b"\x00",
        PUBLIC[:32],
        PUBLIC[:5],
        b"",
    ],
    ids=range(9),
)
def test_step_2_another_public_key(public: bytes) -> None:
    assert reason(signed(), public) == KEY


# step 3: a JSON object in canonical form


def payload_of(**changes: Any) -> bytes:
    return sign.canonical({**claims_of(signed()), **changes})


def spellings() -> Iterator[tuple[str, bytes]]:
    good = payload_of()
    claims = json.loads(good)
    yield "spaces", json.dumps(claims, sort_keys=True, ensure_ascii=False).encode()
    yield "space in front", b" " + good
    yield "line break at the end", good + b"\n"
    yield (
        "another order",
        json.dumps(
            dict(reversed(claims.items())), separators=(",", ":"), ensure_ascii=False
        ).encode(),
    )
    yield "escapes", json.dumps(claims, sort_keys=True, separators=(",", ":")).encode()
    yield "a name twice", good.replace(b'{"', b'{"audience":"south","', 1)
    yield "number with point", good.replace(b'"number":7', b'"number":7.0')
    yield "number with exponent", good.replace(b'"number":7', b'"number":7e0')
    yield "number too large", good.replace(b'"number":7', b'"number":9007199254740993')
    yield "number of 5000 digits", good.replace(b'"number":7', b'"number":' + b"9" * 5000)
    yield "NaN", good.replace(b'"number":7', b'"number":NaN')
    yield "infinity", good.replace(b'"number":7', b'"number":1e999')
    yield "half a surrogate pair", good.replace(b'"number":7', b'"number":"\\ud800"')
    yield "not UTF-8", good.replace(b'"number":7', b'"number":"\xff"')
    yield "UTF-16", good.decode().encode("utf-16")
    yield "byte order mark", b"\xef\xbb\xbf" + good
    yield "two objects", good + good
    yield "cut off", good[:-1]
    yield "nothing", b""
    for text in ("[]", "null", "true", "7", '"text"', f"[{good.decode()}]"):
        yield text[:10], text.encode()


@pytest.mark.parametrize("payload", [pytest.param(text, id=name) for name, text in spellings()])
def test_step_3_content(payload: bytes) -> None:
    assert payload != payload_of()
    assert reason(signed_payload(payload)) == CONTENT


# steps 4, 5 and 6: purpose, audience, sender

ADDRESSES = [
    ("purpose", "it was made for another purpose"),
    ("audience", "it is addressed to another instance"),
    ("sender", "it names another sender"),
]


@pytest.mark.parametrize(("field", "why"), ADDRESSES)
def test_steps_4_to_6(field: str, why: str) -> None:
    assert reason(signed(**{field: "another"})) == why
    assert reason(signed(), **{field: "another"}) == why
    for value in ("", SHARED[field].upper(), SHARED[field] + " ", None, 7, [SHARED[field]]):
        assert reason(signed_payload(payload_of(**{field: value}))) == why
    claims = claims_of(signed())
    del claims[field]
    assert reason(signed_payload(sign.canonical(claims))) == why


# step 7: the times


@pytest.mark.parametrize("seconds", [0, LIFETIME, LIFETIME + 59.999999, -60])
def test_step_7_in_time(time: Time, seconds: float) -> None:
    envelope = signed()
    time.moment += timedelta(seconds=seconds)
    assert verified(envelope)


@pytest.mark.parametrize("seconds", [LIFETIME + 60, LIFETIME + 61, 10**8])
def test_step_7_expired(time: Time, seconds: float) -> None:
    envelope = signed()
    time.moment += timedelta(seconds=seconds)
    assert reason(envelope) == "it has expired"


@pytest.mark.parametrize("seconds", [-(10**8), LIFETIME + 61, 10**8])
def test_step_7_left_out(time: Time, seconds: float) -> None:
    envelope = signed()
    time.moment += timedelta(seconds=seconds)
    assert verified(envelope, at_any_time=True)


@pytest.mark.parametrize("seconds", [60.000001, 61, 10**8])
def test_step_7_dated_in_the_future(time: Time, seconds: float) -> None:
    envelope = signed()
    time.moment -= timedelta(seconds=seconds)
    assert reason(envelope) == "it is dated in the future"


@pytest.mark.parametrize("field", ["issued", "expires"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        1772366400,
        True,
        [],
        {},
        "",
        "now",
        "2026-03-01",
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000000",
        "2026-03-01T12:00:00.000000+00:00",
        "2026-13-01T12:00:00.000000Z",
        "2026-03-01T12:00:00.000000Z ",
    ],
)
def test_step_7_times_that_cannot_be_read(time: Time, field: str, value: Any) -> None:
    assert reason(signed_payload(payload_of(**{field: value}))) == "its times cannot be read"


@pytest.mark.parametrize("field", ["issued", "expires"])
def test_step_7_times_missing(time: Time, field: str) -> None:
    claims = claims_of(signed())
    del claims[field]
    assert reason(signed_payload(sign.canonical(claims))) == "its times cannot be read"


# anything

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=12),
        st.sampled_from(["ed25519", "ml-dsa-65", sign.PAYLOAD_TYPE, "", "e30=", "AAAA"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["payload", "payloadType", "signatures", "keyid", "sig"]),
                st.text(max_size=5),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(properties, max_examples=150)
@given(json_values)
def test_garbage(envelope: Any) -> None:
    assert reason(envelope) in {FORM, KEY}


@properties
@given(
    st.fixed_dictionaries(
        {
            "payloadType": st.just(sign.PAYLOAD_TYPE),
            "payload": st.one_of(json_values, st.binary().map(base64.b64encode).map(bytes.decode)),
            "signatures": st.one_of(
                json_values,
                st.tuples(json_values, json_values).map(list),
                st.tuples(json_values, json_values).map(
                    lambda sigs: [
                        {"keyid": half, "sig": sig}
                        for half, sig in zip(("ed25519", "ml-dsa-65"), sigs, strict=True)
                    ]
                ),
            ),
        }
    )
)
def test_garbage_in_the_right_places(envelope: Any) -> None:
    assert reason(envelope) in {FORM, KEY}


SAMPLE = signed(lifetime_seconds=10**9)


@properties
@given(
    st.sampled_from(
        [
            ("payloadType",),
            ("payload",),
            ("signatures",),
            ("signatures", 0),
            ("signatures", 1),
            ("signatures", 0, "keyid"),
            ("signatures", 1, "keyid"),
            ("signatures", 0, "sig"),
            ("signatures", 1, "sig"),
        ]
    ),
    json_values,
)
def test_one_part_replaced(path: tuple[Any, ...], value: Any) -> None:
    envelope = copy.deepcopy(SAMPLE)
    place = envelope
    for step in path[:-1]:
        place = place[step]
    assume(place[path[-1]] != value)
    place[path[-1]] = value
    assert reason(envelope) in {FORM, KEY}


@properties
@given(st.one_of(st.binary(), json_values.map(lambda value: json.dumps(value).encode())))
def test_garbage_that_is_signed(payload: bytes) -> None:
    """A sender that signs nonsense is refused too."""
    assert reason(signed_payload(payload)) in {CONTENT, "it was made for another purpose"}


@properties
@given(st.dictionaries(st.sampled_from([*SHARED, "issued", "expires"]), json_values, min_size=1))
def test_claims_of_any_type_that_are_signed(changes: dict[str, Any]) -> None:
    payload = json.dumps(
        {**claims_of(SAMPLE), **changes}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert reason(signed_payload(payload.encode("utf-8", "surrogatepass")))


def test_digest() -> None:
    assert sign.digest(b"abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
