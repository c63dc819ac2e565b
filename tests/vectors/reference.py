"""HKDF, the hybrid KEM's combiner and the HPKE key schedule, from their texts and hashlib alone.

They are the second opinion that lets a vector for a part be fed to a Keystead function that only
takes the whole. Each is itself held against published vectors in `test_hkdf` and `test_hybrid`.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MLKEM768_X25519 = 0x647A
HKDF_SHA256 = 1
AES_256_GCM = 2


def extract(salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract with SHA-256 (RFC 5869 §2.2)."""
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-256 (RFC 5869 §2.3)."""
    out = block = b""
    counter = 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
        counter += 1
    return out[:length]


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA-256 (RFC 5869)."""
    return expand(extract(salt, ikm), info, length)


def combined(mlkem: bytes, x25519: bytes, ephemeral: bytes, public: bytes) -> bytes:
    r"""The shared secret of MLKEM768-X25519: SHA3-256 over both, the X25519 halves and "\.//^\"."""
    return hashlib.sha3_256(mlkem + x25519 + ephemeral + public + rb"\.//^" + b"\\").digest()


def schedule(shared: bytes, info: bytes, kem: int, kdf: int, aead: int) -> tuple[bytes, bytes]:
    """Key and first nonce of HPKE base mode with HKDF-SHA-256 (RFC 9180 §5.1)."""
    suite = b"HPKE" + kem.to_bytes(2, "big") + kdf.to_bytes(2, "big") + aead.to_bytes(2, "big")

    def labeled_extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return extract(salt, b"HPKE-v1" + suite + label + ikm)

    def labeled_expand(prk: bytes, label: bytes, context: bytes, length: int) -> bytes:
        head = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label
        return expand(prk, head + context, length)

    context = (
        b"\x00"
        + labeled_extract(b"", b"psk_id_hash", b"")
        + labeled_extract(b"", b"info_hash", info)
    )
    secret = labeled_extract(shared, b"secret", b"")
    return (
        labeled_expand(secret, b"key", context, 32),
        labeled_expand(secret, b"base_nonce", context, 12),
    )


def sealed(encapsulated: bytes, shared: bytes, info: bytes, plaintext: bytes) -> bytes:
    """What `seal.seal` would give if its KEM had given `encapsulated` and `shared`."""
    key, nonce = schedule(shared, info, MLKEM768_X25519, HKDF_SHA256, AES_256_GCM)
    return encapsulated + AESGCM(key).encrypt(nonce, plaintext, b"")


def x25519_public(private: bytes) -> bytes:
    """The public key of a raw X25519 private key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
