"""Encoded queries: from their text to the tree that a database is asked by. Pure.

`^` joins conditions that must all hold; `^OR` adds an alternative to the condition before it and
binds tighter; `^NQ` begins another query of which one must hold; `^EQ` ends the query. `ORDERBY`
and `ORDERBYDESC` sort. Nothing in a query is ever evaluated: a value that begins with `javascript:`
is text like any other.
"""

from __future__ import annotations

import re
from typing import Final

from keystead.base.errors import Invalid, NotFound
from keystead.database.model import Table
from keystead.database.query import Condition, Operator, Order, Query

MOST_CONDITIONS: Final = 200
MOST_VALUES: Final = 5_000

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
    query = Query(filled, tuple(order))
    if sum(len(condition.values) for condition in query.conditions) > MOST_VALUES:
        raise Invalid("query.values", most=MOST_VALUES)
    return query


def _condition(part: str, table: Table, names: list[str]) -> Condition:
    for column in names:
        found = _COMPARISON.fullmatch(part, len(column)) if part.startswith(column) else None
        if found is not None:
            return _compared(column, found)
    if unknown := _UNKNOWN.match(part):
        raise NotFound("column.missing", table=table.name, column=unknown["column"].strip())
    raise Invalid("query.syntax", term=part)


def _compared(column: str, found: re.Match[str]) -> Condition:
    if found["bare"] == "EMPTYSTRING":
        return Condition(column, Operator.EQUAL, ("",))
    if found["bare"]:
        return Condition(column, Operator(found["bare"]), ())
    sign, value = found["sign"], found["value"]
    operator = _SIGNS.get(sign) or Operator(sign)
    listed = operator in (Operator.IN, Operator.NOT_IN)
    return Condition(column, operator, tuple(value.split(",")) if listed else (value,))
