"""Rows of a business table as one caller may see them.

With the right to decrypt he sees the clear value of an encrypted column, without it what stands for
it (`access.effect`). Naming such a column in a condition or an order needs the same right, since a
count or an order answers guesses; whether it is empty is a guess too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from keystead.access.effect import Effect
from keystead.access.permissions import Permissions
from keystead.base.errors import Invalid, KeysteadError, NotFound
from keystead.crypto import envelope
from keystead.crypto.envelope import Scheme
from keystead.database.model import (
    RESERVED_PREFIXES,
    Column,
    ColumnType,
    Table,
    refuse_nul,
    whole_number,
)
from keystead.database.port import Database, Row, Value
from keystead.database.query import EVERY_ROW, Condition, Operator, Query
from keystead.fields.opened import OpenedColumns
from keystead.keys.hierarchy import Hierarchy
from keystead.records.visibility import Visibility

_EQUALITY = {Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN}
_NEGATED = {Operator.NOT_EQUAL, Operator.NOT_IN}
_EMPTINESS = {Operator.EMPTY, Operator.NOT_EMPTY, Operator.ANYTHING}


@dataclass(frozen=True, slots=True)
class Shown:
    """Rows as one caller may see them, and their primary keys.

    `effects` has the encrypted columns among those shown. The values of `hidden` ones are the same
    in every row: empty, or asterisks where he may write. `dark` says of values whose key is known
    but not held here, or may not be used now, why, by number of row and column; they are shown
    empty.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]
    keys: list[Row]
    effects: dict[str, Effect]
    dark: dict[tuple[int, str], KeysteadError]

    @property
    def not_held(self) -> int:
        """How many values could not be opened."""
        return len(self.dark)

    @property
    def hidden(self) -> tuple[str, ...]:
        """The columns whose clear values he may not see."""
        return tuple(name for name, effect in self.effects.items() if not effect.readable)


