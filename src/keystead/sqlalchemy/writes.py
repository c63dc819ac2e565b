"""Sealing what statements write, before they are compiled.

Every INSERT, UPDATE and DELETE comes by here with its parameters, those of a session's flush too. A
standard value is bound to its row, so the row's key must be known: from the values of an INSERT or
the column's default in Python, or from `key = value` in the WHERE of an UPDATE. Where the database
makes the key, the row is inserted with the value empty, and the sealed value follows at once.
Attachments go with the rows that are moved or deleted, in the same transaction.

The rules are those of `records.writing` (`access.writing`): who writes what he was shown changes
nothing; who may not encrypt is refused, and in a unique column who may not decrypt; a row whose key
changes has its values sealed anew, which takes the right to decrypt and to encrypt them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    Delete,
    Insert,
    Text,
    Update,
    and_,
    bindparam,
    cast,
    func,
    literal,
    types,
    update,
)
from sqlalchemy import select as sql_select
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnElement,
    Grouping,
    Null,
)
from sqlalchemy.sql.schema import Table

from keystead.access.writing import is_absent, is_unchanged
from keystead.attachments import service as attachments
from keystead.base.errors import Conflict, Invalid
from keystead.crypto import envelope
from keystead.database.model import RESERVED_PREFIXES
from keystead.database.port import Value
from keystead.sqlalchemy.caller import Caller
from keystead.sqlalchemy.column import Encrypted, Raw, Stored
from keystead.sqlalchemy.link import Used

INNER: Final = "keystead_inner"  # marks statements of our own, whose values are sealed already
_PREFIX: Final = "keystead_"
_UNKNOWN: Final = object()
Row = dict[str, Any]
Key = tuple[int | str, ...]


@dataclass(slots=True)
class Change:
    """A statement as it is executed, with its parameters, and what is to be done after it."""

    statement: Any
    rows: list[Row]
    after: Callable[[Any], None] | None = None


@dataclass(slots=True)
class _Target:
    """The table that a statement writes."""

    table: Any
    columns: dict[str, Column[Any]]
    keys: list[Column[Any]]
    attributes: Mapping[str, str] = field(default_factory=dict)

    def name_of(self, key: Any) -> str | None:
        """The column's key in the table, for a column or the name of an attribute."""
        name = key if isinstance(key, str) else getattr(key, "key", None)
        if isinstance(key, str):
            name = self.attributes.get(key, key)
        return name if name in self.table.c else None

    @property
    def key_names(self) -> str:
        """The names of the key's columns."""
        return ", ".join(key.name for key in self.keys)


def change(
    statement: Insert | Update | Delete,
    rows: list[Row],
    connection: Connection,
    caller: Caller,
    used: Used,
) -> Change | None:
    """The statement with its encrypted values sealed, or None where it stays as it is.

    Raises:
        Denied, Invalid, NotFound, Conflict: when a value may not or cannot be written.
    """
    target = _target(statement)
    if target is None:
        return None
    kind = next(of for kind, of in _KINDS.items() if isinstance(statement, kind))
    return kind(target, statement, rows, connection, caller, used).change()


def _target(statement: Any) -> _Target | None:
    table = statement.table
    if not isinstance(table, Table) or table.name.lower().startswith(RESERVED_PREFIXES):
        return None
    columns = {c.key: c for c in table.c if isinstance(c.type, Encrypted)}
    if not columns and (isinstance(statement, Insert) or not table.primary_key):
        return None
    mapper = statement._propagate_attrs.get("plugin_subject")
    attributes = {}
    if mapper is not None:
        attributes = {prop.key: prop.columns[0].key for prop in mapper.mapper.column_attrs}
    return _Target(table, columns, list(table.primary_key.columns), attributes)


