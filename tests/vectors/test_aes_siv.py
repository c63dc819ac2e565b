"""AES-SIV with a 512-bit key, through the equality cipher's batches.

The cipher derives its own key and builds its own context; both are replaced by the vector's. A
vector of the AEAD construction (RFC 5297 §3) has its nonce as the last component of the associated
data.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from keystead.base.errors import Tampered
from keystead.base.secret import Secret
from keystead.crypto.ciphers import EqualityCipher
from keystead.crypto.encoding import b64_encode

from .files import CRYPTOGRAPHY, is_text, rsp, wycheproof


class Siv(NamedTuple):
    name: str
    key: bytes
    components: list[bytes]
    plain: bytes
    sealed: bytes
    is_valid: bool


def deterministic() -> list[Siv]:
    return [
        Siv(
            name=case.name,
            key=case.raw("key"),
            components=[case.raw("aad")],
            plain=case.raw("msg"),
            sealed=case.raw("ct"),
            is_valid=case.result == "valid",
        )
        for case in wycheproof("Cipher/wycheproof/aes_siv_cmac_test.json")
        if case.group["keySize"] == 512
    ]


def with_nonce() -> list[Siv]:
    return [
        Siv(
            name=case.name,
            key=case.raw("key"),
            components=[case.raw("aad"), case.raw("iv")],
            plain=case.raw("msg"),
            sealed=case.raw("tag") + case.raw("ct"),
            is_valid=case.result == "valid",
        )
        for case in wycheproof("Cipher/wycheproof/aead_aes_siv_cmac_test.json")
        if case.group["keySize"] == 512
    ]


def from_openssl() -> list[Siv]:
    return [
        Siv(
            name=f"openssl {fields['COUNT']}",
            key=bytes.fromhex(fields["Key"]),
            components=[bytes.fromhex(fields[name]) for name in fields if name.startswith("AAD")],
            plain=bytes.fromhex(fields["Plaintext"]),
            sealed=bytes.fromhex(fields["Tag"] + fields["Ciphertext"]),
            is_valid=True,
        )
        for fields in rsp(CRYPTOGRAPHY / "ciphers" / "AES" / "SIV" / "openssl.txt")
        if len(fields["Key"]) == 2 * 64
    ]


SOURCES = {
    "deterministic": (deterministic, {True: 39, False: 108}),
    "with nonce": (with_nonce, {True: 84, False: 216}),
    "openssl": (from_openssl, {True: 1}),
}


@pytest.fixture(params=SOURCES)
def cases(request: pytest.FixtureRequest) -> list[Siv]:
    load, expected = SOURCES[request.param]
    found = load()
    assert Counter(case.is_valid for case in found) == expected
    return found


def equality_cipher(case: Siv) -> EqualityCipher:
    cipher = EqualityCipher(bytes(16), Secret(bytes(32)), "t", "c")
    cipher._siv = AESSIV(case.key)
    cipher._context = case.components
    return cipher


def test_opens(cases: list[Siv]) -> None:
    for case in cases:
        cipher = equality_cipher(case)
        body = b64_encode(case.sealed)
        if case.is_valid and is_text(case.plain):
            assert cipher.open_many([body], [b""]) == [case.plain.decode()], case.name
            continue
        with pytest.raises(Tampered):
            cipher.open_many([body], [b""])
        if case.is_valid:
            assert cipher._siv.decrypt(case.sealed, case.components) == case.plain, case.name
        else:
            with pytest.raises(InvalidTag):
                cipher._siv.decrypt(case.sealed, case.components)


def test_seals(cases: list[Siv]) -> None:
    for case in cases:
        if not case.is_valid:
            continue
        cipher = equality_cipher(case)
        if is_text(case.plain):
            [value] = cipher.seal_many([case.plain.decode()], [b""])
            assert value == cipher.prefix + b64_encode(case.sealed) + "~", case.name
        else:
            assert cipher._siv.encrypt(case.plain, case.components) == case.sealed, case.name


def test_part_of_the_vectors_goes_through_the_text_interface() -> None:
    counts = {
        name: sum(case.is_valid and is_text(case.plain) for case in load())
        for name, (load, _) in SOURCES.items()
    }
    assert counts == {"deterministic": 8, "with nonce": 19, "openssl": 0}
