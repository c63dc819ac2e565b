"""Speed of the Table API: one record, against a bare route that reads the same row.

    python -m bench.api

Both sides are Litestar applications behind the same server over TLS, each in a process of its own,
on the same SQLite file. Ours is `keystead serve`: it checks a token, decides by the policies, opens
two encrypted values and answers as the Table API does. The rival reads the row by its key and
answers with it as it is stored. One client keeps a connection open and asks for one record after
the other, both sides in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from litestar import Litestar, get
from sqlalchemy import create_engine, text

from bench.report import FOLDER, figure, publish, ratio_at_least
from bench.serving import PROGRAM, client, free_port, running, serve
from keystead.access import accounts, people, policies
from keystead.access.decision import Operation, PolicyType, Result
from keystead.base.ids import new_ids
from keystead.crypto.envelope import Scheme
from keystead.database.model import Column, ColumnType, Table
from keystead.fields import mass_job, service
from keystead.fields.mass_job import MassJob
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.opening import Instance
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.programs.instance import connect

ACTOR = "bench"
TABLE = "people"
COLUMNS = ("sys_id", "name", "email", "city")
SEALED = ("name", "email")


def main() -> None:
    """Measure, and publish the figure as `api`; with --rival, be the rival."""
    options = _options()
    if options.rival:
        asyncio.run(_serve_rival(Home(Path(options.rival)), options.port))
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        home = Home(Path(folder) / "home")
        our_port, rival_port = free_port(), free_port()
        ids, token = _make_home(home, our_port, options.rows)
        ours = [*PROGRAM, "keystead.programs.cli", "serve", str(home.folder)]
        rival = [*PROGRAM, "bench.api", "--rival", str(home.folder), "--port", str(rival_port)]
        path = f"/api/now/table/{TABLE}"
        headers = {"Authorization": f"Bearer {token}"}
        with (
            running(ours, our_port),
            running(rival, rival_port),
            client(home, our_port, headers) as our_client,
            client(home, rival_port, headers) as rival_client,
        ):
            pairs = []
            for turn in range(options.rounds):
                asked = random.Random(turn).choices(ids, k=options.requests)
                seconds = {}
                for asking in (our_client, rival_client)[:: 1 if turn % 2 else -1]:
                    seconds[asking] = _ask(asking, path, asked)
                pairs.append(tuple(len(asked) / seconds[c] for c in (our_client, rival_client)))
    name = "one record with two encrypted values, against a bare route"
    publish("api", [figure(name, pairs, ratio_at_least(0.5), "requests/s")])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.api")
    parser.add_argument("--rows", type=int, default=10_000, help="records in the table")
    parser.add_argument("--requests", type=int, default=1_000, help="requests in a round")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side has its turn")
    parser.add_argument("--rival", metavar="HOME", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


async def _serve_rival(home: Home, port: int) -> None:
    engine = create_engine(f"sqlite:///{home.database_file}")
    query = text(f"SELECT {', '.join(COLUMNS)} FROM {TABLE} WHERE sys_id = :sys_id")

    @get("/api/now/table/{table:str}/{sys_id:str}", sync_to_thread=True)
    def record(table: str, sys_id: str) -> dict[str, dict[str, str | None]]:
        del table
        with engine.connect() as connection:
            row = connection.execute(query, {"sys_id": sys_id}).one()
        return {"result": dict(row._mapping)}

    await serve(Litestar([record]), home, port)


def _make_home(home: Home, port: int, rows: int) -> tuple[list[str], str]:
    """A home with an encrypted table, and somebody who may read it: the records' ids, a token."""
    opening.init(home.folder, "bench", port, connect, ACTOR)
    instance = opening.open_instance(home.folder, connect)
    try:
        ids = new_ids(rows)
        _fill(instance, ids)
        with instance.database.transaction() as tx:
            integrity = instance.hierarchy.integrity
            people.create_user(tx, integrity, "reader", ["support"], ACTOR)
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
            token = accounts.make_token(tx, integrity, "reader", "bench", 1, ACTOR)
        return ids, token
    finally:
        instance.close()


def _fill(instance: Instance, ids: Sequence[str]) -> None:
    database, hierarchy = instance.database, instance.hierarchy
    with database.transaction() as tx:
        columns = tuple(Column(name, ColumnType.TEXT) for name in COLUMNS)
        database.create_table(tx, Table(TABLE, columns, ("sys_id",)))
        made = ((i, f"Name {i}", f"{i}@example.com", "Oslo") for i in ids)
        database.insert(tx, TABLE, COLUMNS, made)
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


def _ask(client: httpx.Client, path: str, ids: Sequence[str]) -> float:
    """Seconds that it takes to get the records one after the other."""
    start = time.perf_counter()
    for sys_id in ids:
        answer = client.get(f"{path}/{sys_id}")
        if answer.status_code != 200 or answer.json()["result"]["sys_id"] != sys_id:
            raise AssertionError(answer.text)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
