"""Encrypting the values of one column under one key (envelope format, clauses 5 and 6).

Both ciphers work on batches; one value is a batch of one. `open_many` raises for the first value
that does not open: a caller that wants to know which ones do opens them one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import envelope
from keystead.crypto.encoding import b64_decode, b64_encode, length_prefixed
from keystead.crypto.envelope import Scheme

_NONCE = 12


class ColumnCipher(Protocol):
    """Encrypts and opens values of one column under one key."""

    prefix: str

    def seal_many(self, values: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """Envelopes for `values`; `records` names the row of each (`envelope.record`)."""
        ...

    def open_many(self, bodies: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """The clear values of encoded bodies (`envelope.split`).

        Raises:
            Tampered: when one of them does not open in its row.
        """
        ...


class StandardCipher:
    """AES-256-GCM with a random nonce, bound to the record (clause 5; NIST SP 800-38D)."""

    def __init__(self, key_id: bytes, key: Secret, table: str, column: str) -> None:
        self.prefix = envelope.prefix(Scheme.STANDARD, key_id)
        self._context = envelope.context(Scheme.STANDARD, key_id, table, column)
        self._aead = AESGCM(key.reveal(REVEAL))

    def seal_many(self, values: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """Envelopes for `values`, each bound to its record."""
        nonces = os.urandom(_NONCE * len(values))
        encrypt, context, head = self._aead.encrypt, self._context, self.prefix
        out = []
        at = 0
        for value, record in zip(values, records, strict=True):
            nonce = nonces[at : at + _NONCE]
            at += _NONCE
            body = nonce + encrypt(nonce, value.encode(), context + record)
            out.append(head + b64_encode(body) + "~")
        return out

    def open_many(self, bodies: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """The clear values."""
        decrypt, context = self._aead.decrypt, self._context
        out = []
        try:
            for body, record in zip(bodies, records, strict=True):
                raw = b64_decode(body)
                out.append(decrypt(raw[:_NONCE], raw[_NONCE:], context + record).decode())
        except (InvalidTag, ValueError):
            raise Tampered("envelope.malformed") from None
        return out


class EqualityCipher:
    """AES-SIV under a key of the column's own: equal values stay equal (clause 6; RFC 5297)."""

    def __init__(self, key_id: bytes, key: Secret, table: str, column: str) -> None:
        self.prefix = envelope.prefix(Scheme.EQUALITY, key_id)
        self._context = [envelope.context(Scheme.EQUALITY, key_id, table, column)]
        names = length_prefixed(table.encode()) + length_prefixed(column.encode())
        derive = HKDF(SHA256(), length=64, salt=None, info=b"keystead/1/equality" + names)
        self._siv = AESSIV(derive.derive(key.reveal(REVEAL)))

    def seal_many(self, values: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """Envelopes for `values`; the records are not bound."""
        del records
        encrypt, context, head = self._siv.encrypt, self._context, self.prefix
        known: dict[str, str] = {}
        out = []
        for value in values:
            sealed = known.get(value)
            if sealed is None:
                sealed = head + b64_encode(encrypt(value.encode(), context)) + "~"
                known[value] = sealed
            out.append(sealed)
        return out

    def open_many(self, bodies: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """The clear values; each distinct body is opened once."""
        del records
        decrypt, context = self._siv.decrypt, self._context
        known: dict[str, str] = {}
        out = []
        try:
            for body in bodies:
                value = known.get(body)
                if value is None:
                    value = decrypt(b64_decode(body), context).decode()
                    known[body] = value
                out.append(value)
        except (InvalidTag, ValueError):
            raise Tampered("envelope.malformed") from None
        return out


_CIPHERS: dict[Scheme, type[StandardCipher] | type[EqualityCipher]] = {
    Scheme.STANDARD: StandardCipher,
    Scheme.EQUALITY: EqualityCipher,
}


def column_cipher(
    scheme: Scheme, key_id: bytes, key: Secret, table: str, column: str
) -> ColumnCipher:
    """The cipher of `scheme` for one key and one column, named by its binding names."""
    return _CIPHERS[scheme](key_id, key, table, column)
