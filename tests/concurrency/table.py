"""The table that clients write: how its columns are encrypted, how it is compared at the end."""

from __future__ import annotations

from typing import Any

from tests.concurrency.clients import USER, Journal
from tests.concurrency.places import ACTOR

from keystead.access import people as access_people
from keystead.access import policies
from keystead.access.decision import Operation, PolicyType, Result
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.crypto.envelope import Scheme
from keystead.fields import census, mass_job
from keystead.fields import service as fields
from keystead.fields.census import ColumnCensus
from keystead.instance.opening import Instance
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.records.query import parse
from keystead.records.reading import View

ENCRYPTED = {"name": "standard", "age": "standard", "city": "equal"}


def prepare(at: Instance) -> None:
    """Modules that Ada may use, and the columns that are to be encrypted."""
    h = at.hierarchy
    with at.database.transaction() as tx:
        for name, scheme in (("standard", Scheme.STANDARD), ("equal", Scheme.EQUALITY)):
            keys.create_module(tx, h, name, scheme, ACTOR)
            module = keys.publish_module(tx, h, name, ACTOR)
            policies.add(
                tx,
                h.integrity,
                module_id=module["sys_id"],
                module_name=name,
                type=PolicyType.ROLE,
                target="clerks",
                operation=Operation.BOTH,
                result=Result.TRACK,
                actor=ACTOR,
            )
        access_people.create_user(tx, h.integrity, USER, ["clerks"], ACTOR)
    for column, module in ENCRYPTED.items():
        configure(at, "people", column, module)


def configure(at: Instance, table: str, column: str, module: str) -> None:
    with at.database.transaction() as tx:
        fields.configure(
            tx, at.database, at.hierarchy, table=table, column=column, module=module, actor=ACTOR
        )


def shown(at: Instance, query: str = "") -> dict[str, Any]:
    """The rows as Ada sees them, by their uid."""
    with at.database.snapshot() as tx:
        asking = subject(tx, at.hierarchy.integrity, USER)
        permissions = Permissions(tx, at.hierarchy.integrity, asking, Refusals())
        view = View(tx, at.database, at.hierarchy, "people", permissions)
        found = view.rows(parse(query, view.table), None, 100_000)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    by_uid = {row["uid"]: row for row in rows}
    assert len(by_uid) == len(rows)
    return by_uid


def opened(at: Instance, table: str = "people") -> dict[str, ColumnCensus]:
    with at.database.snapshot() as tx:
        return {c.column: c for c in census.open_all(tx, at.database, at.hierarchy, table)}


def active_keys(at: Instance) -> dict[str, str]:
    with at.database.snapshot() as tx:
        return {
            found.column: keys.active_key(tx, at.hierarchy, found.spec_id)["sys_id"]
            for found in fields.configurations(tx, at.hierarchy, "people")
        }


def rotate(at: Instance) -> None:
    with at.database.transaction() as tx:
        for module in set(ENCRYPTED.values()):
            keys.rotate(tx, at.hierarchy, module, ACTOR)


def start(at: Instance, kind: JobKind, pace: int | None = None) -> str:
    with at.database.transaction() as tx:
        return mass_job.start(tx, at.hierarchy, kind, "people", rows_per_second=pace, actor=ACTOR)


def run_stages(at: Instance, job_id: str, database: Any = None) -> None:
    work = mass_job.MassJob(database or at.database, at.hierarchy)
    jobs.run_stage(at.database, job_id, work.move)
    jobs.run_stage(at.database, job_id, work.scrub)


def resume(at: Instance, job_id: str) -> None:
    with at.database.transaction() as tx:
        jobs.resume(tx, job_id, ACTOR)


def assert_is_sealed_as_noted(at: Instance, journal: Journal) -> None:
    """What stands in the table is the journal, encrypted once under the active keys."""
    found = shown(at)
    assert found.keys() == journal.keys()
    wrong = {uid: (row, journal[uid]) for uid, row in found.items() if row != journal[uid]}
    assert not wrong, wrong
    active = active_keys(at)
    for column, counted in opened(at).items():
        given = sum(row[column] not in ("", None) for row in journal.values())
        assert (counted.plain, counted.unreadable, counted.unknown) == (0, 0, 0)
        assert counted.phase == "sealed"
        under = {key: number for key, number in counted.by_key.items() if number}
        assert under == {active[column]: given}
