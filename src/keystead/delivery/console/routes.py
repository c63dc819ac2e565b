"""Where the pages of the console are."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.concurrency import sync_to_thread
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery

from keystead.delivery.api.log_in import Call
from keystead.delivery.console.site import BODY_LIMIT, Answer, Console, Parts


def routes(parts: Parts) -> Router:
    """Every page of the console, from `/` on."""
    console = Console(parts)

    @get("/", sync_to_thread=True)
    def home(request: Call) -> Answer:
        return console.answer(request, console.home.home)

    @get("/login", sync_to_thread=True)
    def ask_log_in(request: Call) -> Answer:
        return console.entrance.ask(request)

    @post("/login", status_code=200)
    async def log_in(request: Call) -> Answer:
        body = await request.body()
        return await sync_to_thread(console.enter, request, body)

    @post("/logout", status_code=200)
    async def log_out(request: Call) -> Answer:
        return await _taken(console, request, lambda visit, _form: console.entrance.leave(visit))

    @get("/elevate", sync_to_thread=True)
    def ask_elevate(request: Call) -> Answer:
        return console.answer(request, console.entrance.ask_again)

    @post("/elevate", status_code=200)
    async def elevate(request: Call) -> Answer:
        return await _taken(console, request, console.entrance.elevate)

    @post("/lower", status_code=200)
    async def lower(request: Call) -> Answer:
        return await _taken(console, request, lambda visit, _form: console.entrance.lower(visit))

    @get("/nav_to.do", sync_to_thread=True)
    def navigate(request: Call) -> Answer:
        return console.answer(request, console.navigate)

    @get("/stats.do", sync_to_thread=True)
    def stats(request: Call) -> Answer:
        return console.answer(request, console.home.stats)

    @get("/home/jobs", sync_to_thread=True)
    def jobs(request: Call) -> Answer:
        return console.answer(request, console.home.jobs, by_itself=True)

    @get("/home/values", sync_to_thread=True)
    def values(request: Call) -> Answer:
        return console.answer(request, console.home.values)

    @get("/choices", sync_to_thread=True)
    def choices(request: Call) -> Answer:
        return console.answer(request, console.choices)

    @get("/progress", sync_to_thread=True)
    def progress(request: Call, table: FromQuery[str] = "", sys_id: FromQuery[str] = "") -> Answer:
        return console.answer(
            request, lambda visit: console.progress(visit, table, sys_id), by_itself=True
        )

    @get("/history", sync_to_thread=True)
    def history(request: Call, table: FromQuery[str] = "", sys_id: FromQuery[str] = "") -> Answer:
        return console.answer(request, lambda visit: console.history(visit, table, sys_id))

    @post("/columns", status_code=200)
    async def columns(request: Call) -> Answer:
        return await _taken(console, request, console.choose_columns)

    @get("/sys_attachment.do", sync_to_thread=True)
    def attachment(request: Call) -> Answer:
        return console.answer(request, console.attachment)

    @post("/sys_attachment.do", status_code=200)
    async def remove_attachment(request: Call) -> Answer:
        return await _taken(console, request, lambda visit, _form: console.remove_attachment(visit))

    # the desk refuses what is too large, by the setting
    @post("/attach", status_code=200, request_max_body_size=None)
    async def attach(request: Call) -> Answer:
        return await console.attach(request)

    @get("/static/{name:str}", sync_to_thread=False)
    def static(name: FromPath[str]) -> Answer:
        return console.frame.static(name) or console.sorry(404, "There is no such file.", "")

    @get("/{page:str}", sync_to_thread=True)
    def show(request: Call, page: FromPath[str]) -> Answer:
        return console.answer(request, lambda visit: console.show(visit, page))

    @post("/{page:str}", status_code=200)
    async def change(request: Call, page: FromPath[str]) -> Answer:
        return await _taken(console, request, lambda visit, form: console.change(visit, page, form))

    def refused(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        return console.sorry(error.status_code, f"{error.detail}.", "Go back and try again.")

    def unexpected(_request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        what = f"Something unexpected happened: {type(error).__name__}."
        return console.sorry(500, what, "See the server's log.")

    return Router(
        "/",
        route_handlers=[
            *(home, ask_log_in, log_in, log_out, ask_elevate, elevate, lower, navigate, stats),
            *(jobs, values, choices, progress, history, columns, attachment, remove_attachment),
            *(static, attach, show, change),
        ],
        request_max_body_size=BODY_LIMIT,
        exception_handlers={HTTPException: refused, Exception: unexpected},
    )


async def _taken(console: Console, call: Call, page: Any) -> Answer:
    body = await call.body()
    return await sync_to_thread(console.take, call, body, page)
