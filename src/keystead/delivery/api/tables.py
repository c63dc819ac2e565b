"""The Table API: records of business tables, in the shapes that clients of ServiceNow's know.

`/api/now/table/{table}[/{sys_id}]`, also under v1 and v2. Every value is a text; a NULL is an empty
one. The `sys_id` of a table whose key has another name is that key; one of several columns is their
values joined with commas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from urllib.parse import quote

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.concurrency import sync_to_thread
from litestar.status_codes import HTTP_201_CREATED, HTTP_204_NO_CONTENT
from sqlalchemy import Connection

from keystead.access.accounts import LogIn
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals, recorded
from keystead.base.errors import Invalid
from keystead.database.port import Database, Row, Value
from keystead.delivery.api.log_in import caller
from keystead.delivery.api.paging import Call, number, paging
from keystead.keys.hierarchy import Hierarchy
from keystead.records.query import Condition, Operator, Query, parse
from keystead.records.reading import Shown, View
from keystead.records.writing import Writer

PREFIXES: Final = ("/api/now/table", "/api/now/v1/table", "/api/now/v2/table")
MOST_ROWS: Final = 10_000
_BODY_LIMIT = 64 * 1024 * 1024
_SYS_ID: Final = "sys_id"


class TableApi:
    """What the routes do, each call in one transaction; what is refused is recorded after it."""

    def __init__(self, database: Database, hierarchy: Hierarchy) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._log_in = LogIn(hierarchy.integrity)

    def list(self, call: Call, table: str) -> Response[Any]:
        """The records that meet a query."""
        limit = min(number(call, "sysparm_limit", MOST_ROWS), MOST_ROWS)
        offset = number(call, "sysparm_offset", 0)
        with self._reading(call, table) as view:
            query = _asked(call, view)
            shown = view.rows(query, _columns(call, view), limit, offset)
            is_counted = call.query_params.get("sysparm_no_count") != "true"
            total = view.count(query) if is_counted else None
            found = _records(call, view, shown)
        return Response({"result": found}, headers=paging(call, limit, offset, total))

    def one(self, call: Call, table: str, sys_id: str) -> Response[Any]:
        """One record."""
        with self._reading(call, table) as view:
            return Response({"result": _one(call, view, view.key_of(sys_id))})

    def insert(self, call: Call, table: str, body: bytes) -> Response[Any]:
        """A new record, as the caller may see it."""
        values = _values(body)
        with self._writing(call, table) as see:
            view = see()
            key = Writer(view, self._hierarchy).insert(_in_own_names(view, values))
            made = _one(call, see(), key)
        location = f"{str(call.url).partition('?')[0].rstrip('/')}/{quote(joined(key))}"
        return Response(
            {"result": made}, status_code=HTTP_201_CREATED, headers={"Location": location}
        )

    def update(self, call: Call, table: str, sys_id: str, body: bytes) -> Response[Any]:
        """A changed record, as the caller may see it."""
        values = _values(body)
        with self._writing(call, table) as see:
            view = see()
            writer = Writer(view, self._hierarchy)
            key = writer.update(view.key_of(sys_id), _in_own_names(view, values))
            return Response({"result": _one(call, see(), key)})

    def delete(self, call: Call, table: str, sys_id: str) -> None:
        """Nothing; the record is gone."""
        with self._writing(call, table) as see:
            view = see()
            Writer(view, self._hierarchy).delete(view.key_of(sys_id))

    @contextmanager
    def _reading(self, call: Call, table: str) -> Iterator[View]:
        with ExitStack() as stack:
            user = self._caller(call)
            refusals = stack.enter_context(recorded(self._database, f"user:{user}"))
            tx = stack.enter_context(self._database.snapshot())
            yield self._view(tx, table, user, refusals)

    @contextmanager
    def _writing(self, call: Call, table: str) -> Iterator[Callable[[], View]]:
        """A way to see the table, before a write and after it."""
        with ExitStack() as stack:
            user = self._caller(call)
            refusals = stack.enter_context(recorded(self._database, f"user:{user}"))
            tx = stack.enter_context(self._database.transaction())
            yield lambda: self._view(tx, table, user, refusals)

    def _caller(self, call: Call) -> str:
        with self._database.snapshot() as tx:
            return caller(tx, self._log_in, call.headers.get("authorization", ""))

    def _view(self, tx: Connection, table: str, user: str, refusals: Refusals) -> View:
        asking = subject(tx, self._hierarchy.integrity, user)
        permissions = Permissions(tx, self._hierarchy.integrity, asking, refusals)
        return View(tx, self._database, self._hierarchy, table, permissions)


def routes(database: Database, hierarchy: Hierarchy) -> list[Router]:
    """The Table API under each of its prefixes."""
    api = TableApi(database, hierarchy)

    @get("/{table:str}", sync_to_thread=True)
    def list_records(request: Call, table: str) -> Response[Any]:
        return api.list(request, table)

    @get("/{table:str}/{sys_id:str}", sync_to_thread=True)
    def one_record(request: Call, table: str, sys_id: str) -> Response[Any]:
        return api.one(request, table, sys_id)

    @post("/{table:str}", request_max_body_size=_BODY_LIMIT)
    async def insert_record(request: Call, table: str) -> Response[Any]:
        return await sync_to_thread(api.insert, request, table, await request.body())

    @put("/{table:str}/{sys_id:str}", request_max_body_size=_BODY_LIMIT)
    async def replace_record(request: Call, table: str, sys_id: str) -> Response[Any]:
        return await sync_to_thread(api.update, request, table, sys_id, await request.body())

    @patch("/{table:str}/{sys_id:str}", request_max_body_size=_BODY_LIMIT)
    async def change_record(request: Call, table: str, sys_id: str) -> Response[Any]:
        return await sync_to_thread(api.update, request, table, sys_id, await request.body())

    @delete("/{table:str}/{sys_id:str}", status_code=HTTP_204_NO_CONTENT, sync_to_thread=True)
    def delete_record(request: Call, table: str, sys_id: str) -> None:
        api.delete(request, table, sys_id)

    handlers = [
        *(list_records, one_record, insert_record),
        *(replace_record, change_record, delete_record),
    ]
    return [Router(prefix, route_handlers=handlers) for prefix in PREFIXES]


def joined(key: Row) -> str:
    """A primary key as one text: several columns joined with commas."""
    return ",".join(str(part) for part in key)


def _one(call: Call, view: View, key: Row) -> dict[str, Any]:
    (record,) = _records(call, view, view.one(key, _columns(call, view)))
    return record


def _records(call: Call, view: View, shown: Shown) -> list[dict[str, Any]]:
    display = call.query_params.get("sysparm_display_value")
    wanted = _fields(call)
    aliased = view.table.column(_SYS_ID) is None and (wanted is None or _SYS_ID in wanted)
    found: list[dict[str, Any]] = []
    for row, key in zip(shown.rows, shown.keys, strict=True):
        record = {n: _text(v) for n, v in zip(shown.columns, row, strict=True)}
        if aliased:
            record[_SYS_ID] = joined(key)
        if display == "all":
            found.append({n: {"display_value": v, "value": v} for n, v in record.items()})
        else:
            found.append(record)
    return found


def _asked(call: Call, view: View) -> Query:
    """The encoded query, narrowed by plain `column=value` parameters."""
    query = parse(call.query_params.get("sysparm_query", ""), view.table)
    more = tuple(
        Condition(name, Operator.EQUAL, (value,))
        for name, value in call.query_params.items()
        if view.table.column(name) is not None
    )
    return query.narrowed(more)


def _fields(call: Call) -> list[str] | None:
    given = call.query_params.get("sysparm_fields", "")
    return [name.strip() for name in given.split(",") if name.strip()] or None


def _columns(call: Call, view: View) -> list[str] | None:
    """The columns asked for; those that are not there are left out, as documented."""
    wanted = _fields(call)
    if wanted is None:
        return None
    return [name for name in wanted if view.table.column(name)] or list(view.table.primary_key)


def _in_own_names(view: View, values: Mapping[str, Value]) -> Mapping[str, Value]:
    """Values by column; a `sys_id` stands for the key of a table that calls it otherwise."""
    given = dict(values)
    if view.table.column(_SYS_ID) is None:
        sys_id = given.pop(_SYS_ID, None)
        if sys_id not in (None, ""):
            given.update(zip(view.table.primary_key, view.key_of(str(sys_id)), strict=True))
    return given


def _values(body: bytes) -> dict[str, Value]:
    try:
        decoded = msgspec.json.decode(
            body or b"{}", type=dict[str, str | bool | int | float | None]
        )
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("body.form") from None
    return {name: _plain(value) for name, value in decoded.items()}


def _plain(value: str | float | None) -> Value:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, float) else value


def _text(value: Value) -> str:
    return "" if value is None else str(value)
