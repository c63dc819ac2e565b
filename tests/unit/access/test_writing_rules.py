"""What it takes to write encrypted columns, and what changes nothing."""

from __future__ import annotations

import pytest

from keystead.access.decision import Operation
from keystead.access.effect import MASK
from keystead.access.writing import is_absent, is_unchanged, needed_to_move, needed_to_write

ENCRYPT, DECRYPT = Operation.ENCRYPT, Operation.DECRYPT


@pytest.mark.parametrize(
    ("value", "clear", "may_decrypt", "expected"),
    [
        *[(value, "x", False, True) for value in ("", None, MASK)],
        *[(value, None, False, True) for value in ("", None, MASK)],
        *[("x", clear, False, False) for clear in ("x", "", None)],
        *[("x", "x", True, True), ("x", "y", True, False), ("x", None, True, False)],
        *[("", None, True, True), (None, None, True, True), (MASK, None, True, False)],
        *[("", "", True, True), (None, "", True, False), (MASK, "", True, False)],
        *[("", "x", True, False), (None, "x", True, False), (MASK, "x", True, False)],
        (MASK, MASK, True, True),
    ],
)
def test_what_was_shown_is_no_change(
    value: str | None, clear: str | None, may_decrypt: bool, expected: bool
) -> None:
    assert is_unchanged(value, clear, may_decrypt=may_decrypt) is expected


@pytest.mark.parametrize("may_decrypt", [True, False])
@pytest.mark.parametrize("is_unique", [True, False])
def test_what_says_nothing_about_a_new_row(may_decrypt: bool, is_unique: bool) -> None:
    said = {
        value: not is_absent(value, may_decrypt=may_decrypt, is_unique=is_unique)
        for value in (MASK, "", None, "x")
    }
    assert said == {MASK: False, "": may_decrypt or not is_unique, None: True, "x": True}


def test_a_unique_column_takes_both_rights() -> None:
    assert needed_to_write(is_unique=False) == ((ENCRYPT, "value.denied"),)
    assert needed_to_write(is_unique=True) == ((ENCRYPT, "value.denied"), (DECRYPT, "value.unique"))


def test_another_key_takes_both_rights_where_values_are_bound_to_it() -> None:
    assert needed_to_move(is_bound=False) == ()
    assert {operation for operation, _ in needed_to_move(is_bound=True)} == {ENCRYPT, DECRYPT}
