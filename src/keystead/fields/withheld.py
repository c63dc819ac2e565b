"""Trying foreign keys on stored values: the proof that a withheld key really opens nothing.

A key is tried under its own id and under the id that each value names, so neither a renamed nor a
copied key would go unnoticed. The same routine with the right keys is the positive control.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from keystead.base.errors import Tampered
from keystead.base.secret import Secret
from keystead.crypto import envelope
from keystead.crypto.ciphers import ColumnCipher, column_cipher
from keystead.crypto.encoding import b64_decode
from keystead.database.port import Database
from keystead.fields import census
from keystead.fields.model import Configuration
from keystead.keys.hierarchy import Hierarchy

_KEY_ID = slice(len(envelope.MARKER) + 2, envelope.PREFIX_LENGTH - 1)


@dataclass(frozen=True, slots=True)
class Trial:
    """How many values were tried, and how many of them some given key opened."""

    tried: int
    opened: int


def try_keys(
    tx: Connection,
    database: Database,
    hierarchy: Hierarchy,
    given: list[tuple[bytes, Secret]],
    per_column: int | None,
) -> Trial:
    """Try keys (id and bytes) on the first `per_column` values of each encrypted column, or all."""
    tried = opened = 0
    for table, columns in census.configurations_by_table(tx, hierarchy).items():
        described = database.describe(tx, table)
        for configuration in columns:
            left = per_column
            keyring = _Keyring(configuration, given)
            for rows in census.pages(tx, database, described, [configuration.column]):
                page = rows[:left] if left is not None else rows
                for row in page:
                    value = row[-1]
                    if isinstance(value, str) and envelope.is_marked(value):
                        tried += 1
                        opened += keyring.opens(value, envelope.record(row[:-1]))
                if left is not None:
                    left -= len(page)
                    if left <= 0:
                        break
    return Trial(tried, opened)


class _Keyring:
    """The given keys as ciphers of one column, under their own ids and under those values name."""

    def __init__(self, configuration: Configuration, given: list[tuple[bytes, Secret]]) -> None:
        self._configuration = configuration
        self._given = given
        self._by_named: dict[bytes, list[ColumnCipher]] = {}

    def opens(self, value: str, record: bytes) -> bool:
        try:
            prefix, body = envelope.split(value)
            named = b64_decode(prefix[_KEY_ID])
        except Tampered:
            return False
        if named not in self._by_named:
            self._by_named[named] = list(self._ciphers(named))
        return any(_opens(cipher, body, record) for cipher in self._by_named[named])

    def _ciphers(self, named: bytes) -> Iterable[ColumnCipher]:
        where = self._configuration
        for key_id, secret in self._given:
            for used in {key_id, named}:
                yield column_cipher(where.scheme, used, secret, where.table, where.column)


def _opens(cipher: ColumnCipher, body: str, record: bytes) -> bool:
    try:
        cipher.open_many([body], [record])
    except Tampered:
        return False
    return True
