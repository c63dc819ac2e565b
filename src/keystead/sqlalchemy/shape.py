"""Refusing statements in which an encrypted column stands where its stored form would be shown.

An encrypted column may stand among the columns that are selected or returned, where it is opened,
and within `Raw`, which `column` makes for equality and emptiness. In a function, an order, a group
or a comparison with another column the database would work on envelopes and answer something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ClauseElement, CompoundSelect, Select, Table
from sqlalchemy.sql import operators
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import BinaryExpression, ColumnClause, ColumnElement, Grouping, Label
from sqlalchemy.sql.elements import _textual_label_reference as TextualLabel  # noqa: N812
from sqlalchemy.sql.selectable import ScalarSelect, TableClause, _CompoundSelectKeyword
from sqlalchemy.sql.visitors import iterate

from keystead.base.errors import Invalid
from keystead.sqlalchemy.column import Cell, Encrypted, Raw, keys_beside


def refuse_misuse(element: Any) -> None:
    """Refuse a statement, as it is compiled, that shows or compares stored forms.

    Raises:
        Invalid: naming the column and where it stands.
    """
    if isinstance(element, Raw | Cell | TableClause):
        return
    if isinstance(element, Select):
        _refuse_in_select(element)
        return
    if isinstance(element, CompoundSelect):
        _refuse_mixture([part for part in element.selects if isinstance(part, Select)])
        if element.keyword is not _CompoundSelectKeyword.UNION_ALL:
            for part in element.selects:
                _refuse_without_keys(part)
    elif isinstance(element, UpdateBase):
        _refuse_in_change(element)
        return
    elif isinstance(element, ColumnElement) and isinstance(element.type, Encrypted):
        raise _refused(element.type, "in an expression")
    elif isinstance(element, BinaryExpression) and element.operator in _MEMBERSHIP:
        _refuse_subquery(element.right)
    for child in element.get_children():
        refuse_misuse(child)


_MEMBERSHIP = (operators.in_op, operators.not_in_op)


def _refuse_in_select(element: Any) -> None:
    shown: dict[Any, Any] = {
        name: (one.element if isinstance(one, Label) else one).type
        for one in element._raw_columns
        if _is_selected(one)
        for name in (one.key, getattr(one, "element", one).key)
    }
    for clause in (*element._order_by_clauses, *element._group_by_clauses):
        if isinstance(clause, TextualLabel) and clause.element in shown:
            raise _refused(shown[clause.element], "in an order or a group")
    if element._distinct or element._distinct_on:
        _refuse_without_keys(element)
    plain = {id(column) for column in element._raw_columns if _is_selected(column)}
    for child in element.get_children():
        if id(child) not in plain:
            refuse_misuse(child)
    # a column that is also selected may stand elsewhere as the very same object
    for clause in (
        *(*element._where_criteria, *element._having_criteria, *element._distinct_on),
        *(*element._order_by_clauses, *element._group_by_clauses),
    ):
        refuse_misuse(clause)


def _refuse_in_change(element: Any) -> None:
    returned = {id(column) for column in element._returning if _is_selected(column)}
    for attribute in ("_where_criteria", "_returning"):
        for clause in getattr(element, attribute, ()):
            if id(clause) not in returned:
                refuse_misuse(clause)
    table = element.table
    kinds = [column.type for column in table.c if isinstance(column.type, Encrypted)]
    if kinds and not isinstance(table, Table):
        raise _refused(kinds[0], "in a change of an alias")
    upsert = _upserted(element)
    for name, value in (*_given(element), *upsert.items()):
        _refuse_copy(name, value)
    if isinstance(getattr(element, "select", None), ClauseElement):
        _refuse_copy("", element.select)
    if kinds and any(key.key in upsert for key in table.primary_key):
        raise _refused(kinds[0], "in a row whose key an upsert changes")


def _refuse_copy(name: str, value: Any) -> None:
    """Refuse to put the stored form of an encrypted column anywhere but where it stands."""
    for inner in iterate(value) if isinstance(value, ClauseElement) else ():
        # what stays as it is stored is said by the column itself (`writes`)
        is_itself = getattr(inner, "key", None) == name
        kind = getattr(inner, "type", None)
        if isinstance(kind, Encrypted) and _is_selected(inner) and not is_itself:
            raise _refused(kind, "as a value of another column")


def _given(element: Any) -> Iterator[tuple[str, Any]]:
    """The columns that a statement sets, each with its value."""
    pairs = [*(getattr(element, "_values", None) or {}).items()]
    pairs += getattr(element, "_ordered_values", None) or ()
    for rows in getattr(element, "_multi_values", ()):
        pairs += (pair for row in rows for pair in row.items())
    return ((getattr(key, "key", key), value) for key, value in pairs)


def _upserted(element: Any) -> dict[str, Any]:
    """The columns that an upsert sets where the row is there already."""
    clause = getattr(element, "_post_values_clause", None)
    # PostgreSQL and SQLite have pairs, MariaDB has a mapping
    found = getattr(clause, "update_values_to_set", None) or getattr(clause, "update", None) or {}
    return {str(getattr(key, "key", key)): value for key, value in dict(found).items()}


def _refuse_without_keys(element: Any) -> None:
    """Rows that are made distinct must be told apart by their keys."""
    if isinstance(element, Select):
        there = {hash(column) for column in _columns(element._raw_columns)}
        for column in _encrypted(element._raw_columns):
            if not there.issuperset(map(hash, keys_beside(column.type, column))):
                raise _refused(column.type, "in DISTINCT or UNION without its row's key")


def _refuse_mixture(parts: list[Any]) -> None:
    """What stands in one place of a union must be the same encrypted column in every part."""
    for place in zip(*[list(_columns(part._raw_columns)) for part in parts], strict=False):
        names = {c.type.where if isinstance(c.type, Encrypted) else None for c in place}
        if len(names) > 1:
            kinds: list[Any] = [c.type for c in place if isinstance(c.type, Encrypted)]
            raise _refused(kinds[0], "in a union with another column")


def _refuse_subquery(element: Any) -> None:
    while isinstance(element, Grouping | ScalarSelect):
        element = element.element
    if isinstance(element, Select):
        for column in _encrypted(element._raw_columns):
            raise _refused(column.type, "in a comparison")


def _columns(raw: Iterable[Any]) -> Iterator[Any]:
    for one in raw:
        column = one.element if isinstance(one, Label) else one
        yield from (column,) if isinstance(column, ColumnElement) else getattr(column, "c", ())


def _encrypted(raw: Iterable[Any]) -> Iterator[Any]:
    return (c for c in _columns(raw) if _is_selected(c))


def _is_selected(column: Any) -> bool:
    element = column.element if isinstance(column, Label) else column
    return isinstance(element, ColumnClause) and isinstance(element.type, Encrypted)


def _refused(of: Encrypted, where: str) -> Invalid:
    return Invalid("column.shape", column=of.column.name, where=where)
