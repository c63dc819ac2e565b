"""Rows of a business table as one user may write them.

An encrypted column takes values from who may encrypt with its module; they are sealed under the
active key, bound to the row, and opened again before they are written. Somebody who may not decrypt
was shown an empty value: writing that back leaves the stored one as it is, so nothing is lost by
saving a form. A row whose key changes has its values sealed anew, since they are bound to it. Its
attachments go with it, and are removed with it.

Transactions that write are serial, and the row is locked against programs that do not know that, so
what is read here is what is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import quoted_name

from keystead.access.effect import MASK
from keystead.attachments import service as attachments
from keystead.base.errors import Conflict, Denied, Invalid, NotFound, Tampered
from keystead.base.ids import new_id
from keystead.crypto import envelope
from keystead.database.model import Column, ColumnType, Table
from keystead.database.port import Row, Value
from keystead.fields import service as fields
from keystead.fields.values import EncryptedColumn
from keystead.keys import service as keys
from keystead.keys import usage
from keystead.keys.hierarchy import Hierarchy
from keystead.records.reading import View, key_part

Values = Mapping[str, Value]


class Writer:
    """One table as one user may write it, inside a transaction that writes."""

    def __init__(self, view: View, hierarchy: Hierarchy) -> None:
        self._tx = tx = view.tx
        self._hierarchy = hierarchy
        self._visible = view.visible
        self._caller = view.caller
        self.table: Table = view.table
        if not self.table.primary_key:
            raise Invalid("record.no_key", table=self.table.name)
        self._encrypted = {
            found.column: EncryptedColumn(tx, hierarchy, found)
            for found in fields.configurations(tx, hierarchy, self.table.name)
        }

    def insert(self, values: Values) -> Row:
        """Write a new row; its primary key, made here where it was not given.

        Raises:
            NotFound: for a column that is not there.
            Denied: for a value that the user may not encrypt.
            Invalid: for a value that does not fit its column, or is kept otherwise than as given.
            Conflict: when a constraint of the table forbids it.
        """
        given = {name: self._fitting(name, value) for name, value in values.items()}
        key = tuple(self._key_part(name, given) for name in self.table.primary_key)
        given.update(zip(self.table.primary_key, key, strict=True))
        record = envelope.record(key)
        for name in given.keys() & self._encrypted.keys():
            if given[name] not in ("", None):
                given[name] = self._sealed_by_user(name, given[name], record)
        _run(self._tx, insert(_source(self.table, given)).values(given), self.table.name)
        self._refuse_other_form(key)
        return key

    def update(self, key: Row, values: Values) -> Row:
        """Change a row; its primary key afterwards.

        Raises:
            NotFound: when there is no such row, or for a column that is not there.
            Denied, Invalid, Conflict: as for `insert`; the row stays as it was.
        """
        stored = self._stored(key)
        given = {name: self._fitting(name, value) for name, value in values.items()}
        old_key = tuple(stored[name] for name in self.table.primary_key)
        new_key = tuple(given.get(name, stored[name]) for name in self.table.primary_key)
        old_record, record = envelope.record(old_key), envelope.record(new_key)
        changed: dict[str, Value] = {n: v for n, v in given.items() if n not in self._encrypted}
        for name, column in self._encrypted.items():
            value = given.get(name)
            if name in given and not self._was_shown(name, value, stored[name], old_record):
                if not self._visible.effect(name).writable:
                    raise Denied("value.denied", column=name)
                empty = value in ("", None)
                changed[name] = value if empty else self._sealed(name, str(value), record)
            elif record != old_record and stored[name] not in ("", None):
                (clear,) = column.open_many([stored[name]], [old_record])
                changed[name] = self._sealed(name, str(clear), record)
        if changed:
            statement = update(_source(self.table, changed)).where(self._is_row(old_key))
            _run(self._tx, statement.values(changed), self.table.name)
        if record != old_record:
            attachments.follow(self._tx, self._hierarchy, self.table.name, key, new_key)
            self._refuse_other_form(new_key)
        return new_key

    def delete(self, key: Row) -> None:
        """Remove a row and its attachments; `attachments.clear` takes their pieces away later.

        Raises:
            NotFound: when there is no such row.
            Conflict: when a constraint of another table forbids it.
        """
        self._stored(key)
        _run(self._tx, delete(_source(self.table, ())).where(self._is_row(key)), self.table.name)
        attachments.remove_of_record(self._tx, self.table.name, key)

    def _stored(self, key: Row) -> dict[str, Value]:
        """The key and the encrypted columns of a row as they are stored.

        The key's collation may find a row under another spelling than the one its values are bound
        to. The row is locked: other programs' changes come before what is read here, or after what
        is written.
        """
        names = [*self.table.primary_key, *self._encrypted]
        found: Any = self._tx.execute(
            select(
                *[key_part(self.table, name) for name in self.table.primary_key],
                *[sql_column(quoted_name(name, quote=True)) for name in self._encrypted],
            )
            .select_from(_source(self.table, ()))
            .where(self._is_row(key))
            .with_for_update()
        ).first()
        if found is None:
            raise NotFound("record.missing", table=self.table.name)
        return dict(zip(names, found, strict=True))

    def _refuse_other_form(self, key: Row) -> None:
        """Refuse a key that is not stored as it was given: values are bound to it as it is stored.

        A column of fixed length adds or cuts off spaces, one of decimals drops zeros.
        """
        if self._encrypted and tuple(self._stored(key)[n] for n in self.table.primary_key) != key:
            raise Invalid("database.value", reason="a key that its column keeps in another form")

    def _is_row(self, key: Row) -> ColumnElement[bool]:
        return and_(
            *[
                sql_column(quoted_name(name, quote=True)) == part
                for name, part in zip(self.table.primary_key, key, strict=True)
            ]
        )

    def _was_shown(self, name: str, value: Value, stored: Value, record: bytes) -> bool:
        """Whether a value is what the user is shown of the stored one: then it is no change.

        To who may read it, a NULL is shown as an empty text.
        """
        if self._visible.effect(name).readable:
            (clear,) = self._encrypted[name].open_many([stored], [record])
            return clear == value or (clear is None and value == "")
        return value in ("", None, MASK)

    def _sealed_by_user(self, name: str, value: Value, record: bytes) -> str:
        if not self._visible.effect(name).writable:
            raise Denied("value.denied", column=name)
        return self._sealed(name, str(value), record)

    def _sealed(self, name: str, clear: str, record: bytes) -> str:
        """The envelope of a value under the active key, opened again before it is written."""
        configuration = self._encrypted[name].configuration
        key = keys.encrypting_key(self._tx, self._hierarchy, configuration.spec_id, self._caller)
        key_id = key["sys_id"]
        usage.reserve(self._tx, self._hierarchy, key_id, 1)
        fields.note_key(self._tx, self._hierarchy, configuration, key_id)
        column = EncryptedColumn(self._tx, self._hierarchy, configuration)
        (sealed,) = column.cipher(key_id).seal_many([clear], [record])
        if column.open_many([sealed], [record]) != [clear]:
            raise Tampered("value.tampered", table=configuration.table, column=configuration.column)
        return sealed

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
        if value is None:
            if not column.nullable:
                raise Invalid("value.missing", column=name)
            return None
        encrypted = self._encrypted.get(name)
        declared = encrypted.configuration.original_type if encrypted else column.type
        if declared != ColumnType.INTEGER:
            return str(value)
        return self._whole_number(column, value, as_text=encrypted is not None)

    def _whole_number(self, column: Column, value: Value, *, as_text: bool) -> Value:
        if value in ("", MASK):
            return value if as_text else None
        try:
            number = int(str(value))
        except ValueError:
            raise Invalid("value.number", column=column.name) from None
        return str(number) if as_text else number

    def _key_part(self, name: str, given: dict[str, Value]) -> Value:
        if given.get(name) not in ("", None):
            return given[name]
        column = self.table.column(name)
        if len(self.table.primary_key) > 1 or column is None:
            raise Invalid("value.missing", column=name)
        if column.type is not ColumnType.INTEGER:
            return new_id()
        largest = self._tx.execute(
            select(func.max(sql_column(quoted_name(name, quote=True)))).select_from(
                _source(self.table, ())
            )
        ).scalar()
        return int(largest or 0) + 1


def _source(table: Table, columns: Any) -> Any:
    named: list[Any] = [sql_column(quoted_name(name, quote=True)) for name in columns]
    return sql_table(quoted_name(table.name, quote=True), *named)


def _run(tx: Connection, statement: Any, table: str) -> None:
    try:
        tx.execute(statement)
    except IntegrityError:
        raise Conflict("record.refused", table=table) from None