class _Writing:
    """What INSERT and UPDATE have in common."""

    def __init__(
        self,
        target: _Target,
        statement: Any,
        rows: list[Row],
        connection: Connection,
        caller: Caller,
        used: Used,
    ) -> None:
        self.target = target
        self.statement = statement
        self.rows = [dict(row) for row in rows] or [{}]
        self.connection = connection
        self.caller = caller
        self.used = used
        self.embedded = {
            name: value
            for key, value in (getattr(statement, "_values", None) or {}).items()
            if (name := target.name_of(key)) is not None
        }
        for name in target.columns.keys() & self.embedded.keys():
            if len(self.rows) > 1:
                raise Invalid("column.row", column=name, keys=target.key_names)

    def given(self, row: Row, name: str) -> Any:
        """The value that a row is given for a column."""
        if name in row:
            return self._plain(name, row[name], row)
        if name in self.embedded:
            return self._plain(name, self.embedded[name], row)
        return _UNKNOWN

    def _plain(self, name: str, value: Any, row: Row) -> Any:
        if isinstance(value, BindParameter):
            return row.get(value.key, value.effective_value)
        if isinstance(value, Null):
            return None
        if isinstance(value, ColumnElement):
            if name in self.target.columns:
                raise Invalid("column.expression", column=name)
            return _UNKNOWN
        return value

    def sealed(
        self, name: str, values: Sequence[Any], records: Sequence[bytes | None]
    ) -> list[Stored]:
        """The stored forms of values: empty ones are themselves."""
        of = _type(self.target.columns[name])
        out = [Stored(value if value in (None, "") else None) for value in values]
        places = [at for at, value in enumerate(values) if value not in (None, "")]
        chosen = [records[at] for at in places]
        if self.caller.is_bound_to_rows(of) and None in chosen:
            raise Invalid("column.row", column=name, keys=self.target.key_names)
        if places:
            known = [record or b"" for record in chosen]
            envelopes = self.caller.seal(of, [values[at] for at in places], known, self.used)
            for at, text in zip(places, envelopes, strict=True):
                out[at] = Stored(text)
        return out

    def key_part(self, key: Column[Any], value: Any) -> int | str:
        """A part of a key as the database gives it back.

        Raises:
            Invalid: for a value that might come back as another.
        """
        kind: Any = key.type
        processor = kind.dialect_impl(self.connection.dialect).bind_processor(
            self.connection.dialect
        )
        stored = processor(value) if processor is not None else value
        affinity = kind._type_affinity
        if affinity is types.Integer and isinstance(stored, int) and not isinstance(stored, bool):
            return int(stored)
        if affinity is types.String and isinstance(stored, str) and not _is_padded(kind):
            return str(stored)
        if affinity is types.Uuid and isinstance(stored, UUID | str):
            return str(stored)
        raise Invalid("column.key_type", column=key.name)

    def put(self, name: str, values: Sequence[Any]) -> None:
        """Write the values of a column where the statement has them."""
        if name in self.embedded:
            column = self.target.table.c[name]
            self.embed(name, bindparam(None, values[0], type_=column.type, unique=True))
        else:
            for row, value in zip(self.rows, values, strict=True):
                row[name] = value

    def embed(self, name: str, value: Any) -> None:
        """Let the statement itself have another value of a column."""
        values = dict(self.statement._values or {})
        for key in list(values):
            if self.target.name_of(key) == name:
                values[key] = value
                break
        else:
            values[self.target.table.c[name]] = value
        self.statement = self.statement._generate()
        self.statement._values = values
        self.embedded[name] = value


