"""Logging in and out, and elevating a session with the password given again."""

from __future__ import annotations

from urllib.parse import urlencode

from litestar import Response

from keystead.access.accounts import LogIn
from keystead.access.sessions import Session, Sessions
from keystead.base.errors import Denied, KeysteadError
from keystead.database.port import Database
from keystead.delivery.api.log_in import Call, address
from keystead.delivery.console import security
from keystead.delivery.console.frame import Frame, Message, Visit
from keystead.delivery.console.parameters import Given
from keystead.delivery.console.security import CSRF_FIELD, cookie

FORBIDDEN = 403


class Entrance:
    """The pages through which people come in, leave, and rise."""

    def __init__(
        self,
        frame: Frame,
        database: Database,
        sessions: Sessions,
        log_in: LogIn,
    ) -> None:
        self._frame = frame
        self._database = database
        self._sessions = sessions
        self._log_in = log_in

    def session(self, call: Call, *, by_itself: bool) -> Session | None:
        """The session that a request belongs to; nobody acts where a page asks by itself."""
        secret = call.cookies.get(self._frame.cookies.session)
        return self._sessions.find(secret, acts=not by_itself) if secret else None

    def ask(
        self,
        call: Call,
        message: Message | None = None,
        user: str = "",
        status: int = 200,
        onward: str = "",
    ) -> Response[str]:
        """The log-in page; whoever logs in goes `onward`, or where the address says."""
        secret = call.cookies.get(self._frame.cookies.entering) or security.new_entrance()
        page = self._frame.bare(
            "login.html",
            "Log in",
            status,
            csrf=security.entrance_csrf(secret),
            message=message,
            user=user,
            next=security.local(onward or call.query_params.get("next", "/")),
        )
        page.set_cookie(cookie(self._frame.cookies.entering, secret))
        return page

    def enter(self, call: Call, form: Given) -> Response[str]:
        """Log in; a session that the browser had before ends."""
        user = _one(form, "user")
        try:
            entering = call.cookies.get(self._frame.cookies.entering)
            security.refuse_foreign_entrance(call, entering, _one(form, CSRF_FIELD))
            password, place = _one(form, "password"), address(call)
            name = self._log_in.by_password(self._database, user, password, place)
            session = self._sessions.open(name)
        except Denied as refused:
            return self.ask(call, refusal(refused), user, FORBIDDEN, _one(form, "next"))
        if old := call.cookies.get(self._frame.cookies.session):
            self._sessions.close(old)
        cookies = [
            cookie(self._frame.cookies.session, session.secret),
            cookie(self._frame.cookies.entering, "", 0),
        ]
        return self._frame.go(security.local(_one(form, "next")), cookies=cookies)

    def leave(self, visit: Visit) -> Response[str]:
        """Log out."""
        self._sessions.close(visit.session.secret)
        return self._frame.go("/login", cookies=[cookie(self._frame.cookies.session, "", 0)])

    def ask_again(
        self, visit: Visit, message: Message | None = None, onward: str = ""
    ) -> Response[str]:
        """The page that asks for the password again, and then leads `onward`."""
        status = FORBIDDEN if message else 200
        onward = security.local(onward or visit.call.query_params.get("next", "/"))
        return self._frame.page(
            visit, "elevate.html", "Elevate", message=message, status=status, next=onward
        )

    def elevate(self, visit: Visit, form: Given) -> Response[str]:
        """Elevate the session and go on."""
        try:
            session = self._sessions.elevate(
                visit.session, _one(form, "password"), self._log_in, address(visit.call)
            )
        except Denied as refused:
            return self.ask_again(visit, refusal(refused), _one(form, "next"))
        said = Message("This session is elevated for a quarter of an hour.")
        kept = [cookie(self._frame.cookies.session, session.secret)]
        return self._frame.go(security.local(_one(form, "next")), said, kept)

    def lower(self, visit: Visit) -> Response[str]:
        """Give up what the session was elevated to."""
        self._sessions.lower(visit.session)
        return self._frame.go("/", Message("This session is not elevated any more."))


def elevation(path: str) -> str:
    """Where the session is elevated, and goes on to a path."""
    return f"/elevate?{urlencode({'next': path})}"


def refusal(error: KeysteadError) -> Message:
    """A refusal as the line at the top of a page."""
    return Message(error.what, "bad", error.todo)


def _one(form: Given, name: str) -> str:
    values = form.get(name, ())
    return values[-1] if values else ""
