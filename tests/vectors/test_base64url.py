"""Base64url without padding, through `b64_encode` and `b64_decode`.

RFC 4648 has seven examples; the Wycheproof key files hold each public key in hexadecimal and, as a
JSON Web Key, in base64url.
"""

from __future__ import annotations

import pytest

from keystead.base.errors import Tampered
from keystead.crypto.encoding import b64_decode, b64_encode

from .files import wycheproof

RFC_4648_10 = {
    "": "",
    "f": "Zg==",
    "fo": "Zm8=",
    "foo": "Zm9v",
    "foob": "Zm9vYg==",
    "fooba": "Zm9vYmE=",
    "foobar": "Zm9vYmFy",
}


@pytest.mark.parametrize(("text", "padded"), RFC_4648_10.items())
def test_rfc_4648(text: str, padded: str) -> None:
    bare = padded.rstrip("=")
    assert b64_encode(text.encode()) == bare
    assert b64_decode(bare) == text.encode()
    if padded != bare:
        with pytest.raises(Tampered):
            b64_decode(padded)


def test_every_character_of_the_alphabet() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"  # RFC 4648 §5
    number = 0
    for value in range(64):
        number = number << 6 | value
    assert b64_encode(number.to_bytes(48, "big")) == alphabet
    assert b64_decode(alphabet) == number.to_bytes(48, "big")


def test_ed25519_keys() -> None:
    cases = wycheproof("Signature/wycheproof/ed25519_test.json")
    keys = {
        (case.group["publicKey"]["pk"], case.group["publicKeyJwk"]["x"])
        for case in cases
        if "publicKeyJwk" in case.group
    }
    assert len(keys) == 52
    for raw, encoded in keys:
        assert b64_encode(bytes.fromhex(raw)) == encoded
        assert b64_decode(encoded).hex() == raw


def test_x25519_keys() -> None:
    as_hex = {
        case.test["tcId"]: case for case in wycheproof("Protocol/wycheproof/x25519_test.json")
    }
    used = 0
    for case in wycheproof("Protocol/wycheproof/x25519_jwk_test.json"):
        twin = as_hex.get(case.test["tcId"])
        if case.result == "invalid" or twin is None:
            continue
        for jwk, raw in (
            (case.test["public"]["x"], twin.raw("public")),
            (case.test["private"]["d"], twin.raw("private")),
        ):
            assert b64_encode(raw) == jwk, case.name
            assert b64_decode(jwk) == raw, case.name
            used += 1
    assert used == 1036
