"""What is around every page: templates, static files, messages, and the navigator."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from litestar import Response
from litestar.datastructures import Cookie

from keystead.access import authority
from keystead.access.roles import SECURITY
from keystead.access.sessions import Session
from keystead.base.errors import KeysteadError
from keystead.delivery.api.log_in import Call
from keystead.delivery.console.asked import address, form_address
from keystead.delivery.console.cells import moment
from keystead.delivery.console.security import HEADERS, Cookies, cookie
from keystead.dictionary import registry
from keystead.dictionary.model import Context
from keystead.external.tables import ALERTS, CONFIGURATIONS
from keystead.instance import external_overview
from keystead.records.session import Caller

_HTML: Final = "text/html"
_LONGEST_MESSAGE: Final = 1_000
_MESSAGE_SECONDS: Final = 60
_STATIC_HEADERS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is logged in."""

    call: Call
    session: Session
    context: Context

    @property
    def caller(self) -> Caller:
        """As whom he sees records."""
        return Caller(self.session.user, self.context.actor.name)

    @property
    def here(self) -> str:
        """The address that was asked for."""
        query = self.call.scope["query_string"].decode("ascii", "replace")
        return self.call.url.path + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class Entry:
    """A table in the navigator. `term` is the name it has as a table."""

    label: str
    href: str
    term: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """An application of the navigator."""

    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One line at the top of a page. The tone is good, warn or bad; `todo` is what to do."""

    text: str
    tone: str = "good"
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """An open alert at the top of every page, and where it leads."""

    status: str
    name: str
    since: str
    what: str
    href: str


class Frame:
    """Draws the pages of one instance."""

    def __init__(self, name: str, instance_id: str) -> None:
        self.cookies = Cookies(instance_id)
        self._static = dict(_static_files())
        self._templates = Environment(
            loader=PackageLoader("keystead.delivery.console"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            instance=name, static=self._address_of, address=address, form_address=form_address
        )

    def drawn(self, template: str, **facts: Any) -> str:
        """A template filled in."""
        return self._templates.get_template(template).render(facts)

    def page(
        self,
        visit: Visit,
        template: str,
        title: str,
        *,
        message: Message | None = None,
        status: int = 200,
        **facts: Any,
    ) -> Response[str]:
        """A whole page for who is logged in, with what was said to him by the page before."""
        before = said(visit.call.cookies.get(self.cookies.said))
        actor = visit.context.actor
        drawn = self.drawn(
            template,
            title=title,
            visit=visit,
            actor=actor,
            elevates=SECURITY in actor.roles,
            csrf=visit.session.csrf,
            messages=[m for m in (before, message) if m is not None],
            menus=menus(visit.context),
            alerts=alerts(visit.context),
            **facts,
        )
        gone = [cookie(self.cookies.said, "", 0)] if before else []
        return html(drawn, status, gone)

    def bare(self, template: str, title: str, status: int = 200, **facts: Any) -> Response[str]:
        """A page for who is not logged in."""
        return html(self.drawn(template, title=title, **facts), status)

    def fragment(self, template: str, **facts: Any) -> Response[str]:
        """A part of a page that is asked for by itself."""
        return html(self.drawn(template, **facts))

    def go(
        self, path: str, message: Message | None = None, cookies: Sequence[Cookie] = ()
    ) -> Response[str]:
        """Lead on to a page with GET, which will say the message."""
        kept = list(cookies)
        if message is not None:
            kept.append(cookie(self.cookies.said, _kept(message), _MESSAGE_SECONDS))
        headers = {**HEADERS, "Location": path}
        return Response("", status_code=303, headers=headers, media_type=_HTML, cookies=kept)

    def static(self, name: str) -> Response[bytes] | None:
        """A static file."""
        content = self._static.get(name)
        if content is None:
            return None
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        return Response(content, media_type=kind, headers=_STATIC_HEADERS)

    def _address_of(self, name: str) -> str:
        """Where a static file is; another content has another address."""
        return f"/static/{name}?{hashlib.sha256(self._static[name]).hexdigest()[:12]}"


def html(text: str, status: int = 200, cookies: Sequence[Cookie] = ()) -> Response[str]:
    """A page with the headers that every page has."""
    return Response(
        text, status_code=status, headers=HEADERS, media_type=_HTML, cookies=list(cookies)
    )


def menus(context: Context) -> list[Group]:
    """The navigator, without what he may not see; business tables come last."""
    actor, out = context.actor, []
    for menu in registry.MENUS:
        seen = [registry.TABLES[name] for name in menu.tables if authority.may_see(actor, name)]
        entries = [Entry(t.plural, address(t.name, "list"), t.name) for t in seen]
        if entries:
            out.append(Group(menu.label, tuple(entries)))
    database = context.instance.database
    with database.snapshot() as tx:
        names = sorted(database.table_names(tx))
    if names:
        out.append(Group("Tables", tuple(Entry(n, address(n, "list"), n) for n in names)))
    return out


def alerts(context: Context) -> list[Alert]:
    """The open alerts, for who may see them; where they cannot be read, that is one."""
    if not authority.may_see(context.actor, ALERTS.name):
        return []
    instance = context.instance
    try:
        with instance.database.snapshot() as tx:
            found = external_overview.banner(tx, instance.hierarchy)
    except KeysteadError as error:
        return [Alert("not known", "Alerts", "", error.what, address(ALERTS.name, "list"))]
    return [
        Alert(
            row["status"],
            row["name"],
            f"since {moment(row['raised_at'])} UTC",
            row["what"],
            form_address(CONFIGURATIONS.name, row["configuration_id"]),
        )
        for row in found
    ]


def said(kept: str | None) -> Message | None:
    """The message of the page before, from its cookie."""
    try:
        fields = json.loads(base64.urlsafe_b64decode(kept or ""))
        return Message(str(fields["text"]), str(fields["tone"]), str(fields["todo"]))
    except (Base64Error, ValueError, TypeError, KeyError):
        return None


def _kept(message: Message) -> str:
    fields: Mapping[str, str] = {
        "text": message.text[:_LONGEST_MESSAGE],
        "tone": message.tone,
        "todo": message.todo,
    }
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


def _static_files() -> list[tuple[str, bytes]]:
    folder = files("keystead.delivery.console") / "static"
    return [
        (entry.name, entry.read_bytes())
        for place in (folder, folder / "vendor")
        for entry in place.iterdir()
        if entry.is_file()
    ]
