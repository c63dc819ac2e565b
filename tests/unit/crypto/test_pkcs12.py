"""Keystores: keys come out as Java reads them; whatever else a file is, it is refused."""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.base.errors import Invalid
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import pkcs12

FOLDER = Path(__file__).parent / "keystores"
PASSPHRASE = "correct horse"
# as java.security.KeyStore says
BY_JAVA = {
    ("aes.p12", "one"): "34f97b1b4f192979321a51142241136398ef48bbfb74691c085d3d0e2f2e9659",
    ("aes.p12", "two"): "193d1fe1976fcd31b86359840b7aa14f8a90b67d2b130a8077fc3587638ccd66",
    ("aes.p12", "small"): "0adcf8aaf087e507546fdd5f86117e80",
    ("mixed.p12", "mixed"): "49de0168291941b3df2b23f5aad7a5f325eb54d4b2d39c7d8bf648a951589f64",
    ("converted.p12", "one"): "1e82118445304a87ccd409a3560f17fe8d3f0e468c2e2441a9e55b93a60d763c",
}


def opened(keystore: bytes, alias: str | None, passphrase: str = PASSPHRASE) -> bytes:
    found = pkcs12.secret_key(keystore, Secret(passphrase.encode()), alias)
    return found.reveal(REVEAL)


def refused(keystore: bytes, alias: str | None, passphrase: str = PASSPHRASE) -> str:
    with pytest.raises(Invalid) as caught:
        opened(keystore, alias, passphrase)
    assert caught.value.__cause__ is None
    return caught.value.code


@pytest.mark.parametrize(("file", "alias"), BY_JAVA)
def test_keys_come_out_as_java_reads_them(file: str, alias: str) -> None:
    content = (FOLDER / file).read_bytes()
    assert opened(content, alias).hex() == BY_JAVA[file, alias]
    assert opened(content, alias.upper()).hex() == BY_JAVA[file, alias]


def test_one_secret_key_needs_no_alias() -> None:
    content = (FOLDER / "converted.p12").read_bytes()
    assert opened(content, None).hex() == BY_JAVA["converted.p12", "one"]


@pytest.mark.parametrize(
    ("file", "alias", "code"),
    [
        ("aes.p12", "three", "keystore.alias"),
        ("aes.p12", "", "keystore.alias"),
        ("aes.p12", None, "keystore.several"),
        ("mixed.p12", "pair", "keystore.kind"),
        ("mixed.p12", "hmac", "keystore.algorithm"),
        ("mixed.p12", "triple", "keystore.algorithm"),
        ("openssl.p12", "openssl", "keystore.kind"),
        ("openssl.p12", None, "keystore.alias"),
        ("legacy.p12", "one", "keystore.legacy"),
        ("java.jceks", "one", "keystore.java"),
    ],
)
def test_another_entry_or_keystore_is_refused(file: str, alias: str | None, code: str) -> None:
    assert refused((FOLDER / file).read_bytes(), alias) == code


@pytest.mark.parametrize("passphrase", ["", "correct hors", "Correct horse", "correct horse "])
def test_another_passphrase_is_refused_and_names_no_alias(passphrase: str) -> None:
    content = (FOLDER / "aes.p12").read_bytes()
    assert refused(content, "nowhere", passphrase) == "keystore.passphrase"


def test_what_is_no_keystore_is_refused() -> None:
    whole = (FOLDER / "converted.p12").read_bytes()
    for bad in (b"", b"x", whole[:-1], whole + b"\0", b"0" * 500, whole[4:], b"\0" * 2_000_000):
        assert refused(bad, "one") == "keystore.form"


# --- keystores built here: what no program writes -------------------------------------------------


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    return der(0x30, *parts)


def number(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value: bytes) -> bytes:
    return der(4, value)


def oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    content = b""
    for part in (first * 40 + second, *rest):
        groups = [part & 0x7F]
        while part := part >> 7:
            groups.append(0x80 | part & 0x7F)
        content += bytes(reversed(groups))
    return der(6, content)


NULL = b"\x05\x00"
DATA, ENCRYPTED = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.6"
SHROUDED, SECRET_BAG = "1.2.840.113549.1.12.10.1.2", "1.2.840.113549.1.12.10.1.5"
SHA256, HMAC_SHA1, HMAC_SHA256 = (
    "2.16.840.1.101.3.4.2.1",
    "1.2.840.113549.2.7",
    "1.2.840.113549.2.9",
)
AES_KEY, AES_256_CBC, AES_128_CBC = (
    "2.16.840.1.101.3.4.1",
    "2.16.840.1.101.3.4.1.42",
    "2.16.840.1.101.3.4.1.2",
)


