"""An AES key out of a PKCS#12 keystore (RFC 7292), in the form that Java's keytool writes.

A secret key is a SecretBag that holds a shrouded PKCS#8 structure. Each of these steps refuses:

1. the file is DER, and no other kind of Java keystore
2. its MAC is HMAC with SHA-2 and verifies: the passphrase is right, and nothing was changed
3. containers that are encrypted open by PBES2
4. exactly one secret key has the alias
5. it opens by PBES2, and is an AES key

Encryption is PBES2 (RFC 8018) with PBKDF2-HMAC-SHA-2 and AES-CBC. What older programs write (RC2,
3DES, SHA-1) is refused. Sizes and numbers of iterations are bounded.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Annotated, Final, TypeVar, cast

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.x509 import ObjectIdentifier

from keystead.base.errors import Invalid
from keystead.base.secret import REVEAL, Secret

LONGEST: Final = 1024 * 1024
MOST_ITERATIONS: Final = 1_000_000
_MOST_CONTAINERS = 16
_MOST_ENTRIES = 1_000
_VERSION = 3
_BLOCK_BITS = 128
_JAVA = (bytes.fromhex("cececece"), bytes.fromhex("feedfeed"))  # JCEKS, JKS
_BMP_STRING = b"\x1e"
_SEQUENCE = 0x30
_LONG_FORM = 0x80
_MAC_KEY = 3  # RFC 7292 appendix B.3

_DATA = "1.2.840.113549.1.7.1"
_ENCRYPTED_DATA = "1.2.840.113549.1.7.6"
_SHROUDED_BAG = "1.2.840.113549.1.12.10.1.2"
_SECRET_BAG = "1.2.840.113549.1.12.10.1.5"  # noqa: S105 - an object identifier
_FRIENDLY_NAME = "1.2.840.113549.1.9.20"
_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_AES = "2.16.840.1.101.3.4.1"
_AES_CBC = {f"{_AES}.2": 16, f"{_AES}.22": 24, f"{_AES}.42": 32}
_PRF: Final[dict[str, type[SHA256 | SHA384 | SHA512]]] = {
    "1.2.840.113549.2.9": SHA256,
    "1.2.840.113549.2.10": SHA384,
    "1.2.840.113549.2.11": SHA512,
}
_DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


@asn1.sequence
class _Algorithm:
    algorithm: ObjectIdentifier
    parameters: asn1.TLV


@asn1.sequence
class _PlainAlgorithm:
    algorithm: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _DigestInfo:
    algorithm: _PlainAlgorithm
    digest: bytes


@asn1.sequence
class _MacData:
    mac: _DigestInfo
    salt: bytes
    iterations: Annotated[int, asn1.Default(1)]


@asn1.sequence
class _ContentInfo:
    type: ObjectIdentifier
    content: Annotated[asn1.TLV, asn1.Explicit(0)]


@asn1.sequence
class _Pfx:
    version: int
    authenticated: _ContentInfo
    mac: _MacData | None


@asn1.sequence
class _EncryptedContent:
    type: ObjectIdentifier
    algorithm: _Algorithm
    content: Annotated[bytes, asn1.Implicit(0)]


@asn1.sequence
class _EncryptedData:
    version: int
    content: _EncryptedContent


@asn1.sequence
class _Attribute:
    type: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _Bag:
    type: ObjectIdentifier
    value: Annotated[asn1.TLV, asn1.Explicit(0)]
    attributes: asn1.SetOf[_Attribute] | None


@asn1.sequence
class _SecretBag:
    type: ObjectIdentifier
    value: Annotated[bytes, asn1.Explicit(0)]


@asn1.sequence
class _Shrouded:
    algorithm: _Algorithm
    content: bytes


@asn1.sequence
class _KeyInfo:
    version: int
    algorithm: _PlainAlgorithm
    key: bytes


@asn1.sequence
class _Pbes2:
    derivation: _Algorithm
    encryption: _Algorithm


@asn1.sequence
class _Pbkdf2:
    salt: bytes
    iterations: int
    length: int | None
    prf: _PlainAlgorithm | None


@asn1.sequence
class _Containers:
    items: list[_ContentInfo]


@asn1.sequence
class _Bags:
    items: list[_Bag]


_T = TypeVar("_T")


def secret_key(keystore: bytes, passphrase: Secret, alias: str | None) -> Secret:
    """The AES key under an alias, or the only secret key that there is.

    As in Java, letters of an alias are the same in upper and in lower case.

    Raises:
        Invalid: when one of the steps refuses; aliases are named only after step 2.
    """
    content = _authenticated(keystore, passphrase)
    found: list[tuple[str, bytes]] = []
    others: set[str] = set()
    for bag in _bags(content, passphrase):
        name = _alias(bag)
        if bag.type.dotted_string == _SECRET_BAG:
            inner = _inner(bag.value, _SecretBag)
            if inner.type.dotted_string != _SHROUDED_BAG:
                raise _form()
            found.append((name, inner.value))
        else:
            others.add(name.lower())
    wanted = [one for one in found if alias is None or one[0].lower() == alias.lower()]
    if len(wanted) != 1:
        known = ", ".join(sorted({name or "(no name)" for name, _ in found})) or "none"
        if wanted:
            raise Invalid("keystore.several", known=known)
        if alias is not None and alias.lower() in others:
            raise Invalid("keystore.kind", alias=alias, known=known)
        raise Invalid("keystore.alias", alias=alias or "", known=known)
    ((name, shrouded),) = wanted
    sealed = _parsed(_Shrouded, shrouded)
    info = _parsed(_KeyInfo, _opened(sealed.algorithm, sealed.content, passphrase))
    if info.algorithm.algorithm.dotted_string != _AES:
        raise Invalid("keystore.algorithm", alias=name)
    return Secret(info.key)


def _authenticated(keystore: bytes, passphrase: Secret) -> bytes:
    """The content of a keystore that passes steps 1 and 2."""
    if keystore.startswith(_JAVA):
        raise Invalid("keystore.java")
    if len(keystore) > LONGEST:
        raise _form()
    pfx = _parsed(_Pfx, keystore)
    if pfx.version != _VERSION or pfx.authenticated.type.dotted_string != _DATA or pfx.mac is None:
        raise _form()
    content = _octets(pfx.authenticated.content)
    given = pfx.mac.mac
    digest = _DIGESTS.get(given.algorithm.algorithm.dotted_string)
    if digest is None:
        raise Invalid("keystore.legacy")
    _bound(pfx.mac.iterations)
    key = _mac_key(digest, passphrase, pfx.mac.salt, pfx.mac.iterations)
    if not hmac.compare_digest(hmac.digest(key, content, digest), given.digest):
        raise Invalid("keystore.passphrase")
    return content


def _bags(content: bytes, passphrase: Secret) -> Iterator[_Bag]:
    """Every entry, also those in containers that are encrypted; step 3."""
    containers = _parsed(_Containers, _in_sequence(content)).items
    if len(containers) > _MOST_CONTAINERS:
        raise _form()
    entries = 0
    for container in containers:
        if container.type.dotted_string == _DATA:
            clear = _octets(container.content)
        elif container.type.dotted_string == _ENCRYPTED_DATA:
            sealed = _inner(container.content, _EncryptedData).content
            clear = _opened(sealed.algorithm, sealed.content, passphrase)
        else:
            raise _form()
        bags = _parsed(_Bags, _in_sequence(clear)).items
        entries += len(bags)
        if entries > _MOST_ENTRIES:
            raise _form()
        yield from bags


def _alias(bag: _Bag) -> str:
    for attribute in bag.attributes.as_list() if bag.attributes else []:
        values = attribute.values.as_list()
        if attribute.type.dotted_string == _FRIENDLY_NAME and len(values) == 1:
            if values[0].tag_bytes != _BMP_STRING:
                raise _form()
            try:
                return bytes(values[0].data).decode("utf-16-be")
            except UnicodeDecodeError:
                raise _form() from None
    return ""


def _opened(algorithm: _Algorithm, sealed: bytes, passphrase: Secret) -> bytes:
    """What PBES2 encrypted."""
    if algorithm.algorithm.dotted_string != _PBES2:
        raise Invalid("keystore.legacy")
    scheme = _inner(algorithm.parameters, _Pbes2)
    size = _AES_CBC.get(scheme.encryption.algorithm.dotted_string)
    if scheme.derivation.algorithm.dotted_string != _PBKDF2 or size is None:
        raise Invalid("keystore.legacy")
    how = _inner(scheme.derivation.parameters, _Pbkdf2)
    prf = _PRF.get(how.prf.algorithm.dotted_string) if how.prf else None  # absent means SHA-1
    if prf is None:
        raise Invalid("keystore.legacy")
    _bound(how.iterations)
    vector = _octets(scheme.encryption.parameters)
    if how.length not in (None, size) or len(vector) * 8 != _BLOCK_BITS:
        raise _form()
    key = PBKDF2HMAC(prf(), size, how.salt, how.iterations).derive(passphrase.reveal(REVEAL))
    cipher = Cipher(AES(key), CBC(vector)).decryptor()
    padding = PKCS7(_BLOCK_BITS).unpadder()
    try:
        padded = cipher.update(sealed) + cipher.finalize()
        return padding.update(padded) + padding.finalize()
    except ValueError:
        raise _form() from None


def _mac_key(digest: str, passphrase: Secret, salt: bytes, iterations: int) -> bytes:
    """The key derivation of RFC 7292 appendix B.2, as long as the digest: one round of it."""
    block = hashlib.new(digest).block_size
    # as a BMPString with its terminating zero
    text = passphrase.reveal(REVEAL).decode().encode("utf-16-be") + b"\0\0"
    filled = bytes([_MAC_KEY]) * block + _repeated(salt, block) + _repeated(text, block)
    for _ in range(iterations):
        filled = hashlib.new(digest, filled).digest()
    return filled


def _repeated(text: bytes, block: int) -> bytes:
    length = -(-len(text) // block) * block
    return (text * (length // len(text) + 1))[:length] if text else b""


def _bound(iterations: int) -> None:
    if not 1 <= iterations <= MOST_ITERATIONS:
        raise Invalid("keystore.iterations", most=MOST_ITERATIONS)


def _octets(value: asn1.TLV) -> bytes:
    return _inner(value, bytes)


def _inner(value: asn1.TLV, kind: type[_T]) -> _T:
    try:
        return cast("_T", value.parse(kind))
    except (ValueError, TypeError, OverflowError):
        raise _form() from None


def _parsed(kind: type[_T], data: bytes) -> _T:
    try:
        return asn1.decode_der(kind, data)
    except (ValueError, TypeError, OverflowError):
        raise _form() from None


def _in_sequence(data: bytes) -> bytes:
    """DER inside one more SEQUENCE: only a field can be read as a list."""
    size = len(data)
    if size < _LONG_FORM:
        return bytes((_SEQUENCE, size)) + data
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((_SEQUENCE, _LONG_FORM | len(length))) + length + data


def _form() -> Invalid:
    return Invalid("keystore.form")
