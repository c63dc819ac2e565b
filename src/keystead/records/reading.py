"""Rows of a business table as one caller may see them.

With the right to decrypt he sees the clear value of an encrypted column, without it what stands for
it (`access.effect`). Naming such a column in a condition or an order needs the same right, since a
count or an order answers guesses; whether it is empty is a guess too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    TableClause,
    Text,
    and_,
    cast,
    false,
    func,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.sql import quoted_name

from keystead.access.effect import Effect
from keystead.access.permissions import Permissions
from keystead.base.errors import Invalid, NotFound
from keystead.crypto import envelope
from keystead.crypto.envelope import Scheme
from keystead.database.model import RESERVED_PREFIXES, Column, ColumnType, Table
from keystead.database.port import Database, Row, Value
from keystead.keys.hierarchy import Hierarchy
from keystead.records.query import Condition, Operator, Query
from keystead.records.visibility import Visibility

_EQUALITY = {Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN}
_NEGATED = {Operator.NOT_EQUAL, Operator.NOT_IN}
_EMPTINESS = {Operator.EMPTY, Operator.NOT_EMPTY, Operator.ANYTHING}


@dataclass(frozen=True, slots=True)
class Shown:
    """Rows as one caller may see them, and their primary keys.

    `effects` has the encrypted columns among those shown. The values of `hidden` ones are the same
    in every row: empty, or asterisks where he may write. `not_held` counts values whose key is
    known but not held here; they are shown empty.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]
    keys: list[Row]
    effects: dict[str, Effect]
    not_held: int

    @property
    def hidden(self) -> tuple[str, ...]:
        """The columns whose clear values he may not see."""
        return tuple(name for name, effect in self.effects.items() if not effect.readable)


class View:
    """One table as one caller may see it in one transaction."""

    def __init__(
        self,
        tx: Connection,
        database: Database,
        hierarchy: Hierarchy,
        table: str,
        permissions: Permissions,
    ) -> None:
        self.tx = tx
        if table.lower().startswith(RESERVED_PREFIXES):
            raise NotFound("table.missing", table=table)
        self.table: Table = database.describe(tx, table)
        self.caller = permissions.subject.caller
        self.visible = Visibility(tx, hierarchy, table, permissions)

    def count(self, query: Query) -> int:
        """How many rows meet a query.

        Raises:
            Denied, Invalid: when the query may not or cannot be asked.
        """
        counting = select(func.count()).select_from(self._source).where(self._where(query))
        return int(self.tx.execute(counting).scalar_one())

    def rows(
        self, query: Query, columns: Sequence[str] | None, limit: int, offset: int = 0
    ) -> Shown:
        """Rows that meet a query, in its order and then that of the primary key.

        Raises:
            NotFound: for a column that is not there.
            Denied, Invalid: when the query may not or cannot be asked.
        """
        wanted = tuple(columns or [c.name for c in self.table.columns])
        for name in wanted:
            self.column(name)
        where, order = self._where(query), self._order(query)
        # what the caller may not see is not even read, so nothing about it can show
        read = [name for name in wanted if self.visible.effect(name).readable]
        key = self.table.primary_key or tuple(read[:1])
        if not key:
            raise Invalid("table.keyless", table=self.table.name)
        found = (
            select(*[key_part(self.table, name) for name in key], *[_named(name) for name in read])
            .select_from(self._source)
            .where(where)
            .order_by(*order, *[_named(name).asc() for name in key])
            .limit(limit)
            .offset(offset)
        )
        rows = [tuple(row) for row in self.tx.execute(found)]
        shown, not_held = self._revealed(rows, len(key), wanted, read)
        effects = {n: self.visible.effect(n) for n in wanted if self.visible.is_encrypted(n)}
        return Shown(wanted, shown, [row[: len(key)] for row in rows], effects, not_held)

    def one(self, key: Row, columns: Sequence[str] | None = None) -> Shown:
        """The row with that primary key.

        Raises:
            NotFound: when there is none.
        """
        parts = zip(self.table.primary_key, key, strict=True)
        conditions = tuple(Condition(n, Operator.EQUAL, (str(part),)) for n, part in parts)
        shown = self.rows(Query().narrowed(conditions), columns, 1)
        if not shown.rows:
            raise NotFound("record.missing", table=self.table.name)
        return shown

    def key_of(self, text: str) -> Row:
        """The primary key that a text names: one column as it is, several joined with commas.

        Raises:
            NotFound: when it cannot be a key of this table.
        """
        names = self.table.primary_key
        parts = [text] if len(names) == 1 else text.split(",")
        key = tuple(self._typed(n, part) for n, part in zip(names, parts, strict=False))
        is_text = [isinstance(part, str) for part in key]
        if len(parts) != len(names) or is_text != [self._is_text(n) for n in names]:
            raise NotFound("record.missing", table=self.table.name)
        return key

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            NotFound: when there is none.
        """
        column = self.table.column(name)
        if column is None:
            raise NotFound("column.missing", table=self.table.name, column=name)
        return column

    @property
    def _source(self) -> TableClause:
        return sql_table(quoted_name(self.table.name, quote=True))

    def _where(self, query: Query) -> ColumnElement[bool]:
        for condition in query.conditions:
            self._refuse_unasked(condition)
        if not query.blocks:
            return true()
        return or_(
            *[
                and_(*[or_(*[self._asked(c) for c in group]) for group in block])
                for block in query.blocks
            ]
        )

    def _order(self, query: Query) -> list[ColumnElement[Any]]:
        by: list[ColumnElement[Any]] = []
        for order in query.order:
            self.column(order.column)
            if self.visible.is_encrypted(order.column):
                self.visible.searchable(order.column)
                raise Invalid("query.order", column=order.column)
            name = _named(order.column)
            by.append(name.desc() if order.descending else name.asc())
        return by

    def _refuse_unasked(self, condition: Condition) -> None:
        """Refuse a condition on an encrypted column that may not or cannot be asked."""
        name = condition.column
        self.column(name)
        if not self.visible.is_encrypted(name):
            return
        encrypted = self.visible.searchable(name)
        if condition.operator in _EMPTINESS:
            return
        if encrypted.configuration.scheme is not Scheme.EQUALITY:
            raise Invalid("query.standard", column=name)
        if condition.operator not in _EQUALITY:
            raise Invalid("query.operator", column=name)

    def _asked(self, condition: Condition) -> ColumnElement[bool]:
        column = _named(condition.column)
        if condition.operator is Operator.ANYTHING:
            return true()
        if condition.operator in _EMPTINESS:
            empty: ColumnElement[bool] = column.is_(None)
            if self._is_text(condition.column):
                empty = or_(empty, column == "")
            return empty if condition.operator is Operator.EMPTY else not_(empty)
        if self.visible.is_encrypted(condition.column):
            encrypted = self.visible.searchable(condition.column)
            forms = [form for value in condition.values for form in encrypted.search_values(value)]
            return _among(column, forms, negated=condition.operator in _NEGATED)
        values = [self._typed(condition.column, value) for value in condition.values]
        return _COMPARED[condition.operator](column, values)

    def _is_text(self, name: str) -> bool:
        return self.column(name).type is not ColumnType.INTEGER

    def _typed(self, name: str, value: str) -> Value:
        if not self._is_text(name) and value.removeprefix("-").isdecimal():
            return int(value)
        return value

    def _revealed(
        self, rows: list[Row], key_width: int, wanted: Sequence[str], read: Sequence[str]
    ) -> tuple[list[tuple[Value, ...]], int]:
        opening = any(self.visible.is_encrypted(name) for name in read)
        records = [envelope.record(row[:key_width]) for row in rows] if opening else []
        by_column: list[Sequence[Value]] = []
        not_held = 0
        for name in wanted:
            effect = self.visible.effect(name)
            if not effect.readable:
                by_column.append([effect.placeholder] * len(rows))
                continue
            at = key_width + read.index(name)
            stored: Sequence[Value] = [row[at] for row in rows]
            if self.visible.is_encrypted(name):
                column = self.visible.column(name)
                clear, missing = column.open_held(stored, records)
                not_held += missing
                integer = column.configuration.original_type == ColumnType.INTEGER
                stored = [_as_integer(v) if integer and v else v for v in clear]
            by_column.append(stored)
        return list(zip(*by_column, strict=True)) if rows else [], not_held


def key_part(table: Table, name: str) -> ColumnElement[Any]:
    """A column of a key in the form that values are bound to: text without a CHAR's padding."""
    column = table.column(name)
    is_text = column is not None and column.type is ColumnType.TEXT
    # under a name of its own, since an order may name the column
    return cast(_named(name), Text).label(None) if is_text else _named(name)


