"""What may be sent, by whom: JSON that says so, and nothing from a page of another site."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from keystead.base.errors import Denied, Invalid
from keystead.delivery.api.log_in import Call

LIMIT: Final = 1024 * 1024
_JSON: Final = "application/json"
_OWN_SITE: Final = ("same-origin", "none")


async def json_body(call: Call) -> bytes:
    """The body of a request, which must say that it is JSON, unless there is none.

    A browser sends other types to a foreign site without asking it.

    Raises:
        Invalid: otherwise.
    """
    said = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said not in ("", _JSON):
        raise Invalid("body.type")
    body = await call.body()
    if body and not said:
        raise Invalid("body.type")
    return body


def refuse_foreign(call: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Refuse what a browser sends for a page of another site; it may add credentials it remembers.

    Raises:
        Denied: by the headers that browsers add and pages cannot change.
    """
    site = call.headers.get("sec-fetch-site")
    origin = call.headers.get("origin")
    if site is not None:
        is_own = site in _OWN_SITE
    else:
        is_own = origin is None or urlsplit(origin).netloc == call.headers.get("host")
    if not is_own:
        raise Denied("request.foreign")
