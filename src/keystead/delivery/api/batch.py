"""Several requests in one, in the shape that clients of ServiceNow's know.

`POST /api/now/batch`, also under v1 and v2. Each request in it is carried out as if it had come by
itself, with the credentials of the one that brought it, in order; each succeeds or fails by itself.
Answers are held until the last: once there is too much of them, those that follow are not served.
"""

from __future__ import annotations

import base64
import re
from binascii import Error as Base64Error
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import unquote

import msgspec
from litestar import Response, Router, post
from litestar.concurrency import sync_to_thread
from litestar.status_codes import HTTP_200_OK, HTTP_400_BAD_REQUEST

from keystead.base.errors import Invalid
from keystead.delivery.api.bodies import json_body, refuse_foreign
from keystead.delivery.api.errors import refused
from keystead.delivery.api.log_in import Call, Door

PREFIXES: Final = ("/api/now/batch", "/api/now/v1/batch", "/api/now/v2/batch")
LIMIT: Final = 16 * 1024 * 1024
MOST_REQUESTS: Final = 5_000
MOST_ANSWERED: Final = 32 * 1024 * 1024  # characters of answers, after which no more is served
_SERVED: Final = re.compile(r"/api/now(/v[12])?/(table|stats)/[^?#]*")
_KEPT: Final = {"type", "asgi", "http_version", "scheme", "root_path", "client", "server"}
_JSON: Final = b"application/json"


class Header(msgspec.Struct):
    """A header of a request or of its answer."""

    name: str
    value: str


class Inner(msgspec.Struct):
    """One request of a batch; its body is base64."""

    id: str
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    headers: list[Header] = []
    body: str = ""


class Batch(msgspec.Struct):
    """What is sent."""

    batch_request_id: str | int
    rest_requests: list[Inner]


class Answer(msgspec.Struct):
    """What became of one request; its body is base64."""

    id: str
    status_code: int
    status_text: str
    headers: Sequence[Header]
    body: str


def routes(door: Door) -> Router:
    """The batch API under each of its prefixes; `door` lets in who calls."""

    @post(list(PREFIXES), status_code=HTTP_200_OK, request_max_body_size=LIMIT,
          guards=[refuse_foreign])  # fmt: skip
    async def take_batch(request: Call) -> Response[Any]:
        await sync_to_thread(door.caller, request)
        batch = _batch(await json_body(request))
        served: list[Answer] = []
        size = 0
        for inner in batch.rest_requests:
            if size >= MOST_ANSWERED:
                break
            served.append(await _answer(request, inner))
            size += len(served[-1].body)
        return Response(
            {
                "batch_request_id": str(batch.batch_request_id),
                "serviced_requests": msgspec.to_builtins(served),
                "unserviced_requests": [i.id for i in batch.rest_requests[len(served) :]],
            }
        )

    return Router("/", route_handlers=[take_batch])


def _batch(body: bytes) -> Batch:
    try:
        batch = msgspec.json.decode(body, type=Batch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("batch.form", reason=str(error), most=MOST_REQUESTS) from None
    if len(batch.rest_requests) > MOST_REQUESTS:
        raise Invalid("batch.form", reason="it has too many requests", most=MOST_REQUESTS)
    return batch


async def _answer(call: Call, inner: Inner) -> Answer:
    """Carry out one request by the application itself."""
    path, _, query = inner.url.partition("?")
    try:
        body = base64.b64decode(inner.body, validate=True)
    except (Base64Error, ValueError):
        body = None
    if body is None or not (_SERVED.fullmatch(path) and inner.url.isascii()):
        answer = refused(call, Invalid("batch.request", url=inner.url[:200]))
        content = msgspec.json.encode(answer.content)
        return _told(
            inner, answer.status_code or HTTP_400_BAD_REQUEST, [(b"content-type", _JSON)], content
        )
    outer = dict(call.scope["headers"])
    headers = [
        (b"authorization", outer.get(b"authorization", b"")),
        (b"content-length", str(len(body)).encode()),
        *([(b"content-type", _type_of(inner))] if body else []),
    ]
    scope: dict[str, Any] = {n: v for n, v in call.scope.items() if n in _KEPT}
    scope |= {
        **{"method": inner.method, "path": unquote(path), "raw_path": path.encode()},
        **{"query_string": query.encode(), "headers": headers, "state": {}},
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await call.app(scope, receive, send)  # type: ignore[arg-type]
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return _told(inner, sent[0]["status"], sent[0]["headers"], content)


def _type_of(inner: Inner) -> bytes:
    named = {header.name.lower(): header.value for header in inner.headers}
    return named.get("content-type", "").encode("latin-1", "replace")


def _told(
    inner: Inner, status: int, headers: Sequence[tuple[bytes, bytes]], content: bytes
) -> Answer:
    shown = [Header(name.decode(), value.decode("latin-1")) for name, value in headers]
    text = HTTPStatus(status).phrase
    return Answer(inner.id, status, text, shown, base64.b64encode(content).decode())
