"""Rows of a business table as one user may write them.

An encrypted column takes values from who may encrypt with its module. They are sealed under the
active key and bound to the row's key as the database keeps it, which may differ from how it was
given: so the row is written first, without them, read again by its key, and then given them. What
is written is read again and opened.

Somebody who may not decrypt was shown an empty value or asterisks: writing that back leaves the
stored one as it is, so nothing is lost by saving a form. So does an empty value for one whose key
cannot be used now. A row whose key changes has its values
sealed anew, since they are bound to it; that takes the right to decrypt and to encrypt them, or
whether it succeeds would tell if there is one. Its attachments go with it, and are removed with it.

Transactions that write are serial; other programs' changes are met by compare and set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from keystead.access.writing import (
    Needed,
    is_absent,
    is_unchanged,
    needed_to_move,
    needed_to_write,
)
from keystead.attachments import service as attachments
from keystead.base.errors import Conflict, Denied, Invalid, NotFound, Tampered
from keystead.base.ids import new_id
from keystead.crypto import envelope
from keystead.crypto.envelope import Scheme
from keystead.database.model import Column, ColumnType, Table, refuse_nul, whole_number
from keystead.database.port import Row, Value, change
from keystead.database.query import EVERY_ROW, Condition, Operator, Order, Query
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.usage import Use
from keystead.records.reading import View

Values = Mapping[str, Value]
_GREATEST = 2**63 - 1


class Writer:
    """One table as one user may write it, inside a transaction that writes."""

    def __init__(self, view: View, hierarchy: Hierarchy, use: Use) -> None:
        self._tx = view.tx
        self._database = view.database
        self._hierarchy = hierarchy
        self._visible = view.visible
        self._searched = view.searched
        self._caller = view.caller
        self._use = use
        self.table: Table = view.table
        if not self.table.primary_key:
            raise Invalid("record.no_key", table=self.table.name)

    def insert(self, values: Values) -> Row:
        """Write a new row; its primary key as it is stored, made here where it was not given.

        Raises:
            NotFound: for a column that is not there.
            Denied: for a value that the user may not encrypt.
            Invalid: for a value that does not fit its column, or is kept otherwise than as given.
            Conflict: when a constraint of the table forbids it.
        """
        given = {n: self._fitting(n, v) for n, v in values.items() if not self._is_absent(n, v)}
        clear: dict[str, str] = {}
        for name in self._visible.encrypted:
            value = given.get(name)
            if value not in ("", None):
                self._refuse_unless_writable(name)
                clear[name] = str(value)
            # said in any case: a default of the database would be plain text
            given[name] = "" if value == "" else self._nothing(name, clear)
        key = tuple(self._key_part(name, given) for name in self.table.primary_key)
        given.update(zip(self.table.primary_key, key, strict=True))
        unbound = {n: v for n, v in clear.items() if not self._is_bound(n)}
        given.update(self._sealed(unbound, b""))
        with self._constraints():
            row = tuple(given.values())
            self._database.insert(self._tx, self.table.name, tuple(given), [row])
        made, stored = self._kept(key)
        bound = {n: v for n, v in clear.items() if self._is_bound(n)}
        self._set(made, stored, self._sealed(bound, envelope.record(made)))
        self._reopen(made, clear)
        return made

    def update(self, key: Row, values: Values) -> Row:
        """Change a row; its primary key afterwards, as it is stored.

        Raises:
            NotFound: when there is no such row, or for a column that is not there.
            Denied, Invalid, Conflict: as for `insert`; the row stays as it was.
        """
        old, stored = self._found(key)
        given = {
            n: self._fitting(n, v)
            for n, v in values.items()
            if not self._is_as_shown(n, v, stored, old)
        }
        parts = dict(zip(self.table.primary_key, old, strict=True))
        moved = {n: given[n] for n, part in parts.items() if str(given.get(n, part)) != str(part)}
        for name in parts:
            if given.get(name, name) in ("", None) and name in moved:
                raise Invalid("value.missing", column=name)
        if moved:
            self._refuse_to_move()
        clear: dict[str, str] = {}
        emptied: dict[str, Value] = {}
        for name in self._visible.encrypted:
            value = given.get(name)
            if name in given and not self._is_unchanged(name, value, stored[name], old):
                self._refuse_unless_writable(name)
                if value in ("", None):
                    emptied[name] = value
                else:
                    clear[name] = str(value)
            elif moved and self._is_bound(name) and stored[name] not in ("", None):
                clear[name] = self._opened(name, stored[name], old)
        self._change(old, {n: v for n, v in given.items() if n in moved or self._is_plain(n)})
        new = self._kept(tuple({**parts, **moved}.values()))[0] if moved else old
        self._set(new, stored, {**emptied, **self._sealed(clear, envelope.record(new))})
        self._reopen(new, clear)
        if new != old:
            attachments.follow(self._tx, self._hierarchy, self.table.name, old, new)
        return new

    def delete(self, key: Row) -> Row:
        """Remove a row and its attachments; its primary key as it was stored.

        `attachments.clear` takes the pieces of attachments away later.

        Raises:
            NotFound: when there is no such row.
            Conflict: when a constraint of another table forbids it.
        """
        old, _ = self._found(key)
        names = self.table.primary_key
        with self._constraints():
            removed = self._database.delete(self._tx, self.table.name, names, old)
        self._refuse_changed(removed)
        attachments.remove_of_record(self._tx, self.table.name, old)
        return old

    # --- rows ---

    def _found(self, key: Row) -> tuple[Row, dict[str, Value]]:
        """The primary key of a row as it is stored, and what its encrypted columns hold.

        Raises:
            NotFound: when there is no such row.
        """
        found = self._select(key)
        if found is None:
            raise NotFound("record.missing", table=self.table.name)
        return found

    def _kept(self, key: Row) -> tuple[Row, dict[str, Value]]:
        """The same of a row that was just written under this key.

        Raises:
            Invalid: when it is not found by it.
        """
        found = self._select(key)
        if found is None or (found[0] != key and self._select(found[0]) != found):
            raise Invalid("record.key_form", table=self.table.name)
        return found

    def _select(self, key: Row) -> tuple[Row, dict[str, Value]] | None:
        names = self.table.primary_key
        conditions = [
            Condition(name, Operator.EQUAL, (str(part),))
            for name, part in zip(names, key, strict=True)
        ]
        columns = tuple(self._visible.encrypted)
        rows = self._database.select(
            self._tx, self.table.name, (*names, *columns), EVERY_ROW.narrowed(conditions), 2
        )
        if len(rows) != 1:
            return None
        (row,) = rows
        if columns and not all(isinstance(part, int | str) for part in row[: len(names)]):
            raise Invalid("record.key_form", table=self.table.name)
        return row[: len(names)], dict(zip(columns, row[len(names) :], strict=True))

    def _set(self, key: Row, stored: Mapping[str, Value], values: Mapping[str, Value]) -> None:
        """Put values into encrypted columns where what was read still stands."""
        if not values:
            return
        one = change(key, tuple(stored[name] for name in values), tuple(values.values()))
        with self._constraints():
            names, columns = self.table.primary_key, tuple(values)
            applied = self._database.compare_and_set(
                self._tx, self.table.name, names, columns, [one]
            )
        self._refuse_changed(applied)

    def _change(self, key: Row, values: Values) -> None:
        """Set columns that are not encrypted."""
        if not values:
            return
        names = self.table.primary_key
        with self._constraints():
            changed = self._database.update(self._tx, self.table.name, names, key, values)
        self._refuse_changed(changed)

    def _refuse_changed(self, rows: int) -> None:
        """Refuse to go on when another program changed or removed the row meanwhile."""
        if rows != 1:
            raise Conflict("row.changed", what=f"The record in '{self.table.name}'")

    def _reopen(self, key: Row, clear: Mapping[str, str]) -> None:
        """Read what was sealed as it is stored now, and open it.

        Raises:
            Tampered: when it is not what was to be written.
        """
        if not clear:
            return
        made, stored = self._kept(key)
        for name, value in clear.items():
            if self._opened(name, stored[name], made) != value:
                raise Tampered("value.tampered", table=self.table.name, column=name)

    @contextmanager
    def _constraints(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise Conflict("record.refused", table=self.table.name) from None

    # --- values ---

    def _is_plain(self, name: str) -> bool:
        return not self._visible.is_encrypted(name) and name not in self.table.primary_key

    def _is_bound(self, name: str) -> bool:
        """Whether the values of an encrypted column are bound to their rows."""
        return self._visible.encrypted[name].scheme is Scheme.STANDARD

    def _nothing(self, name: str, clear: Mapping[str, str]) -> Value:
        """What stands in an encrypted column of a new row, until its value does."""
        column = self.table.column(name)
        if column is None or column.nullable:
            return None
        if name not in clear:
            raise Invalid("value.missing", column=name)
        return ""

    def _opened(self, name: str, stored: Value, key: Row) -> str:
        (clear,) = self._visible.keys_of(name).open_many([stored], [envelope.record(key)])
        return str(clear)

    def _sealed(self, clear: Mapping[str, str], record: bytes) -> dict[str, Value]:
        """The envelopes of values under the active keys."""
        of_spec: defaultdict[str, list[str]] = defaultdict(list)
        for name in clear:
            of_spec[self._visible.encrypted[name].spec_id].append(name)
        sealed: dict[str, Value] = {}
        for spec_id, names in of_spec.items():
            key = keys.encrypting_key(self._tx, self._hierarchy, spec_id, self._caller)
            if self._is_bound(names[0]):
                self._use.take(self._tx, key["sys_id"], len(names))
            for name in names:
                cipher = self._visible.sealing(name, key["sys_id"]).cipher(key["sys_id"])
                (sealed[name],) = cipher.seal_many([clear[name]], [record])
        return sealed

    def _is_hidden(self, name: str) -> bool:
        return self._visible.is_encrypted(name) and not self._visible.may_decrypt(name)

    def _is_as_shown(self, name: str, value: Value, stored: Mapping[str, Value], key: Row) -> bool:
        """Whether a value is what stands for one that the user was not shown."""
        if self._is_hidden(name):
            return is_unchanged(value, None, may_decrypt=False)
        if value not in ("", None) or stored.get(name) in ("", None):
            return False
        _, dark = self._visible.keys_of(name).open_held([stored[name]], [envelope.record(key)])
        return bool(dark)

    def _is_absent(self, name: str, value: Value) -> bool:
        """Whether a value says nothing about a new row."""
        if not self._visible.is_encrypted(name):
            return value == "" and name in self.table.primary_key
        may_decrypt = self._visible.may_decrypt(name)
        return is_absent(value, may_decrypt=may_decrypt, is_unique=name in self.table.unique)

    def _is_unchanged(self, name: str, value: Value, stored: Value, key: Row) -> bool:
        if self._is_hidden(name):
            return False
        # whether that is a change answers a guess
        self._searched.add(name)
        clear = stored if stored in ("", None) else self._opened(name, stored, key)
        return is_unchanged(value, clear, may_decrypt=True)

    def _refuse_unless_writable(self, name: str) -> None:
        self._refuse_without(name, needed_to_write(is_unique=name in self.table.unique))

    def _refuse_to_move(self) -> None:
        """Refuse another key for the row to who may not seal all its values anew."""
        for name in self._visible.encrypted:
            self._refuse_without(name, needed_to_move(is_bound=self._is_bound(name)))

    def _refuse_without(self, name: str, needed: Needed) -> None:
        for operation, code in needed:
            if not self._visible.allows(name, operation):
                raise Denied(code, column=name)

    def _fitting(self, name: str, value: Value) -> Value:
        """A value in the form of its column.

        Raises:
            Invalid: when it does not fit.
        """
        column = self.table.column(name)
        if column is None:
            raise NotFound("column.missing", table=self.table.name, column=name)
        if column.generated:
            raise Invalid("value.generated", column=name)
        configuration = self._visible.encrypted.get(name)
        declared = configuration.original_type if configuration else column.type
        if value == "" and configuration is None and declared != ColumnType.TEXT:
            value = None
        if value is None:
            if not column.nullable:
                raise Invalid("value.missing", column=name)
            return None
        if configuration is None:
            refuse_nul(str(value))
        if declared != ColumnType.INTEGER or value == "":
            return str(value)
        return self._whole_number(column, str(value), as_text=configuration is not None)

    def _whole_number(self, column: Column, text: str, *, as_text: bool) -> Value:
        number = whole_number(column.name, text)
        if number is None:
            raise Invalid("value.number", column=column.name)
        return str(number) if as_text else number

    def _key_part(self, name: str, given: Values) -> Value:
        if given.get(name) not in ("", None):
            return given[name]
        column = self.table.column(name)
        if len(self.table.primary_key) > 1 or column is None:
            raise Invalid("value.missing", column=name)
        if column.type is not ColumnType.INTEGER:
            return new_id()
        by_number = Query(order=(Order(name, descending=True),))
        rows = self._database.select(self._tx, self.table.name, [name], by_number, 1)
        largest = int(rows[0][0] or 0) if rows else 0
        if largest >= _GREATEST:
            raise Conflict("record.key_none", table=self.table.name)
        return largest + 1
