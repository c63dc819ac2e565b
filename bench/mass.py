"""Speed of a mass rekeying on database servers, against what the servers do by themselves.

    python -m bench.mass

Throw-away servers on this machine, the same settings for every side, each side on a table of its
own with the same rows; sides take turns. Ours is the whole moving stage of a job, with as many
processes as workers asked for, started by the mass encryption that goes before. It reads, opens,
seals, opens again, compares, and writes where the old value still stands, page by page.

PostgreSQL: pgcrypto's `UPDATE ... encrypt(decrypt())` with AES-256-CBC on `bytea`, in one
transaction (not authenticated, and the keys are in the statement); and an `UPDATE` that writes
every value as it is. MariaDB: an `UPDATE` that writes every value anew, since the server skips one
that changes nothing; that one is there for comparison.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from demo import servers
from demo.servers import Server

from bench.report import COMPARISON, FOLDER, Figure, figure, publish, ratio_at_least
from keystead.base.ids import new_ids
from keystead.crypto.envelope import Scheme
from keystead.database.model import Column, ColumnType, Table
from keystead.fields import census, mass_job, service
from keystead.fields.mass_job import MassJob
from keystead.instance import opening
from keystead.instance.opening import Instance
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.programs.instance import connect
from keystead.programs.page_pool import ProcessPagePool

ACTOR = "bench"
MODULE = "bench"
OURS = "people"
RIVAL = "rival"
DATABASE = "bench"
KEY = f"'{'0123456789abcdef' * 2}'::bytea"

Pairs = list[tuple[float, float]]


def main() -> None:
    """Measure on each server, and publish the figures as `mass`."""
    options = _options()
    FOLDER.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    for kind in servers.KINDS:
        for columns in (1, 6):
            figures += _measure(kind, options.values // columns, columns, options)
    publish("mass", figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mass")
    parser.add_argument("--values", type=int, default=300_000, help="values to rekey")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side has its turn")
    parser.add_argument("--workers", type=int, default=2, help="processes that work out pages")
    return parser.parse_args()


def _measure(kind: str, rows: int, columns: int, options: argparse.Namespace) -> list[Figure]:
    """The product and the rivals of one kind of server, in turn."""
    names = [f"s{at}" for at in range(columns)]
    values = rows * columns
    rivals = _RIVALS[kind]
    pairs: dict[str, Pairs] = {rival: [] for rival in rivals}
    with _site(kind, rows, names) as (server, instance):
        pool = ProcessPagePool(instance.home.folder, options.workers)
        _run(instance, JobKind.ENCRYPT, pool)
        _make_rival(server, names)
        for _ in range(options.rounds):
            with instance.database.transaction() as tx:
                keys.rotate(tx, instance.hierarchy, MODULE, ACTOR)
            ours = _run(instance, JobKind.REKEY, pool)
            for rival, statement in rivals.items():
                seconds = _timed(server, f"UPDATE {RIVAL} SET {_each(names, statement)}")
                pairs[rival].append((values / ours, values / seconds))
                _rebuild(server)
        pool.close()
        _check(instance, rows)
    at = f"{kind}: rekey {values:,} values in {rows:,} rows, against"
    return [
        figure(f"{at} {rival}", found, _GOALS.get((kind, rival), COMPARISON), "values/s")
        for rival, found in pairs.items()
    ]


_GOALS = {
    ("postgresql", "pgcrypto"): ratio_at_least(0.7),
    ("mariadb", "an UPDATE of every value"): ratio_at_least(0.5),
}
_RIVALS: dict[str, dict[str, str]] = {
    "postgresql": {
        "pgcrypto": f"encrypt(decrypt({{c}}, {KEY}, 'aes-cbc'), {KEY}, 'aes-cbc')",
        "an UPDATE of every value": "{c}",
    },
    "mariadb": {"an UPDATE of every value": "reverse({c})", "one that changes nothing": "{c}"},
}


def _each(names: Sequence[str], expression: str) -> str:
    return ", ".join(f"{name} = {expression.format(c=name)}" for name in names)


def _make_rival(server: Server, names: Sequence[str]) -> None:
    """The same rows as they are stored; for pgcrypto, 64 bytes of text encrypted by itself."""
    if server.kind == "postgresql":
        made = ", ".join(
            f"encrypt(convert_to(repeat('x', 64), 'UTF8'), {KEY}, 'aes-cbc') AS {name}"
            for name in names
        )
        statements = (
            "CREATE EXTENSION pgcrypto",
            f"CREATE TABLE {RIVAL} AS SELECT sys_id, n, {made} FROM {OURS}",
            f"ALTER TABLE {RIVAL} ADD PRIMARY KEY (sys_id)",
            f"VACUUM (FULL, ANALYZE) {RIVAL}",
        )
    else:
        statements = (
            f"CREATE TABLE {RIVAL} LIKE {OURS}",
            f"INSERT INTO {RIVAL} SELECT * FROM {OURS}",
        )
    for statement in statements:
        servers.do(server, statement, DATABASE)


def _rebuild(server: Server) -> None:
    if server.kind == "postgresql":
        servers.do(server, f"VACUUM (FULL, ANALYZE) {RIVAL}", DATABASE)


def _timed(server: Server, statement: str) -> float:
    start = time.perf_counter()
    servers.do(server, statement, DATABASE)
    return time.perf_counter() - start


def _run(instance: Instance, kind: JobKind, pool: ProcessPagePool) -> float:
    """Seconds of a job's moving stage; the scrub that follows is not counted."""
    database, hierarchy = instance.database, instance.hierarchy
    with database.transaction() as tx:
        job_id = mass_job.start(tx, hierarchy, kind, OURS, rows_per_second=None, actor=ACTOR)
    job = MassJob(database, hierarchy, pool)
    start = time.perf_counter()
    jobs.run_stage(database, job_id, job.move)
    took = time.perf_counter() - start
    jobs.run_stage(database, job_id, job.scrub)
    return took


