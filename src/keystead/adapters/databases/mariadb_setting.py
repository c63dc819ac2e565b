"""The statements that set values in rows which still hold the old ones. Pure.

A statement costs more than a row, so one sets many rows where the key is one column: the place of a
row's key among those of the statement is that of its new and old values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from keystead.adapters.databases.mariadb_schema import Stored
from keystead.adapters.databases.statements import own, quote
from keystead.database.port import Row, Value

_ROWS: Final = 64  # of one statement: a place is found by comparing key after key
_LETTERS: Final = 256 * 1024

Statement = tuple[str, tuple[Value, ...]]


class CompareAndSet:
    """New values for columns of a table, by key and old values."""

    def __init__(
        self, table: str, kept: Mapping[str, Stored], key: Sequence[str], columns: Sequence[str]
    ) -> None:
        self._table, self._kept, self._key, self._columns = table, kept, key, columns

    def statements(self, changes: Sequence[Row]) -> Iterator[Statement]:
        """The statements for these changes, each with its values.

        A change is as `Database.compare_and_set` takes it.
        """
        for some in self._batches(changes):
            yield self._one(some[0]) if len(some) == 1 else self._several(some)

    def _batches(self, changes: Sequence[Row]) -> Iterator[list[Row]]:
        most = _ROWS if len(self._key) == 1 and not self._kept[self._key[0]].is_floating else 1
        some: list[Row] = []
        letters = 0
        for one in changes:
            length = sum(len(value) for value in one if isinstance(value, str))
            if some and (len(some) == most or letters + length > _LETTERS):
                yield some
                some, letters = [], 0
            some.append(one)
            letters += length
        if some:
            yield some

    def _one(self, change: Row) -> Statement:
        kept, width = self._kept, len(self._columns)
        sets = [f"{own(c)} = {kept[c].mark}" for c in self._columns]
        # the key finds the row by its index, then once more by bytes
        guards = [f"{own(k)} = {kept[k].mark}" for k in self._key]
        guards += [f"{kept[c].compared(c)} <=> %s" for c in (*self._key, *self._columns)]
        until = width + len(self._key)
        return self._update(sets, guards), (*change[:until], *change[width:])

    def _several(self, changes: Sequence[Row]) -> Statement:
        (name,) = self._key
        kept, width, count = self._kept, len(self._columns), len(changes)
        by_column = list(zip(*changes, strict=True))
        new, keys, old = by_column[:width], by_column[width], by_column[width + 1 :]
        place = f"FIELD({kept[name].compared(name)}, {_marks('%s', count)})"
        sets, guards = [], [f"{own(name)} IN ({_marks(kept[name].mark, count)})", f"{place} > 0"]
        given: list[Value] = []
        for column, values in zip(self._columns, new, strict=True):
            sets.append(f"{own(column)} = ELT({place}, {_marks(kept[column].mark, count)})")
            given += [*keys, *values]
        given += [*keys, *keys]
        for column, values in zip(self._columns, old, strict=True):
            guards.append(
                f"{kept[column].compared(column)} <=> ELT({place}, {_marks('%s', count)})"
            )
            given += [*keys, *values]
        return self._update(sets, guards), tuple(given)

    def _update(self, sets: Sequence[str], guards: Sequence[str]) -> str:
        where = " AND ".join(guards)
        return f"UPDATE {quote(self._table)} AS t SET {', '.join(sets)} WHERE {where}"  # noqa: S608


def _marks(mark: str, count: int) -> str:
    return ", ".join([mark] * count)
