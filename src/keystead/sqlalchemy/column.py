"""The type of an encrypted column, and how statements speak of one.

What is read is one cell for each value, a JSON array of the row's key and the stored form, since a
value opens only in its row. What is written must be `Stored`, and what is read must have been
`Opened`: on an engine that is not attached to an instance the type refuses everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol
from weakref import WeakSet

from sqlalchemy import Boolean, Column, ColumnElement, Text, and_, bindparam, or_
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BindParameter, ClauseElement, ColumnClause, Label, TypeCoerce
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from keystead.base.errors import Invalid

_BINARY: Final = "utf8mb4_nopad_bin"
_MOST_BITS: Final = 64
_MYSQL: Final = ("mysql", "mariadb")


class Stored:
    """A value in its stored form, on its way into the database."""

    __slots__ = ("text",)

    def __init__(self, text: str | None) -> None:
        self.text = text


class Opened:
    """A value as its reader may see it, on its way out of a result."""

    __slots__ = ("value",)

    def __init__(self, value: str | int | None) -> None:
        self.value = value


class Unopened:
    """A cell that SQLAlchemy looks at before the result is there, and gives again afterwards."""

    __slots__ = ("cell",)

    def __init__(self, cell: str) -> None:
        self.cell = cell


class Searching(Protocol):
    """Who asks while a statement is put together."""

    def forms(self, column: Column[Any], wanted: Sequence[str]) -> list[str]:
        """Every stored form that one of the values may have."""
        ...

    def may_search(self, column: Column[Any]) -> bool:
        """True; raises for who may not."""
        ...


ASKING: ContextVar[Searching | None] = ContextVar("keystead_asking", default=None)


class Raw(TypeCoerce[Any]):
    """The stored form of an encrypted column, for what is known to be right with it."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column, Text())


class Cell(FunctionElement[Any]):
    """The key of a row and the stored form of one of its values, as a JSON array."""

    inherit_cache = True
    name = "keystead_cell"

    def __init__(self, of: Encrypted, keys: Sequence[Any], column: ColumnElement[Any]) -> None:
        super().__init__(*keys, Raw(column))
        self.type = of


