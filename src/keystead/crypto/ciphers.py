"""Encrypting the values of one column under one key (envelope format, clauses 5 and 6).

Both ciphers work on batches; one value is a batch of one. `open_many` raises for the first value
that does not open: a caller that wants to know which ones do opens them one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystead.base.errors import Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import envelope
from keystead.crypto.encoding import b64_decode_many, b64_encode_many, length_prefixed
from keystead.crypto.envelope import Scheme

_NONCE = 12
_CHUNK = 1024  # so many values at a time stay in the processor's cache on their way


class ColumnCipher(Protocol):
    """Encrypts and opens values of one column under one key."""

    prefix: str

    def seal_many(self, values: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """Envelopes for `values`; `records` names the row of each (`envelope.record`)."""
        ...

    def open_many(self, bodies: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """The clear values of encoded bodies (`envelope.bodies`).

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
        out: list[str] = []
        for some, their in _chunks(values, records):
            out += self._seal(some, their)
        return out

    def open_many(self, bodies: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """The clear values."""
        out: list[str] = []
        try:
            for some, their in _chunks(bodies, records):
                out += self._open(some, their)
        except (InvalidTag, ValueError):
            raise Tampered("envelope.malformed") from None
        return out

    def _seal(self, values: Sequence[str], records: Sequence[bytes]) -> list[str]:
        random = os.urandom(_NONCE * len(values))
        nonces = [random[at : at + _NONCE] for at in range(0, len(random), _NONCE)]
        encrypt, context, head = self._aead.encrypt, self._context, self.prefix
        sealed = [
            nonce + encrypt(nonce, value.encode(), context + record)
            for nonce, value, record in zip(nonces, values, records, strict=True)
        ]
        return [f"{head}{body}~" for body in b64_encode_many(sealed)]

    def _open(self, bodies: Sequence[str], records: Sequence[bytes]) -> list[str]:
        decrypt, context = self._aead.decrypt, self._context
        return [
            decrypt(nonce, sealed, context + record).decode()
            for (nonce, sealed), record in zip(
                b64_decode_many(bodies, _NONCE), records, strict=True
            )
        ]


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
        distinct = list(dict.fromkeys(values))
        bodies = b64_encode_many([encrypt(value.encode(), context) for value in distinct])
        sealed = {v: f"{head}{body}~" for v, body in zip(distinct, bodies, strict=True)}
        return [sealed[value] for value in values]

    def open_many(self, bodies: Sequence[str], records: Sequence[bytes]) -> list[str]:
        """The clear values; each distinct body is opened once."""
        del records
        decrypt, context = self._siv.decrypt, self._context
        distinct = list(dict.fromkeys(bodies))
        try:
            raws = b64_decode_many(distinct)
            clear = {
                b: decrypt(raw, context).decode()
                for b, (_, raw) in zip(distinct, raws, strict=True)
            }
        except (InvalidTag, ValueError):
            raise Tampered("envelope.malformed") from None
        return [clear[body] for body in bodies]


def _chunks(
    values: Sequence[str], records: Sequence[bytes]
) -> Iterator[tuple[Sequence[str], Sequence[bytes]]]:
    for at in range(0, max(len(values), len(records)), _CHUNK):
        yield values[at : at + _CHUNK], records[at : at + _CHUNK]


_CIPHERS: dict[Scheme, type[StandardCipher] | type[EqualityCipher]] = {
    Scheme.STANDARD: StandardCipher,
    Scheme.EQUALITY: EqualityCipher,
}


def column_cipher(
    scheme: Scheme, key_id: bytes, key: Secret, table: str, column: str
) -> ColumnCipher:
    """The cipher of `scheme` for one key and one column, named by its binding names."""
    return _CIPHERS[scheme](key_id, key, table, column)
