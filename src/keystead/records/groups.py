"""How many rows of a business table have which values, as one caller may see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from keystead.base.errors import Invalid
from keystead.database.port import Value
from keystead.database.query import Query
from keystead.records.reading import View

MOST_GROUPS: Final = 10_000
_ROWS_AT_ONCE: Final = 10_000


def groups(view: View, query: Query, columns: Sequence[str]) -> Counter[tuple[Value, ...]]:
    """The number of rows that meet a query for each combination of values of these columns.

    Raises:
        NotFound: for a column that is not there.
        Denied: for an encrypted one whose values the caller may not see, since a count tells them.
        Invalid: when there are too many combinations, or the query cannot be asked.
    """
    for name in columns:
        view.column(name)
        if view.visible.is_encrypted(name):
            view.visible.searchable(name)
            view.searched.add(name)
    counted: Counter[tuple[Value, ...]] = Counter()
    offset = 0
    while rows := view.rows(query, columns, _ROWS_AT_ONCE, offset).rows:
        counted.update(rows)
        if len(counted) > MOST_GROUPS:
            raise Invalid("query.groups", most=MOST_GROUPS)
        offset += len(rows)
    return counted
