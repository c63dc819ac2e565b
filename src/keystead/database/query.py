"""Which rows of a business table are asked for, as a tree. Every database gives it one meaning.

Text is equal when its characters are, whatever the collation of its column; parts of a text match
in either case. Numbers, moments and UUIDs are compared by value. A NULL is unequal to everything,
and neither less nor greater than anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


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

    def narrowed(self, conditions: Iterable[Condition]) -> Query:
        """The same query, with conditions that must hold as well."""
        more: Block = tuple((condition,) for condition in conditions)
        blocks = tuple(block + more for block in self.blocks or ((),)) if more else self.blocks
        return Query(blocks, self.order)

    def sorted(self, columns: Iterable[str]) -> Query:
        """The same query, with rows that are alike in its order sorted by these columns."""
        more = tuple(Order(column, descending=False) for column in columns)
        return Query(self.blocks, self.order + more)

    def reversed(self) -> Query:
        """The same query in the opposite order."""
        return Query(self.blocks, tuple(Order(o.column, not o.descending) for o in self.order))


EVERY_ROW = Query()