@dataclass(frozen=True)
class Recipe:
    """How a keystore is made."""

    key: bytes = bytes(range(32))
    passphrase: str = PASSPHRASE
    aliases: tuple[str, ...] = ("one",)
    iterations: int = 2
    mac_iterations: int = 2
    encrypted_container: bool = False
    scheme: str = "1.2.840.113549.1.5.13"
    derivation: str = "1.2.840.113549.1.5.12"
    cipher: str = AES_256_CBC
    cipher_size: int = 32
    prf: str | None = HMAC_SHA256
    algorithm: str = AES_KEY
    digest: str = SHA256
    digest_name: str = "sha256"
    mac: bool = True
    version: int = 3
    vector: int = 16
    name_tag: int = 0x1E
    inner: str = SHROUDED
    containers: int = 1

    def seal(self, clear: bytes) -> tuple[bytes, bytes]:
        salt, vector = os.urandom(20), os.urandom(16)
        name = "sha1" if self.prf in (None, HMAC_SHA1) else "sha256"
        iterations = min(max(self.iterations, 1), 1000)
        size = self.cipher_size
        key = hashlib.pbkdf2_hmac(name, self.passphrase.encode(), salt, iterations, size)
        padder = PKCS7(128).padder()
        encryptor = Cipher(AES(key), CBC(vector)).encryptor()
        sealed = encryptor.update(padder.update(clear) + padder.finalize()) + encryptor.finalize()
        prf = sequence(oid(self.prf), NULL) if self.prf else b""
        how = sequence(octets(salt), number(self.iterations), prf)
        parameters = sequence(
            sequence(oid(self.derivation), how),
            sequence(oid(self.cipher), octets(vector[: self.vector])),
        )
        return sequence(oid(self.scheme), parameters), sealed

    def bag(self, alias: str) -> bytes:
        info = sequence(number(0), sequence(oid(self.algorithm), NULL), octets(self.key))
        algorithm, sealed = self.seal(info)
        secret = octets(sequence(algorithm, octets(sealed)))
        name = der(self.name_tag, alias.encode("utf-16-be"))
        return sequence(
            oid(SECRET_BAG),
            der(0xA0, sequence(oid(self.inner), der(0xA0, secret))),
            der(0x31, sequence(oid("1.2.840.113549.1.9.20"), der(0x31, name))),
        )

    def container(self) -> bytes:
        bags = sequence(*(self.bag(alias) for alias in self.aliases))
        if not self.encrypted_container:
            return sequence(oid(DATA), der(0xA0, octets(bags)))
        algorithm, sealed = self.seal(bags)
        content = sequence(oid(DATA), algorithm, der(0x80, sealed))
        return sequence(oid(ENCRYPTED), der(0xA0, sequence(number(0), content)))

    def keystore(self) -> bytes:
        content = sequence(*[self.container()] * self.containers)
        parts = [number(self.version), sequence(oid(DATA), der(0xA0, octets(content)))]
        if self.mac:
            salt = os.urandom(8)
            key = mac_key(self.digest_name, self.passphrase, salt, min(self.mac_iterations, 1000))
            made = hmac.digest(key, content, self.digest_name)
            info = sequence(sequence(oid(self.digest), NULL), octets(made))
            # DER leaves a default out
            count = b"" if self.mac_iterations == 1 else number(self.mac_iterations)
            parts.append(sequence(info, octets(salt), count))
        return sequence(*parts)


