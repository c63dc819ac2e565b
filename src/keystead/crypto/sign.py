"""One signature for everything: DSSE over canonical JSON, Ed25519 and ML-DSA-65 together.

Verification, step by step; each step refuses on its own:

1. the envelope is DSSE with exactly the two signatures of the named keys
2. both signatures are valid over the DSSE pre-authentication encoding (DSSE protocol, "PAE")
3. the payload is a JSON object in canonical form (RFC 8785)
4. `purpose` is the one the verifier expects
5. `audience` is the verifier
6. `sender` is the one whose keys these are
7. `issued` <= now < `expires`, give or take `CLOCK_SKEW_SECONDS`

A private key is stored as 32 bytes Ed25519 followed by the 32-byte ML-DSA seed; a public key as
32 + 1952 bytes.
"""

from __future__ import annotations

import base64
import json
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from keystead.base import clock
from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret

CLOCK_SKEW_SECONDS: Final = 60
PAYLOAD_TYPE: Final = "application/vnd.keystead+json"
_HALVES = ("ed25519", "ml-dsa-65")
_ED25519_SIZE = 32
Json = Any


def canonical(value: Json) -> bytes:
    """The canonical JSON form of `value` (RFC 8785)."""
    return rfc8785.dumps(value)


def digest(data: bytes) -> str:
    """SHA-256 (FIPS 180-4), 64 hexadecimal digits."""
    h = Hash(SHA256())
    h.update(data)
    return h.finalize().hex()


def new_private() -> Secret:
    """A fresh signing key, 64 bytes."""
    ed25519, mldsa = Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate()
    return Secret(ed25519.private_bytes_raw() + mldsa.private_bytes_raw())


def public_of(private: Secret) -> bytes:
    """The public key of a private one, 1984 bytes."""
    ed25519, mldsa = _private_halves(private)
    return ed25519.public_key().public_bytes_raw() + mldsa.public_key().public_bytes_raw()


def sign(
    private: Secret,
    *,
    purpose: str,
    sender: str,
    audience: str,
    lifetime_seconds: int,
    claims: Mapping[str, Json],
) -> dict[str, Json]:
    """A DSSE envelope over `claims` with purpose, sender, audience, issue and expiry times."""
    payload = canonical(
        {
            **claims,
            "purpose": purpose,
            "sender": sender,
            "audience": audience,
            "issued": clock.now(),
            "expires": clock.after(lifetime_seconds),
        }
    )
    ed25519, mldsa = _private_halves(private)
    message = _pre_authentication_encoding(payload)
    signatures = (ed25519.sign(message), mldsa.sign(message))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {"keyid": half, "sig": base64.b64encode(signature).decode()}
            for half, signature in zip(_HALVES, signatures, strict=True)
        ],
    }


def verify(
    public: bytes,
    envelope: Json,
    *,
    purpose: str,
    sender: str,
    audience: str,
    at_any_time: bool = False,
) -> dict[str, Json]:
    """The claims of an envelope that passes steps 1 to 7.

    `at_any_time` leaves out step 7: for what is no message, and holds whatever the clock says.

    Raises:
        Tampered: naming the step that refused.
    """
    payload = _verified_payload(public, envelope, purpose)
    claims = _claims(payload, purpose)
    if claims.get("purpose") != purpose:
        raise _refusal(purpose, "it was made for another purpose")
    if claims.get("audience") != audience:
        raise _refusal(purpose, "it is addressed to another instance")
    if claims.get("sender") != sender:
        raise _refusal(purpose, "it names another sender")
    if not at_any_time:
        _check_times(claims, purpose)
    return claims


def _verified_payload(public: bytes, envelope: Json, what: str) -> bytes:
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [
            base64.b64decode(entry["sig"], validate=True) for entry in envelope["signatures"]
        ]
        halves = tuple(entry["keyid"] for entry in envelope["signatures"])
        well_formed = envelope["payloadType"] == PAYLOAD_TYPE and halves == _HALVES
    except (KeyError, TypeError, ValueError, Base64Error):
        well_formed = False
    if not well_formed:
        raise _refusal(what, "it is not in the expected form")
    message = _pre_authentication_encoding(payload)
    try:
        ed25519 = Ed25519PublicKey.from_public_bytes(public[:_ED25519_SIZE])
        mldsa = MLDSA65PublicKey.from_public_bytes(public[_ED25519_SIZE:])
        ed25519.verify(signatures[0], message)
        mldsa.verify(signatures[1], message)
    except (InvalidSignature, ValueError):
        raise _refusal(what, "it does not match the sender's key") from None
    return payload


def _claims(payload: bytes, what: str) -> dict[str, Json]:
    try:
        claims = json.loads(payload)
        if isinstance(claims, dict) and canonical(claims) == payload:
            return claims
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        pass
    raise _refusal(what, "its content is not canonical")


def _check_times(claims: Mapping[str, Json], what: str) -> None:
    skew = timedelta(seconds=CLOCK_SKEW_SECONDS)
    now = clock.parse(clock.now())
    try:
        issued, expires = clock.parse(claims["issued"]), clock.parse(claims["expires"])
    except (KeyError, TypeError, ValueError):
        raise _refusal(what, "its times cannot be read") from None
    if issued > now + skew or expires <= issued:
        raise _refusal(what, "it is dated in the future")
    if expires <= now - skew:
        raise _refusal(what, "it has expired")


def _private_halves(private: Secret) -> tuple[Ed25519PrivateKey, MLDSA65PrivateKey]:
    ed25519, mldsa = private.split(_ED25519_SIZE)
    return (
        Ed25519PrivateKey.from_private_bytes(ed25519.reveal(REVEAL)),
        MLDSA65PrivateKey.from_seed_bytes(mldsa.reveal(REVEAL)),
    )


def _pre_authentication_encoding(payload: bytes) -> bytes:
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _refusal(what: str, reason: str) -> Tampered:
    return Tampered("signature.invalid", what=what, reason=reason)
