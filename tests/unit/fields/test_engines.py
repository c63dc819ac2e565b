"""A mass job and a rekey on each database, for tables with keys of several kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.errors import Invalid
from keystead.clone import inventory
from keystead.crypto.envelope import Scheme
from keystead.fields import census, mass_job
from keystead.fields import service as fields
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.opening import Instance
from keystead.instance.registry import CAPABILITIES
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys

ACTOR = "admin"
SERVERS = {"postgresql": PostgresqlDatabase, "mariadb": MariadbDatabase}
UUIDS = [f"0000000{n}-0000-4000-8000-0000000000ff" for n in range(9)]
KEYS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "text": ("id VARCHAR(40)", [(f"k {n}é",) for n in range(9)]),
    "composite": (
        "part VARCHAR(9), n INTEGER",
        [(part, n) for part in ("a", "b", "山") for n in (-1, 9, 10)],
    ),
    "uuid": ("id UUID", [(text,) for text in UUIDS]),
}


@pytest.fixture(params=["sqlite", *SERVERS])
def instance(
    request: pytest.FixtureRequest, new_database: Callable[[str], URL], tmp_path: Path
) -> Iterator[Instance]:
    assert CAPABILITIES
    url = None if request.param == "sqlite" else new_database(request.param)

    def connect(home: Home) -> Any:
        return SqliteDatabase(home.database_file) if url is None else SERVERS[request.param](url)

    opening.init(tmp_path / "home", "prod", 8420, connect, ACTOR)
    made = opening.open_instance(tmp_path / "home", connect)
    with made.database.transaction() as tx:
        keys.create_module(tx, made.hierarchy, "m", Scheme.STANDARD, ACTOR)
        keys.publish_module(tx, made.hierarchy, "m", ACTOR)
    yield made
    made.database.close()


def run(instance: Instance, kind: JobKind) -> None:
    with instance.database.transaction() as tx:
        job_id = mass_job.start(
            tx, instance.hierarchy, kind, "t", rows_per_second=None, actor=ACTOR
        )
    work = mass_job.MassJob(instance.database, instance.hierarchy)
    for stage in (work.move, work.scrub):
        jobs.run_stage(instance.database, job_id, stage)


def configure(instance: Instance, column: str) -> None:
    with instance.database.transaction() as tx:
        fields.configure(
            tx,
            instance.database,
            instance.hierarchy,
            table="t",
            column=column,
            module="m",
            actor=ACTOR,
        )


def statement(instance: Instance, *statements: str) -> None:
    with instance.database.transaction() as tx:
        for one in statements:
            tx.exec_driver_sql(one)


@pytest.mark.parametrize("kind", KEYS)
def test_every_value_is_moved_and_opens(instance, kind, monkeypatch):
    monkeypatch.setattr(jobs, "PAGE_ROWS", 4)
    declared, found = KEYS[kind]
    key = ["part", "n"] if kind == "composite" else ["id"]
    names = [*key, "name", "age"]
    statement(
        instance,
        f"CREATE TABLE t ({declared}, name VARCHAR(40), age INTEGER,"
        f" PRIMARY KEY ({', '.join(key)}))",
    )
    rows = [(*of, f"name {at}", at if at else None) for at, of in enumerate(found)]
    with instance.database.transaction() as tx:
        instance.database.insert(tx, "t", names, rows)
    configure(instance, "name")
    configure(instance, "age")

    run(instance, JobKind.ENCRYPT)
    with instance.database.transaction() as tx:
        keys.rotate(tx, instance.hierarchy, "m", ACTOR)
    run(instance, JobKind.REKEY)

    with instance.database.snapshot() as tx:
        counted = census.open_all(tx, instance.database, instance.hierarchy)
    assert {c.column: (c.opened, c.unreadable, c.plain, c.null) for c in counted} == {
        "name": (9, 0, 0, 0),
        "age": (8, 0, 0, 1),
    }
    assert all(len([n for n in c.by_key.values() if n]) == 1 for c in counted)


def test_a_table_without_a_key_is_refused_with_the_reason(instance):
    statement(instance, "CREATE TABLE t (name VARCHAR(40))")
    with pytest.raises(Invalid, match="no primary key"):
        configure(instance, "name")
    with (
        instance.database.snapshot() as tx,
        pytest.raises(Invalid, match="no primary key"),
    ):
        inventory.take(tx, instance.database, instance.hierarchy)


def test_what_a_generated_column_would_keep_in_clear_is_refused(instance):
    statement(
        instance,
        "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, name VARCHAR(40), other VARCHAR(40),"
        " copied VARCHAR(40) GENERATED ALWAYS AS (name) STORED)",
    )
    with pytest.raises(Invalid, match="generated column is made from it"):
        configure(instance, "name")
    configure(instance, "other")
