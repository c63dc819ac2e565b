"""Keystead's own tables in the shapes of the Table API, to be read by who may read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from keystead.access.authority import may_see
from keystead.base.errors import Denied, NotFound
from keystead.database.query import Query
from keystead.delivery.api.administration import Administration
from keystead.delivery.api.log_in import Call
from keystead.dictionary import guard
from keystead.dictionary.finding import SYS_ID, asked, found
from keystead.dictionary.model import Context, Field, Kind, Row, Table
from keystead.dictionary.registry import TABLES

_PARAMETERS: Final = "sysparm_"
_ID_FIELD: Final = Field(SYS_ID, "Sys ID", Kind.ID)
_SECONDS: Final = len("2030-01-31T08:00:00")


class OwnTables:
    """The declared tables for the callers of the Table API."""

    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    def page(
        self, call: Call, user: str, name: str, limit: int, offset: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Rows that meet a query, as they are shown, and how many do in all.

        Raises:
            Denied: when the user may not see the table.
            Invalid, NotFound: when the query cannot be asked.
        """
        context, table = self._administration.context_of(call, user), TABLES[name]
        rows = found(guard.rows(context, table), _asked(call, table), table)
        shown = _Shown(call, context, table)
        return [shown.record(row) for row in rows[offset : offset + limit]], len(rows)

    def one(self, call: Call, user: str, name: str, sys_id: str) -> dict[str, Any]:
        """One row, as it is shown.

        Raises:
            Denied, NotFound: when the user may not see the table, or there is none.
        """
        context, table = self._administration.context_of(call, user), TABLES[name]
        return _Shown(call, context, table).record(guard.row(context, table, sys_id))

    def counted(
        self, call: Call, user: str, name: str, by: Sequence[str]
    ) -> Counter[tuple[str, ...]]:
        """How many rows meet a query, for each combination of values of these fields.

        Raises:
            Denied: when the user may not see the table.
            Invalid, NotFound: when the query cannot be asked, or for a field that is not declared.
        """
        context, table = self._administration.context_of(call, user), TABLES[name]
        kinds = [_kind(table, field) for field in by]
        rows = found(guard.rows(context, table), _asked(call, table), table)
        counted = Counter(
            tuple(text_of(row.get(n), kind) for n, kind in zip(by, kinds, strict=True))
            for row in rows
        )
        return counted if by else Counter({(): len(rows)})


class _Shown:
    """Shows rows of a declared table; what references point to is read once."""

    def __init__(self, call: Call, context: Context, table: Table) -> None:
        given = call.query_params
        self._context = context
        self._mode = given.get("sysparm_display_value", "").lower()
        self._is_linked = given.get("sysparm_exclude_reference_link", "").lower() != "true"
        names = {name.strip() for name in given.get("sysparm_fields", "").split(",")} - {""}
        fields = (*table.fields, _ID_FIELD)
        self._fields = [field for field in fields if not names or field.name in names]
        self._displays: dict[str, Mapping[str, str]] = {}

    def record(self, row: Row) -> dict[str, Any]:
        """A row as the parameters of the request want it."""
        return {field.name: self._value(field, row) for field in self._fields}

    def _value(self, field: Field, row: Row) -> Any:
        value = text_of(row.get(field.name), field.kind)
        display = self._display(field, value) if self._mode in ("all", "true") else value
        link = {}
        if field.reference is not None and value and self._is_linked:
            # without a host: the one in the request is whatever the caller says
            link = {"link": f"/api/now/table/{field.reference}/{quote(value, safe='')}"}
        if self._mode == "all":
            return {"display_value": display, "value": value, **link}
        if self._mode == "true":
            return {"display_value": display, **link} if link else display
        return {"value": value, **link} if link else value

    def _display(self, field: Field, value: str) -> str:
        if field.reference is None or not value:
            return value
        if field.reference not in self._displays:
            self._displays[field.reference] = self._displays_of(TABLES.get(field.reference))
        return self._displays[field.reference].get(value, value)

    def _displays_of(self, table: Table | None) -> Mapping[str, str]:
        """What each row of a table is called, for who may see it."""
        if table is None or not may_see(self._context.actor, table.name):
            return {}
        rows = guard.rows(self._context, table)
        return {row[SYS_ID]: text_of(row.get(table.display), Kind.TEXT) for row in rows}


def refuse_change(table: str) -> None:
    """Refuse to write a declared table by its rows: its operations do.

    Raises:
        Denied: always, for a declared table.
    """
    if table in TABLES:
        raise Denied("table.administered", table=table, path=TABLES[table].path)


def text_of(value: Any, kind: Kind) -> str:
    """A value as the Table API has it: a text, and a moment to the second in UTC."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)[:_SECONDS].replace("T", " ") if kind is Kind.MOMENT else str(value)


def _kind(table: Table, name: str) -> Kind:
    field = _ID_FIELD if name == SYS_ID else table.field(name)
    if field is None:
        raise NotFound("column.missing", table=table.name, column=name)
    return field.kind


def _asked(call: Call, table: Table) -> Query:
    given = {n: v for n, v in call.query_params.items() if not n.startswith(_PARAMETERS)}
    return asked(call.query_params.get("sysparm_query", ""), given, table)
