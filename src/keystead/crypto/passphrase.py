"""A key from a passphrase that people remember: Argon2id (RFC 9106)."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keystead.base.errors import Invalid
from keystead.base.secret import REVEAL, Secret
from keystead.crypto.wrap import KEY_SIZE

SHORTEST: Final = 12
_SALT = 16
_MOST_MEMORY_KIB = 1024 * 1024
_MOST_ITERATIONS = 64
_MOST_LANES = 64


@dataclass(frozen=True, slots=True)
class Stretching:
    """How a passphrase becomes a key. Memory is in KiB; the salt is hexadecimal.

    The defaults are the second recommended choice of RFC 9106 §4.
    """

    salt: str
    iterations: int = 3
    memory: int = 64 * 1024
    lanes: int = 4

    def as_json(self) -> dict[str, Any]:
        """The parameters as plain data."""
        return asdict(self)


def new_stretching() -> Stretching:
    """The parameters for a new passphrase, with a salt of its own."""
    return Stretching(os.urandom(_SALT).hex())


def from_json(document: Any) -> Stretching:
    """Parameters that were stored.

    Raises:
        ValueError: when they are none, or would take more memory or time than this ever asks for.
    """
    most = {"iterations": _MOST_ITERATIONS, "memory": _MOST_MEMORY_KIB, "lanes": _MOST_LANES}
    try:
        if set(document) != {"salt", *most} or len(bytes.fromhex(document["salt"])) != _SALT:
            raise ValueError("not parameters of a passphrase")
        if not all(type(document[n]) is int and 0 < document[n] <= most[n] for n in most):
            raise ValueError("not parameters of a passphrase")
    except (TypeError, KeyError):
        raise ValueError("not parameters of a passphrase") from None
    return Stretching(**document)


def from_text(text: str) -> Secret:
    """A passphrase as it was typed, without the spaces around it, in one Unicode form (NFC).

    Raises:
        Invalid: when it has fewer than 12 characters.
    """
    normal = unicodedata.normalize("NFC", text.strip())
    if len(normal) < SHORTEST:
        raise Invalid("passphrase.short", shortest=SHORTEST)
    return Secret(normal.encode())


def stretch(passphrase: Secret, how: Stretching) -> Secret:
    """The key of a passphrase; this takes time and memory on purpose."""
    argon = Argon2id(
        salt=bytes.fromhex(how.salt),
        length=KEY_SIZE,
        iterations=how.iterations,
        lanes=how.lanes,
        memory_cost=how.memory,
    )
    return Secret(argon.derive(passphrase.reveal(REVEAL)))
