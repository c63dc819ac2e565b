"""One caller's way to encrypted columns: what he is shown, what he may write and search."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from sqlalchemy import Column, Connection

from keystead.access.decision import Asked, Operation
from keystead.access.effect import Effect
from keystead.access.rejections import Refusals
from keystead.access.writing import Needed, needed_to_move, needed_to_write
from keystead.base.errors import Denied, Invalid, KeysteadError, NotFound, Tampered
from keystead.crypto.envelope import Scheme
from keystead.database.model import ColumnType, whole_number
from keystead.database.port import Row, Value
from keystead.sqlalchemy.column import Encrypted, as_text
from keystead.sqlalchemy.knowledge import (
    FRESH_SECONDS,
    Columns,
    KnownColumn,
    Name,
    Rights,
    is_fresh,
)
from keystead.sqlalchemy.link import Link, Used

_log = logging.getLogger("keystead.sqlalchemy")


class Caller:
    """One caller's way to the encrypted columns of an instance."""

    def __init__(self, link: Link, user: str | None, impersonate: str | None) -> None:
        self._link = link
        self._user = user
        self._impersonate = impersonate
        self._noted: dict[tuple[str, ...], float] = {}

    def __repr__(self) -> str:
        return f"Caller({self._user!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a caller leads to keys and is not pickled")

    def begin(self) -> None:
        """Prepare for a transaction that may write; what cannot be done now is tried again then."""
        try:
            columns = self._link.columns()
            rights = self._rights(columns)
            names = [name for name in columns.by_name if rights.effect(name).writable]
            self._link.prepare(names, rights.caller)
        except KeysteadError as error:
            _log.info("not prepared: %s", error.code)

    def effect(self, of: Encrypted) -> Effect:
        """How a column appears to the caller."""
        self._known(of)
        return self._rights(self._link.columns()).effect(of.where)

    def is_bound_to_rows(self, of: Encrypted) -> bool:
        """Whether its values open in their own row alone."""
        return self._known(of).configuration.scheme is Scheme.STANDARD

    def opener(self, of: Encrypted) -> Opener:
        """How the values of a column are shown, as of now."""
        known = self._known(of)
        effect = self.effect(of)
        if not effect.readable:
            self._note_decision(of.where, Operation.DECRYPT)
        return Opener(of, known, effect)

    def is_unique(self, of: Encrypted) -> bool:
        """Whether the database keeps its values apart, so that a conflict tells of one."""
        return self._known(of).is_unique

    def refuse_writing(self, of: Encrypted) -> None:
        """Refuse who may not write the column.

        Raises:
            Denied: and that is noted.
        """
        self._refuse_without(of, needed_to_write(is_unique=self.is_unique(of)))

    def refuse_moving(self, of: Encrypted) -> None:
        """Refuse who may not give rows of the column's table other keys.

        Raises:
            Denied: and that is noted.
        """
        self._refuse_without(of, needed_to_move(is_bound=self.is_bound_to_rows(of)))

    def text(self, of: Encrypted, value: Any) -> str:
        """A value as it is encrypted: a whole number as it is commonly written.

        Raises:
            Invalid: when it is not of the column's kind, or a number of more than 64 bits.
        """
        text, known = as_text(of, value), self._known(of)
        if of.kind is str and known.configuration.original_type != ColumnType.INTEGER:
            return text
        number = whole_number(of.column.name, text)
        if number is None:
            raise Invalid("value.number", column=of.column.name)
        return str(number)

    def seal(
        self, of: Encrypted, values: Sequence[Any], records: Sequence[bytes], used: Used
    ) -> list[str]:
        """Envelopes for values of the caller's, each opened again before it is written.

        The key is added to those `used`.

        Raises:
            Denied: when he may not write the column.
            Invalid: for a value that is not of the column's kind.
            NotFound: when no key encrypts.
            Conflict: when the key may not encrypt so often any more.
        """
        self.refuse_writing(of)
        clear = [self.text(of, value) for value in values]
        return self.seal_anew(of, clear, records, used)

    def seal_anew(
        self, of: Encrypted, clear: Sequence[str], records: Sequence[bytes], used: Used
    ) -> list[str]:
        """The same for clear values that move with their row (`refuse_moving`)."""
        known = self._known(of)
        if not known.is_ready:
            self._link.prepare([of.where], self._rights(self._link.columns()).caller)
            known = self._known(of)
        if known.refusal is not None or known.key_id is None:
            raise known.refusal or NotFound("key.none", module=known.module.name)
        used[known.key_id] = self._link.columns().moment
        if known.configuration.scheme is Scheme.STANDARD:
            self._link.take(known.key_id, len(clear))
        sealed = known.column.cipher(known.key_id).seal_many(clear, records)
        if known.column.open_many(sealed, records) != list(clear):
            where = known.configuration
            raise Tampered("value.tampered", table=where.table, column=where.column)
        return sealed

    def open_stored(
        self, of: Encrypted, stored: Sequence[Value], records: Sequence[bytes]
    ) -> list[str | None]:
        """The clear values behind stored ones, to move them or compare them: not to be shown."""
        return self._known(of).column.open_many(stored, records)

    def forms(self, column: Column[Any], wanted: Sequence[str]) -> list[str]:
        """Every stored form that one of the values may have.

        Raises:
            Denied: when he may not decrypt, and that is noted.
            Invalid: when equal values of the column are stored unequal, or for too large a number.
            NotFound: while one of the keys is suspended.
        """
        of: Any = column.type
        self.may_search(column)
        known = self._known(of)
        if known.configuration.scheme is not Scheme.EQUALITY:
            raise Invalid("query.standard", column=column.name)
        return [form for value in wanted for form in known.column.search_values(value)]

    def may_search(self, column: Column[Any]) -> bool:
        """True for who may decrypt.

        Raises:
            Denied: otherwise, and that is noted.
        """
        of: Any = column.type
        if self.effect(of).readable:
            return True
        refusals = Refusals()
        caller = self._rights(self._link.columns()).caller
        refusals.note_search(caller, *of.where)
        self._note_once(refusals, caller, "search", *of.where)
        self._note_decision(of.where, Operation.DECRYPT)
        raise Denied("query.denied", column=column.name)

    def has_attachments(self, table: str) -> bool:
        """Whether any row of a table has attachments, as of now."""
        return self._link.has_attachments(table)

    def follow(self, tx: Connection, table: str, old: Row, new: Row) -> None:
        """Let the attachments of a row go with it to its new key (`Link.follow`)."""
        self._link.follow(tx, table, old, new)

    def refuse_ended(self, used: Used) -> None:
        """Refuse to commit under keys that may not be used any more."""
        self._link.refuse_ended(used)

    def _known(self, of: Encrypted) -> KnownColumn:
        table, column = of.where
        known = self._link.columns().by_name.get((table, column))
        if known is None:
            raise NotFound("field.missing", table=table, column=f" '{column}'")
        return known

    def _rights(self, columns: Columns) -> Rights:
        return self._link.rights(columns, self._user, self._impersonate)

    def _refuse_without(self, of: Encrypted, needed: Needed) -> None:
        self._known(of)
        decisions = self._rights(self._link.columns()).decisions[of.where]
        for operation, code in needed:
            if not decisions[operation].allowed:
                self._note_decision(of.where, operation)
                raise Denied(code, column=of.column.name)

    def _note_decision(self, name: Name, operation: Asked) -> None:
        rights = self._rights(self._link.columns())
        decision = rights.decisions[name][operation]
        refusals = Refusals()
        refusals.note(decision)
        question = decision.question
        self._note_once(refusals, rights.caller, question.module.sys_id, question.operation)

    def _note_once(self, refusals: Refusals, caller: str, *what: str) -> None:
        if refusals and not is_fresh(self._noted.get(what, -FRESH_SECONDS)):
            self._noted[what] = time.monotonic()
            self._link.note(refusals, caller)


class Opener:
    """Shows the stored values of one column to one caller, with the keys of one moment."""

    def __init__(self, of: Encrypted, known: KnownColumn, effect: Effect) -> None:
        self._of = of
        self._column = known.column
        self._effect = effect

    def shown(self, stored: Sequence[Value], records: Sequence[bytes]) -> list[str | int | None]:
        """What he sees of each.

        Raises:
            Tampered: when one is not as Keystead wrote it.
            NotFound: when the key of one may not be used or is not held.
            Denied, Unavailable: when one is dark.
        """
        if not self._effect.readable:
            placeholder = self._effect.placeholder if self._of.kind is str else None
            return [placeholder] * len(stored)
        clear = self._column.open_many(stored, records)
        if self._of.kind is str:
            return list(clear)
        return [_as_number(self._of, text) if text else None for text in clear]


def _as_number(of: Encrypted, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid("value.number", column=of.column.name) from None