class _Inserting(_Writing):
    """An INSERT."""

    def change(self) -> Change | None:
        """The statement as it is executed."""
        chosen = self.statement._select_names or ()
        for name in chosen:
            if self.target.name_of(name) in self.target.columns:
                raise Invalid("column.expression", column=name)
        if chosen:
            return None
        self._refuse_upsert()
        if self.statement._multi_values:
            self._spread()
        self._fill_keys()
        names = [name for name in self.target.columns if self._is_given(name)]
        if not names:
            return None
        records = [self._record(row) for row in self.rows]
        follow: dict[str, list[Any]] = {}
        for name in names:
            column = self.target.columns[name]
            values = [self._told(column, self.given(row, name)) for row in self.rows]
            waits = None in records and self.caller.is_bound_to_rows(_type(column))
            if waits and any(value not in (None, "") for value in values):
                follow[name] = values
                self.caller.refuse_writing(_type(column))
                empty = Stored(None if column.nullable else "")
                self.put(name, [empty if v not in (None, "") else Stored(v) for v in values])
            else:
                self.put(name, self.sealed(name, values, records))
        after = None
        if follow:
            self._refuse_unknowable()
            after = partial(self._follow, follow)
        return Change(self.statement, self.rows, after)

    def _told(self, column: Column[Any], value: Any) -> Any:
        """A value of a new row: None for one that says nothing."""
        of = _type(column)
        may_decrypt = self.caller.effect(of).readable
        if not is_absent(value, may_decrypt=may_decrypt, is_unique=self.caller.is_unique(of)):
            return value
        if not column.nullable:
            raise Invalid("value.missing", column=column.name)
        return None

    def _is_given(self, name: str) -> bool:
        column = self.target.columns[name]
        if all(self.given(row, name) is not _UNKNOWN for row in self.rows):
            return True
        if column.server_default is not None:
            raise Invalid("column.expression", column=name)
        if column.default is None:
            return False
        for row in self.rows:
            if self.given(row, name) is _UNKNOWN:
                made = _default(column, row)
                if made is _UNKNOWN:
                    raise Invalid("column.expression", column=name)
                row[name] = made
        return True

    def _spread(self) -> None:
        """`values([...])`: the same as a list of parameters."""
        if self.statement._returning:
            raise Invalid("column.row", column=next(iter(self.target.columns)), keys="values")
        rows: list[Row] = []
        for several in self.statement._multi_values:
            for one in several:
                pairs = (
                    one.items()
                    if isinstance(one, Mapping)
                    else zip(self.target.table.c, one, strict=False)
                )
                row: Row = {}
                for key, value in pairs:
                    name = self.target.name_of(key)
                    plain = self._plain(str(name), value, {})
                    if name is None or plain is _UNKNOWN:
                        raise Invalid("column.expression", column=str(name))
                    row[name] = plain
                rows.append(row)
        self.rows = rows
        self.statement = self.statement._generate()
        self.statement._multi_values = ()

    def _fill_keys(self) -> None:
        for key in self.target.keys:
            for row in self.rows:
                if self.given(row, key.key) in (_UNKNOWN, None):
                    made = _default(key, row)
                    if made is not _UNKNOWN and made is not None:
                        row[key.key] = made

    def _record(self, row: Row) -> bytes | None:
        parts = []
        for key in self.target.keys:
            value = self.given(row, key.key)
            if value is _UNKNOWN or value is None:
                return None
            parts.append(self.key_part(key, value))
        return envelope.record(parts)

    def _refuse_upsert(self) -> None:
        """The row that is changed may be another than the one that was to be inserted."""
        clause = self.statement._post_values_clause
        changed = getattr(clause, "update_values_to_set", None) or getattr(clause, "update", None)
        if changed:
            for key in dict(changed):
                if self.target.name_of(key) in self.target.columns:
                    raise Invalid("column.row", column=str(key), keys=self.target.key_names)

    def _refuse_unknowable(self) -> None:
        statement = self.statement
        several = len(self.rows) > 1
        if (
            statement._returning
            or statement._post_values_clause is not None
            or (several and not statement._sort_by_parameter_order)
        ):
            raise Invalid("column.generated", table=self.target.table.name)

    def _follow(self, follow: dict[str, list[Any]], result: Any) -> None:
        """Write the values of rows whose keys the database made."""
        made = [
            tuple(self.key_part(k, part) for k, part in zip(self.target.keys, key, strict=True))
            for key in result.inserted_primary_key_rows
        ]
        if len(made) != len(self.rows):
            raise Invalid("column.generated", table=self.target.table.name)
        records: list[bytes | None] = [envelope.record(key) for key in made]
        given = result.inserted_primary_key_rows
        for name, values in follow.items():
            stored = self.sealed(name, values, records)
            rows = [
                {_PREFIX + name: one, **self._key_parameters(key)}
                for one, key, value in zip(stored, given, values, strict=True)
                if value not in (None, "")
            ]
            column = self.target.table.c[name]
            changing = (
                update(self.target.table)
                .where(and_(*[k == bindparam(_key_name(k), type_=k.type) for k in self._keys]))
                .values({column: bindparam(_PREFIX + name, type_=column.type)})
            )
            _run(self.connection, changing, rows, self.target.table.name)

    @property
    def _keys(self) -> list[Any]:
        return [self.target.table.c[key.key] for key in self.target.keys]

    def _key_parameters(self, key: Sequence[Any]) -> Row:
        return {_key_name(k): part for k, part in zip(self.target.keys, key, strict=True)}


