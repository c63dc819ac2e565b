"""Which rows of a declared table are asked for, and in what order. Pure.

A query means what it means over a business table (`database.query`) and is written the same way
(`records.query`): text is equal when its characters are, parts of it match in either case, numbers
and moments are compared by value, a missing value is unequal to everything and comes first. True
and false are compared by these words, a reference by the `sys_id` that it holds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from keystead.base.errors import Invalid, NotFound
from keystead.database import model as stored
from keystead.database.model import ColumnType, whole_number
from keystead.database.query import Condition, Operator, Query
from keystead.dictionary.model import Kind, Row, Table
from keystead.records import query as records

SYS_ID: Final = "sys_id"
Test = Callable[[Any], bool]


def encoded(text: str, table: Table) -> Query:
    """The query that a text encodes, over the fields of a declared table.

    Raises:
        Invalid: for a part that is not of the form, naming it, or for too many.
        NotFound: for a field that is not declared.
    """
    names = (SYS_ID, *(field.name for field in table.fields if field.name != SYS_ID))
    columns = tuple(stored.Column(name, ColumnType.TEXT) for name in names)
    return records.parse(text, stored.Table(table.name, columns, (SYS_ID,)))


def asked(text: str, given: Mapping[str, str], table: Table) -> Query:
    """The same, narrowed to the rows whose fields have these values as well.

    Raises:
        Invalid, NotFound: as for `encoded`.
    """
    for name in given:
        if name != SYS_ID and table.field(name) is None:
            raise NotFound("column.missing", table=table.name, column=name)
    conditions = (Condition(name, Operator.EQUAL, (value,)) for name, value in given.items())
    return encoded(text, table).narrowed(conditions)


def found(rows: Sequence[Row], query: Query, table: Table) -> list[Row]:
    """The rows that meet a query, in its order; those that are alike in it stay as they were.

    Raises:
        Invalid: for a value that cannot be compared with its field.
    """
    blocks = [
        [[_asked(condition, table) for condition in group] for group in block]
        for block in query.blocks
    ]
    met = [row for row in rows if not blocks or any(_holds(block, row) for block in blocks)]
    for order in reversed(query.order):
        name, value_of = order.column, _value_of(table, order.column)
        met.sort(key=_sorted_by(name, value_of), reverse=order.descending)
    return met


_Asked = tuple[str, Test]


def _holds(block: list[list[_Asked]], row: Row) -> bool:
    return all(any(test(row.get(name)) for name, test in group) for group in block)


def _sorted_by(name: str, value_of: Callable[[Any], Any]) -> Callable[[Row], tuple[Any, ...]]:
    def key(row: Row) -> tuple[Any, ...]:
        value = row.get(name)
        return (False,) if value is None else (True, value_of(value))

    return key


def _asked(condition: Condition, table: Table) -> _Asked:
    asked, name = condition.operator, condition.column
    if asked is Operator.ANYTHING:
        return name, lambda _value: True
    if asked is Operator.EMPTY:
        return name, _is_empty
    if asked is Operator.NOT_EMPTY:
        return name, _not(_is_empty)
    if asked in _PARTS:
        test = _with_part(asked, condition.values[0])
    elif asked in _COMPARISONS:
        test = _compared(condition, table)
    else:
        test = _among(condition, table)
    return name, _not(test) if asked in _NEGATED else test


def _is_empty(value: Any) -> bool:
    return value is None or value == ""


def _not(test: Test) -> Test:
    return lambda value: not test(value)


def _with_part(asked: Operator, part: str) -> Test:
    matches, folded = _PARTS[asked], part.lower()
    return lambda value: value is not None and matches(_text(value).lower(), folded)


def _compared(condition: Condition, table: Table) -> Test:
    compares, value_of = _COMPARISONS[condition.operator], _value_of(table, condition.column)
    bound = _given_as(table, condition.column)(condition.values[0])
    return lambda value: value is not None and compares(value_of(value), bound)


def _among(condition: Condition, table: Table) -> Test:
    value_of, given_as = _value_of(table, condition.column), _given_as(table, condition.column)
    is_text = value_of is _text
    among = {given_as(text) for text in condition.values if is_text or text != ""}
    return lambda value: value is not None and value_of(value) in among


def _value_of(table: Table, name: str) -> Callable[[Any], Any]:
    """What of a field's value is compared: a number, a moment, or its text."""
    kind = _kind(table, name)
    if kind is Kind.NUMBER:
        return operator.pos
    return _moment if kind is Kind.MOMENT else _text


def _given_as(table: Table, name: str) -> Callable[[str], Any]:
    """The same of a text that it is compared with.

    Raises:
        Invalid: by the function, for a text that stands for none.
    """
    kind = _kind(table, name)

    def number(text: str) -> int:
        given = whole_number(name, text)
        if given is None:
            raise _unfit(name, "whole number", "42")
        return given

    def moment(text: str) -> datetime:
        try:
            return _moment(text)
        except ValueError:
            raise _unfit(name, "date or time", "2030-01-31") from None

    if kind is Kind.NUMBER:
        return number
    return moment if kind is Kind.MOMENT else str


def _kind(table: Table, name: str) -> Kind:
    field = table.field(name)
    return field.kind if field else Kind.ID


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unfit(column: str, wanted: str, example: str) -> Invalid:
    return Invalid("query.value", column=column, wanted=wanted, example=example)


_NEGATED: Final = frozenset((Operator.NOT_EQUAL, Operator.NOT_IN, Operator.CONTAINS_NOT))
_PARTS: Final[dict[Operator, Callable[[str, str], bool]]] = {
    Operator.CONTAINS: str.__contains__,
    Operator.CONTAINS_NOT: str.__contains__,
    Operator.STARTS_WITH: str.startswith,
    Operator.ENDS_WITH: str.endswith,
}
_COMPARISONS: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.GREATER: operator.gt,
    Operator.AT_LEAST: operator.ge,
}
