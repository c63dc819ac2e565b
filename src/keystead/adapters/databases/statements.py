"""Statements that PostgreSQL and MariaDB take alike: names in double quotes, values as `%s`. Pure.

Both drivers read `%` as the beginning of a place for a value, so a name doubles it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from keystead.database.model import RESERVED_PREFIXES
from keystead.database.port import Row
from keystead.database.schema import METADATA


def quote(name: str) -> str:
    """A name as it stands in a statement that is given to the driver with values."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def names(of: Iterable[str]) -> str:
    """Names as a list."""
    return ", ".join(quote(name) for name in of)


def marks(number: int) -> str:
    """Places for that many values."""
    return ", ".join(["%s"] * number)


def own(column: str) -> str:
    """A column of the table `t`, never one of the same name among the results."""
    return f"t.{quote(column)}"


def batches(rows: Iterable[Row], size: int) -> Iterable[list[Row]]:
    """The rows in lists of up to `size`."""
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch


def reserved(names: Iterable[str]) -> list[str]:
    """Tables with a name that is kept for Keystead, which it did not declare."""
    return sorted(
        name
        for name in names
        if name.lower().startswith(RESERVED_PREFIXES) and name not in METADATA.tables
    )
