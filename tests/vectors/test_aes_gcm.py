"""AES-256-GCM: through `wrap` and `unwrap`, and through the standard cipher's batches.

The associated data is the vector's: `wrap.bound` and the cipher's context are replaced by it. The
nonce of an encryption is the vector's too: `os.urandom` of the module under test gives it.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from cryptography.exceptions import InvalidTag

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import ciphers, wrap
from keystead.crypto.ciphers import StandardCipher
from keystead.crypto.encoding import b64_encode

from .files import CRYPTOGRAPHY, is_text, rsp, wycheproof

WYCHEPROOF = "Cipher/wycheproof/aes_gcm_test.json"
NIST = CRYPTOGRAPHY / "ciphers" / "AES" / "GCM"
VERSION = b"\x01"
KEY_ID = bytes(16)


class Gcm(NamedTuple):
    name: str
    key: bytes
    nonce: bytes
    aad: bytes
    plain: bytes
    sealed: bytes
    is_valid: bool


@cache
def from_wycheproof() -> list[Gcm]:
    return [
        Gcm(
            name=case.name,
            key=case.raw("key"),
            nonce=case.raw("iv"),
            aad=case.raw("aad"),
            plain=case.raw("msg"),
            sealed=case.raw("ct") + case.raw("tag"),
            is_valid=case.result == "valid",
        )
        for case in wycheproof(WYCHEPROOF)
        if (case.group["keySize"], case.group["ivSize"], case.group["tagSize"]) == (256, 96, 128)
    ]


@cache
def from_nist(file: str) -> list[Gcm]:
    return [
        Gcm(
            name=f"{file} {fields['PTlen']}/{fields['AADlen']} {fields['Count']}",
            key=bytes.fromhex(fields["Key"]),
            nonce=bytes.fromhex(fields["IV"]),
            aad=bytes.fromhex(fields["AAD"]),
            plain=bytes.fromhex(fields.get("PT", "")),
            sealed=bytes.fromhex(fields["CT"] + fields["Tag"]),
            is_valid="FAIL" not in fields,
        )
        for fields in rsp(NIST / file)
        if (fields["Keylen"], fields["IVlen"], fields["Taglen"]) == ("256", "96", "128")
    ]


SOURCES = {
    "wycheproof": (from_wycheproof, {True: 39, False: 27}),
    "nist decrypt": (lambda: from_nist("gcmDecrypt256.rsp"), {True: 184, False: 191}),
    "nist encrypt": (lambda: from_nist("gcmEncryptExtIV256.rsp"), {True: 375}),
}


@pytest.fixture(params=SOURCES)
def cases(request: pytest.FixtureRequest) -> list[Gcm]:
    load, expected = SOURCES[request.param]
    found = load()
    assert Counter(case.is_valid for case in found) == expected
    return found


def test_wrap_and_unwrap(cases: list[Gcm], monkeypatch: pytest.MonkeyPatch) -> None:
    now = cases[0]
    monkeypatch.setattr(wrap, "bound", lambda *place: now.aad)
    monkeypatch.setattr(wrap, "os", SimpleNamespace(urandom=lambda size: now.nonce[:size]))
    for now in cases:
        key, wrapped = Secret(now.key), VERSION + now.nonce + now.sealed
        if now.is_valid:
            assert wrap.unwrap(key, wrapped).reveal(REVEAL) == now.plain, now.name
            assert wrap.wrap(key, Secret(now.plain)) == wrapped, now.name
        else:
            with pytest.raises(Tampered):
                wrap.unwrap(key, wrapped)


def standard_cipher(case: Gcm) -> StandardCipher:
    cipher = StandardCipher(KEY_ID, Secret(case.key), "t", "c")
    cipher._context = case.aad
    return cipher


def test_standard_cipher_opens(cases: list[Gcm]) -> None:
    for case in cases:
        cipher = standard_cipher(case)
        body = b64_encode(case.nonce + case.sealed)
        if case.is_valid and is_text(case.plain):
            assert cipher.open_many([body], [b""]) == [case.plain.decode()], case.name
            continue
        with pytest.raises(Tampered):
            cipher.open_many([body], [b""])
        if case.is_valid:
            opened = cipher._aead.decrypt(case.nonce, case.sealed, case.aad)
            assert opened == case.plain, case.name
        else:
            with pytest.raises(InvalidTag):
                cipher._aead.decrypt(case.nonce, case.sealed, case.aad)


def test_standard_cipher_seals(cases: list[Gcm], monkeypatch: pytest.MonkeyPatch) -> None:
    now = cases[0]
    monkeypatch.setattr(ciphers, "os", SimpleNamespace(urandom=lambda size: now.nonce[:size]))
    for now in cases:
        if not now.is_valid:
            continue
        cipher = standard_cipher(now)
        if is_text(now.plain):
            [value] = cipher.seal_many([now.plain.decode()], [b""])
            assert value == cipher.prefix + b64_encode(now.nonce + now.sealed) + "~", now.name
        else:
            assert cipher._aead.encrypt(now.nonce, now.plain, now.aad) == now.sealed, now.name


def test_part_of_the_vectors_goes_through_the_text_interface() -> None:
    counts = {
        name: sum(case.is_valid and is_text(case.plain) for case in load())
        for name, (load, _) in SOURCES.items()
    }
    assert counts == {"wycheproof": 4, "nist decrypt": 37, "nist encrypt": 75}