class View:
    """One table as one caller may see it in one transaction.

    `shown` counts the rows he was shown; of the encrypted columns `opened` has those whose clear
    values he was, and `searched` those he asked about.
    """

    def __init__(
        self,
        tx: Connection,
        database: Database,
        hierarchy: Hierarchy,
        table: str,
        permissions: Permissions,
        columns: OpenedColumns | None = None,
    ) -> None:
        self.tx = tx
        self.database = database
        if table.lower().startswith(RESERVED_PREFIXES) or "\0" in table:
            raise NotFound("table.missing", table=table)
        self.table: Table = database.describe(tx, table)
        self.caller = permissions.subject.caller
        self.is_known = permissions.subject.is_known
        self.visible = Visibility(tx, hierarchy, self.table.name, permissions, columns)
        self.shown = 0
        self.opened: set[str] = set()
        self.searched: set[str] = set()

    def count(self, query: Query) -> int:
        """How many rows meet a query.

        Raises:
            Denied, Invalid: when the query may not or cannot be asked.
        """
        return self.database.count_rows(self.tx, self.table.name, self._asked(query))

    def rows(
        self,
        query: Query,
        columns: Sequence[str] | None,
        limit: int,
        offset: int = 0,
        total: int | None = None,
    ) -> Shown:
        """Rows that meet a query, in its order and then that of the primary key.

        Where `total` says how many there are, those near the end are reached from there.

        Raises:
            NotFound: for a column that is not there.
            Denied, Invalid: when the query may not or cannot be asked.
        """
        wanted = tuple(columns or [c.name for c in self.table.columns])
        for name in wanted:
            self.column(name)
        asked = self._asked(query)
        # what the caller may not see is not even read, so nothing about it can show
        read = [name for name in wanted if self.visible.effect(name).readable]
        key = self.table.primary_key or tuple(read[:1])
        if not key:
            raise Invalid("table.keyless", table=self.table.name)
        rows = self._selected((*key, *read), asked.sorted(key), limit, offset, total)
        shown, dark = self._revealed(rows, len(key), wanted, read)
        self.shown += len(rows)
        self.opened.update(n for n in read if rows and self.visible.is_encrypted(n))
        effects = {n: self.visible.effect(n) for n in wanted if self.visible.is_encrypted(n)}
        return Shown(wanted, shown, [row[: len(key)] for row in rows], effects, dark)

    def one(self, key: Row, columns: Sequence[str] | None = None) -> Shown:
        """The row with that primary key.

        Raises:
            NotFound: when there is none.
        """
        parts = zip(self.table.primary_key, key, strict=True)
        conditions = [Condition(n, Operator.EQUAL, (str(part),)) for n, part in parts]
        shown = self.rows(EVERY_ROW.narrowed(conditions), columns, 1)
        if not shown.rows:
            raise NotFound("record.missing", table=self.table.name)
        return shown

    def key_of(self, text: str) -> Row:
        """The primary key that a text names: one column as it is, several joined with commas.

        Raises:
            NotFound: when it cannot be a key of this table.
            Invalid: for a number of more than 64 bits, or a text with the character NUL.
        """
        refuse_nul(text)
        names = self.table.primary_key
        parts = [text] if len(names) == 1 else text.split(",")
        if len(parts) != len(names):
            raise NotFound("record.missing", table=self.table.name)
        return tuple(self._key_part(n, part) for n, part in zip(names, parts, strict=True))

    def _key_part(self, name: str, text: str) -> Value:
        if self.column(name).type is not ColumnType.INTEGER:
            return text
        number = whole_number(name, text)
        if number is None:
            raise NotFound("record.missing", table=self.table.name)
        return number

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            NotFound: when there is none.
        """
        column = self.table.column(name)
        if column is None:
            raise NotFound("column.missing", table=self.table.name, column=name)
        return column

    def _asked(self, query: Query) -> Query:
        """The same query about what is stored, if the caller may ask it.

        Raises:
            NotFound, Denied, Invalid: when it may not or cannot be asked.
        """
        for condition in query.conditions:
            self._refuse_unasked(condition)
        for order in query.order:
            self.column(order.column)
            if self.visible.is_encrypted(order.column):
                self.visible.searchable(order.column)
                raise Invalid("query.order", column=order.column)
        blocks = tuple(
            tuple(tuple(self._stored_form(c) for c in group) for group in block)
            for block in query.blocks
        )
        return Query(blocks, query.order)

    def _refuse_unasked(self, condition: Condition) -> None:
        """Refuse a condition on an encrypted column that may not or cannot be asked."""
        name = condition.column
        self.column(name)
        refuse_nul(*condition.values)
        if not self.visible.is_encrypted(name):
            return
        encrypted = self.visible.searchable(name)
        self.searched.add(name)
        if condition.operator in _EMPTINESS:
            return
        if encrypted.configuration.scheme is not Scheme.EQUALITY:
            raise Invalid("query.standard", column=name)
        if condition.operator not in _EQUALITY:
            raise Invalid("query.operator", column=name)

    def _stored_form(self, condition: Condition) -> Condition:
        """A condition on an encrypted column, as one on its envelopes."""
        name, operator = condition.column, condition.operator
        if operator in _EMPTINESS or not self.visible.is_encrypted(name):
            return condition
        encrypted = self.visible.searchable(name)
        forms = [form for value in condition.values for form in encrypted.search_values(value)]
        return Condition(
            name, Operator.NOT_IN if operator in _NEGATED else Operator.IN, tuple(forms)
        )

    def _selected(
        self, columns: Sequence[str], query: Query, limit: int, offset: int, total: int | None
    ) -> list[Row]:
        # without a primary key, rows that are alike have no order that could be turned round
        if total is None or offset <= total // 2 or not self.table.primary_key:
            return self.database.select(self.tx, self.table.name, columns, query, limit, offset)
        most = max(0, min(limit, total - offset))
        after = max(0, total - offset - most)
        rows = self.database.select(
            self.tx, self.table.name, columns, query.reversed(), most, after
        )
        return rows[::-1]

    def _revealed(
        self, rows: list[Row], key_width: int, wanted: Sequence[str], read: Sequence[str]
    ) -> tuple[list[tuple[Value, ...]], dict[tuple[int, str], KeysteadError]]:
        opening = any(self.visible.is_encrypted(name) for name in read)
        records = [envelope.record(row[:key_width]) for row in rows] if opening else []
        by_column: list[Sequence[Value]] = []
        dark: dict[tuple[int, str], KeysteadError] = {}
        for name in wanted:
            effect = self.visible.effect(name)
            if not effect.readable:
                by_column.append([effect.placeholder] * len(rows))
                continue
            at = key_width + read.index(name)
            stored: Sequence[Value] = [row[at] for row in rows]
            if self.visible.is_encrypted(name):
                column = self.visible.column(name)
                clear, refused = column.open_held(stored, records)
                dark.update({(row, name): why for row, why in refused.items()})
                integer = column.configuration.original_type == ColumnType.INTEGER
                stored = [_as_integer(v) if integer and v else v for v in clear]
            by_column.append(stored)
        return list(zip(*by_column, strict=True)) if rows else [], dark


def _as_integer(text: str) -> Value:
    """A value of a column of whole numbers; what a writer put there besides stays as it is."""
    try:
        number = int(text)
    except ValueError:
        return text
    return number if str(number) == text else text
