"""SHA-256 (FIPS 180-4)."""

from __future__ import annotations

import hashlib


def sha256(data: bytes) -> bytes:
    """The hash of `data`, 32 bytes."""
    return hashlib.sha256(data).digest()


class Digest:
    """The hash of bytes that come one part after the other."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Take the next part."""
        self._hash.update(data)

    def hex(self) -> str:
        """The hash of all until now, as 64 hexadecimal digits."""
        return self._hash.hexdigest()
