"""Integrity tags over rows: HMAC-SHA-256 (FIPS 198-1) of a canonical form (RFC 8785)."""

from __future__ import annotations

from collections.abc import Mapping

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from keystead.base.secret import REVEAL, Secret


def tag(key: Secret, fields: Mapping[str, str | int | None]) -> str:
    """The tag of `fields`, 64 hexadecimal digits."""
    return _hmac(key, fields).finalize().hex()


def is_valid(key: Secret, fields: Mapping[str, str | int | None], claimed: str) -> bool:
    """Whether `claimed` is the tag of `fields`, compared in constant time."""
    try:
        _hmac(key, fields).verify(bytes.fromhex(claimed))
    except (InvalidSignature, ValueError):
        return False
    return True


def _hmac(key: Secret, fields: Mapping[str, str | int | None]) -> HMAC:
    mac = HMAC(key.reveal(REVEAL), SHA256())
    mac.update(rfc8785.dumps(dict(fields)))
    return mac
