"""Rows of a business table as one user may see them.

With the right to decrypt a user sees the clear value of an encrypted column, without it an empty
one. Naming such a column in a condition or an order needs the same right, since a count or an
order answers guesses; whether it is empty is a guess too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    TableClause,
    and_,
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

from keystead.access import service as access
from keystead.access.service import Operation
from keystead.base.errors import Denied, Invalid, NotFound
from keystead.crypto import envelope
from keystead.crypto.envelope import Scheme
from keystead.database.model import RESERVED_PREFIXES, Column, ColumnType, Table
from keystead.database.port import Database, Row, Value
from keystead.fields import service as fields
from keystead.fields.values import EncryptedColumn
from keystead.keys.hierarchy import Hierarchy
from keystead.records.query import Condition, Operator, Query

_EQUALITY = {Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN}
_NEGATED = {Operator.NOT_EQUAL, Operator.NOT_IN}
_EMPTINESS = {Operator.EMPTY, Operator.NOT_EMPTY, Operator.ANYTHING}


@dataclass(frozen=True, slots=True)
class Shown:
    """Rows as one user may see them: `hidden` columns are shown empty to him.

    `not_held` counts values whose key is known but not held here; they are shown empty too.
    `keys` are the primary keys of the rows.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]
    keys: list[Row]
    hidden: tuple[str, ...]
    not_held: int


class View:
    """One table as one user may see it, as it stood when the view was made."""

    def __init__(
        self,
        tx: Connection,
        database: Database,
        hierarchy: Hierarchy,
        table: str,
        user: str | None,
    ) -> None:
        self._tx = tx
        if table.lower().startswith(RESERVED_PREFIXES):
            raise NotFound("table.missing", table=table)
        self.table: Table = database.describe(tx, table)
        self.encrypted: Mapping[str, EncryptedColumn] = {
            c.column: EncryptedColumn(tx, hierarchy, c)
            for c in fields.configurations(tx, hierarchy, table)
        }
        self.readable: Mapping[str, EncryptedColumn] = {
            name: column
            for name, column in self.encrypted.items()
            if access.may(
                tx, hierarchy.integrity, user, column.configuration.module_id, Operation.DECRYPT
            )
        }

    def count(self, query: Query) -> int:
        """How many rows meet a query.

        Raises:
            Denied, Invalid: when the query may not or cannot be asked.
        """
        counting = select(func.count()).select_from(self._source).where(self._where(query))
        return int(self._tx.execute(counting).scalar_one())

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
        key = self.table.primary_key
        found = (
            select(*[_named(name) for name in (*key, *wanted)])
            .select_from(self._source)
            .where(self._where(query))
            .order_by(*self._order(query))
            .limit(limit)
            .offset(offset)
        )
        rows = [tuple(row) for row in self._tx.execute(found)]
        shown, not_held = self._revealed(rows, wanted)
        hidden = tuple(n for n in wanted if n in self.encrypted and n not in self.readable)
        return Shown(wanted, shown, [row[: len(key)] for row in rows], hidden, not_held)

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
            if order.column in self.encrypted:
                if order.column not in self.readable:
                    raise Denied("query.denied", column=order.column)
                raise Invalid("query.order", column=order.column)
            name = _named(order.column)
            by.append(name.desc() if order.descending else name.asc())
        return by + [_named(name).asc() for name in self.table.primary_key]

    def _refuse_unasked(self, condition: Condition) -> None:
        """Refuse a condition on an encrypted column that may not or cannot be asked."""
        name = condition.column
        self.column(name)
        if name not in self.encrypted:
            return
        if name not in self.readable:
            raise Denied("query.denied", column=name)
        if condition.operator in _EMPTINESS:
            return
        if self.encrypted[name].configuration.scheme is not Scheme.EQUALITY:
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
        if condition.column in self.readable:
            encrypted = self.readable[condition.column]
            forms = [form for value in condition.values for form in encrypted.search_values(value)]
            return _among(column, forms, condition.operator in _NEGATED)
        values = [self._typed(condition.column, value) for value in condition.values]
        return _COMPARED[condition.operator](column, values)

    def _is_text(self, name: str) -> bool:
        return self.column(name).type is not ColumnType.INTEGER

    def _typed(self, name: str, value: str) -> Value:
        if not self._is_text(name) and value.removeprefix("-").isdecimal():
            return int(value)
        return value

    def _revealed(
        self, rows: list[Row], wanted: Sequence[str]
    ) -> tuple[list[tuple[Value, ...]], int]:
        width = len(self.table.primary_key)
        records = [envelope.record(row[:width]) for row in rows] if self.readable else []
        by_column: list[Sequence[Value]] = []
        not_held = 0
        for at, name in enumerate(wanted):
            stored: Sequence[Value] = [row[width + at] for row in rows]
            if name in self.readable:
                column = self.readable[name]
                clear, missing = column.open_held(stored, records)
                not_held += missing
                integer = column.configuration.original_type == ColumnType.INTEGER
                stored = [_as_integer(v) if integer and v else v for v in clear]
            elif name in self.encrypted:
                stored = [""] * len(rows)
            by_column.append(stored)
        return list(zip(*by_column, strict=True)) if rows else [], not_held


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
