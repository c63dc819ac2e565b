"""Speed of lists: a page of the console and one of the Table API, against bare routes.

    python -m bench.console

Both sides are Litestar applications behind the same server over TLS, each in a process of its own,
on the same SQLite file with caches of the same size: a table of 141,712 rows with two encrypted
columns. Ours is `keystead serve`: it checks session or token, decides by the policies, opens two
values in each row, and notes what it showed. The rival asks the same two queries, rows and count,
and shows the rows as they are stored, on the console's own template. One client asks for one page
after the other, both sides in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

import httpx
from litestar import Litestar, Request, Response, get
from sqlalchemy import Connection, create_engine, event, text

from bench.report import (
    FOLDER,
    Figure,
    Goal,
    figure,
    ours_at_most,
    publish,
    ratio_at_least,
    ratio_at_most,
)
from bench.serving import PROGRAM, client, free_port, running, serve
from keystead.access import accounts, people, policies
from keystead.access.authority import Actor
from keystead.access.decision import Operation, PolicyType, Result
from keystead.access.sessions import Session, Sessions
from keystead.base.ids import new_ids
from keystead.crypto.envelope import Scheme
from keystead.database.model import Column, ColumnType, Table
from keystead.delivery.console.asked import form_address, from_pairs
from keystead.delivery.console.cells import Cell
from keystead.delivery.console.frame import Frame, Visit, menus
from keystead.delivery.console.lists import Heading, Line, Listing
from keystead.delivery.console.security import Cookies
from keystead.dictionary.model import Context
from keystead.fields import mass_job, service
from keystead.fields.mass_job import MassJob
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.opening import Instance
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.programs.instance import channel, connect

ACTOR = "bench"
USER = "reader"
ROLES = ("admin", "sn_kmf.admin", "support")
TABLE = "incident"
COLUMNS = (
    *("sys_id", "number", "state", "active", "caller", "opened_at", "updated_at"),
    *("location", "category", "symptom", "priority", "description"),
)
SEALED = ("caller", "description")
READ = f"SELECT {', '.join(COLUMNS)} FROM {TABLE} ORDER BY sys_id LIMIT :most OFFSET :start"
COUNT = f"SELECT count(*) FROM {TABLE}"
CACHE = "PRAGMA cache_size = -64000"  # KiB, as ours has
PAGE, BATCH = 50, 100
NOT_COUNTED = "&sysparm_no_count=true"
BARE = Session(USER, "bare", is_elevated=False)


Seconds = tuple[list[float], list[float]]
Ask = Callable[[httpx.Client, random.Random], float]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers, as a browser asks it and as a program does."""

    pages: httpx.Client
    api: httpx.Client


