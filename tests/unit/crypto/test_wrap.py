"""A wrapped key opens under its wrapper, in its place and unchanged, and in no other case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import wrap

WRAPPER, OTHER = Secret(bytes(range(32))), Secret(bytes(range(1, 33)))
INNER = bytes(range(32, 64))
PLACE = ("key", "0123", "people")
WRAPPED = wrap.wrap(WRAPPER, Secret(INNER), *PLACE)

properties = settings(derandomize=True, deadline=None, max_examples=40)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
places = st.lists(names, max_size=4)


def refuses(wrapped: bytes, *place: str, wrapper: Secret = WRAPPER) -> bool:
    try:
        wrap.unwrap(wrapper, wrapped, *place)
    except Tampered as error:
        return error.code == "root.wrong"
    return False


@properties
@given(st.binary(max_size=100), places)
def test_round_trip(inner: bytes, place: list[str]) -> None:
    wrapped = wrap.wrap(WRAPPER, Secret(inner), *place)
    assert wrapped[:1] == b"\x01"
    assert len(wrapped) == 1 + 12 + len(inner) + 16
    assert wrap.unwrap(WRAPPER, wrapped, *place).reveal(REVEAL) == inner


def test_fresh_keys() -> None:
    keys = {wrap.new_key().reveal(REVEAL) for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {wrap.KEY_SIZE} == {32}


def test_equal_keys_are_wrapped_unequal() -> None:
    wrapped = {wrap.wrap(WRAPPER, Secret(INNER), *PLACE) for _ in range(100)}
    assert len({each[1:13] for each in wrapped}) == 100
    assert len({each[13:] for each in wrapped}) == 100


def test_another_wrapper() -> None:
    assert not refuses(WRAPPED, *PLACE)
    assert refuses(WRAPPED, *PLACE, wrapper=OTHER)


@pytest.mark.parametrize(
    "place",
    [
        (),
        PLACE[:-1],
        PLACE[1:],
        (*PLACE, ""),
        ("", *PLACE),
        tuple(reversed(PLACE)),
        ("key0123", "people"),
        ("key", "0123people"),
        ("key0", "123", "people"),
        ("Key", "0123", "people"),
        ("key", "0124", "people"),
        ("key", "0123", "people "),
    ],
)
def test_another_place(place: tuple[str, ...]) -> None:
    assert refuses(WRAPPED, *place)


@properties
@given(places, places)
def test_any_other_place(home: list[str], away: list[str]) -> None:
    wrapped = wrap.wrap(WRAPPER, Secret(INNER), *home)
    assert refuses(wrapped, *away) == (home != away)


def test_every_byte_changed_to_every_other() -> None:
    for at, byte in enumerate(WRAPPED):
        for other in range(256):
            if other != byte:
                assert refuses(WRAPPED[:at] + bytes([other]) + WRAPPED[at + 1 :], *PLACE), at


def test_every_length_cut_off() -> None:
    for length in range(len(WRAPPED)):
        assert refuses(WRAPPED[:length], *PLACE), length
        assert refuses(WRAPPED[length + 1 :], *PLACE), length


@properties
@given(st.binary(max_size=80))
def test_garbage(garbage: bytes) -> None:
    assert refuses(garbage, *PLACE)
    assert refuses(b"\x01" + garbage, *PLACE)
    assert refuses(WRAPPED + b"\x00" + garbage, *PLACE)


# derived keys


@properties
@given(st.lists(names, min_size=2, max_size=5, unique=True))
def test_derived_keys_differ_by_purpose(purposes: list[str]) -> None:
    derived = [wrap.derive(WRAPPER, purpose).reveal(REVEAL) for purpose in purposes]
    assert len(set(derived)) == len(derived)
    assert {len(key) for key in derived} == {32}
    assert derived == [wrap.derive(WRAPPER, purpose).reveal(REVEAL) for purpose in purposes]


def test_derived_keys_differ_by_key() -> None:
    one, other = wrap.derive(WRAPPER, "rows"), wrap.derive(OTHER, "rows")
    assert one.reveal(REVEAL) != other.reveal(REVEAL)
    assert one.reveal(REVEAL) != WRAPPER.reveal(REVEAL)
