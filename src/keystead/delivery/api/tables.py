"""The Table API: records of business tables, in the shapes that clients of ServiceNow's know.

`/api/now/table/{table}[/{sys_id}]`, also under v1 and v2. Every value is a text; a NULL is an empty
one. The `sys_id` of a table whose key has another name is that key; one of several columns is their
values joined with commas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.concurrency import sync_to_thread
from litestar.status_codes import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from keystead.base.errors import Invalid
from keystead.database.model import key_text
from keystead.database.port import Row, Value
from keystead.database.query import Condition, Operator, Query
from keystead.delivery.api.bodies import LIMIT, json_body, refuse_foreign
from keystead.delivery.api.declared import OwnTables, refuse_change
from keystead.delivery.api.log_in import Call, Door, Path
from keystead.delivery.api.paging import number, paging
from keystead.dictionary.registry import TABLES
from keystead.records.query import parse
from keystead.records.reading import Shown, View
from keystead.records.session import Caller, Records

PREFIXES: Final = ("/api/now/table", "/api/now/v1/table", "/api/now/v2/table")
MOST_ROWS: Final = 10_000
UNOPENED: Final = "X-Keystead-Unopened"
_SYS_ID: Final = "sys_id"
_PARAMETERS: Final = "sysparm_"


class TableApi:
    """What the routes do for a user, each call in one transaction."""

    def __init__(self, records: Records, own: OwnTables) -> None:
        self._records = records
        self._own = own

    def list(self, call: Call, user: str, table: str) -> Response[Any]:
        """The records that meet a query."""
        limit = min(number(call, "sysparm_limit", MOST_ROWS), MOST_ROWS)
        offset = number(call, "sysparm_offset", 0)
        if table in TABLES:
            rows, count = self._own.page(call, user, table, limit, offset)
            return Response({"result": rows}, headers=paging(call, limit, offset, count))
        with self._records.reading(caller(user), table) as view:
            query = asked(call, view)
            is_counted = call.query_params.get("sysparm_no_count") != "true"
            total = view.count(query) if is_counted else None
            shown = view.rows(query, _columns(call, view), limit, offset, total)
            found = _records(call, view, shown)
        headers = {**paging(call, limit, offset, total), **_unopened(shown)}
        return Response({"result": found}, headers=headers)

    def one(self, call: Call, user: str, table: str, sys_id: str) -> Response[Any]:
        """One record."""
        if table in TABLES:
            return Response({"result": self._own.one(call, user, table, sys_id)})
        with self._records.reading(caller(user), table) as view:
            found, headers = _one(call, view, view.key_of(sys_id))
        return Response({"result": found}, headers=headers)

    def insert(self, call: Call, user: str, table: str, body: bytes) -> Response[Any]:
        """A new record, as the caller may see it."""
        refuse_change(table)
        values = _values(body)
        with self._records.writing(caller(user), table) as writing:
            key = writing.insert(_in_own_names(writing.view, values))
            made, _ = _one(call, writing.view, key)
        # without a host: the one in the request is whatever the caller says
        location = f"{quote(call.url.path.rstrip('/'))}/{quote(key_text(key), safe='')}"
        return Response(
            {"result": made}, status_code=HTTP_201_CREATED, headers={"Location": location}
        )

    def update(self, call: Call, user: str, table: str, sys_id: str, body: bytes) -> Response[Any]:
        """A changed record, as the caller may see it."""
        refuse_change(table)
        values = _values(body)
        with self._records.writing(caller(user), table) as writing:
            view = writing.view
            key = writing.update(view.key_of(sys_id), _in_own_names(view, values))
            changed, headers = _one(call, view, key)
        return Response({"result": changed}, headers=headers)

    def delete(self, user: str, table: str, sys_id: str) -> None:
        """Nothing; the record is gone."""
        refuse_change(table)
        with self._records.writing(caller(user), table) as writing:
            writing.delete(writing.view.key_of(sys_id))


def routes(records: Records, own: OwnTables, door: Door) -> list[Router]:
    """The Table API under each of its prefixes; `door` lets in who calls."""
    api = TableApi(records, own)

    @get("/{table:str}", sync_to_thread=True)
    def list_records(request: Call, table: Path) -> Response[Any]:
        return api.list(request, door.caller(request), table)

    @get("/{table:str}/{sys_id:str}", sync_to_thread=True)
    def one_record(request: Call, table: Path, sys_id: Path) -> Response[Any]:
        return api.one(request, door.caller(request), table, sys_id)

    @post("/{table:str}", request_max_body_size=LIMIT, guards=[refuse_foreign])
    async def insert_record(request: Call, table: Path) -> Response[Any]:
        user = await sync_to_thread(door.caller, request)
        return await sync_to_thread(api.insert, request, user, table, await json_body(request))

    @put("/{table:str}/{sys_id:str}", request_max_body_size=LIMIT, guards=[refuse_foreign])
    async def replace_record(request: Call, table: Path, sys_id: Path) -> Response[Any]:
        user = await sync_to_thread(door.caller, request)
        body = await json_body(request)
        return await sync_to_thread(api.update, request, user, table, sys_id, body)

    @patch("/{table:str}/{sys_id:str}", request_max_body_size=LIMIT, guards=[refuse_foreign])
    async def change_record(request: Call, table: Path, sys_id: Path) -> Response[Any]:
        user = await sync_to_thread(door.caller, request)
        body = await json_body(request)
        return await sync_to_thread(api.update, request, user, table, sys_id, body)

    @delete(
        "/{table:str}/{sys_id:str}",
        status_code=HTTP_204_NO_CONTENT,
        guards=[refuse_foreign],
        sync_to_thread=True,
    )
    def delete_record(request: Call, table: Path, sys_id: Path) -> None:
        api.delete(door.caller(request), table, sys_id)

    handlers = [
        *(list_records, one_record, insert_record),
        *(replace_record, change_record, delete_record),
    ]
    return [Router(prefix, route_handlers=handlers) for prefix in PREFIXES]


def caller(user: str) -> Caller:
    """Who asks."""
    return Caller(user, f"user:{user}")


def _one(call: Call, view: View, key: Row) -> tuple[dict[str, Any], dict[str, str]]:
    shown = view.one(key, _columns(call, view))
    (record,) = _records(call, view, shown)
    return record, _unopened(shown)


def _unopened(shown: Shown) -> dict[str, str]:
    """How many values are shown empty because they cannot be opened here now, if any are."""
    return {UNOPENED: str(shown.not_held)} if shown.not_held else {}


def _records(call: Call, view: View, shown: Shown) -> list[dict[str, Any]]:
    display = call.query_params.get("sysparm_display_value")
    wanted = _fields(call)
    aliased = view.table.column(_SYS_ID) is None and (wanted is None or _SYS_ID in wanted)
    found: list[dict[str, Any]] = []
    for row, key in zip(shown.rows, shown.keys, strict=True):
        record = {n: text_of(v) for n, v in zip(shown.columns, row, strict=True)}
        if aliased:
            record[_SYS_ID] = key_text(key)
        if display == "all":
            found.append({n: {"display_value": v, "value": v} for n, v in record.items()})
        else:
            found.append(record)
    return found


def asked(call: Call, view: View) -> Query:
    """The encoded query, narrowed by plain `column=value` parameters."""
    query = parse(call.query_params.get("sysparm_query", ""), view.table)
    given = {n: v for n, v in call.query_params.items() if not n.startswith(_PARAMETERS)}
    for name in given:
        view.column(name)
    return query.narrowed(Condition(n, Operator.EQUAL, (v,)) for n, v in given.items())


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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("body.form") from None
    return {name: _plain(value) for name, value in decoded.items()}


def _plain(value: str | float | None) -> Value:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, float) else value


def text_of(value: Value) -> str:
    """A value as the Table API has it."""
    return "" if value is None else str(value)
