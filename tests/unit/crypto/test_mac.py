"""The tag of a row is valid for that row under that key, and for no other."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keystead.base.secret import Secret
from keystead.crypto import mac

KEY, OTHER_KEY = Secret(bytes(range(32))), Secret(bytes(range(1, 33)))

properties = settings(derandomize=True, deadline=None, max_examples=40)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
rows = st.dictionaries(
    text, st.one_of(st.none(), text, st.integers(-(2**53) + 1, 2**53 - 1)), max_size=4
)
Row = dict[str, str | int | None]


def typed(row: Row) -> dict[str, tuple[type, str | int | None]]:
    return {name: (type(value), value) for name, value in row.items()}


@properties
@given(rows)
def test_tag(row: Row) -> None:
    tag = mac.tag(KEY, row)
    assert len(bytes.fromhex(tag)) == 32
    assert mac.is_valid(KEY, row, tag)
    assert mac.is_valid(KEY, dict(reversed(row.items())), tag)
    assert not mac.is_valid(OTHER_KEY, row, tag)


@properties
@given(rows, rows)
def test_tag_of_another_row(row: Row, other: Row) -> None:
    assume(typed(row) != typed(other))
    assert not mac.is_valid(KEY, other, mac.tag(KEY, row))


@pytest.mark.parametrize(
    ("row", "other"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {}),
        ({"a": None}, {"a": ""}),
        ({"a": None}, {"a": "null"}),
        ({"a": "x", "b": "y"}, {"a": "y", "b": "x"}),
        ({"a": "x"}, {"b": "x"}),
        ({"a": 'x","b":"y'}, {"a": "x", "b": "y"}),
    ],
)
def test_rows_that_look_alike(row: Row, other: Row) -> None:
    assert not mac.is_valid(KEY, other, mac.tag(KEY, row))


def test_every_digit_changed() -> None:
    row: Row = {"a": 1}
    tag = mac.tag(KEY, row)
    for at, digit in enumerate(tag):
        for other in "0123456789abcdef":
            if other != digit:
                assert not mac.is_valid(KEY, row, tag[:at] + other + tag[at + 1 :])


@properties
@given(st.text(max_size=70))
def test_garbage(claimed: str) -> None:
    assert not mac.is_valid(KEY, {"a": 1}, claimed)


def test_another_length() -> None:
    row: Row = {"a": 1}
    tag = mac.tag(KEY, row)
    for length in range(len(tag)):
        assert not mac.is_valid(KEY, row, tag[:length])
    assert not mac.is_valid(KEY, row, tag + "00")
