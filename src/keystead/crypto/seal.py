"""Sealing to a named receiver: HPKE base mode (RFC 9180), KEM ML-KEM-768 + X25519.

The private key has no serialization of its own: it is stored as the 64-byte ML-KEM seed followed by
the 32 bytes of the X25519 key; the public key as 1184 + 32 bytes.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret

SUITE_NAME: Final = "HPKE-base/MLKEM768-X25519/HKDF-SHA256/AES-256-GCM"
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MLKEM_SEED = 64
_MLKEM_PUBLIC = 1184
_PRIVATE_SIZE = 96


def new_private() -> Secret:
    """A fresh private key, 96 bytes."""
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    return Secret(mlkem.private_bytes_raw() + x25519.private_bytes_raw())


def private_from(key: Secret, purpose: str) -> Secret:
    """The private key that belongs to a key and a purpose, always the same (HKDF-SHA-256)."""
    hkdf = HKDF(
        SHA256(), length=_PRIVATE_SIZE, salt=None, info=b"keystead/1/seal/" + purpose.encode()
    )
    return Secret(hkdf.derive(key.reveal(REVEAL)))


def public_of(private: Secret) -> bytes:
    """The public key of a private one, 1216 bytes."""
    mlkem, x25519 = _private_halves(private)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def seal(public: bytes, plaintext: Secret, info: bytes) -> bytes:
    """`plaintext` for the holder of the private key alone, bound to `info`.

    Raises:
        Tampered: when `public` is not a public key.
    """
    try:
        key = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]),
        )
        return _SUITE.encrypt(plaintext.reveal(REVEAL), key, info=info)
    except ValueError:
        raise Tampered("seal.failed") from None


def unseal(private: Secret, sealed: bytes, info: bytes) -> Secret:
    """What `seal` was given.

    Raises:
        Tampered: for another receiver, another `info` or changed bytes.
    """
    key = hpke.MLKEM768X25519PrivateKey(*_private_halves(private))
    try:
        return Secret(_SUITE.decrypt(sealed, key, info=info))
    except (InvalidTag, ValueError):
        raise Tampered("seal.failed") from None


def _private_halves(private: Secret) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    mlkem, x25519 = private.split(_MLKEM_SEED)
    return (
        MLKEM768PrivateKey.from_seed_bytes(mlkem.reveal(REVEAL)),
        X25519PrivateKey.from_private_bytes(x25519.reveal(REVEAL)),
    )
