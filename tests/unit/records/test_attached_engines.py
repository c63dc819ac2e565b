"""Attachments on each database: in, out, encrypted, rekeyed, removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, func, select

from keystead.access import people, policies
from keystead.access.decision import Operation, PolicyType, Result
from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.attachments import service as attachments
from keystead.attachments.contents import BATCH
from keystead.attachments.tables import PIECES
from keystead.crypto.envelope import Scheme
from keystead.database.model import Column, ColumnType, Table
from keystead.fields import census, mass_job
from keystead.fields import service as fields
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.opening import Instance
from keystead.instance.registry import CAPABILITIES
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.usage import Meter, Use
from keystead.records.attached import Desk
from keystead.records.reading import View
from keystead.records.writing import Writer

ACTOR = "admin"
SERVERS = {"postgresql": PostgresqlDatabase, "mariadb": MariadbDatabase}
TABLE = Table(
    "visits",
    (Column("branch", ColumnType.TEXT, nullable=False), Column("n", ColumnType.INTEGER, False)),
    ("branch", "n"),
)
# every byte, and the end neither on the boundary of a piece nor of a chunk
CONTENT = bytes(range(256)) * 300 + os.urandom(BATCH) + b"\0'\\%\xff"


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
        made.database.create_table(tx, TABLE)
        made.database.insert(tx, "visits", ["branch", "n"], [("a%山", -1), ("b", 2)])
    with made.database.transaction() as tx:
        keys.create_module(tx, made.hierarchy, "m", Scheme.STANDARD, ACTOR)
        module = keys.publish_module(tx, made.hierarchy, "m", ACTOR)
        people.create_user(tx, made.hierarchy.integrity, "ada", ["r"], ACTOR)
        policies.add(
            tx,
            made.hierarchy.integrity,
            module_id=module["sys_id"],
            module_name="m",
            type=PolicyType.ROLE,
            target="r",
            operation=Operation.BOTH,
            result=Result.TRACK,
            actor=ACTOR,
        )
    yield made
    made.database.close()


def run(instance: Instance, kind: JobKind) -> None:
    with instance.database.transaction() as tx:
        job_id = mass_job.start(
            tx, instance.hierarchy, kind, "visits", rows_per_second=None, actor=ACTOR
        )
    work = mass_job.MassJob(instance.database, instance.hierarchy)
    for stage in (work.move, work.scrub):
        jobs.run_stage(instance.database, job_id, stage)


def test_the_life_of_an_attachment(instance: Instance) -> None:
    database, hierarchy = instance.database, instance.hierarchy
    desk = Desk(database, hierarchy, "ada", ACTOR, 16)

    def add(record: str) -> str:
        upload = desk.upload("visits", record, "Zoë 👩‍👧.pdf", "application/pdf")
        for at in range(0, len(CONTENT), 300_000):
            upload.write(CONTENT[at : at + 300_000])
        return upload.finish().sys_id

    def read(sys_id: str) -> bytes:
        return b"".join(desk.download(sys_id).chunks)

    plain = add("a%山,-1")
    with database.transaction() as tx:
        fields.configure_attachments(
            tx, database, hierarchy, table="visits", module="m", actor=ACTOR
        )
    made = [plain, add("a%山,-1"), add("b,2")]
    run(instance, JobKind.ENCRYPT)
    assert [read(sys_id) for sys_id in made] == [CONTENT] * 3
    found, total = desk.listed("table_name=visits^table_sys_id=a%山,-1", 9)
    assert ([one.sys_id for one in found], total) == (made[:2], 2)
    assert {one.facts.file_name for one in found} == {"Zoë 👩‍👧.pdf"}
    with database.transaction() as tx:
        keys.rotate(tx, hierarchy, "m", ACTOR)
    run(instance, JobKind.REKEY)
    with database.snapshot() as tx:
        (counted,) = census.open_all(tx, database, hierarchy)
        new = keys.active_key(tx, hierarchy, fields.attachments(tx, hierarchy)[0].spec_id)
    assert counted.by_key == {new["sys_id"]: 3}
    assert (counted.phase, counted.opened, counted.unreadable) == ("sealed", 3, 0)
    with database.transaction() as tx:
        view = View(tx, database, hierarchy, "visits", permissions(instance, tx))
        Writer(view, hierarchy, Use(Meter(database, hierarchy))).delete(("a%山", -1))
    assert [one.sys_id for one in desk.listed("", 9)[0]] == made[2:]
    desk.remove(made[2])
    attachments.clear(database)
    with database.snapshot() as tx:
        assert tx.execute(select(func.count()).select_from(PIECES)).scalar_one() == 0


def permissions(instance: Instance, tx: Any) -> Any:
    from keystead.access.permissions import Permissions, subject
    from keystead.access.rejections import Refusals

    asking = subject(tx, instance.hierarchy.integrity, "ada")
    return Permissions(tx, instance.hierarchy.integrity, asking, Refusals())