def main() -> None:
    """Measure, and publish the figures as `console`; with --rival, be the rival."""
    options = _options()
    if options.rival:
        asyncio.run(
            serve(_rival(Home(Path(options.rival))), Home(Path(options.rival)), options.port)
        )
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, ExitStack() as stack:
        home = Home(Path(folder) / "home")
        our_port, rival_port = free_port(), free_port()
        token, cookie = _make_home(home, our_port, options.rows)
        ours = [*PROGRAM, "keystead.programs.cli", "serve", str(home.folder)]
        rival = [*PROGRAM, "bench.console", "--rival", str(home.folder), "--port", str(rival_port)]
        # one after the other: the rival opens the instance to know its navigator
        stack.enter_context(running(rival, rival_port))
        stack.enter_context(running(ours, our_port))
        sides = [
            Side(
                stack.enter_context(client(home, port, {"Cookie": cookie})),
                stack.enter_context(client(home, port, {"Authorization": f"Bearer {token}"})),
            )
            for port in (our_port, rival_port)
        ]
        publish("console", _figures(sides, options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.console")
    parser.add_argument("--rows", type=int, default=141_712, help="rows of the table")
    parser.add_argument("--requests", type=int, default=60, help="requests in a round")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side has its turn")
    parser.add_argument("--rival", metavar="HOME", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _figures(sides: Sequence[Side], options: argparse.Namespace) -> list[Figure]:
    pages = [side.pages for side in sides]
    api = [side.api for side in sides]
    last = options.rows // PAGE  # a page that is full
    if [">Caller " in page.get(f"/{TABLE}.list").text for page in pages] != [True, False]:
        raise AssertionError("ours shows clear values, and the rival what is stored")
    first = _turns(pages, lambda asked, by: _list_page(asked, by.randint(1, 10)), options)
    far = _turns(pages, lambda asked, by: _list_page(asked, by.randint(last - 9, last)), options)
    counted = _turns(api, lambda asked, by: _batch(asked, by.randrange(1_000), ""), options)
    uncounted = _turns(
        api, lambda asked, by: _batch(asked, by.randrange(1_000), NOT_COUNTED), options
    )
    of_page, of_batch = f"list page of {PAGE} rows", f"{BATCH} records of the Table API"
    return [
        _times(f"{of_page}, one of the first", first, mean, ratio_at_most(2.5)),
        _times(f"{of_page}, one of the last", far, mean, ratio_at_most(2.5)),
        _times(f"{of_page}, one of the first, p95", first, _p95, ours_at_most(150, "ms")),
        _times(f"{of_page}, one of the last, p95", far, _p95, ours_at_most(150, "ms")),
        _rates(f"{of_batch}, counted", counted),
        _rates(f"{of_batch}, not counted", uncounted),
    ]


def _times(
    name: str, turns: Sequence[Seconds], measure: Callable[[list[float]], float], goal: Goal
) -> Figure:
    pairs = [(measure(ours) * 1000, measure(rival) * 1000) for ours, rival in turns]
    return figure(name, pairs, goal, "ms")


def _rates(name: str, turns: Sequence[Seconds]) -> Figure:
    pairs = [(1 / mean(ours), 1 / mean(rival)) for ours, rival in turns]
    return figure(name, pairs, ratio_at_least(0.4), "requests/s")


def _p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1]


def _turns(sides: Sequence[httpx.Client], ask: Ask, options: argparse.Namespace) -> list[Seconds]:
    """Seconds of each request of ours and of the rival, in each round."""
    out = []
    for turn in range(-1, options.rounds):  # the first is to get warm
        seconds: dict[httpx.Client, list[float]] = {}
        for side in sides[:: 1 if turn % 2 else -1]:
            by = random.Random(turn)
            seconds[side] = [ask(side, by) for _ in range(options.requests)]
        if turn >= 0:
            out.append((seconds[sides[0]], seconds[sides[1]]))
    return out


def _list_page(asked: httpx.Client, page: int) -> float:
    start = time.perf_counter()
    answer = asked.get(f"/{TABLE}.list?page={page}")
    seconds = time.perf_counter() - start
    if answer.status_code != 200 or answer.text.count('aria-label="Open this row"') != PAGE:
        raise AssertionError(answer.text)
    return seconds


def _batch(asked: httpx.Client, offset: int, more: str) -> float:
    path = f"/api/now/table/{TABLE}?sysparm_limit={BATCH}&sysparm_offset={offset}{more}"
    start = time.perf_counter()
    answer = asked.get(path)
    seconds = time.perf_counter() - start
    if answer.status_code != 200 or len(answer.json()["result"]) != BATCH:
        raise AssertionError(answer.text)
    return seconds


def _rival(home: Home) -> Litestar:
    engine = create_engine(f"sqlite:///{home.database_file}")
    event.listen(engine, "connect", lambda raw, _record: raw.execute(CACHE))
    instance = opening.open_instance(home.folder, connect)
    actor = Actor(ACTOR, USER, frozenset(ROLES), elevated=False)
    context = Context(instance, actor, channel(instance))
    frame = Frame(instance.settings.name, instance.settings.instance_id)
    groups = menus(context)
    instance.close()
    headings = tuple(Heading(name, name, "text") for name in COLUMNS)

    def found(connection: Connection, most: int, start: int) -> Sequence[Any]:
        return connection.execute(text(READ), {"most": most, "start": start}).all()

    @get(f"/{TABLE}.list", sync_to_thread=True)
    def page(request: Request[Any, Any, Any]) -> Response[str]:
        asked = from_pairs(list(request.query_params.multi_items()))
        with engine.connect() as connection:
            rows = found(connection, asked.size, asked.offset)
            total = connection.execute(text(COUNT)).scalar_one()
        lines = tuple(
            Line(form_address(TABLE, row[0]), tuple(Cell(value or "") for value in row))
            for row in rows
        )
        listing = Listing(
            *(TABLE, TABLE, "", asked, headings, headings),
            lines=lines,
            total=total,
            is_business=True,
        )
        drawn = frame.drawn(
            "list.html",
            title=TABLE,
            visit=Visit(request, BARE, context),
            actor=actor,
            elevates=False,
            csrf=BARE.csrf,
            messages=[],
            menus=groups,
            listing=listing,
            buttons=(),
        )
        return Response(drawn, media_type="text/html")

    @get(f"/api/now/table/{TABLE}", sync_to_thread=True)
    def batch(request: Request[Any, Any, Any]) -> Response[dict[str, list[dict[str, Any]]]]:
        asked = request.query_params
        headers = {}
        with engine.connect() as connection:
            rows = found(connection, int(asked["sysparm_limit"]), int(asked["sysparm_offset"]))
            if "sysparm_no_count" not in asked:
                headers["X-Total-Count"] = str(connection.execute(text(COUNT)).scalar_one())
        return Response({"result": [dict(row._mapping) for row in rows]}, headers=headers)

    return Litestar([page, batch])


def _make_home(home: Home, port: int, rows: int) -> tuple[str, str]:
    """A home with an encrypted table, and somebody who may read it: a token, a session's cookie."""
    opening.init(home.folder, "bench", port, connect, ACTOR)
    instance = opening.open_instance(home.folder, connect)
    try:
        _fill(instance, rows)
        integrity = instance.hierarchy.integrity
        with instance.database.transaction() as tx:
            people.create_user(tx, integrity, USER, list(ROLES), ACTOR)
            module = keys.module(tx, instance.hierarchy, "bench")
            policies.add(
                tx,
                integrity,
                module_id=module["sys_id"],
                module_name=module["name"],
                type=PolicyType.ROLE,
                target="support",
                operation=Operation.DECRYPT,
                result=Result.TRACK,
                actor=ACTOR,
            )
            token = accounts.make_token(tx, integrity, USER, "bench", 1, ACTOR)
        session = Sessions(instance.database, integrity).open(USER)
        name = Cookies(instance.settings.instance_id).session
        return token, f"{name}={session.secret}"
    finally:
        instance.close()


def _fill(instance: Instance, rows: int) -> None:
    database, hierarchy = instance.database, instance.hierarchy
    with database.transaction() as tx:
        columns = tuple(Column(name, ColumnType.TEXT) for name in COLUMNS)
        database.create_table(tx, Table(TABLE, columns, ("sys_id",)))
        database.insert(tx, TABLE, COLUMNS, map(_row, range(rows), new_ids(rows)))
        keys.create_module(tx, hierarchy, "bench", Scheme.STANDARD, ACTOR)
        keys.publish_module(tx, hierarchy, "bench", ACTOR)
        for column in SEALED:
            service.configure(
                tx, database, hierarchy, table=TABLE, column=column, module="bench", actor=ACTOR
            )
        job_id = mass_job.start(
            tx, hierarchy, JobKind.ENCRYPT, TABLE, rows_per_second=None, actor=ACTOR
        )
    job = MassJob(database, hierarchy)
    jobs.run_stage(database, job_id, job.move)
    jobs.run_stage(database, job_id, job.scrub)


def _row(number: int, sys_id: str) -> tuple[str, ...]:
    return (
        *(sys_id, f"INC{number:07}", "Resolved", "true", f"Caller {number % 5_000}"),
        *("2016-02-29 01:16:00", "2016-02-29 08:53:00", f"Location {number % 200}"),
        *(f"Category {number % 50}", f"Symptom {number % 500}", "3 - Moderate"),
        f"The printer on floor {number % 40} does not answer since this morning",
    )


if __name__ == "__main__":
    main()