@contextmanager
def _site(kind: str, rows: int, names: Sequence[str]) -> Iterator[tuple[Server, Instance]]:
    """A server and an instance on it, with a table that is to be encrypted."""
    with servers.running(kind) as server, tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        os.environ["KEYSTEAD_DATABASE_PASSWORD"] = str(urlsplit(server.url).password)
        home = Path(folder) / "home"
        opening.init(home, "bench", 7400, connect, ACTOR, servers.create_database(server, DATABASE))
        instance = opening.open_instance(home, connect)
        try:
            _fill(instance, rows, names)
            yield server, instance
        finally:
            instance.close()


def _fill(instance: Instance, rows: int, names: Sequence[str]) -> None:
    database, hierarchy = instance.database, instance.hierarchy
    columns = (
        Column("sys_id", ColumnType.TEXT, nullable=False),
        Column("n", ColumnType.INTEGER),
        *(Column(name, ColumnType.TEXT) for name in names),
    )
    with database.transaction() as tx:
        database.create_table(tx, Table(OURS, columns, ("sys_id",)))
        made = ((sys_id, n, *[_value(n)] * len(names)) for n, sys_id in enumerate(new_ids(rows)))
        database.insert(tx, OURS, [column.name for column in columns], made)
        keys.create_module(tx, hierarchy, MODULE, Scheme.STANDARD, ACTOR)
        keys.publish_module(tx, hierarchy, MODULE, ACTOR)
        for name in names:
            service.configure(
                tx, database, hierarchy, table=OURS, column=name, module=MODULE, actor=ACTOR
            )


def _value(number: int) -> str:
    return f"{number:064d}"


def _check(instance: Instance, rows: int) -> None:
    """Every value opens, and none is left under an earlier key."""
    with instance.database.snapshot() as tx:
        for column in census.open_all(tx, instance.database, instance.hierarchy, OURS):
            if (column.opened, column.unreadable, len(column.by_key)) != (rows, 0, 1):
                raise AssertionError(column)


if __name__ == "__main__":
    main()
