"""Passphrases: one key for one passphrase and salt; parameters from outside are bounded."""

from __future__ import annotations

from typing import Any

import pytest

from keystead.base.errors import Invalid
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import passphrase
from keystead.crypto.passphrase import Stretching

KNOWN = "cab746b4621993fdc91ec50787980b414a90a692f0bc68dfe19f9c25b3cba9ec"
FAST = Stretching("00" * 16, iterations=1, memory=64, lanes=1)


def key(text: str, how: Stretching = FAST) -> bytes:
    return passphrase.stretch(passphrase.from_text(text), how).reveal(REVEAL)


def test_it_depends_on_passphrase_and_parameters() -> None:
    one = key("correct horse battery")
    assert len(one) == 32
    assert one == key(" correct horse battery\n")
    assert one != key("correct horse batterY")
    assert one != key("correct horse battery", Stretching("01" * 16, 1, 64, 1))
    assert one != key("correct horse battery", Stretching("00" * 16, 2, 64, 1))


def test_both_unicode_forms_are_one_passphrase() -> None:
    assert key("caf\u00e9 caf\u00e9 caf\u00e9") == key("cafe\u0301 cafe\u0301 cafe\u0301")


def test_known_answer() -> None:
    """RFC 9106 §5.3 has a secret and data, which are not used here; argon2-cffi answers this."""
    argon = passphrase.stretch(Secret(b"password"), Stretching("736f6d6573616c74" * 2, 2, 256, 1))
    assert argon.reveal(REVEAL).hex() == KNOWN


@pytest.mark.parametrize("text", ["", "short", " eleven chr \n"])
def test_a_short_one_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        passphrase.from_text(text)


def test_parameters_come_back() -> None:
    how = passphrase.new_stretching()
    assert passphrase.from_json(how.as_json()) == how
    assert passphrase.new_stretching().salt != how.salt


@pytest.mark.parametrize(
    "changed",
    [
        {"memory": 1 << 40},
        {"memory": 0},
        {"memory": "64"},
        {"memory": True},
        {"iterations": 10**9},
        {"lanes": -1},
        {"salt": ""},
        {"salt": "zz" * 16},
        {"salt": 7},
        {"more": 1},
    ],
)
def test_parameters_out_of_bounds_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        passphrase.from_json({**FAST.as_json(), **changed})


@pytest.mark.parametrize("document", [None, [], "x", 3, {}])
def test_what_is_no_parameters_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        passphrase.from_json(document)
