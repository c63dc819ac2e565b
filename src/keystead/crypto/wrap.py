"""Wrapping one key by another: AES-256-GCM with a named purpose and place.

The layout is `version(1) || nonce(12) || ciphertext || tag(16)`. The associated data names what is
wrapped, so a wrapped key moved to another row, purpose or instance does not open.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto.encoding import length_prefixed

KEY_SIZE: Final = 32
_VERSION = b"\x01"
_NONCE = 12
_TAG = 16
WRAPPED_KEY_SIZE: Final = len(_VERSION) + _NONCE + KEY_SIZE + _TAG


def new_key() -> Secret:
    """32 random bytes."""
    return Secret(os.urandom(KEY_SIZE))


def wrap(wrapper: Secret, inner: Secret, *place: str) -> bytes:
    """`inner` encrypted under `wrapper`, bound to the strings of `place`."""
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(wrapper.reveal(REVEAL)).encrypt(nonce, inner.reveal(REVEAL), bound(*place))
    return _VERSION + nonce + sealed


def unwrap(wrapper: Secret, wrapped: bytes, *place: str) -> Secret:
    """What `wrap` was given.

    Raises:
        Tampered: when wrapper, bytes or place are not those of `wrap`.
    """
    if wrapped[:1] != _VERSION:
        raise Tampered("root.wrong")
    nonce, sealed = wrapped[1 : 1 + _NONCE], wrapped[1 + _NONCE :]
    try:
        return Secret(AESGCM(wrapper.reveal(REVEAL)).decrypt(nonce, sealed, bound(*place)))
    except (InvalidTag, ValueError):
        raise Tampered("root.wrong") from None


def same(one: Secret, other: Secret) -> bool:
    """Whether two keys are the same bytes, compared in constant time."""
    return bytes_eq(one.reveal(REVEAL), other.reveal(REVEAL))


def derive(key: Secret, purpose: str) -> Secret:
    """A key of its own for one purpose (HKDF-SHA-256, RFC 5869)."""
    hkdf = HKDF(SHA256(), length=KEY_SIZE, salt=None, info=b"keystead/1/" + purpose.encode())
    return Secret(hkdf.derive(key.reveal(REVEAL)))


def bound(*place: str) -> bytes:
    """The associated data that binds to the strings of `place`; no two lists have the same."""
    return b"keystead/1/wrap" + b"".join(length_prefixed(part.encode()) for part in place)
