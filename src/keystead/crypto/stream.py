"""Encrypting what is too long for one piece: 64 KiB chunks whose order and end are authenticated.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) over AES-256-GCM:

```
stream     = salt(32) || commitment(32) || chunk ...
key, commitment = HKDF-SHA-256(key given, salt, "keystead/1/stream", 64 bytes)
chunk n    = AES-256-GCM(key, nonce(n), up to 64 KiB, associated data = header) || tag(16)
nonce(n)   = n as 11 bytes, big-endian || 1 for the last chunk, else 0
```

Every chunk but the last is full, and the last is empty only where all is empty, so each content
has one form. The key is fresh for each stream, so one given key may serve many. The commitment
shows a wrong key before any chunk, and lets one stream open under one key only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret

CHUNK_SIZE: Final = 64 * 1024
_SALT = 32
_COMMITMENT = 32
_TAG = 16
_COUNTER = 11


class Sink(Protocol):
    """Where a stream is written to."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`; how many bytes there were."""
        ...


class Source(Protocol):
    """Where a stream is read from."""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        ...


class StreamWriter:
    """Encrypts what is written to it; without `finish` the stream does not open."""

    def __init__(self, key: Secret, header: bytes, out: Sink) -> None:
        salt = os.urandom(_SALT)
        self._chunks, commitment = _chunks(key, salt, header)
        self._out = out
        self._held = bytearray()
        out.write(salt + commitment)

    def write(self, data: bytes) -> int:
        """Take the next bytes; how many there were."""
        self._held += data
        # what fills exactly one chunk may be the last
        while len(self._held) > CHUNK_SIZE:
            self._out.write(self._chunks.seal(bytes(self._held[:CHUNK_SIZE]), is_last=False))
            del self._held[:CHUNK_SIZE]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk. Nothing may be written after it."""
        self._out.write(self._chunks.seal(bytes(self._held), is_last=True))
        self._held.clear()


class StreamReader:
    """Opens a stream chunk by chunk; each byte that it returns is authenticated."""

    def __init__(self, key: Secret, header: bytes, source: Source) -> None:
        """Read the beginning of a stream.

        Raises:
            Tampered: when this key or header is not the stream's.
        """
        self._source = source
        salt = _exactly(source, _SALT)
        self._chunks, commitment = _chunks(key, salt, header)
        if not bytes_eq(_exactly(source, _COMMITMENT), commitment):
            raise Tampered("stream.damaged")
        self._opened = self._open()
        self._held = b""

    def chunks(self) -> Iterator[bytes]:
        """The rest of the clear bytes, a chunk at a time.

        Raises:
            Tampered: where a chunk is damaged, missing, out of its place, or from elsewhere.
        """
        if self._held:
            yield self._held
            self._held = b""
        yield from self._opened

    def read(self, size: int) -> bytes:
        """Up to `size` of the next clear bytes; fewer only at the end.

        Raises:
            Tampered: as `chunks` does.
        """
        parts, missing = [], size
        while missing:
            self._held = self._held or next(self._opened, b"")
            if not self._held:
                break
            parts.append(self._held[:missing])
            self._held = self._held[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def _open(self) -> Iterator[bytes]:
        ahead = self._source.read(CHUNK_SIZE + _TAG)
        is_first = True
        while True:
            sealed, ahead = ahead, b""
            if len(sealed) == CHUNK_SIZE + _TAG:
                ahead = self._source.read(CHUNK_SIZE + _TAG)
            clear = self._chunks.open(sealed, is_last=not ahead)
            if clear:
                yield clear
            elif not is_first:
                raise Tampered("stream.damaged")
            if not ahead:
                return
            is_first = False


class _Chunks:
    """The cipher of one stream, with its place in it."""

    def __init__(self, key: bytes, header: bytes) -> None:
        self._aead = AESGCM(key)
        self._header = header
        self._number = 0

    def seal(self, clear: bytes, *, is_last: bool) -> bytes:
        """The next chunk, encrypted."""
        return self._aead.encrypt(self._nonce(is_last), clear, self._header)

    def open(self, sealed: bytes, *, is_last: bool) -> bytes:
        """The next chunk, clear.

        Raises:
            Tampered: when it is not the next, or not as it was written.
        """
        try:
            return self._aead.decrypt(self._nonce(is_last), sealed, self._header)
        except (InvalidTag, ValueError):
            raise Tampered("stream.damaged") from None

    def _nonce(self, is_last: bool) -> bytes:
        nonce = self._number.to_bytes(_COUNTER, "big") + bytes([is_last])
        self._number += 1
        return nonce


def _chunks(key: Secret, salt: bytes, header: bytes) -> tuple[_Chunks, bytes]:
    hkdf = HKDF(SHA256(), length=64, salt=salt, info=b"keystead/1/stream")
    derived = hkdf.derive(key.reveal(REVEAL))
    return _Chunks(derived[:32], header), derived[32:]


def _exactly(source: Source, size: int) -> bytes:
    found = source.read(size)
    if len(found) != size:
        raise Tampered("stream.damaged")
    return found
