"""Length prefixes and strict base64url, as the envelope format defines them.

Values of one length are encoded and decoded together, as one block: a call for each would cost as
much as the encryption does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from struct import Struct
from typing import TypeVar

import pybase64

from keystead.base.errors import Tampered

T = TypeVar("T")
_ALPHABET = b"-_"
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")


def length_prefixed(value: bytes) -> bytes:
    """`value` after its length as an unsigned 32-bit big-endian integer."""
    return len(value).to_bytes(4, "big") + value


def b64_encode(value: bytes) -> str:
    """Base64url without padding (RFC 4648 §5)."""
    return b64_encode_many([value])[0]


def b64_decode(text: str) -> bytes:
    """The bytes that `b64_encode` turned into exactly `text`.

    Raises:
        Tampered: for text that `b64_encode` never writes.
    """
    return b64_decode_many([text])[0][1]


def b64_encode_many(values: Sequence[bytes]) -> list[str]:
    """`b64_encode` of each value."""
    return _by_length(values, _encode_block)


def b64_decode_many(texts: Sequence[str], head: int = 0) -> list[tuple[bytes, bytes]]:
    """`b64_decode` of each text, as its first `head` bytes and the rest.

    Raises:
        Tampered: when there is one that `b64_encode` never writes, or that is shorter than `head`.
    """
    return _by_length(texts, lambda block: _decode_block(block, head))


def _by_length(items: Sequence[bytes] | Sequence[str], work: Callable[..., list[T]]) -> list[T]:
    """What `work` makes of the items of each length, in the order of the items."""
    if not items:
        return []
    if len(set(map(len, items))) == 1:
        return work(items)
    places: defaultdict[int, list[int]] = defaultdict(list)
    for at, item in enumerate(items):
        places[len(item)].append(at)
    made: dict[int, T] = {}
    for these in places.values():
        made.update(zip(these, work([items[at] for at in these]), strict=True))
    return [made[at] for at in range(len(items))]


def _encode_block(values: Sequence[bytes]) -> list[str]:
    size = len(values[0])
    if size == 0:
        return [""] * len(values)
    fill = bytes(-size % 3)
    block = pybase64.b64encode_as_string(fill.join(values) + fill, _ALPHABET)
    step = (size + len(fill)) * 4 // 3
    used = step - len(fill)
    return [block[at : at + used] for at in range(0, len(block), step)]


def _decode_block(texts: Sequence[str], head: int) -> list[tuple[bytes, bytes]]:
    length = len(texts[0])
    size, fill = length * 3 // 4, "A" * (-length % 4)
    if size < head or length % 4 == 1:
        raise Tampered("envelope.malformed")
    if size == 0:
        return [(b"", b"")] * len(texts)
    try:
        joined = (fill.join(texts) + fill).encode("ascii").translate(_FROM_URL)
        block = pybase64.b64decode(joined, validate=True)
    except ValueError:
        raise Tampered("envelope.malformed") from None
    pieces = Struct(f"{head}s{size - head}s{len(fill)}x")
    # the first byte past a value holds the unused bits of its last character (RFC 4648 §3.5)
    if fill and any(block[size :: pieces.size]):
        raise Tampered("envelope.malformed")
    return list(pieces.iter_unpack(block))
