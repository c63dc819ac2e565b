"""Who calls: HTTP basic authentication (RFC 7617) with a password, or a bearer token (RFC 6750)."""

from __future__ import annotations

import base64
from binascii import Error as Base64Error
from typing import Annotated, Any, Final

from litestar import Request
from litestar.params import PathParameter

from keystead.access.accounts import LogIn
from keystead.access.recorder import UNKNOWN, Recorder
from keystead.base.errors import Denied, Invalid
from keystead.database.integrity import Integrity
from keystead.database.port import Database

ELEVATE: Final = "X-Keystead-Elevate"
Call = Request[Any, Any, Any]
Path = Annotated[str, PathParameter()]


class Door:
    """Lets in who proves to be a user by the headers of a request, before its body is read.

    `log_in` is for other ways in, so that failures count together whichever way they come.
    """

    def __init__(self, database: Database, integrity: Integrity, recorder: Recorder) -> None:
        self.log_in = LogIn(integrity, recorder.refuse_log_in)
        self._database = database
        self._recorder = recorder

    def caller(self, call: Call) -> str:
        """The name of the user whom the Authorization header proves.

        Who asks for elevation has his password checked anew, whatever is remembered of it.

        Raises:
            Denied: when it is missing or proves nobody; the latter is noted.
            Invalid: when the request's address holds the character NUL.
        """
        if b"%00" in call.scope["query_string"] or "\0" in call.scope["path"]:
            raise Invalid("text.nul")
        scheme, _, given = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "basic"):
            raise Denied("login.needed")
        if scheme.lower() == "bearer":
            return self.log_in.by_token(self._database, given.strip(), address(call))
        try:
            name, password = _name_and_password(given)
        except Denied:
            self._recorder.refuse_log_in(UNKNOWN)
            raise
        again = ELEVATE.lower() in call.headers
        return self.log_in.by_password(self._database, name, password, address(call), again=again)


def address(call: Call) -> str:
    """Where a request comes from, as the connection says."""
    return call.client.host if call.client else ""


def _name_and_password(given: str) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError, ValueError):
        raise Denied("login.refused", user=UNKNOWN) from None
    if not colon or "\0" in name:
        raise Denied("login.refused", user=UNKNOWN)
    return name, password
