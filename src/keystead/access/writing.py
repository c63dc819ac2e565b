"""What it takes to write encrypted columns, whichever way a value comes. Pure."""

from __future__ import annotations

from typing import Final

from keystead.access.decision import Asked, Operation
from keystead.access.effect import MASK

Needed = tuple[tuple[Asked, str], ...]
_NOTHING: Final = ("", None)
_TO_WRITE: Final[Needed] = ((Operation.ENCRYPT, "value.denied"),)
# a conflict would tell which values there are
_TO_WRITE_UNIQUE: Final[Needed] = (*_TO_WRITE, (Operation.DECRYPT, "value.unique"))
# whether it succeeds would tell if there is a value
_TO_MOVE: Final[Needed] = (
    (Operation.DECRYPT, "record.key_denied"),
    (Operation.ENCRYPT, "record.key_denied"),
)


def needed_to_write(*, is_unique: bool) -> Needed:
    """The rights that it takes to write a column, each with the code of its refusal."""
    return _TO_WRITE_UNIQUE if is_unique else _TO_WRITE


def needed_to_move(*, is_bound: bool) -> Needed:
    """The same to change the key of a row, for each of its columns; only some are bound to it."""
    return _TO_MOVE if is_bound else ()


def is_absent(value: object, *, may_decrypt: bool, is_unique: bool) -> bool:
    """Whether a value says nothing about a new row."""
    if value == "":
        # a unique column would tell whether another row is empty
        return is_unique and not may_decrypt
    return value == MASK


def is_unchanged(value: object, clear: object, *, may_decrypt: bool) -> bool:
    """Whether a value is what was shown of the clear one, so that to write it changes nothing.

    Who may not decrypt was shown nothing or asterisks, whatever there is; NULL is shown as nothing.
    """
    if not may_decrypt:
        return value in (*_NOTHING, MASK)
    return value == clear or (clear is None and value in _NOTHING)
