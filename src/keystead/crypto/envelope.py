"""The text form of an encrypted value (docs/formats/envelope.md, clauses 1 to 4). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from keystead.base.errors import Tampered
from keystead.crypto.encoding import b64_decode, b64_encode, length_prefixed

MARKER: Final = "~ks1"
PREFIX_LENGTH: Final = 29
_SHORTEST = PREFIX_LENGTH + 22


class Scheme(StrEnum):
    """How a value is encrypted; the character stands in the envelope (clause 1)."""

    STANDARD = "s"
    EQUALITY = "e"

    @property
    def mode(self) -> str:
        """The scheme as people read it."""
        return {"s": "standard", "e": "equality preserving"}[self.value]


def prefix(scheme: Scheme, key_id: bytes) -> str:
    """The first 29 characters of every value under this key (clause 1.1)."""
    return f"{MARKER}{scheme.value}.{b64_encode(key_id)}."


def key_of(prefix: str) -> str | None:
    """The id of the key that a prefix names; None for what is no prefix (clause 1.1)."""
    if len(prefix) != PREFIX_LENGTH or not is_marked(prefix) or prefix[-1] != ".":
        return None
    try:
        return b64_decode(prefix[len(MARKER) + 2 : -1]).hex()
    except Tampered:
        return None


def split(value: str) -> tuple[str, str]:
    """A value's prefix and its encoded body (clause 1).

    Raises:
        Tampered: when `value` has not the outline of an envelope.
    """
    if (
        len(value) <= _SHORTEST
        or not value.startswith(MARKER)
        or value[PREFIX_LENGTH - 1] != "."
        or value[-1] != "~"
    ):
        raise Tampered("envelope.malformed")
    return value[:PREFIX_LENGTH], value[PREFIX_LENGTH:-1]


def bodies(values: Sequence[str]) -> list[str]:
    """The encoded bodies of values that are known to begin with the prefix of a key.

    Raises:
        Tampered: when one has not the outline of an envelope.
    """
    found = [v[PREFIX_LENGTH:-1] for v in values if len(v) > _SHORTEST and v[-1] == "~"]
    if len(found) < len(values):
        raise Tampered("envelope.malformed")
    return found


def is_marked(value: str) -> bool:
    """Whether a stored value claims to be an envelope (clause 1.4)."""
    return value.startswith(MARKER)


def context(scheme: Scheme, key_id: bytes, table: str, column: str) -> bytes:
    """The associated data that binds a value to its column (clause 4.1)."""
    return (
        b"KS1"
        + scheme.value.encode("ascii")
        + key_id
        + length_prefixed(table.encode())
        + length_prefixed(column.encode())
    )


def records(primary_keys: Sequence[Sequence[int | str | None]]) -> list[bytes]:
    """`record` of each key; the common case, one text column, without a call for each."""
    names = [key[0] for key in primary_keys]
    if set(map(type, names)) != {str} or set(map(len, primary_keys)) != {1}:
        return [record(key) for key in primary_keys]
    encoded = [str(name).encode() for name in names]
    heads = {size: b"\x01t" + size.to_bytes(4, "big") for size in set(map(len, encoded))}
    return [heads[len(name)] + name for name in encoded]


def record(primary_key: Sequence[int | str | None]) -> bytes:
    """The associated data that binds a value to its row (clause 4.2).

    Raises:
        Tampered: for a key that is not of whole numbers and text.
    """
    out = bytes([len(primary_key)])
    for part in primary_key:
        if isinstance(part, int):
            out += b"i" + length_prefixed(str(part).encode("ascii"))
        elif isinstance(part, str):
            out += b"t" + length_prefixed(part.encode())
        else:
            raise Tampered("envelope.malformed")
    return out
