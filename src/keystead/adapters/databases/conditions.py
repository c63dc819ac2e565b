"""A query as the condition and the order of a statement: one meaning on every database. Pure.

A text is looked for twice: as its column compares it, which an index finds, and by its bytes, since
a collation may take no account of case, accents or spaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final, Protocol
from uuid import UUID

from keystead.base.errors import Invalid
from keystead.database.model import whole_number
from keystead.database.port import Row, Value
from keystead.database.query import EVERY_ROW, Condition, Operator, Query

_MOST_DIGITS: Final = 80
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+\.[0-9]+")
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII
)
_ESCAPE: Final = "!"


class Kind(Enum):
    """How values of a column are compared with a text."""

    TEXT = auto()
    WHOLE = auto()
    NUMBER = auto()
    MOMENT = auto()
    UUID = auto()
    OTHER = auto()  # by their text form


class Terms(Protocol):
    """How one database says it. `mark` stands for a value."""

    mark: str

    def kind(self, column: str) -> Kind:
        """How its values are compared."""
        ...

    def own(self, column: str) -> str:
        """The column itself, as an index has it."""
        ...

    def by_bytes(self, column: str) -> str:
        """Its values as text that is compared by bytes."""
        ...

    def folded(self, text: str) -> str:
        """A text without regard to case."""
        ...


Term = tuple[str, list[Value]]


def where(query: Query, terms: Terms) -> tuple[str, tuple[Value, ...]]:
    """What follows the table: ` WHERE ...`, or nothing for every row; and its values.

    Raises:
        Invalid: for a value that cannot be compared with its column.
    """
    if not query.blocks:
        return "", ()
    blocks = [
        _joined(" AND ", [_joined(" OR ", [_asked(c, terms) for c in group]) for group in block])
        for block in query.blocks
    ]
    condition, values = _joined(" OR ", blocks)
    return f" WHERE {condition}", tuple(values)


def is_row(key: Sequence[str], row: Row, terms: Terms) -> tuple[str, tuple[Value, ...]]:
    """The same for the one row with that primary key."""
    parts = zip(key, row, strict=True)
    conditions = [Condition(name, Operator.EQUAL, (str(part),)) for name, part in parts]
    return where(EVERY_ROW.narrowed(conditions), terms)


def order_by(query: Query, terms: Terms) -> str:
    """` ORDER BY ...`, or nothing."""
    by = [
        (terms.by_bytes if terms.kind(one.column) is Kind.OTHER else terms.own)(one.column)
        + (" DESC" if one.descending else "")
        for one in query.order
    ]
    return f" ORDER BY {', '.join(by)}" if by else ""


def _joined(word: str, parts: Sequence[Term]) -> Term:
    return f"({word.join(said for said, _ in parts)})", [v for _, values in parts for v in values]


def _asked(condition: Condition, terms: Terms) -> Term:
    column, operator = condition.column, condition.operator
    if operator is Operator.ANYTHING:
        return "1 = 1", []
    if operator in (Operator.EMPTY, Operator.NOT_EMPTY):
        empty = f"{terms.own(column)} IS NULL"
        if terms.kind(column) in (Kind.TEXT, Kind.OTHER):
            empty = f"({empty} OR {terms.by_bytes(column)} = '')"
        return (empty if operator is Operator.EMPTY else f"NOT {empty}"), []
    if operator in _PATTERNS:
        return _like(condition, terms)
    if operator in _EQUALITY:
        inside, values = _among(condition, terms)
    else:
        inside, values = _compared(condition, terms)
    if operator in _NEGATED:
        return f"({terms.own(column)} IS NULL OR NOT {inside})", values
    return inside, values


def _among(condition: Condition, terms: Terms) -> Term:
    """Whether a column holds one of the values."""
    column, kind = condition.column, terms.kind(condition.column)
    values = [v for text in condition.values for v in _equal(column, kind, text)]
    if not values:
        return "1 = 0", []
    marks = f" IN ({', '.join([terms.mark] * len(values))})"
    own, by_bytes = terms.own(column) + marks, terms.by_bytes(column) + marks
    if kind is Kind.TEXT:
        return f"({own} AND {by_bytes})", [*values, *values]
    return (by_bytes if kind is Kind.OTHER else own), values


def _compared(condition: Condition, terms: Terms) -> Term:
    column, kind = condition.column, terms.kind(condition.column)
    (text,) = condition.values
    value = _valued(column, kind, text)
    left = terms.by_bytes(column) if kind is Kind.OTHER else terms.own(column)
    return f"{left} {condition.operator.value} {terms.mark}", [value]


def _like(condition: Condition, terms: Terms) -> Term:
    column = condition.column
    (text,) = condition.values
    for letter in (_ESCAPE, "%", "_"):
        text = text.replace(letter, _ESCAPE + letter)
    pattern = _PATTERNS[condition.operator](text)
    said = f"{terms.folded(terms.by_bytes(column))} LIKE {terms.folded(terms.mark)}"
    said = f"{said} ESCAPE '{_ESCAPE}'"
    if condition.operator in _NEGATED:
        said = f"({terms.own(column)} IS NULL OR NOT {said})"
    return said, [pattern]


def _equal(column: str, kind: Kind, text: str) -> list[Value]:
    """The one value that a text stands for; none where no value of the column is equal to it."""
    if kind not in (Kind.TEXT, Kind.OTHER) and text == "":
        return []
    try:
        return [_valued(column, kind, text)]
    except Invalid:
        if kind is Kind.UUID:
            return []
        raise


def _valued(column: str, kind: Kind, text: str) -> Value:
    """A value of the column's kind.

    Raises:
        Invalid: when the text is none.
    """
    if kind in (Kind.WHOLE, Kind.NUMBER):
        return _number(column, kind, text)
    if kind is Kind.MOMENT and not _MOMENT.fullmatch(text):
        raise _unfit(column, "date or time", "2030-01-31")
    if kind is Kind.UUID:
        try:
            return str(UUID(text))
        except ValueError:
            raise _unfit(column, "UUID", "123e4567-e89b-42d3-a456-426614174000") from None
    return text


def _number(column: str, kind: Kind, text: str) -> Value:
    """A number, as a text where it is no whole one."""
    whole = whole_number(column, text)
    if whole is not None:
        return whole
    if kind is Kind.WHOLE:
        raise _unfit(column, "whole number", "42")
    if len(text) > _MOST_DIGITS or not _DECIMAL.fullmatch(text):
        raise _unfit(column, "number", "42")
    return text


def _unfit(column: str, wanted: str, example: str) -> Invalid:
    return Invalid("query.value", column=column, wanted=wanted, example=example)


_EQUALITY: Final = frozenset(
    (Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN),
)
_NEGATED: Final = frozenset((Operator.NOT_EQUAL, Operator.NOT_IN, Operator.CONTAINS_NOT))
_PATTERNS: Final[dict[Operator, Callable[[str], str]]] = {
    Operator.CONTAINS: lambda text: f"%{text}%",
    Operator.CONTAINS_NOT: lambda text: f"%{text}%",
    Operator.STARTS_WITH: lambda text: f"{text}%",
    Operator.ENDS_WITH: lambda text: f"%{text}",
}