@compiles(Cell)
def _json_array(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_array({compiler.process(element.clauses, **options)})"


@compiles(Cell, "postgresql")
def _json_build_array(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST(json_build_array({compiler.process(element.clauses, **options)}) AS TEXT)"


class _Comparison(TypeDecorator.Comparator[Any]):
    """Equality with given values and emptiness; whatever else would give a wrong answer."""

    def operate(self, op: Any, *other: Any, **options: Any) -> ColumnElement[Any]:
        """The condition.

        Raises:
            Invalid: when an encrypted column cannot be asked that.
        """
        of = self.expr.type
        if any(_is_expression(value) for value in other) and op in _SINGLE:
            # SQLAlchemy compares columns among themselves; to execute it is refused (`shape`)
            return super().operate(op, *other, **options)
        if not isinstance(of, Encrypted) or op not in _ASKED or len(other) != 1:
            code = "query.order" if op in _SORTING else "query.operator"
            raise Invalid(code, column=_name(self.expr))
        return _ASKED[op](self.expr, of, other[0])

    def reverse_operate(self, op: Any, other: Any, **options: Any) -> ColumnElement[Any]:
        """Refused."""
        del op, other, options
        raise Invalid("query.operator", column=_name(self.expr))


class Encrypted(TypeDecorator[Any]):
    """A column whose values Keystead encrypts; `Encrypted(int)` holds whole numbers.

    Its configuration is found by the names of table and column. It is text in the database.
    """

    impl = Text
    cache_ok = True
    comparator_factory = _Comparison

    def __init__(self, kind: type[str] | type[int] = str) -> None:
        super().__init__()
        if kind not in (str, int):
            raise Invalid("field.refused", **_KIND_REFUSED)
        self.kind = kind
        self._column: Column[Any] | None = None

    @property
    def column(self) -> Column[Any]:
        """The column of a table that this is the type of.

        Raises:
            Invalid: when it is none, as in a cast.
        """
        if self._column is None or self._column.table is None:
            raise Invalid("column.shape", column="?", where="outside of its table")
        return self._column

    @property
    def is_placed(self) -> bool:
        """Whether this is the type of a column of a table."""
        return self._column is not None and self._column.table is not None

    @property
    def where(self) -> tuple[str, str]:
        """The names of table and column."""
        return self.column.table.name, self.column.name

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text of any length, compared by bytes."""
        if dialect.name == "postgresql":
            return Text(collation="C")
        return mysql.LONGTEXT(collation=_BINARY) if dialect.name in _MYSQL else Text()

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column with the key of its row, wherever it is selected.

        Raises:
            Invalid: when that key is not to be had there.
        """
        element = column.element if isinstance(column, Label) else column
        return Cell(self, keys_beside(self, element), element)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """The stored form."""
        del dialect
        if not isinstance(value, Stored):
            raise self._unattached()
        return value.text

    def process_literal_param(self, value: Any, dialect: Dialect) -> str:
        """Refused: clear values do not stand in statements."""
        del value, dialect
        raise self._unattached()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """What the reader may see."""
        del dialect
        if isinstance(value, Opened):
            return value.value
        if isinstance(value, str) and ASKING.get() is not None:
            return Unopened(value)
        raise self._unattached()

    @property
    def python_type(self) -> type[Any]:
        """What values are in Python."""
        return self.kind

    def _set_parent(self, parent: Any, outer: bool = False, **options: Any) -> None:
        super()._set_parent(parent, outer, **options)
        if self._column is not None and self._column is not parent:
            # one type given to several columns: each has its own, since each has its own names
            own = self.copy()
            own._column = None
            parent.type = own
            own._set_parent(parent, outer, **options)
            return
        self._column = parent
        DECLARED.add(self)

    def _unattached(self) -> Invalid:
        name = self._column.name if self._column is not None else "?"
        return Invalid("column.unattached", column=name)


DECLARED: Final[WeakSet[Encrypted]] = WeakSet()
_KIND_REFUSED: Final = {
    "table": "?",
    "column": "?",
    "reason": "only text and whole numbers can be encrypted",
    "advice": "Keep the column as text.",
}


def keys_beside(of: Encrypted, column: Any) -> list[ColumnElement[Any]]:
    """The key columns of the row that a selected column is of.

    Raises:
        Invalid: when they are not there, or there are several of the same table.
    """
    if not isinstance(column, ColumnClause) or column.table is None:
        raise Invalid("column.shape", column=of.column.name, where="in an expression")
    table = of.column.table
    found: list[ColumnElement[Any]] = []
    for key in table.primary_key.columns:
        beside = [c for c in column.table.c if key in c.base_columns]
        if len(beside) != 1:
            names = ", ".join(k.name for k in table.primary_key.columns)
            raise Invalid("column.keyless", column=of.column.name, keys=names)
        found.append(beside[0])
    if not found:
        raise Invalid("record.no_key", table=table.name)
    return found


def as_text(of: Encrypted, value: Any) -> str:
    """A value as it is encrypted.

    Raises:
        Invalid: when it is not of the column's kind, or a number of more than 64 bits.
    """
    if of.kind is int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Invalid("value.number", column=of.column.name)
        if value.bit_length() > _MOST_BITS:
            raise Invalid("value.range", column=of.column.name)
        return str(int(value))
    if not isinstance(value, str):
        raise Invalid("value.text", column=of.column.name)
    return str(value)


def _is_expression(value: Any) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def _name(expression: Any) -> str:
    return str(getattr(expression, "name", None) or "?")


def _among(column: ColumnElement[Any], of: Encrypted, values: Sequence[Any]) -> ColumnElement[Any]:
    return Raw(column).in_(_forms(of, values))


def _not_among(
    column: ColumnElement[Any], of: Encrypted, values: Sequence[Any]
) -> ColumnElement[Any]:
    return Raw(column).not_in(_forms(of, values))


def _forms(of: Encrypted, values: Sequence[Any]) -> BindParameter[Any]:
    wanted = [as_text(of, value) for value in values]
    return _asked(of, lambda asking: asking.forms(of.column, wanted), Text(), expanding=True)


def _asked(
    of: Encrypted, answer: Callable[[Searching], Any], type_: TypeEngine[Any], **options: Any
) -> BindParameter[Any]:
    """A parameter whose value is found when the statement is executed."""

    def value() -> Any:
        asking = ASKING.get()
        if asking is None:
            raise of._unattached()
        return answer(asking)

    return bindparam(None, callable_=value, type_=type_, unique=True, **options)


def _empty(column: ColumnElement[Any], of: Encrypted) -> ColumnElement[Any]:
    allowed = _asked(of, lambda asking: asking.may_search(of.column), Boolean())
    return and_(Raw(column).is_(None), allowed)


def _not_empty(column: ColumnElement[Any], of: Encrypted) -> ColumnElement[Any]:
    allowed = _asked(of, lambda asking: asking.may_search(of.column), Boolean())
    return and_(Raw(column).is_not(None), allowed)


def _equal(column: ColumnElement[Any], of: Encrypted, value: Any) -> ColumnElement[Any]:
    return _empty(column, of) if value is None else _among(column, of, [value])


def _not_equal(column: ColumnElement[Any], of: Encrypted, value: Any) -> ColumnElement[Any]:
    return _not_empty(column, of) if value is None else _not_among(column, of, [value])


def _distinct(column: ColumnElement[Any], of: Encrypted, value: Any) -> ColumnElement[Any]:
    if value is None:
        return _not_empty(column, of)
    return or_(_empty(column, of), _not_among(column, of, [value]))


def _listed(
    ask: Callable[[ColumnElement[Any], Encrypted, Sequence[Any]], ColumnElement[Any]],
) -> Callable[[ColumnElement[Any], Encrypted, Any], ColumnElement[Any]]:
    def asked(column: ColumnElement[Any], of: Encrypted, values: Any) -> ColumnElement[Any]:
        if _is_expression(values) or isinstance(values, str) or not hasattr(values, "__iter__"):
            raise Invalid("query.operator", column=_name(column))
        return ask(column, of, list(values))

    return asked


_SINGLE: Final = (operators.eq, operators.ne)
_SORTING: Final = (
    *(operators.asc_op, operators.desc_op, operators.nulls_first_op, operators.nulls_last_op),
)
_ASKED: Final[dict[Any, Callable[[ColumnElement[Any], Encrypted, Any], ColumnElement[Any]]]] = {
    operators.eq: _equal,
    operators.ne: _not_equal,
    operators.is_: _equal,
    operators.is_not: _not_equal,
    operators.is_distinct_from: _distinct,
    operators.is_not_distinct_from: _equal,
    operators.in_op: _listed(_among),
    operators.not_in_op: _listed(_not_among),
}