class _Addressing(_Writing):
    """What UPDATE and DELETE have in common: rows that are named by their keys."""

    def _key(self, row: Row) -> Key | None:
        values = self._where_values(row)
        if any(key.key not in values for key in self.target.keys):
            return None
        return tuple(self.key_part(key, values[key.key]) for key in self.target.keys)

    def _is_there(self, given: Row) -> bool:
        table = self.target.table
        reading = sql_select(literal(1)).select_from(table).where(self._by_key())
        values = self._by_key_parameters(given)
        found = self.connection.execute(reading, values, execution_options={INNER: True})
        return found.first() is not None

    def _by_key(self) -> ColumnElement[bool]:
        keys = _keys(self.target.table)
        return and_(*[self._exactly(k, bindparam(_key_name(k), type_=k.type)) for k in keys])

    def _by_key_parameters(self, given: Row) -> Row:
        return {_key_name(k): given[k.key] for k in self.target.keys}

    def _unclear(self) -> Invalid:
        table, keys = self.target.table.name, self.target.key_names
        return Invalid("column.attached", table=table, keys=keys)

    def _where_values(self, row: Row) -> Row:
        """The key columns that the WHERE compares with a value."""
        found: Row = {}
        for term in _terms(self.statement._where_criteria):
            if isinstance(term, BinaryExpression) and term.operator is operators.eq:
                sides = (term.left, term.right), (term.right, term.left)
                for column, value in sides:
                    if isinstance(value, BindParameter) and self._is_key(column):
                        key: Any = column
                        found[key.key] = row.get(value.key, value.effective_value)
        return found

    def _is_key(self, column: Any) -> bool:
        table = getattr(column, "table", None)
        return isinstance(table, Table) and any(
            key.key == column.key and bool(column.base_columns & key.base_columns)
            for key in self.target.keys
        )

    def _match_exactly(self) -> None:
        """Let text in the key match by bytes: a value is bound to the key as it is written there.

        Without this a comparison that takes no account of case would find a row of another key.
        """
        for term in list(_terms(self.statement._where_criteria)):
            if isinstance(term, BinaryExpression) and term.operator is operators.eq:
                for column, value in ((term.left, term.right), (term.right, term.left)):
                    if isinstance(value, BindParameter) and self._is_key(column):
                        key: Any = column
                        if key.type._type_affinity is types.String:
                            self.statement = self.statement.where(self._exactly(key, value))

    def _exactly(self, key: Any, value: Any) -> ColumnElement[bool]:
        if key.type._type_affinity is not types.String:
            return key == value  # type: ignore[no-any-return]
        name = self.connection.dialect.name
        compared: Any = key.collate("BINARY")
        if name == "postgresql":
            compared = cast(key, Text()).collate("C")
        elif name in ("mysql", "mariadb"):
            compared = cast(key, mysql.CHAR(charset="utf8mb4")).collate("utf8mb4_nopad_bin")
        return and_(key == value, compared == value)


