"""Encoded queries, as text and as a tree. Pure.

`^` joins conditions that must all hold; `^OR` adds an alternative to the condition before it and
binds tighter; `^NQ` begins another query of which one must hold; `^EQ` ends the query. `ORDERBY`
and `ORDERBYDESC` sort. Nothing in a query is ever evaluated: a value that begins with `javascript:`
is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keystead.base.errors import Invalid, NotFound
from keystead.database.model import Table

MOST_CONDITIONS: Final = 200


class Operator(StrEnum):
    """What a condition asks; the value is how it is written."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    CONTAINS = "LIKE"
    CONTAINS_NOT = "NOT LIKE"
    STARTS_WITH = "STARTSWITH"
    ENDS_WITH = "ENDSWITH"
    IN = "IN"
    NOT_IN = "NOT IN"
    EMPTY = "ISEMPTY"
    NOT_EMPTY = "ISNOTEMPTY"
    ANYTHING = "ANYTHING"


@dataclass(frozen=True, slots=True)
class Condition:
    """One column compared with values: none for an operator that takes none, several for IN."""

    column: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by."""

    column: str
    descending: bool


Alternatives = tuple[Condition, ...]
Block = tuple[Alternatives, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """One of `blocks` must hold; of a block all alternatives, of alternatives one condition.

    No block means every row.
    """

    blocks: tuple[Block, ...] = ()
    order: tuple[Order, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Every condition, wherever it stands."""
        return tuple(c for block in self.blocks for group in block for c in group)

    def narrowed(self, conditions: tuple[Condition, ...]) -> Query:
        """The same query, with conditions that must hold as well."""
        more: Block = tuple((condition,) for condition in conditions)
        blocks = tuple(block + more for block in self.blocks or ((),)) if more else self.blocks
        return Query(blocks, self.order)


_SIGNS: Final = {"*": Operator.CONTAINS, "!*": Operator.CONTAINS_NOT, "%": Operator.ENDS_WITH}
_COMPARISON = re.compile(
    r"(?P<bare>ISEMPTY|ISNOTEMPTY|ANYTHING|EMPTYSTRING)"
    r"|(?P<sign>!=|<=|>=|!\*|=|<|>|\*|%|NOT LIKE|NOT IN|STARTSWITH|ENDSWITH|LIKE|IN)(?P<value>.*)",
    re.DOTALL,
)
_UNKNOWN = re.compile(r"(?P<column>[^=!<>*%]+)(?:[=!<>*%]|ISEMPTY$|ISNOTEMPTY$)")
_ORDER = re.compile(r"ORDERBY(?P<descending>DESC)?(?P<column>.+)", re.DOTALL)


def parse(text: str, table: Table) -> Query:
    """The query that a text encodes, over the columns of a table; an empty one is every row.

    Column names are what ends before an operator, so they must be known: the longest that fits is
    meant.

    Raises:
        Invalid: for a part that is not of the form, naming it, or for too many.
        NotFound: for a column that is not there.
    """
    names = sorted((c.name for c in table.columns), key=len, reverse=True)
    blocks: list[list[list[Condition]]] = [[]]
    order: list[Order] = []
    parts = text.split("^") if text else []
    if len(parts) > MOST_CONDITIONS:
        raise Invalid("query.long", most=MOST_CONDITIONS)
    for at, part in enumerate(parts):
        if part == "EQ" or (part == "" and at in (0, len(parts) - 1)):
            continue
        if sorting := _ORDER.fullmatch(part):
            if sorting["column"] not in names:
                raise NotFound("column.missing", table=table.name, column=sorting["column"])
            order.append(Order(sorting["column"], bool(sorting["descending"])))
            continue
        block = blocks[-1]
        if part.startswith("NQ"):
            blocks.append([[_condition(part[2:], table, names)]])
        elif part.startswith("OR") and block:
            block[-1].append(_condition(part[2:], table, names))
        else:
            block.append([_condition(part, table, names)])
    filled = tuple(tuple(tuple(group) for group in block) for block in blocks if block)
    return Query(filled, tuple(order))


def _condition(part: str, table: Table, names: list[str]) -> Condition:
    for column in names:
        found = _COMPARISON.fullmatch(part, len(column)) if part.startswith(column) else None
        if found is not None:
            return _compared(part, column, found)
    if unknown := _UNKNOWN.match(part):
        raise NotFound("column.missing", table=table.name, column=unknown["column"].strip())
    raise Invalid("query.syntax", term=part)


def _compared(part: str, column: str, found: re.Match[str]) -> Condition:
    if found["bare"] == "EMPTYSTRING":
        return Condition(column, Operator.EQUAL, ("",))
    if found["bare"]:
        return Condition(column, Operator(found["bare"]), ())
    sign, value = found["sign"], found["value"]
    if value.lower().startswith("javascript:"):
        raise Invalid("query.syntax", term=part)
    operator = _SIGNS.get(sign) or Operator(sign)
    listed = operator in (Operator.IN, Operator.NOT_IN)
    return Condition(column, operator, tuple(value.split(",")) if listed else (value,))
