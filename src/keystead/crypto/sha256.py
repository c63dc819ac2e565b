"""SHA-256 (FIPS 180-4) over bytes in memory, for trees and sets of many small hashes."""

from __future__ import annotations

import hashlib


def sha256(data: bytes) -> bytes:
    """The hash of `data`, 32 bytes."""
    return hashlib.sha256(data).digest()
