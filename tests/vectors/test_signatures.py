"""Ed25519 and ML-DSA-65, through `sign.sign` and the second step of `sign.verify`.

Both sign one message together: the DSSE pre-authentication encoding of a canonical payload. To feed
a vector to one half, that encoding is replaced by the vector's own message, and the other half by
one that signs nothing and accepts everything. So the half under test decides alone.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from keystead.base.errors import Tampered
from keystead.base.secret import Secret
from keystead.crypto import sign

from .files import CRYPTOGRAPHY, PYCRYPTODOME, Case, rsp, wycheproof

ED25519_KEY = bytes(32)  # what stands in the place of the half that is not under test
MLDSA_SIGNATURE = 3309


class Other:
    """The half that is not under test."""

    @classmethod
    def of(cls, raw: bytes) -> Other:
        return cls()

    from_private_bytes = from_public_bytes = from_seed_bytes = of

    def sign(self, message: bytes) -> bytes:
        return b""

    def verify(self, signature: bytes, message: bytes) -> None:
        return None


@pytest.fixture
def _the_message_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign, "_pre_authentication_encoding", lambda payload: payload)


@pytest.fixture
def _ed25519_alone(_the_message_as_it_is: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign, "MLDSA65PrivateKey", Other)
    monkeypatch.setattr(sign, "MLDSA65PublicKey", Other)


@pytest.fixture
def _mldsa_alone(_the_message_as_it_is: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign, "Ed25519PrivateKey", Other)
    monkeypatch.setattr(sign, "Ed25519PublicKey", Other)


def envelope(message: bytes, ed25519: bytes, mldsa: bytes) -> dict[str, Any]:
    return {
        "payloadType": sign.PAYLOAD_TYPE,
        "payload": base64.b64encode(message).decode(),
        "signatures": [
            {"keyid": half, "sig": base64.b64encode(signature).decode()}
            for half, signature in (("ed25519", ed25519), ("ml-dsa-65", mldsa))
        ],
    }


def is_accepted(public: bytes, signed: dict[str, Any]) -> bool:
    try:
        message = sign._verified_payload(public, signed, "vector")
    except Tampered as error:
        if error.facts["reason"] != "it does not match the sender's key":
            raise
        return False
    assert message == base64.b64decode(signed["payload"])
    return True


def ed25519_is_accepted(public: bytes, message: bytes, signature: bytes) -> bool:
    return is_accepted(public, envelope(message, signature, b""))


def mldsa_is_accepted(public: bytes, message: bytes, signature: bytes) -> bool:
    return is_accepted(ED25519_KEY + public, envelope(message, b"", signature))


@pytest.mark.usefixtures("_ed25519_alone")
def test_ed25519_wycheproof() -> None:
    """The acceptable ones are public keys of small or mixed order: either answer is right."""
    cases = wycheproof("Signature/wycheproof/ed25519_test.json")
    assert Counter(case.result for case in cases) == {"valid": 117, "invalid": 64, "acceptable": 29}
    for case in cases:
        public = bytes.fromhex(case.group["publicKey"]["pk"])
        accepted = ed25519_is_accepted(public, case.raw("msg"), case.raw("sig"))
        if case.result != "acceptable":
            assert accepted == (case.result == "valid"), case.name


@pytest.mark.usefixtures("_ed25519_alone")
def test_ed25519_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (CRYPTOGRAPHY / "asymmetric" / "Ed25519" / "sign.input").read_text().splitlines()
    assert len(lines) == 1024
    message = b""
    monkeypatch.setattr(sign, "canonical", lambda value: message)
    for line in lines:
        private, public, message, signed = (bytes.fromhex(part) for part in line.split(":")[:4])
        made = sign.sign(
            Secret(private[:32]),
            purpose="",
            sender="",
            audience="",
            lifetime_seconds=60,
            claims={},
        )
        assert base64.b64decode(made["signatures"][0]["sig"]) + message == signed
        assert ed25519_is_accepted(public, message, signed[:64])


def test_public_of_ed25519() -> None:
    lines = (CRYPTOGRAPHY / "asymmetric" / "Ed25519" / "sign.input").read_text().splitlines()
    mldsa = bytes(32)
    for line in lines[::8]:
        private, public = (bytes.fromhex(part) for part in line.split(":")[:2])
        assert sign.public_of(Secret(private[:32] + mldsa))[:32] == public


def uses_context(case: Case) -> bool:
    return bool(case.test.get("ctx"))


@pytest.mark.usefixtures("_mldsa_alone")
def test_mldsa_wycheproof_verify() -> None:
    """A signature made for another context than the empty one is refused, valid or not."""
    cases = wycheproof("Signature/wycheproof/mldsa_65_verify_test.json")
    counts = Counter((case.result, uses_context(case)) for case in cases)
    assert counts == {
        ("valid", False): 77,
        ("valid", True): 2,
        ("invalid", False): 126,
        ("invalid", True): 5,
    }
    for case in cases:
        public = bytes.fromhex(case.group["publicKey"])
        accepted = mldsa_is_accepted(public, case.raw("msg"), case.raw("sig"))
        assert accepted == (case.result == "valid" and not uses_context(case)), case.name


def mldsa_public_of(seed: bytes) -> bytes:
    return sign.public_of(Secret(ED25519_KEY + seed))[32:]


def of_signing() -> list[Case]:
    """The cases that give a message and a seed of 32 bytes, with what is left out counted.

    Ours are hedged (FIPS 204 §3.4), so a given signature cannot be made again: it is verified.
    """
    cases = wycheproof("Signature/wycheproof/mldsa_65_sign_seed_test.json")
    kinds = Counter(case.test["flags"][-1] for case in cases if not is_of_message(case))
    assert kinds == {"Internal": 17, "InvalidContext": 1, "IncorrectPrivateKeyLength": 3}
    found = [case for case in cases if is_of_message(case)]
    assert Counter(uses_context(case) for case in found) == {False: 81, True: 3}
    return found


def is_of_message(case: Case) -> bool:
    return "msg" in case.test and case.result == "valid"


@pytest.mark.usefixtures("_mldsa_alone")
def test_mldsa_wycheproof_sign() -> None:
    for case in of_signing():
        public = bytes.fromhex(case.group["publicKey"])
        accepted = mldsa_is_accepted(public, case.raw("msg"), case.raw("sig"))
        assert accepted != uses_context(case), case.name


def test_public_of_mldsa_wycheproof() -> None:
    pairs = {(case.group["privateSeed"], case.group["publicKey"]) for case in of_signing()}
    assert len(pairs) == 20
    for seed, public in pairs:
        assert mldsa_public_of(bytes.fromhex(seed)).hex() == public


def test_a_seed_of_another_length_is_refused() -> None:
    cases = wycheproof("Signature/wycheproof/mldsa_65_sign_seed_test.json")
    refused = [case for case in cases if "IncorrectPrivateKeyLength" in case.test["flags"]]
    assert len(refused) == 3
    for case in refused:
        with pytest.raises(ValueError, match="seed"):
            mldsa_public_of(bytes.fromhex(case.group["privateSeed"]))


def test_public_of_mldsa_acvp() -> None:
    content = json.loads((PYCRYPTODOME / "PublicKey/MLDSA/ML-DSA-keyGen-FIPS204.json").read_text())
    [group] = [each for each in content["testGroups"] if each["parameterSet"] == "ML-DSA-65"]
    assert len(group["tests"]) == 3
    for test in group["tests"]:
        assert mldsa_public_of(bytes.fromhex(test["seed"])).hex().upper() == test["pk"]


@pytest.mark.usefixtures("_mldsa_alone")
def test_mldsa_openssl() -> None:
    """A hedged signature of the word "message" with the empty context, by OpenSSL."""
    folder = PYCRYPTODOME / "PublicKey" / "MLDSA"
    signature = bytes.fromhex((folder / "openssl_ml_dsa_65_sig_message.hex").read_text())
    public = (folder / "openssl_ml_dsa_65_public.der").read_bytes()[-1952:]
    assert mldsa_is_accepted(public, b"message", signature)
    assert not mldsa_is_accepted(public, b"massage", signature)


def test_mldsa_known_answers() -> None:
    """Seed to public key through `public_of`; the signatures all have a context: below it."""
    cases = list(rsp(CRYPTOGRAPHY / "asymmetric" / "MLDSA" / "kat_MLDSA_65_det_pure.rsp"))
    assert len(cases) == 100
    for fields in cases:
        public = mldsa_public_of(bytes.fromhex(fields["xi"]))
        assert public.hex() == fields["pk"], fields["count"]
        message, context = bytes.fromhex(fields["msg"]), bytes.fromhex(fields["ctx"])
        signed = bytes.fromhex(fields["sm"])
        assert context
        assert signed[MLDSA_SIGNATURE:] == message
        MLDSA65PublicKey.from_public_bytes(public).verify(
            signed[:MLDSA_SIGNATURE], message, context
        )
