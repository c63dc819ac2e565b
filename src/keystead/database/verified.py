"""The rows of one tagged table in memory, as they were verified, and found by conditions. Pure.

Conditions are decided here and not by the database, so what is answered is what was verified.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import BinaryExpression, BindParameter, Column, ColumnElement, Table
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BooleanClauseList, Grouping, Null

Row = tuple[Any, ...]

_COMPARISONS: Final = frozenset(
    (operators.eq, operators.ne, operators.lt, operators.le, operators.gt, operators.ge)
)


@dataclass(frozen=True, slots=True)
class VerifiedRows:
    """One state of a table: its anchor, and its rows by `sys_id`. It never changes.

    A row is a tuple as the table is declared: `sys_id` first, `tag` last.
    """

    names: tuple[str, ...]
    anchor: dict[str, Any]
    rows: dict[str, Row]
    tags: list[str]
    _indexes: dict[str, dict[Any, list[str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Table, anchor: dict[str, Any], rows: Iterable[Row]) -> VerifiedRows:
        """The state of a table with these rows."""
        by_id = {str(row[0]): row for row in rows}
        return cls(names(table), anchor, by_id, sorted(str(row[-1]) for row in by_id.values()))

    def fields(self, sys_id: str) -> dict[str, Any]:
        """A row by the names of its columns, for the caller to keep."""
        return dict(zip(self.names, self.rows[sys_id], strict=True))

    def find(self, conditions: Iterable[ColumnElement[bool]]) -> list[str]:
        """The `sys_id` of each row that meets the conditions, in order.

        Raises:
            NotImplementedError: unless they compare columns with values, by `==` and the like,
                `in_` and `is_(None)`, joined by `&` and `|`.
        """
        parts = [part for condition in conditions for part in _conjuncts(condition)]
        tests = [self._test(part) for part in parts]
        found: Iterable[str] = self.rows
        for part in parts:
            if isinstance(part, BinaryExpression) and part.operator is operators.eq:
                found = self._with(*_sides(part))
                break
        return sorted(i for i in found if all(test(self.rows[i]) for test in tests))

    def changed(self, gone: Iterable[str], new: Iterable[Row]) -> VerifiedRows:
        """The state without some rows, then with others; its anchor is still that of this one."""
        rows, tags = dict(self.rows), list(self.tags)
        indexes = {name: dict(index) for name, index in dict(self._indexes).items()}
        for sys_id in gone:
            row = rows.pop(sys_id)
            del tags[bisect_left(tags, row[-1])]
            for name, index in indexes.items():
                value = row[self.names.index(name)]
                index[value] = [i for i in index[value] if i != sys_id]
        for row in new:
            rows[row[0]] = row
            insort(tags, row[-1])
            for name, index in indexes.items():
                value = row[self.names.index(name)]
                index[value] = [*index.get(value, ()), row[0]]
        return replace(self, rows=rows, tags=tags, _indexes=indexes)

    def _with(self, name: str, value: Any) -> list[str]:
        """The rows that have a value in a column; the column is indexed when first asked for."""
        index = self._indexes.get(name)
        if index is None:
            place, index = self.names.index(name), {}
            for sys_id, row in self.rows.items():
                index.setdefault(row[place], []).append(sys_id)
            self._indexes[name] = index
        return index.get(value, []) if isinstance(value, Hashable) else []

    def _test(self, condition: object) -> Callable[[Row], bool]:
        if isinstance(condition, Grouping):
            return self._test(condition.element)
        if isinstance(condition, BooleanClauseList):
            join = all if condition.operator is operators.and_ else any
            tests = [self._test(part) for part in condition.clauses]
            return lambda row: join(test(row) for test in tests)
        if not isinstance(condition, BinaryExpression):
            raise NotImplementedError(str(condition))
        name, value = _sides(condition)
        place, operator = self.names.index(name), condition.operator
        if operator is operators.is_ and value is None:
            return lambda row: row[place] is None
        if operator is operators.in_op:
            return lambda row: row[place] in value
        if operator not in _COMPARISONS:
            raise NotImplementedError(str(condition))
        # what is compared with NULL is not met
        return lambda row: row[place] is not None and bool(operator(row[place], value))


def names(table: Table) -> tuple[str, ...]:
    """The names of a table's columns, in the order of its rows."""
    return tuple(column.name for column in table.columns)


def _conjuncts(condition: ColumnElement[bool]) -> Iterator[ColumnElement[bool]]:
    if isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for part in condition.clauses:
            yield from _conjuncts(part)
    else:
        yield condition


def _sides(condition: BinaryExpression[bool]) -> tuple[str, Any]:
    """The column of a comparison, and the value it is compared with."""
    left, right = condition.left, condition.right
    if isinstance(left, Column) and isinstance(right, BindParameter | Null):
        return left.name, getattr(right, "effective_value", None)
    raise NotImplementedError(str(condition))