class _Deleting(_Addressing):
    """A DELETE."""

    def change(self) -> Change | None:
        """The statement as it is executed, and attachments go with the rows."""
        if not self.caller.has_attachments(self.target.table.name):
            return None
        keys = [self._key(row) for row in self.rows]
        named = [key for key in keys if key is not None]
        if len(named) != len(keys):
            raise self._unclear()
        given = [self._where_values(row) for row in self.rows]
        self._match_exactly()
        return Change(self.statement, self.rows, partial(self._remove, named, given))

    def _remove(self, keys: Sequence[Key], given: Sequence[Row], result: Any) -> None:
        """Remove the attachments of the rows that are gone, as `records.writing` does."""
        del result
        for key, row in zip(keys, given, strict=True):
            if not self._is_there(row):
                attachments.remove_of_record(self.connection, self.target.table.name, key)


class _Updating(_Addressing):
    """An UPDATE."""

    def change(self) -> Change | None:
        """The statement as it is executed."""
        table, columns = self.target.table, self.target.columns
        bound = {b.key for b in _bindings(self.statement._where_criteria)}
        names = {n for row in self.rows for n in row if n in table.c and n not in bound}
        names |= self.embedded.keys()
        for key in self.statement._values or {}:
            if self.target.name_of(key) is None and isinstance(getattr(key, "type", 0), Encrypted):
                raise Invalid("column.row", column=key.name, keys=self.target.key_names)
        changed = [name for name in columns if name in names]
        moves = any(key.key in names for key in self.target.keys)
        for name, column in columns.items():
            if name not in names and column.onupdate is not None:
                raise Invalid("column.expression", column=name)
        follows = moves and self.caller.has_attachments(self.target.table.name)
        if not changed and not (moves and columns) and not follows:
            return None
        old = [self._key(row) for row in self.rows]
        new = [self._moved(row, key) for row, key in zip(self.rows, old, strict=True)]
        self._refuse_unnamed(old, new, columns)
        if old != new:
            for column in columns.values():
                self.caller.refuse_moving(_type(column))
        after = self._following(old, new) if follows else None
        stored = self._stored(old, new, changed)
        for name in changed:
            self._write(name, old, new, stored)
        for name, column in columns.items():
            if name not in changed and self._is_moving(old, new, column):
                self._move(name, old, new, stored)
        if any(key is not None for key in old):
            self._match_exactly()
        return Change(self.statement, self.rows, after)

    def _following(
        self, old: Sequence[Key | None], new: Sequence[Key | None]
    ) -> Callable[[Any], None]:
        """What lets attachments follow the rows, once these have moved.

        Raises:
            Invalid: when it is not clear which rows move, or one takes the place of another.
        """
        moving: list[tuple[Key, Key, Row]] = []
        for before, after, row in zip(old, new, self.rows, strict=True):
            if before is None or after is None:
                raise self._unclear()
            if before != after:
                moving.append((before, after, self._where_values(row)))
        if {before for before, *_ in moving} & {after for _, after, _ in moving}:
            raise self._unclear()
        return partial(self._follow_attachments, moving)

    def _follow_attachments(self, moving: Sequence[tuple[Key, Key, Row]], result: Any) -> None:
        table, dialect = self.target.table.name, self.connection.dialect
        is_counted = dialect.supports_sane_multi_rowcount or len(self.rows) == 1
        if is_counted and result.rowcount != len(self.rows):
            raise Conflict("row.changed", what=f"A row of {table}")
        for before, after, given in moving:
            if self._is_there(given):
                raise Conflict("row.changed", what=f"A row of {table}")
            self.caller.follow(self.connection, table, before, after)

    def _write(
        self,
        name: str,
        old: Sequence[Key | None],
        new: Sequence[Key | None],
        stored: Sequence[Mapping[str, Value] | None],
    ) -> None:
        column = self.target.columns[name]
        of = _type(column)
        effect = self.caller.effect(of)
        values = [self.given(row, name) for row in self.rows]
        if any(value is _UNKNOWN for value in values):
            raise Invalid("column.expression", column=name)
        # who may read and write was shown what he writes, and is taken at his word
        keeps = [
            not (effect.readable and effect.writable) and self._is_unchanged(of, value, key, row)
            for value, key, row in zip(values, old, stored, strict=True)
        ]
        if not all(keeps):
            self.caller.refuse_writing(of)
        records = [None if key is None else envelope.record(key) for key in new]
        written: list[Stored] = [Stored(None)] * len(values)
        places = [at for at, kept in enumerate(keeps) if not kept]
        some = self.sealed(name, [values[at] for at in places], [records[at] for at in places])
        for at, one in zip(places, some, strict=True):
            written[at] = one
        if any(keeps):
            self._keep(name, written, keeps, old, new, stored)
        else:
            self.put(name, written)

    def _keep(
        self,
        name: str,
        written: list[Stored],
        keeps: Sequence[bool],
        old: Sequence[Key | None],
        new: Sequence[Key | None],
        stored: Sequence[Mapping[str, Value] | None],
    ) -> None:
        """Leave stored values as they are: `SET c = coalesce(new, c)`."""
        column = self.target.columns[name]
        if self._is_moving(old, new, column):
            moved = self._moved_values(name, old, new, stored)
            written = [m if k else w for w, m, k in zip(written, moved, keeps, strict=True)]
        of = self.target.table.c[name]
        parameter = _PREFIX + name
        for row, one in zip(self.rows, written, strict=True):
            row.pop(name, None)
            row[parameter] = one
        self.embed(name, func.coalesce(bindparam(parameter, type_=of.type), Raw(of)))

    def _move(
        self,
        name: str,
        old: Sequence[Key | None],
        new: Sequence[Key | None],
        stored: Sequence[Mapping[str, Value] | None],
    ) -> None:
        """Seal values of rows whose keys change anew, if they still are what was read."""
        column = self.target.table.c[name]
        guard = f"{_PREFIX}old_{name}"
        self.statement = self.statement.where(
            Raw(column).is_not_distinct_from(bindparam(guard, type_=Text()))
        )
        self.put(name, self._moved_values(name, old, new, stored))
        for row, found in zip(self.rows, stored, strict=True):
            row[guard] = None if found is None else found[name]

    def _moved_values(
        self,
        name: str,
        old: Sequence[Key | None],
        new: Sequence[Key | None],
        stored: Sequence[Mapping[str, Value] | None],
    ) -> list[Stored]:
        of = _type(self.target.columns[name])
        out: list[Stored] = []
        for before, after, row in zip(old, new, stored, strict=True):
            value = None if row is None else row[name]
            if value in (None, "") or before == after or before is None or after is None:
                out.append(Stored(value if value is None else str(value)))
                continue
            (clear,) = self.caller.open_stored(of, [value], [envelope.record(before)])
            record = [envelope.record(after)]
            out.append(Stored(self.caller.seal_anew(of, [str(clear)], record, self.used)[0]))
        return out

    def _is_moving(
        self, old: Sequence[Key | None], new: Sequence[Key | None], column: Column[Any]
    ) -> bool:
        return list(old) != list(new) and self.caller.is_bound_to_rows(_type(column))

    def _is_unchanged(
        self, of: Encrypted, value: Any, key: Key | None, row: Mapping[str, Value] | None
    ) -> bool:
        if not self.caller.effect(of).readable:
            return is_unchanged(value, None, may_decrypt=False)
        if row is None or key is None:
            return False
        stored = row[of.column.key]
        (clear,) = self.caller.open_stored(of, [stored], [envelope.record(key)])
        text = value if value in (None, "") else self.caller.text(of, value)
        return is_unchanged(text, clear, may_decrypt=True)

    def _stored(
        self, old: Sequence[Key | None], new: Sequence[Key | None], changed: Sequence[str]
    ) -> list[Mapping[str, Value] | None]:
        """The stored values of each row, where they are needed; locked until the transaction ends.

        Raises:
            Conflict: when there is no such row.
        """
        effects = [self.caller.effect(_type(self.target.columns[name])) for name in changed]
        needs = list(old) != list(new) or any(e.readable and not e.writable for e in effects)
        if not needs:
            return [None] * len(old)
        table = self.target.table
        columns = [Raw(table.c[name]).label(name) for name in self.target.columns]
        reading = (
            sql_select(literal(1).label(f"{_PREFIX}there"), *columns)
            .select_from(table)
            .where(self._by_key())
            .with_for_update()
        )
        found: list[Mapping[str, Value] | None] = []
        for key, row in zip(old, self.rows, strict=True):
            if key is None:
                found.append(None)
                continue
            values = self._by_key_parameters(self._where_values(row))
            one = self.connection.execute(reading, values, execution_options={INNER: True}).first()
            if one is None:
                raise Conflict("row.changed", what=f"A row of {table.name}")
            found.append(dict(one._mapping))
        return found

    def _refuse_unnamed(
        self,
        old: Sequence[Key | None],
        new: Sequence[Key | None],
        columns: Mapping[str, Column[Any]],
    ) -> None:
        """A key may change only where it is known which row's it is."""
        bound = [n for n, c in columns.items() if self.caller.is_bound_to_rows(_type(c))]
        for before, after in zip(old, new, strict=True):
            if bound and (before is None) != (after is None):
                raise Invalid("column.row", column=bound[0], keys=self.target.key_names)
        if bound and None in old and any(k.key in self._names() for k in self.target.keys):
            raise Invalid("column.row", column=bound[0], keys=self.target.key_names)

    def _names(self) -> set[str]:
        bound = {b.key for b in _bindings(self.statement._where_criteria)}
        return self.embedded.keys() | {n for r in self.rows for n in r if n not in bound}

    def _moved(self, row: Row, old: Key | None) -> Key | None:
        if old is None:
            return None
        bound = {b.key for b in _bindings(self.statement._where_criteria)}
        parts: list[int | str] = []
        for key, before in zip(self.target.keys, old, strict=True):
            value = _UNKNOWN if key.key in bound and key.key in row else self.given(row, key.key)
            if value is _UNKNOWN and key.key in self.embedded:
                raise Invalid("column.key_type", column=key.name)
            parts.append(before if value is _UNKNOWN else self.key_part(key, value))
        return tuple(parts)


