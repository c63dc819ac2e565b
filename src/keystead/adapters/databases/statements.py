"""Statements that PostgreSQL and MariaDB take alike: names in double quotes, values as `%s`. Pure.

Both drivers read `%` as the beginning of a place for a value, so a name doubles it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from keystead.database.port import Row, Value

Read = Callable[[str], str]


def quote(name: str) -> str:
    """A name as it stands in a statement that is given to the driver with values."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def names(of: Iterable[str]) -> str:
    """Names as a list."""
    return ", ".join(quote(name) for name in of)


def marks(number: int) -> str:
    """Places for that many values."""
    return ", ".join(["%s"] * number)


def select(
    table: str,
    columns: Iterable[str],
    where: Mapping[str, tuple[str, Sequence[Value]]],
    order: Iterable[str],
    limit: int,
    read: Read,
    compared: Read,
) -> tuple[str, Row]:
    """Rows whose columns are in, or not in, the given values; `read` and `compared` say how."""
    terms: list[str] = []
    values: list[Value] = []
    for column, (operator, wanted) in where.items():
        negated = {"in": "", "not in": "NOT "}[operator]
        terms.append(f"{compared(column)} {negated}IN ({marks(len(wanted))})")
        values.extend(wanted)
    condition = f" WHERE {' AND '.join(terms)}" if terms else ""
    statement = (
        f"SELECT {', '.join(map(read, columns))} FROM {quote(table)} AS t{condition}"  # noqa: S608
        f" ORDER BY {', '.join(map(own, order))} LIMIT {int(limit)}"
    )
    return statement, tuple(values)


def own(column: str) -> str:
    """A column of the table `t`, never one of the same name among the results."""
    return f"t.{quote(column)}"


def batches(rows: Iterable[Row], size: int) -> Iterable[list[Row]]:
    """The rows in lists of up to `size`."""
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch
