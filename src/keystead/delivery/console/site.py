"""The routes of the console: who asks, whether a form was ours, and which page answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlencode

import msgspec
from litestar import Response
from litestar.concurrency import sync_to_thread

from keystead.access import properties
from keystead.access.accounts import LogIn
from keystead.access.properties import Property
from keystead.access.sessions import Sessions
from keystead.base.errors import Invalid, KeysteadError, NotFound
from keystead.delivery.api.attachments import BYTES, FormIntake, content_of, taken_in
from keystead.delivery.api.errors import status_of
from keystead.delivery.api.log_in import Call
from keystead.delivery.console import exports, history, lists, navigator, security
from keystead.delivery.console.asked import Asked, form_address, from_pairs
from keystead.delivery.console.entrance import Entrance, elevation
from keystead.delivery.console.frame import Frame, Message, Visit, html
from keystead.delivery.console.home import HomePages
from keystead.delivery.console.lists import Listing
from keystead.delivery.console.parameters import Given
from keystead.delivery.console.records import Desks, RecordPages
from keystead.delivery.console.security import CSRF_FIELD, CSRF_HEADER, HEADERS, cookie
from keystead.delivery.console.tables import TablePages
from keystead.dictionary import guard, registry
from keystead.dictionary.model import Context, Operation, Table
from keystead.exchange.peers import PeerChannel
from keystead.instance.opening import Instance
from keystead.records.session import Records

BODY_LIMIT: Final = 4 * 1024 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 2_000
_TABLES_REMEMBERED: Final = 20
_YEAR: Final = 365 * 24 * 3600
Answer = Response[Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the console is made of."""

    instance: Instance
    channel: PeerChannel
    records: Records
    sessions: Sessions
    log_in: LogIn
    desks: Desks


