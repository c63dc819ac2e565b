"""What a refusal looks like over HTTP: one table from family to status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.status_codes import (
    HTTP_401_UNAUTHORIZED,
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_500_INTERNAL_SERVER_ERROR,
)

from keystead.base.errors import KeysteadError

_BY_FAMILY: Final[dict[str, int]] = {
    "invalid": 400,
    "denied": 403,
    "not_found": 404,
    "conflict": 409,
    "illegal_transition": 409,
    "tampered": 500,
    "unavailable": 503,
    "misconfigured": 500,
}
_BY_CODE: Final[dict[str, int]] = {
    "login.needed": 401,
    "login.refused": 401,
    "login.too_often": 429,
    "body.type": 415,
    "attachment.too_large": 413,
}
# as clients of the Table API expect, so that 404 means a record
_FOR_CLIENTS: Final[dict[str, int]] = {"table.missing": 400}
# of every answer: it is of nobody else, and of the type that it says
HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="Keystead"'}


def status_of(error: KeysteadError) -> int:
    """The status of a refusal."""
    return _BY_CODE.get(error.code) or _BY_FAMILY[error.family]


def refused(_request: Request[Any, Any, Any], error: KeysteadError) -> Response[Any]:
    """A refusal, in two lines: what happened and what to do."""
    status = _FOR_CLIENTS.get(error.code) or status_of(error)
    headers = _CHALLENGE if status == HTTP_401_UNAUTHORIZED else {}
    if status == HTTP_429_TOO_MANY_REQUESTS:
        headers = {"Retry-After": str(error.facts["seconds"])}
    return failure(status, error.what, error.todo, error.code, headers)


def no_such_thing(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What the web framework itself refuses: a path, a method, a body."""
    return failure(error.status_code, error.detail or "The request is refused", "", "http", {})


def unexpected(_request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """An error that nobody foresaw: its type alone is told."""
    what = f"Something unexpected happened: {type(error).__name__}."
    return failure(HTTP_500_INTERNAL_SERVER_ERROR, what, "See the server's log.", "unexpected", {})


def failure(
    status: int, what: str, todo: str, code: str, headers: Mapping[str, str]
) -> Response[Any]:
    """The documented shape of an error, with our stable code beside it."""
    body = {"error": {"message": what, "detail": todo or None, "code": code}, "status": "failure"}
    return Response(body, status_code=status, headers={**HEADERS, **headers})
