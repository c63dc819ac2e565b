"""Wrapping a key that somebody brings: RSA-OAEP with SHA-256 and MGF1-SHA-256 (RFC 8017 §7.1)."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_public_key,
)

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret

SIZE_BITS: Final = 4096
_EXPONENT: Final = 65537


def new_pair() -> tuple[Secret, bytes]:
    """A fresh private key (PKCS#8, DER) and its public key (PEM). Takes up to some seconds."""
    key = generate_private_key(_EXPONENT, SIZE_BITS)
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Secret(private), public


def wrap(public: bytes, key: Secret) -> bytes:
    """`key` for the holder of the private key alone.

    Raises:
        Tampered: when `public` is no RSA public key in PEM, or the key is too long for it.
    """
    try:
        loaded = load_pem_public_key(public)
        if isinstance(loaded, RSAPublicKey):
            return loaded.encrypt(key.reveal(REVEAL), _padding())
    except ValueError:
        pass
    raise Tampered("seal.failed")


def unwrap(private: Secret, wrapped: bytes) -> Secret:
    """What `wrap` was given.

    Raises:
        Tampered: for another receiver, another padding or changed bytes.
    """
    loaded = load_der_private_key(private.reveal(REVEAL), None)
    try:
        if isinstance(loaded, RSAPrivateKey):
            return Secret(loaded.decrypt(wrapped, _padding()))
    except ValueError:
        pass
    raise Tampered("seal.failed")


def _padding() -> OAEP:
    return OAEP(MGF1(SHA256()), SHA256(), None)
