"""What people administer, over HTTPS: lists, rows and operations of every declared table.

`/api/keystead/v1/{path}`, where a table's declaration says its path. Rights are those of the
caller's roles; what needs elevation takes his password with the request, and the header
`X-Keystead-Elevate: security_admin`. A token is never elevated.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec
from litestar import Response, Router, get, post
from litestar.concurrency import sync_to_thread
from litestar.exceptions import MethodNotAllowedException
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from keystead.access import people
from keystead.access.authority import actor_of
from keystead.access.roles import SECURITY
from keystead.base.errors import Invalid, NotFound
from keystead.delivery.api.bodies import LIMIT, json_body, refuse_foreign
from keystead.delivery.api.log_in import ELEVATE, Call, Door, Path
from keystead.delivery.api.paging import number, paging
from keystead.dictionary import guard
from keystead.dictionary.finding import SYS_ID, asked, found
from keystead.dictionary.model import Context, Operation, Outcome, Row, Table
from keystead.dictionary.registry import BY_PATH, TABLES
from keystead.exchange.peers import PeerChannel
from keystead.instance.opening import Instance

ROOT: Final = "/api/keystead/v1"
MOST_ROWS: Final = 10_000
USUAL_ROWS: Final = 100
PARAMETERS: Final = ("limit", "offset", "query")


class Administration:
    """What the routes do, for whom the request proves to be."""

    def __init__(self, instance: Instance, channel: PeerChannel, door: Door) -> None:
        self._instance = instance
        self._channel = channel
        self._door = door

    def context(self, call: Call) -> Context:
        """The caller with his roles as they are now.

        Raises:
            Denied: when the request proves nobody.
        """
        return self.context_of(call, self._door.caller(call))

    def context_of(self, call: Call, user: str) -> Context:
        """The same for a user whom the request has proved to be."""
        integrity = self._instance.hierarchy.integrity
        with self._instance.database.snapshot() as tx:
            person = people.person(tx, integrity, user)
        actor = actor_of(person, elevated=_elevates(call))
        return Context(self._instance, actor, self._channel)

    def list(self, call: Call, path: str) -> Response[Any]:
        """The rows that meet a query."""
        context, table = self.context(call), _table(path)
        limit = min(number(call, "limit", USUAL_ROWS), MOST_ROWS)
        offset = number(call, "offset", 0)
        rows = guard.rows(context, table)
        given = {n: v for n, v in call.query_params.items() if n not in PARAMETERS}
        met = found(rows, asked(call.query_params.get("query", ""), given, table), table)
        result = [_shown(row, table) for row in met[offset : offset + limit]]
        headers = paging(call, limit, offset, len(met), "offset")
        return Response({"result": result}, headers=headers)

    def one(self, call: Call, path: str, sys_id: str) -> Response[Any]:
        """One row."""
        context, table = self.context(call), _table(path)
        return Response({"result": _shown(guard.row(context, table, sys_id), table)})

    def create(self, context: Context, path: str, body: bytes) -> Response[Any]:
        """A new row."""
        table = _table(path)
        if table.create is None:
            raise MethodNotAllowedException(headers={"Allow": "GET"})
        outcome = guard.run(context, table, table.create, None, _given(body))
        return _told(outcome, HTTP_201_CREATED)

    def act(self, context: Context, path: str, verb: str, body: bytes) -> Response[Any]:
        """An operation on a table."""
        table = _table(path)
        operation = _operation(table.actions, verb)
        if operation is None:  # the path is that of a row
            raise MethodNotAllowedException(headers={"Allow": "GET"})
        return _told(guard.run(context, table, operation, None, _given(body)), HTTP_200_OK)

    def act_on(
        self, context: Context, path: str, sys_id: str, verb: str, body: bytes
    ) -> Response[Any]:
        """An operation on a row."""
        table = _table(path)
        operation = _operation(table.operations, verb)
        if operation is None:
            raise NotFound("path.missing", path=f"{path}/{sys_id}/{verb}")
        return _told(guard.run(context, table, operation, sys_id, _given(body)), HTTP_200_OK)


def routes(api: Administration) -> Router:
    """The paths of every declared table."""

    @get("/{path:str}", sync_to_thread=True)
    def list_rows(request: Call, path: Path) -> Response[Any]:
        return api.list(request, path)

    @get("/{path:str}/{sys_id:str}", sync_to_thread=True)
    def one_row(request: Call, path: Path, sys_id: Path) -> Response[Any]:
        return api.one(request, path, sys_id)

    @post("/{path:str}", request_max_body_size=LIMIT, guards=[refuse_foreign])
    async def create(request: Call, path: Path) -> Response[Any]:
        context = await sync_to_thread(api.context, request)
        return await sync_to_thread(api.create, context, path, await json_body(request))

    @post("/{path:str}/{verb:str}", request_max_body_size=LIMIT, guards=[refuse_foreign])
    async def act(request: Call, path: Path, verb: Path) -> Response[Any]:
        context = await sync_to_thread(api.context, request)
        return await sync_to_thread(api.act, context, path, verb, await json_body(request))

    @post(
        "/{path:str}/{sys_id:str}/{verb:str}", request_max_body_size=LIMIT, guards=[refuse_foreign]
    )
    async def act_on(request: Call, path: Path, sys_id: Path, verb: Path) -> Response[Any]:
        context = await sync_to_thread(api.context, request)
        body = await json_body(request)
        return await sync_to_thread(api.act_on, context, path, sys_id, verb, body)

    return Router(ROOT, route_handlers=[list_rows, one_row, create, act, act_on])


def _elevates(call: Call) -> bool:
    """Whether it came with a password, and asks for elevation."""
    scheme = call.headers.get("authorization", "").partition(" ")[0].lower()
    return scheme == "basic" and call.headers.get(ELEVATE.lower()) == SECURITY


def _table(path: str) -> Table:
    if path not in BY_PATH:
        raise NotFound("path.missing", path=path)
    return BY_PATH[path]


def _operation(operations: tuple[Operation, ...], verb: str) -> Operation | None:
    return next((o for o in operations if o.verb == verb), None)


def _shown(row: Row, table: Table) -> dict[str, Any]:
    return {SYS_ID: row[SYS_ID], **{field.name: row.get(field.name) for field in table.fields}}


def _given(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("body.form") from None


def _told(outcome: Outcome, status: int) -> Response[Any]:
    headers = {}
    table = TABLES.get(outcome.table)
    if status == HTTP_201_CREATED and table is not None and outcome.sys_id is not None:
        headers["Location"] = f"{ROOT}/{table.path}/{quote(outcome.sys_id, safe='')}"
    return Response({"result": outcome}, status_code=status, headers=headers)
