"""Passwords as Argon2id hashes (RFC 9106), in the PHC string form that names its parameters."""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

# RFC 9106 §4, second recommended option: 64 MiB, three passes, four lanes
_PASSES: Final = 3
_LANES: Final = 4
_MEMORY_KIB: Final = 64 * 1024
_SALT_SIZE = 16
_LENGTH = 32


def hashed(password: str) -> str:
    """What is stored of a password; costs about 200 ms and 64 MiB on purpose."""
    kdf = Argon2id(
        salt=os.urandom(_SALT_SIZE),
        length=_LENGTH,
        iterations=_PASSES,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    )
    return kdf.derive_phc_encoded(password.encode())


def is_right(password: str, stored: str) -> bool:
    """Whether a password is the one that was stored; a stored form that is none is never right."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), stored)
    except (InvalidKey, ValueError):
        return False
    return True