_KINDS: Final[dict[type[Any], type[_Inserting | _Updating | _Deleting]]] = {
    Insert: _Inserting,
    Update: _Updating,
    Delete: _Deleting,
}


def _type(column: Column[Any]) -> Encrypted:
    of: Any = column.type
    return of  # type: ignore[no-any-return]


def _keys(table: Any) -> list[Any]:
    return list(table.primary_key.columns)


def _key_name(key: Any) -> str:
    return f"{_PREFIX}key_{key.key}"


def _is_padded(kind: Any) -> bool:
    return isinstance(kind, types.CHAR)


def _terms(criteria: Sequence[Any]) -> list[Any]:
    """What must all hold."""
    found: list[Any] = []
    for term in criteria:
        inner = term.element if isinstance(term, Grouping) else term
        if isinstance(inner, BooleanClauseList) and inner.operator is operators.and_:
            found.extend(_terms(inner.clauses))
        else:
            found.append(inner)
    return found


def _bindings(criteria: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for clause in criteria:
        if isinstance(clause, BindParameter):
            found.append(clause)
        found.extend(_bindings(list(clause.get_children())))
    return found


class _Context:
    """What a default in Python may ask about the row that it is for."""

    def __init__(self, row: Row) -> None:
        self.current_parameters = row

    def get_current_parameters(self, isolate_multiinsert_groups: bool = True) -> Row:
        """The values of the row."""
        del isolate_multiinsert_groups
        return self.current_parameters


def _default(column: Any, row: Row) -> Any:
    """What the default in Python makes."""
    made = column.default
    if made is None or not (made.is_scalar or made.is_callable):
        return _UNKNOWN
    return made.arg(_Context(row)) if made.is_callable else made.arg


def _run(connection: Connection, statement: Any, rows: list[Row], table: str) -> None:
    """Carry out a change of one row for each of `rows`.

    Raises:
        Conflict: when one is not there.
    """
    if rows:
        result = connection.execute(statement, rows, execution_options={INNER: True})
        dialect = connection.dialect
        is_counted = dialect.supports_sane_multi_rowcount or len(rows) == 1
        if is_counted and result.rowcount != len(rows):
            raise Conflict("row.changed", what=f"A row of {table}")
