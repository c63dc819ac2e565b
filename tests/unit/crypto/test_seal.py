"""Sealed messages open for the receiver, with the same info and unchanged, and in no other case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import seal

PRIVATE, OTHER = Secret(bytes(range(96))), Secret(bytes(range(1, 97)))
PUBLIC = seal.public_of(PRIVATE)
INFO = b"exchange 7"
PLAIN = b"thirty-two bytes of a module key"
SEALED = seal.seal(PUBLIC, Secret(PLAIN), INFO)
OVERHEAD = 1088 + 32 + 16  # ML-KEM ciphertext, X25519 key, tag

properties = settings(derandomize=True, deadline=None, max_examples=40)


def refuses(sealed: bytes, private: Secret = PRIVATE, info: bytes = INFO) -> bool:
    try:
        seal.unseal(private, sealed, info)
    except Tampered as error:
        return error.code == "seal.failed"
    return False


@properties
@given(st.binary(max_size=200), st.binary(max_size=40))
def test_round_trip(plain: bytes, info: bytes) -> None:
    sealed = seal.seal(PUBLIC, Secret(plain), info)
    assert len(sealed) == OVERHEAD + len(plain)
    assert seal.unseal(PRIVATE, sealed, info).reveal(REVEAL) == plain


def test_fresh_keys() -> None:
    private = seal.new_private()
    assert len(private) == 96
    assert private.reveal(REVEAL) != seal.new_private().reveal(REVEAL)
    public = seal.public_of(private)
    assert len(public) == 1184 + 32
    sealed = seal.seal(public, Secret(PLAIN), INFO)
    assert seal.unseal(private, sealed, INFO).reveal(REVEAL) == PLAIN


def test_equal_secrets_are_sealed_unequal() -> None:
    assert seal.seal(PUBLIC, Secret(PLAIN), INFO) != seal.seal(PUBLIC, Secret(PLAIN), INFO)


@pytest.mark.parametrize("info", [b"", b"exchange 8", INFO[:-1], INFO + b"\x00"])
def test_another_info(info: bytes) -> None:
    assert refuses(SEALED, info=info)


def test_another_receiver() -> None:
    assert refuses(SEALED, OTHER)


def test_a_receiver_with_one_half_right() -> None:
    right, wrong = PRIVATE.reveal(REVEAL), OTHER.reveal(REVEAL)
    assert refuses(SEALED, Secret(right[:64] + wrong[64:]))
    assert refuses(SEALED, Secret(wrong[:64] + right[64:]))


def test_every_byte_changed() -> None:
    for at, byte in enumerate(SEALED):
        change = 0x80 if at % 2 else 0x01
        changed = SEALED[:at] + bytes([byte ^ change]) + SEALED[at + 1 :]
        assert refuses(changed), at


def test_the_bit_that_x25519_ignores() -> None:
    """RFC 7748 §5 masks the highest bit of a public key; the message is bound to it too."""
    at = 1088 + 31
    assert refuses(SEALED[:at] + bytes([SEALED[at] ^ 0x80]) + SEALED[at + 1 :])


def test_every_length_cut_off() -> None:
    for length in (*range(0, 1088, 64), *range(1080, len(SEALED))):
        assert refuses(SEALED[:length]), length


@properties
@given(st.binary(min_size=1, max_size=20), st.integers(0, len(SEALED)))
def test_anything_inserted(more: bytes, at: int) -> None:
    assert refuses(SEALED[:at] + more + SEALED[at:]) == (SEALED[:at] + more + SEALED[at:] != SEALED)


@properties
@given(st.binary(max_size=64))
def test_garbage(sealed: bytes) -> None:
    assert refuses(sealed)
    assert refuses(SEALED[:1088] + sealed)
    assert refuses(SEALED[:1120] + sealed)


def test_halves_of_two_messages() -> None:
    other = seal.seal(PUBLIC, Secret(PLAIN), INFO)
    for at in (1088, 1120):
        assert refuses(SEALED[:at] + other[at:])
        assert refuses(other[:at] + SEALED[at:])


def test_x25519_points_of_small_order() -> None:
    for ephemeral in (bytes(32), b"\x01" + bytes(31)):
        assert refuses(SEALED[:1088] + ephemeral + SEALED[1120:])


@pytest.mark.parametrize(
    "public",
    [
        b"",
        PUBLIC[:1184],
        PUBLIC[1184:],
        PUBLIC[:-1],
        PUBLIC + b"\x00",
        PUBLIC[1184:] + PUBLIC[:1184],
        b"\xff" * 1184 + PUBLIC[1184:],
    ],
    ids=range(7),
)
def test_no_public_key(public: bytes) -> None:
    with pytest.raises(Tampered) as refusal:
        seal.seal(public, Secret(PLAIN), INFO)
    assert refusal.value.code == "seal.failed"
