"""X25519, ML-KEM-768 and HPKE base mode over both, through `seal`, `unseal` and `public_of`.

`unseal` is fed whole sealed messages. Where a vector stops at the shared secret, or is for another
AEAD, `reference` makes the message from the vector's own encapsulated key and shared secret; the
reference is held against published vectors first.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import seal

from . import reference
from .files import CRYPTOGRAPHY, PYCRYPTODOME, rsp, wycheproof

PROTOCOL = "Protocol/wycheproof"
CIPHERTEXT = 1088  # of ML-KEM-768
PUBLIC = 1184
SEED = 64
PLAIN = b"a key of 32 bytes, or any other."
INFO = b"info"

SOME_SEED = bytes(range(64))
SOME_X25519 = bytes(range(100, 132))
SOME_EPHEMERAL = bytes(range(200, 232))
CHACHA20_POLY1305 = 3


def opened(private: bytes, sealed: bytes, info: bytes = INFO) -> bytes:
    return seal.unseal(Secret(private), sealed, info).reveal(REVEAL)


# the reference


def test_key_schedule() -> None:
    """RFC 9180: base mode, HKDF-SHA-256 and AES-256-GCM, with each of its KEMs."""
    suites = json.loads((CRYPTOGRAPHY / "HPKE" / "test-vectors.json").read_text())
    ours = [
        suite
        for suite in suites
        if (suite["mode"], suite["kdf_id"], suite["aead_id"]) == (0, 1, reference.AES_256_GCM)
    ]
    assert len(ours) == 4
    for suite in ours:
        shared, info = bytes.fromhex(suite["shared_secret"]), bytes.fromhex(suite["info"])
        key, nonce = reference.schedule(shared, info, suite["kem_id"], 1, reference.AES_256_GCM)
        assert (key.hex(), nonce.hex()) == (suite["key"], suite["base_nonce"])
        first = {name: bytes.fromhex(value) for name, value in suite["encryptions"][0].items()}
        assert AESGCM(key).decrypt(nonce, first["ct"], first["aad"]) == first["pt"]


def hybrid_kem() -> list[dict[str, bytes]]:
    content = json.loads((PYCRYPTODOME / "PublicKey" / "Hybrid" / "test-vectors.json").read_text())
    cases = content["mlkem768_x25519"]
    assert len(cases) == 10
    return [{name: bytes.fromhex(value) for name, value in case.items()} for case in cases]


def test_combiner() -> None:
    for case in hybrid_kem():
        mlkem = MLKEM768PrivateKey.from_seed_bytes(case["decapsulation_key_pq"])
        x25519 = X25519PrivateKey.from_private_bytes(case["decapsulation_key_t"])
        ephemeral = case["ciphertext"][CIPHERTEXT:]
        shared = reference.combined(
            mlkem.decapsulate(case["ciphertext"][:CIPHERTEXT]),
            x25519.exchange(X25519PublicKey.from_public_bytes(ephemeral)),
            ephemeral,
            case["encapsulation_key"][PUBLIC:],
        )
        assert shared == case["shared_secret"]


# the whole


def test_hybrid_kem() -> None:
    for case in hybrid_kem():
        private = case["decapsulation_key_pq"] + case["decapsulation_key_t"]
        assert hashlib.shake_256(case["decapsulation_key"]).digest(96) == private
        assert seal.public_of(Secret(private)) == case["encapsulation_key"]
        message = reference.sealed(case["ciphertext"], case["shared_secret"], INFO, PLAIN)
        assert opened(private, message) == PLAIN


@pytest.mark.parametrize(
    "path",
    [
        CRYPTOGRAPHY / "HPKE" / "hpke-pq-test-vectors.json",
        PYCRYPTODOME / PROTOCOL / "HPKE-PQ-test-vectors.json",
    ],
    ids=lambda path: path.name,
)
def test_hpke(path: Any) -> None:
    """HPKE with our KEM; their AEAD is ChaCha20-Poly1305, opened by the reference."""
    suites = [
        suite
        for suite in json.loads(path.read_text())
        if suite["kem_id"] == reference.MLKEM768_X25519
    ]
    assert Counter((suite["kdf_id"], suite["aead_id"]) for suite in suites) == {
        (reference.HKDF_SHA256, CHACHA20_POLY1305): 1,
        (0x11, CHACHA20_POLY1305): 1,
    }
    for suite in suites:
        shared, info = bytes.fromhex(suite["shared_secret"]), bytes.fromhex(suite["info"])
        private = hashlib.shake_256(bytes.fromhex(suite["skRm"])).digest(96)
        assert seal.public_of(Secret(private)).hex() == suite["pkRm"]
        message = reference.sealed(bytes.fromhex(suite["enc"]), shared, info, PLAIN)
        assert opened(private, message, info) == PLAIN
        if suite["kdf_id"] == reference.HKDF_SHA256:
            key, nonce = reference.schedule(shared, info, suite["kem_id"], 1, CHACHA20_POLY1305)
            assert (key.hex(), nonce.hex()) == (suite["key"], suite["base_nonce"])
            first = {name: bytes.fromhex(value) for name, value in suite["encryptions"][0].items()}
            assert ChaCha20Poly1305(key).decrypt(nonce, first["ct"], first["aad"]) == first["pt"]


def test_seal_is_hpke() -> None:
    """What `seal` makes is opened by the reference."""
    for case in hybrid_kem():
        private = case["decapsulation_key_pq"] + case["decapsulation_key_t"]
        public = case["encapsulation_key"]
        message = seal.seal(public, Secret(PLAIN), INFO)
        ciphertext, ephemeral = message[:CIPHERTEXT], message[CIPHERTEXT : CIPHERTEXT + 32]
        x25519 = X25519PrivateKey.from_private_bytes(private[SEED:])
        shared = reference.combined(
            MLKEM768PrivateKey.from_seed_bytes(private[:SEED]).decapsulate(ciphertext),
            x25519.exchange(X25519PublicKey.from_public_bytes(ephemeral)),
            ephemeral,
            public[PUBLIC:],
        )
        key, nonce = reference.schedule(
            shared, INFO, reference.MLKEM768_X25519, 1, reference.AES_256_GCM
        )
        assert AESGCM(key).decrypt(nonce, message[CIPHERTEXT + 32 :], b"") == PLAIN


# the ML-KEM half, beside an X25519 half of our own


def from_mlkem(ciphertext: bytes, shared: bytes) -> bytes:
    """A sealed message whose ML-KEM half is the given one."""
    ephemeral = reference.x25519_public(SOME_EPHEMERAL)
    public = reference.x25519_public(SOME_X25519)
    x25519 = X25519PrivateKey.from_private_bytes(SOME_EPHEMERAL).exchange(
        X25519PublicKey.from_public_bytes(public)
    )
    both = reference.combined(shared, x25519, ephemeral, public)
    return reference.sealed(ciphertext + ephemeral, both, INFO, PLAIN)


def test_mlkem_wycheproof() -> None:
    """Implicit rejection included. A ciphertext of another length than 1088 bytes never opens.

    Left out: seeds of another length than 64 bytes, which are no private key of ours.
    """
    cases = wycheproof(f"{PROTOCOL}/mlkem_768_test.json")
    usable = [case for case in cases if len(case.raw("seed")) == SEED]
    assert len(cases) - len(usable) == 20
    assert Counter(case.result for case in usable) == {"valid": 161, "invalid": 20}
    for case in usable:
        private = case.raw("seed") + SOME_X25519
        assert seal.public_of(Secret(private))[:PUBLIC] == case.raw("ek"), case.name
        if case.result == "valid":
            assert opened(private, from_mlkem(case.raw("c"), case.raw("K"))) == PLAIN, case.name
        else:
            with pytest.raises(Tampered):
                opened(private, from_mlkem(case.raw("c"), bytes(32)))


def test_mlkem_known_answers() -> None:
    cases = list(rsp(CRYPTOGRAPHY / "asymmetric" / "MLKEM" / "kat_MLKEM_768.rsp"))
    assert len(cases) == 1000
    for fields in cases:
        private = bytes.fromhex(fields["d"] + fields["z"]) + SOME_X25519
        message = from_mlkem(bytes.fromhex(fields["ct"]), bytes.fromhex(fields["ss"]))
        assert opened(private, message) == PLAIN, fields["count"]
    for fields in cases[::10]:
        private = bytes.fromhex(fields["d"] + fields["z"]) + SOME_X25519
        assert seal.public_of(Secret(private))[:PUBLIC].hex() == fields["pk"], fields["count"]


def test_mlkem_key_generation() -> None:
    cases = wycheproof(f"{PROTOCOL}/mlkem_768_keygen_seed_test.json")
    assert len(cases) == 100
    for case in cases:
        private = Secret(case.raw("seed") + SOME_X25519)
        assert seal.public_of(private)[:PUBLIC] == case.raw("ek"), case.name


def test_mlkem_public_keys() -> None:
    """`seal` refuses a public key that is not reduced or not 1184 bytes long, and no other."""
    cases = wycheproof(f"{PROTOCOL}/mlkem_768_encaps_test.json")
    assert Counter(case.result for case in cases) == {"valid": 133, "invalid": 132}
    x25519 = reference.x25519_public(SOME_X25519)
    for case in cases:
        public = case.raw("ek") + x25519
        if case.result == "valid":
            assert len(seal.seal(public, Secret(PLAIN), INFO)) == CIPHERTEXT + 32 + len(PLAIN) + 16
        else:
            with pytest.raises(Tampered):
                seal.seal(public, Secret(PLAIN), INFO)


# the X25519 half, beside an ML-KEM half of our own


def from_x25519(private: bytes, ephemeral: bytes, shared: bytes) -> bytes:
    """A sealed message whose X25519 half is the given one."""
    key = MLKEM768PrivateKey.from_seed_bytes(SOME_SEED).public_key()
    mlkem, ciphertext = key.encapsulate()
    both = reference.combined(mlkem, shared, ephemeral, reference.x25519_public(private))
    return reference.sealed(ciphertext + ephemeral, both, INFO, PLAIN)


def test_x25519_wycheproof() -> None:
    """Where the shared secret would be zero, the message does not open."""
    cases = wycheproof(f"{PROTOCOL}/x25519_test.json")
    assert Counter(case.result for case in cases) == {"valid": 264, "acceptable": 254}
    zero = [case for case in cases if "ZeroSharedSecret" in case.test["flags"]]
    assert len(zero) == 31
    for case in cases:
        private, public = case.raw("private"), case.raw("public")
        message = from_x25519(private, public, case.raw("shared"))
        if case in zero:
            with pytest.raises(Tampered):
                opened(SOME_SEED + private, message)
        else:
            assert opened(SOME_SEED + private, message) == PLAIN, case.name


def test_x25519_rfc_7748() -> None:
    cases = [
        {name: bytes.fromhex(fields[name]) for name in ("INPUT_SCALAR", "INPUT_U", "OUTPUT_U")}
        for fields in rsp(CRYPTOGRAPHY / "asymmetric" / "X25519" / "rfc7748.txt")
    ]
    assert len(cases) == 3
    for case in cases:
        message = from_x25519(case["INPUT_SCALAR"], case["INPUT_U"], case["OUTPUT_U"])
        assert opened(SOME_SEED + case["INPUT_SCALAR"], message) == PLAIN


def test_public_of_x25519() -> None:
    suites = json.loads((CRYPTOGRAPHY / "HPKE" / "test-vectors.json").read_text())
    pairs = {(suite["skRm"], suite["pkRm"]) for suite in suites if suite["kem_id"] == 0x20}
    assert len(pairs) == 32
    for private, public in pairs:
        made = seal.public_of(Secret(SOME_SEED + bytes.fromhex(private)))
        assert made[PUBLIC:].hex() == public
