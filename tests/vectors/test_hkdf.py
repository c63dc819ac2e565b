"""HKDF-SHA-256: with the exact parameters of `wrap.derive` and of the equality cipher's column key.

Both functions fix salt, length and the beginning of info, so no published vector fits them whole.
Therefore two steps: `HKDF(SHA256(), length, salt, info)` of `cryptography`, which they call, and
the independent HKDF of `reference` are held against the vectors; then what the two functions return
is compared with the independent one.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystead.base.secret import REVEAL, Secret
from keystead.crypto import wrap
from keystead.crypto.ciphers import EqualityCipher
from keystead.crypto.encoding import b64_encode

from . import reference
from .files import CRYPTOGRAPHY, rsp, wycheproof

WYCHEPROOF = "Protocol/wycheproof/hkdf_sha256_test.json"


class Kdf(NamedTuple):
    name: str
    ikm: bytes
    salt: bytes
    info: bytes
    okm: bytes


def from_wycheproof() -> list[Kdf]:
    return [
        Kdf(case.name, case.raw("ikm"), case.raw("salt"), case.raw("info"), case.raw("okm"))
        for case in wycheproof(WYCHEPROOF)
        if case.result == "valid"
    ]


def from_kdf_file(file: str) -> list[Kdf]:
    # a record of RFC 5869 is broken by blank lines: "COUNT" begins one
    merged: list[dict[str, str]] = []
    for part in rsp(CRYPTOGRAPHY / "KDF" / file):
        if "COUNT" in part:
            merged.append({})
        merged[-1] |= part
    return [
        Kdf(
            f"{file} {fields['COUNT']}",
            *(bytes.fromhex(fields[name]) for name in ("IKM", "salt", "info", "OKM")),
        )
        for fields in merged
        if fields["Hash"] == "SHA-256"
    ]


@pytest.fixture(scope="module")
def cases() -> list[Kdf]:
    sources = [
        from_wycheproof(),
        from_kdf_file("rfc-5869-HKDF-SHA256.txt"),
        from_kdf_file("hkdf-generated.txt"),
    ]
    assert [len(source) for source in sources] == [83, 3, 1]
    return [case for source in sources for case in source]


def test_primitive_and_reference(cases: list[Kdf]) -> None:
    for case in cases:
        derive = HKDF(SHA256(), length=len(case.okm), salt=case.salt, info=case.info)
        assert derive.derive(case.ikm) == case.okm, case.name
        assert reference.hkdf(case.ikm, case.salt, case.info, len(case.okm)) == case.okm, case.name


def test_no_salt(cases: list[Kdf]) -> None:
    unsalted = [case for case in cases if not case.salt]
    assert len(unsalted) == 25
    for case in unsalted:
        derive = HKDF(SHA256(), length=len(case.okm), salt=None, info=case.info)
        assert derive.derive(case.ikm) == case.okm, case.name


def test_too_long_an_output_is_refused() -> None:
    refused = [case for case in wycheproof(WYCHEPROOF) if case.result == "invalid"]
    assert len(refused) == 3
    for case in refused:
        with pytest.raises(ValueError, match="derive keys larger than"):
            HKDF(SHA256(), length=case.test["size"], salt=case.raw("salt"), info=case.raw("info"))


@pytest.mark.parametrize("purpose", ["", "rows", "a purpose with a longer name", "zoë"])
def test_derive(cases: list[Kdf], purpose: str) -> None:
    info = b"keystead/1/" + purpose.encode()
    for case in cases:
        derived = wrap.derive(Secret(case.ikm), purpose).reveal(REVEAL)
        assert derived == reference.hkdf(case.ikm, b"", info, 32), case.name


def test_column_key(cases: list[Kdf]) -> None:
    info = (
        b"keystead/1/equality" + b"\x00\x00\x00\x06people" + b"\x00\x00\x00\x05email"
    )  # lp(table) lp(column)
    for case in cases:
        cipher = EqualityCipher(bytes(16), Secret(case.ikm), "people", "email")
        column_key = AESSIV(reference.hkdf(case.ikm, b"", info, 64))
        body = b64_encode(column_key.encrypt(b"value", cipher._context))
        assert cipher.seal_many(["value"], [b""]) == [cipher.prefix + body + "~"], case.name
