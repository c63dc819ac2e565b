"""HMAC-SHA-256, through `mac.tag` and `mac.is_valid`.

They authenticate canonical JSON; here the canonical form is replaced by the vector's own bytes.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import pytest

from keystead.base.secret import Secret
from keystead.crypto import mac

from .files import CRYPTOGRAPHY, rsp


class Tagged(NamedTuple):
    name: str
    key: bytes
    message: bytes
    tag: str


@pytest.fixture(autouse=True)
def the_message_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mac, "rfc8785", SimpleNamespace(dumps=lambda fields: fields["message"]))


def test_rfc_4231() -> None:
    cases = [
        Tagged(
            name=f"RFC 4231 {number}",
            key=bytes.fromhex(fields["Key"]),
            message=bytes.fromhex(fields["Msg"]),
            tag=fields["MD"],
        )
        for number, fields in enumerate(rsp(CRYPTOGRAPHY / "HMAC" / "rfc-4231-sha256.txt"))
    ]
    assert len(cases) == 6
    for case in cases:
        key, fields = Secret(case.key), {"message": case.message}
        assert mac.tag(key, fields) == case.tag, case.name
        assert mac.is_valid(key, fields, case.tag), case.name
        for shorter in range(0, len(case.tag), 2):
            assert not mac.is_valid(key, fields, case.tag[:shorter]), case.name
        assert not mac.is_valid(key, fields, case.tag + "00"), case.name


def test_counter_mode_key_derivation() -> None:
    """SP 800-108 in counter mode is HMAC over the file's input strings, one after another."""
    used = 0
    for key, messages, output in key_derivations():
        fields = [{"message": message} for message in messages]
        tags = [mac.tag(Secret(key), each) for each in fields]
        assert "".join(tags).startswith(output)
        used += 1
    assert used == 480


def key_derivations() -> list[tuple[bytes, list[bytes], str]]:
    """Key, input strings and output of every case with HMAC-SHA-256."""
    found: list[tuple[bytes, list[bytes], str]] = []
    function, key, messages = "", b"", []
    path = CRYPTOGRAPHY / "KDF" / "nist-800-108-KBKDF-CTR.txt"
    with path.open() as lines:
        for line in lines:
            name, _, value = (part.strip() for part in line.strip().strip("[]").partition("="))
            if name == "PRF":
                function = value
            elif name == "KI":
                key, messages = bytes.fromhex(value) if function == "HMAC_SHA256" else b"", []
            elif name == "instring" and key:
                messages.append(bytes.fromhex(value))
            elif name == "KO" and key:
                found.append((key, messages, value))
    return found