def mac_key(name: str, passphrase: str, salt: bytes, iterations: int) -> bytes:
    """RFC 7292 appendix B.2 by its letter, for one block of output."""
    u, v = hashlib.new(name).digest_size, hashlib.new(name).block_size
    text = passphrase.encode("utf-16-be") + b"\0\0"

    def fill(of: bytes) -> bytes:
        wanted = v * ((len(of) + v - 1) // v)
        return bytes(of[i % len(of)] for i in range(wanted))

    value = bytes([3]) * v + fill(salt) + fill(text)
    for _ in range(max(iterations, 1)):
        value = hashlib.new(name, value).digest()
    assert len(value) == u
    return value


GOOD = Recipe()


@pytest.mark.parametrize("encrypted_container", [False, True])
@given(
    key=st.binary(min_size=1, max_size=64),
    passphrase=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    alias=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
@settings(max_examples=40, deadline=None)
def test_what_was_put_in_comes_out(
    encrypted_container: bool, key: bytes, passphrase: str, alias: str
) -> None:
    made = replace(
        GOOD,
        key=key,
        passphrase=passphrase,
        aliases=(alias, alias + "2"),
        encrypted_container=encrypted_container,
    )
    assert opened(made.keystore(), alias, passphrase) == key


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"mac_iterations": 1}, None),
        ({"cipher": AES_128_CBC, "cipher_size": 16}, None),
        ({"digest": "2.16.840.1.101.3.4.2.3", "digest_name": "sha512"}, None),
        ({"aliases": ("one", "ONE")}, "keystore.several"),
        ({"aliases": ()}, "keystore.alias"),
        ({"iterations": 0}, "keystore.iterations"),
        ({"iterations": -5}, "keystore.iterations"),
        ({"iterations": pkcs12.MOST_ITERATIONS + 1}, "keystore.iterations"),
        ({"iterations": 2**80}, "keystore.iterations"),
        ({"mac_iterations": 0}, "keystore.iterations"),
        ({"mac_iterations": pkcs12.MOST_ITERATIONS + 1}, "keystore.iterations"),
        ({"prf": None}, "keystore.legacy"),
        ({"prf": HMAC_SHA1}, "keystore.legacy"),
        ({"scheme": "1.2.840.113549.1.12.1.3"}, "keystore.legacy"),
        ({"derivation": "1.3.6.1.4.1.11591.4.11"}, "keystore.legacy"),
        ({"cipher": "1.2.840.113549.3.7"}, "keystore.legacy"),
        ({"digest": "1.3.14.3.2.26", "digest_name": "sha1"}, "keystore.legacy"),
        ({"algorithm": "1.2.840.113549.3.7"}, "keystore.algorithm"),
        ({"mac": False}, "keystore.form"),
        ({"version": 4}, "keystore.form"),
        ({"vector": 12}, "keystore.form"),
        ({"name_tag": 0x0C}, "keystore.form"),
        ({"inner": "1.2.840.113549.1.12.10.1.1"}, "keystore.form"),
        ({"containers": 17}, "keystore.form"),
        ({"aliases": ("one",) * 1001}, "keystore.form"),
    ],
)
@pytest.mark.parametrize("encrypted_container", [False, True])
def test_what_may_differ_and_what_may_not(
    changes: dict[str, Any], code: str | None, encrypted_container: bool
) -> None:
    made = replace(GOOD, encrypted_container=encrypted_container, **changes)
    if code is None:
        assert opened(made.keystore(), "one") == GOOD.key
    else:
        assert refused(made.keystore(), "one") == code


@pytest.mark.parametrize("encrypted_container", [False, True])
def test_a_changed_byte_anywhere_is_refused(encrypted_container: bool) -> None:
    whole = replace(GOOD, encrypted_container=encrypted_container).keystore()
    for at in range(len(whole)):
        for bit in (1, 0x80):
            changed = bytearray(whole)
            changed[at] ^= bit
            assert refused(bytes(changed), "one").startswith("keystore."), at


@given(content=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_anything_else_inside_a_good_seal_is_refused(content: bytes) -> None:
    """Somebody who knows the passphrase can put anything under the MAC."""
    key = mac_key("sha256", PASSPHRASE, b"salt", 2)
    for inside in (content, sequence(sequence(oid(DATA), der(0xA0, octets(content))))):
        made = hmac.digest(key, inside, "sha256")
        info = sequence(sequence(oid(SHA256), NULL), octets(made))
        keystore = sequence(
            number(3),
            sequence(oid(DATA), der(0xA0, octets(inside))),
            sequence(info, octets(b"salt"), number(2)),
        )
        assert refused(keystore, "one") in ("keystore.form", "keystore.alias")


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_bag_inside_a_good_seal_never_gives_another_error(data: st.DataObject) -> None:
    content = bytearray(sequence(GOOD.container()))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    key = mac_key("sha256", PASSPHRASE, b"salt", 2)
    made = hmac.digest(key, bytes(content), "sha256")
    keystore = sequence(
        number(3),
        sequence(oid(DATA), der(0xA0, octets(bytes(content)))),
        sequence(sequence(sequence(oid(SHA256), NULL), octets(made)), octets(b"salt"), number(2)),
    )
    with suppress(Invalid):  # and no other error
        opened(keystore, "one")
