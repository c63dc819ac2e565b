"""The web application of an instance: what its peers call, and the routes for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from litestar import Litestar, Request, Response, Router, get, post
from litestar.concurrency import sync_to_thread
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_200_OK, HTTP_403_FORBIDDEN

from keystead.base.errors import Denied, KeysteadError
from keystead.delivery.api import errors
from keystead.exchange.identity import Identity

MESSAGE_LIMIT = 256 * 1024 * 1024
_BYTES = "application/octet-stream"


def application(
    identity: Identity, receive: Callable[[bytes], bytes], routers: Sequence[Router]
) -> Litestar:
    """The web application of an instance; `receive` handles one signed message of a peer."""

    @get("/peer/v1/identity", sync_to_thread=False)
    def show_identity() -> dict[str, str]:
        return identity.as_json()

    @post("/peer/v1/messages", status_code=HTTP_200_OK, request_max_body_size=MESSAGE_LIMIT)
    async def take_message(request: Request[object, object, State]) -> Response[bytes]:
        frame = await request.body()
        try:
            answer = await sync_to_thread(receive, frame)
        except Denied:
            return Response(b"", status_code=HTTP_403_FORBIDDEN, media_type=_BYTES)
        return Response(answer, media_type=_BYTES)

    @get("/health", sync_to_thread=False)
    def health() -> dict[str, str]:
        return {"status": "serving"}

    return Litestar(
        [show_identity, take_message, health, *routers],
        openapi_config=None,
        exception_handlers={
            KeysteadError: errors.refused,
            HTTPException: errors.no_such_thing,
            Exception: errors.unexpected,
        },
    )