def _named(name: str) -> ColumnClause[Any]:
    return sql_column(quoted_name(name, quote=True))


def _among(
    column: ColumnClause[Any], values: Sequence[Value], negated: bool
) -> ColumnElement[bool]:
    """Whether a column holds one of the values; a NULL is none of them."""
    if not values:
        return true() if negated else false()
    inside = column.in_(values)
    return or_(column.is_(None), not_(inside)) if negated else inside


_Compared = Callable[[ColumnClause[Any], Sequence[Value]], ColumnElement[bool]]
# matching parts of a text takes no account of case, as people expect of a search
_COMPARED: Final[dict[Operator, _Compared]] = {
    Operator.EQUAL: lambda column, values: _among(column, values, negated=False),
    Operator.NOT_EQUAL: lambda column, values: _among(column, values, negated=True),
    Operator.IN: lambda column, values: _among(column, values, negated=False),
    Operator.NOT_IN: lambda column, values: _among(column, values, negated=True),
    Operator.LESS: lambda column, values: column < values[0],
    Operator.AT_MOST: lambda column, values: column <= values[0],
    Operator.GREATER: lambda column, values: column > values[0],
    Operator.AT_LEAST: lambda column, values: column >= values[0],
    Operator.CONTAINS: lambda column, values: column.icontains(str(values[0]), autoescape=True),
    Operator.CONTAINS_NOT: lambda column, values: or_(
        column.is_(None), not_(column.icontains(str(values[0]), autoescape=True))
    ),
    Operator.STARTS_WITH: lambda column, values: column.istartswith(
        str(values[0]), autoescape=True
    ),
    Operator.ENDS_WITH: lambda column, values: column.iendswith(str(values[0]), autoescape=True),
}


def _as_integer(text: str) -> Value:
    """A value of a column of whole numbers; what a writer put there besides stays as it is."""
    try:
        number = int(text)
    except ValueError:
        return text
    return number if str(number) == text else text
