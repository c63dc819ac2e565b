"""Opening and sealing the values of one encrypted column.

A stored value is one of: NULL or empty (itself), an envelope under a key that the column may hold,
or, while the column is mixed, plain text. Everything else is Tampered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection

from keystead.base.errors import Denied, KeysteadError, NotFound, Tampered, Unavailable
from keystead.crypto import envelope
from keystead.crypto.ciphers import ColumnCipher, column_cipher
from keystead.crypto.envelope import MARKER, PREFIX_LENGTH
from keystead.database.model import ColumnType, whole_number
from keystead.database.port import Value
from keystead.fields import service
from keystead.fields.model import Configuration, Phase
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


class EncryptedColumn:
    """One column with the keys that open it, as they stood when it was made."""

    def __init__(self, tx: Connection, hierarchy: Hierarchy, configuration: Configuration) -> None:
        self.configuration = configuration
        self._ciphers: dict[str, ColumnCipher] = {}
        self._key_ids: dict[str, str] = {}
        self._refusals: dict[str, KeysteadError] = {}
        self._hierarchy = hierarchy
        self._ekek_ids: dict[str, str] = {}
        self._was_dark = False
        held = {row["sys_id"]: row for row in keys.keys_of(tx, hierarchy, configuration.spec_id)}
        for key_id in service.key_ids(tx, hierarchy, configuration):
            prefix = envelope.prefix(configuration.scheme, bytes.fromhex(key_id))
            self._key_ids[prefix] = key_id
            if key_id not in held or not keys.can_open(held[key_id]):
                known = held.get(key_id)
                self._refusals[prefix] = (
                    keys.refusal(known) if known else NotFound("key.not_held", key=key_id)
                )
                continue
            ekek_id = held[key_id]["ekek_id"]
            try:
                secret = keys.open_key(tx, hierarchy, held[key_id])
            except (Denied, Unavailable) as dark:
                self._refusals[prefix] = dark
                self._was_dark = True
                continue
            if ekek_id is not None:
                self._ekek_ids[prefix] = ekek_id
            self._ciphers[prefix] = column_cipher(
                configuration.scheme,
                bytes.fromhex(key_id),
                secret,
                configuration.table,
                configuration.column,
            )

    @property
    def is_dark(self) -> bool:
        """Whether a key may not be used now; a provider is asked where no lease lasts."""
        return self._was_dark or any(
            self._hierarchy.ekeks.refusal(ekek_id) for ekek_id in set(self._ekek_ids.values())
        )

    def cipher(self, key_id: str) -> ColumnCipher:
        """The cipher of one key.

        Raises:
            NotFound: when the key is not held.
            Denied, Unavailable: when it is dark.
        """
        prefix = envelope.prefix(self.configuration.scheme, bytes.fromhex(key_id))
        refusal = self._refusal(prefix)
        if refusal is not None:
            raise refusal
        if prefix not in self._ciphers:
            raise NotFound("key.not_held", key=key_id)
        return self._ciphers[prefix]

    def _refusal(self, prefix: str) -> KeysteadError | None:
        """Why a known key may not be used: asked for each batch, since a lease may have ended."""
        ekek_id = self._ekek_ids.get(prefix)
        if ekek_id is not None:
            return self._hierarchy.ekeks.refusal(ekek_id)
        return self._refusals.get(prefix)

    def key_of(self, prefix: str) -> str | None:
        """The id of the key that a prefix names, if the column may hold it."""
        return self._key_ids.get(prefix)

    def may_hold(self, key_id: str) -> bool:
        """Whether values under this key may stand in the column."""
        return key_id in self._key_ids.values()

    def open_many(self, values: Sequence[Value], records: Sequence[bytes]) -> list[str | None]:
        """The clear values; `records` names the row of each.

        Raises:
            Tampered: when one is not as Keystead wrote it.
            NotFound: when the key of one is known and not held.
        """
        texts = [value for value in values if isinstance(value, str)]
        prefixes = {text[:PREFIX_LENGTH] for text in texts}
        if len(texts) == len(values) and len(prefixes) == 1:
            (prefix,) = prefixes
            if envelope.is_marked(prefix):
                return [*self._open_under(prefix, texts, records)]
        return self._open_mixed(values, records)

    def _open_mixed(self, values: Sequence[Value], records: Sequence[bytes]) -> list[str | None]:
        """`open_many` of values that are not all envelopes under one key."""
        out: list[str | None] = []
        by_prefix: defaultdict[str, list[int]] = defaultdict(list)
        sealed = self.configuration.phase is Phase.SEALED
        for at, value in enumerate(values):
            if value is not None and not isinstance(value, str):
                raise self._tampered()
            out.append(value)
            if not value:
                continue
            if value.startswith(MARKER):
                by_prefix[value[:PREFIX_LENGTH]].append(at)
            elif sealed:
                raise self._tampered()
        for prefix, places in by_prefix.items():
            opened = self._open_under(
                prefix, [str(values[at]) for at in places], [records[at] for at in places]
            )
            for at, clear in zip(places, opened, strict=True):
                out[at] = clear
        return out

    def _open_under(
        self, prefix: str, values: Sequence[str], records: Sequence[bytes]
    ) -> list[str]:
        refusal = self._refusal(prefix)
        cipher = self._ciphers.get(prefix)
        if refusal is not None or cipher is None:
            raise refusal or self._tampered()
        try:
            return cipher.open_many(envelope.bodies(values), records)
        except Tampered:
            raise self._tampered() from None

    def open_held(
        self, values: Sequence[Value], records: Sequence[bytes]
    ) -> tuple[list[str | None], dict[int, KeysteadError]]:
        """The clear values, empty where the key is known but not held or dark; and why, by place.

        Raises:
            Tampered: when one is not as Keystead wrote it.
        """
        prefixes = {v[:PREFIX_LENGTH] for v in values if isinstance(v, str)}
        known = prefixes & self._key_ids.keys()
        refusals = {p: refusal for p in known if (refusal := self._refusal(p)) is not None}
        refused = {
            at: refusals[value[:PREFIX_LENGTH]]
            for at, value in enumerate(values)
            if refusals and isinstance(value, str) and value[:PREFIX_LENGTH] in refusals
        }
        held = ["" if at in refused else value for at, value in enumerate(values)]
        try:
            return self.open_many(held, records), refused
        except (Denied, Unavailable):  # a lease ended just now
            return self.open_held(values, records)

    def search_values(self, wanted: str) -> list[str]:
        """Every stored form that a value may have in an equality preserving column.

        While several keys are live, one for each; while the column is mixed, the clear text too.
        In a column of whole numbers `042` looks for 42.

        Raises:
            Invalid: for a whole number of more than 64 bits in such a column.
            NotFound: while one of the keys is suspended: rows under it would be missed in silence.
            Denied, Unavailable: while one of them is dark, for the same reason.
        """
        for prefix in self._key_ids:
            refusal = self._refusal(prefix)
            if refusal is not None and refusal.code != "key.not_held":
                raise refusal
        if self.configuration.original_type == ColumnType.INTEGER:
            number = whole_number(self.configuration.column, wanted)
            wanted = wanted if number is None else str(number)
        forms = [cipher.seal_many([wanted], [b""])[0] for cipher in self._ciphers.values()]
        if self.configuration.phase is Phase.MIXED and not envelope.is_marked(wanted):
            forms.append(wanted)
        return forms if wanted else [wanted]

    def _tampered(self) -> Tampered:
        where = self.configuration
        return Tampered("value.tampered", table=where.table, column=where.column)
