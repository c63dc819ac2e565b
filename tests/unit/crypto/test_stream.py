"""Streams: what was written comes back whole, and any other bytes are refused."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.base.errors import Tampered
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.crypto.stream import CHUNK_SIZE, StreamReader, StreamWriter

KEY, OTHER = Secret(bytes(32)), Secret(bytes(31) + b"\1")
HEADER = b"header"
HEAD, SEALED = 64, CHUNK_SIZE + 16


def sealed(content: bytes, piece: int = 10_000, key: Secret = KEY) -> bytes:
    out = BytesIO()
    writer = StreamWriter(key, HEADER, out)
    for at in range(0, len(content), piece):
        writer.write(content[at : at + piece])
    writer.finish()
    return out.getvalue()


def opened(stream: bytes, key: Secret = KEY, header: bytes = HEADER) -> bytes:
    return b"".join(StreamReader(key, header, BytesIO(stream)).chunks())


def refused(stream: bytes, key: Secret = KEY, header: bytes = HEADER) -> None:
    with pytest.raises(Tampered) as error:
        opened(stream, key, header)
    assert error.value.code == "stream.damaged"


SIZES = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE + 7]


def content_of(size: int) -> bytes:
    return bytes(i * 31 % 251 for i in range(size))


@pytest.mark.parametrize("size", SIZES)
def test_it_comes_back_in_one_form(size: int) -> None:
    content = content_of(size)
    stream = sealed(content)
    assert opened(stream) == content
    chunks = max(1, -(-size // CHUNK_SIZE))
    assert len(stream) == HEAD + size + 16 * chunks


@settings(derandomize=True, deadline=None, max_examples=40)
@given(size=st.sampled_from(SIZES), piece=st.integers(700, 2 * CHUNK_SIZE), read=st.integers(500))
def test_pieces_do_not_matter(size: int, piece: int, read: int) -> None:
    content = content_of(size)
    reader = StreamReader(KEY, HEADER, BytesIO(sealed(content, piece)))
    found = b""
    while part := reader.read(read):
        assert len(part) == min(read, size - len(found))
        found += part
    assert found == content


def test_the_same_content_is_never_the_same_stream() -> None:
    assert sealed(b"content") != sealed(b"content")


def test_another_key_or_header_is_refused() -> None:
    stream = sealed(b"content")
    refused(stream, key=OTHER)
    refused(stream, header=b"Header")
    with pytest.raises(Tampered):
        StreamReader(OTHER, HEADER, BytesIO(stream))


def test_every_truncation_is_refused() -> None:
    stream = sealed(content_of(2 * CHUNK_SIZE + 5))
    cuts = {*range(HEAD + 20), *range(len(stream) - 30, len(stream))}
    cuts |= {HEAD + SEALED, HEAD + SEALED - 1, HEAD + SEALED + 1, HEAD + 2 * SEALED}
    for cut in sorted(cuts):
        refused(stream[:cut])


def test_appended_reordered_repeated_and_dropped_chunks_are_refused() -> None:
    stream = sealed(content_of(3 * CHUNK_SIZE + 5))
    head, rest = stream[:HEAD], stream[HEAD:]
    one, two, three, last = (rest[at : at + SEALED] for at in range(0, len(rest), SEALED))
    assert opened(head + one + two + three + last) == content_of(3 * CHUNK_SIZE + 5)
    for chunks in (
        (two, one, three, last),
        (one, one, two, three, last),
        (one, three, last),
        (two, three, last),
        (one, two, three),
        (last,),
        (one, two, three, last, last),
        (one, two, three, last, b"\0"),
        (one, two, three, last, bytes(SEALED)),
    ):
        refused(head + b"".join(chunks))


def test_chunks_of_another_stream_are_refused() -> None:
    one, other = sealed(content_of(CHUNK_SIZE + 5)), sealed(content_of(CHUNK_SIZE + 5))
    refused(one[:HEAD] + other[HEAD:])
    refused(one[: HEAD + SEALED] + other[HEAD + SEALED :])


@settings(derandomize=True, deadline=None, max_examples=60)
@given(at=st.integers(0), bit=st.integers(0, 7))
def test_every_changed_bit_is_refused(at: int, bit: int) -> None:
    stream = bytearray(sealed(b"some content"))
    stream[at % len(stream)] ^= 1 << bit
    refused(bytes(stream))


def test_an_empty_last_chunk_after_others_is_refused() -> None:
    """It would be a second form of the same content."""
    out = BytesIO()
    writer = StreamWriter(KEY, HEADER, out)
    out.write(writer._chunks.seal(bytes(CHUNK_SIZE), is_last=False))
    writer.finish()
    refused(out.getvalue())


def test_one_key_serves_many_streams() -> None:
    key = wrap.new_key()
    first, second = sealed(b"same", key=key), sealed(b"same", key=key)
    assert opened(first, key) == opened(second, key) == b"same"
    assert first[HEAD:] != second[HEAD:]