class Console:
    """Answers requests of people."""

    def __init__(self, parts: Parts) -> None:
        instance = parts.instance
        self._parts = parts
        self.frame = Frame(instance.settings.name, instance.settings.instance_id)
        self.entrance = Entrance(self.frame, instance.database, parts.sessions, parts.log_in)
        self.home = HomePages(self.frame, instance)
        self._tables = TablePages(self.frame)
        self._records = RecordPages(self.frame, parts.records, parts.desks)

    def answer(
        self, call: Call, page: Callable[[Visit], Answer], *, by_itself: bool = False
    ) -> Answer:
        """A page for who is logged in; anybody else is led to the log-in page.

        What a page asks for `by_itself` does not keep the session from ending.
        """
        visit = self._visit(call, by_itself=by_itself)
        if visit is None:
            return self._entry(call)
        try:
            if b"%00" in call.scope["query_string"] or "\0" in call.scope["path"]:
                raise Invalid("text.nul")
            return page(visit)
        except KeysteadError as error:
            return self._refused(visit, error)

    def take(self, call: Call, body: bytes, page: Callable[[Visit, Given], Answer]) -> Answer:
        """The same for a form that was sent, which must be one of this session's."""

        def checked(visit: Visit) -> Answer:
            form = form_of(call, body)
            given = call.headers.get(CSRF_HEADER) or form.get(CSRF_FIELD, ("",))[-1]
            security.refuse_foreign(call, visit.session, given)
            return page(visit, form)

        return self.answer(call, checked)

    def enter(self, call: Call, body: bytes) -> Answer:
        """Log in with a form."""
        try:
            return self.entrance.enter(call, form_of(call, body))
        except KeysteadError as error:
            return self.sorry(status_of(error), error.what, error.todo)

    def show(self, visit: Visit, page: str) -> Answer:
        """The page of that name: `TABLE.list`, `TABLE.form`, `TABLE.do`, `TABLE.csv`."""
        name, _, suffix = page.rpartition(".")
        sys_id = visit.call.query_params.get("sys_id", "")
        table = registry.TABLES.get(name)
        if not name or suffix not in ("list", "form", "do", "csv"):
            raise NotFound("console.page", page=page)
        if suffix in ("list", "csv"):
            pairs = [(n, str(v)) for n, v in visit.call.query_params.multi_items()]
            asked = from_pairs(pairs, self._setting(properties.LIST_ROWS))
            return (
                self._listed(visit, name, asked)
                if suffix == "list"
                else self._csv(visit, name, asked)
            )
        if table is None:
            return self._record_page(visit, name, sys_id, suffix)
        if suffix == "form":
            return self._tables.form(visit, table, sys_id)
        return self._tables.ask(visit, table, _operation(visit, table), sys_id or None)

    def change(self, visit: Visit, page: str, form: Given) -> Answer:
        """What a form sent to such a page does."""
        name, _, suffix = page.rpartition(".")
        sys_id = visit.call.query_params.get("sys_id", "")
        table = registry.TABLES.get(name)
        if table is not None and suffix == "do":
            operation = _operation(visit, table)
            return self._tables.do(visit, table, operation, sys_id or None, form)
        if table is not None or suffix not in ("form", "delete") or not name:
            raise NotFound("console.page", page=page)
        if suffix == "delete":
            return self._records.delete(visit, name, sys_id)
        if sys_id:
            return self._records.save(visit, name, sys_id, form)
        return self._records.insert(visit, name, form)

    def progress(self, visit: Visit, table: str, sys_id: str) -> Answer:
        """How far the work of a row is."""
        return self._tables.progress(visit, _declared(table), sys_id)

    def choices(self, visit: Visit) -> Answer:
        """What can be chosen for a parameter."""
        asked = visit.call.query_params
        name = asked.get("parameter", "")
        chosen = [str(v) for n, v in asked.multi_items() if n == name]
        operation = registry.OPERATIONS.get(asked.get("of", ""))
        if operation is None:
            raise NotFound("console.page", page=asked.get("of", ""))
        return self._tables.choices(visit, operation, name, asked.get(f"look.{name}", ""), chosen)

    def history(self, visit: Visit, table: str, sys_id: str) -> Answer:
        """What the audit log says about a row that he may see."""
        database = self._parts.instance.database
        if declared := registry.TABLES.get(table):
            row = guard.row(visit.context, declared, sys_id)
            events = history.of_row(database, declared, row)
        else:
            with self._parts.records.reading(visit.caller, table) as view:
                view.one(view.key_of(sys_id), view.table.primary_key)
            events = history.of_record(database, table, sys_id)
        return self.frame.fragment("history.html", events=events)

    def navigate(self, visit: Visit) -> Answer:
        """Where a text typed into the navigator leads, or what fits it."""
        text = visit.call.query_params.get("q", "").strip()
        is_part = visit.call.headers.get("hx-request") == "true"
        if not is_part and (path := navigator.direct(text)):
            return self.frame.go(path)
        found = navigator.fitting(visit.context, text)
        if is_part:
            return self.frame.fragment("menus.html", menus=found, text=text)
        return self.frame.page(visit, "navigator.html", "Navigator", found=found, text=text)

    def choose_columns(self, visit: Visit, form: Given) -> Answer:
        """Keep which columns of a list are shown, for this browser."""
        table, back = form.get("table", ("",))[-1], form.get("back", ("/",))[-1]
        kept = {n: c for n, c in self._chosen(visit).items() if n != table}
        if columns := list(form.get("column", ())):
            kept = dict([*list(kept.items())[-_TABLES_REMEMBERED + 1 :], (table, columns)])
        told = quote(msgspec.json.encode(kept).decode(), safe="")
        return self.frame.go(
            security.local(back), cookies=[cookie(self.frame.cookies.columns, told, _YEAR)]
        )

    def remove_attachment(self, visit: Visit) -> Answer:
        """Take an attachment away."""
        return self._records.remove_attachment(visit, visit.call.query_params.get("sys_id", ""))

    async def attach(self, call: Call) -> Answer:
        """Take in a file for a record, from a form of this session."""
        visit = await sync_to_thread(self._visit, call)
        if visit is None:
            return self._entry(call)

        def check(fields: Mapping[str, str]) -> None:
            security.refuse_foreign(call, visit.session, fields.get(CSRF_FIELD, ""))

        desk, kind = self._parts.desks(visit.caller), call.headers.get("content-type", "")
        try:
            made = await taken_in(call, FormIntake(desk, kind, check))
        except KeysteadError as error:
            return await sync_to_thread(self._refused, visit, error)
        return self.frame.go(
            form_address(made.table, made.table_sys_id), Message("The file is attached.")
        )

    def attachment(self, visit: Visit) -> Answer:
        """The content of an attachment; of no type that a page of this site would run as script."""
        desk = self._parts.desks(visit.caller)
        found = desk.download(visit.call.query_params.get("sys_id", ""))
        return content_of(found, HEADERS, BYTES)

    def sorry(self, status: int, what: str, todo: str) -> Answer:
        """A page of two lines, for anybody."""
        return self.frame.bare("sorry.html", "Keystead", status, what=what, todo=todo)

    def _visit(self, call: Call, *, by_itself: bool = False) -> Visit | None:
        session = self.entrance.session(call, by_itself=by_itself)
        actor = self._parts.sessions.actor(session) if session else None
        if session is None or actor is None:
            return None
        return Visit(call, session, Context(self._parts.instance, actor, self._parts.channel))

    def _entry(self, call: Call) -> Answer:
        """Lead to the log-in page, and from there to what was asked for."""
        if call.headers.get("hx-request") == "true":
            # it is read anew as a page, which leads to the log-in page and back
            return Response("", status_code=401, headers={**HEADERS, "HX-Refresh": "true"})
        path = quote(call.scope["path"])
        query = call.scope["query_string"].decode("ascii", "replace")
        asked = path + (f"?{query}" if query else "") if call.method == "GET" else "/"
        return self.frame.go("/login" if asked == "/" else f"/login?{urlencode({'next': asked})}")

    def _refused(self, visit: Visit, error: KeysteadError) -> Answer:
        if error.code == "authority.elevation" and visit.call.method == "GET":
            return self.frame.go(elevation(visit.here))
        message = Message(error.what, "bad", error.todo)
        if visit.call.headers.get("hx-request") == "true":
            return html(self.frame.drawn("refused.html", message=message))
        return self.frame.page(
            visit, "error.html", error.what, status=status_of(error), error=message
        )

    def _listed(self, visit: Visit, name: str, asked: Asked) -> Answer:
        chosen = self._chosen(visit).get(name, [])
        if table := registry.TABLES.get(name):
            return self._tables.list(visit, table, asked, chosen)
        return self._records.list(visit, name, asked, chosen)

    def _csv(self, visit: Visit, name: str, asked: Asked) -> Answer:
        """Every row of a list, as far as one export goes."""
        whole = replace(asked, page=1, size=exports.MOST_ROWS)
        chosen = self._chosen(visit).get(name, [])
        listing = self._listing(visit, name, whole, chosen)
        if listing.problem:
            raise listing.problem
        content = exports.as_csv(
            [h.name for h in listing.headings],
            ([cell.exact or cell.text for cell in line.cells] for line in listing.lines),
        )
        headers = {
            **HEADERS,
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}.csv",
            "X-Total-Count": str(listing.total),
        }
        return Response(content, media_type="text/csv; charset=utf-8", headers=headers)

    def _listing(self, visit: Visit, name: str, asked: Asked, chosen: list[str]) -> Listing:
        if table := registry.TABLES.get(name):
            return lists.declared(visit.context, table, asked, chosen)
        return lists.business(self._parts.records, visit.caller, name, asked, chosen)

    def _record_page(self, visit: Visit, name: str, sys_id: str, suffix: str) -> Answer:
        if suffix == "do":
            if visit.call.query_params.get("operation") != "delete":
                raise NotFound("console.page", page=f"{name}.do")
            return self._records.ask_delete(visit, name, sys_id)
        if sys_id in ("", "-1"):
            return self._records.new(visit, name)
        return self._records.form(visit, name, sys_id)

    def _setting(self, wanted: Property) -> int:
        instance = self._parts.instance
        with instance.database.snapshot() as tx:
            return properties.whole_number(tx, instance.hierarchy.integrity, wanted)

    def _chosen(self, visit: Visit) -> dict[str, list[str]]:
        """The columns that this browser chose, by table."""
        kept = visit.call.cookies.get(self.frame.cookies.columns, "")
        try:
            return msgspec.json.decode(unquote(kept), type=dict[str, list[str]])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}


def form_of(call: Call, body: bytes) -> Given:
    """The fields of a form.

    Raises:
        Invalid: when the body is none.
    """
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise Invalid("console.form")
    try:
        if b"%00" in body:
            raise Invalid("text.nul")
        return parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MOST_FIELDS,
            errors="strict",
        )
    except ValueError:
        raise Invalid("console.form") from None


def _declared(name: str) -> Table:
    table = registry.TABLES.get(name)
    if table is None:
        raise NotFound("console.page", page=name)
    return table


def _operation(visit: Visit, table: Table) -> Operation:
    name = visit.call.query_params.get("operation", "")
    found = next((o for o in table.every_operation if o.name == name), None)
    if found is None:
        raise NotFound("console.page", page=f"{table.name}.do?operation={name}")
    return found
