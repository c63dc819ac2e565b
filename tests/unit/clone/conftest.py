"""A source with encrypted tables, and two empty instances it can be copied to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from exchange.pairs import ACTOR, Clock, Network, Node, make_modules, network

from keystead.access import people, policies
from keystead.access.decision import Operation, PolicyType, Result
from keystead.database.model import Column, ColumnType, Table
from keystead.fields import mass_job
from keystead.fields import service as fields
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys

PAGE_ROWS = 4
TEXT, INTEGER = ColumnType.TEXT, ColumnType.INTEGER

CUSTOMERS = Table(
    "customers",
    (
        Column("sys_id", TEXT, nullable=False),
        Column("name", TEXT),
        Column("phone", TEXT),
        Column("age", INTEGER),
        Column("city", TEXT),
    ),
    ("sys_id",),
)
CUSTOMER_ROWS: list[tuple[str | int | None, ...]] = [
    ("c1", "Anna", "+49 30 1", 34, "Köln"),
    ("c2", "Bo", "+49 30 2", -1, None),
    ("c3", "Anna", "", 0, ""),
    ("c4", "李雷", None, None, "北京"),
    ("c5", "", "+49 30 5", 2**62, "x"),
    ("c6", None, None, 7, "~ks"),
    ("c7", "O'Neill; --", 'say "hi"', 71, "a\nb"),
]
# two whole numbers make the key, in another order than the columns
VISITS = Table(
    "visits",
    (
        Column("number", INTEGER, nullable=False),
        Column("note", TEXT),
        Column("branch", INTEGER, nullable=False),
    ),
    ("branch", "number"),
)
VISIT_ROWS: list[tuple[str | int | None, ...]] = [
    (1, "first", 1),
    (2, "second", 1),
    (1, "third", 2),
    (10, "fourth", 2),
    (-5, "fifth", 10),
]
RATES = Table("rates", (Column("id", INTEGER, nullable=False), Column("rate", INTEGER)), ("id",))
RATE_ROWS: list[tuple[str | int | None, ...]] = [(1, 100), (2, None), (3, -(2**63))]
CLEAR = {
    "customers": CUSTOMER_ROWS,
    "rates": RATE_ROWS,
    "visits": sorted(VISIT_ROWS, key=lambda row: (row[2], row[0])),  # type: ignore[arg-type,return-value]
}
READER, STRANGER = "rita", "sven"


def run_mass_job(node: Node, kind: JobKind, table: str) -> None:
    with node.db.transaction() as tx:
        job_id = mass_job.start(tx, node.hierarchy, kind, table, rows_per_second=None, actor=ACTOR)
    finish_mass_job(node, job_id)


def finish_mass_job(node: Node, job_id: str) -> None:
    work = mass_job.MassJob(node.db, node.hierarchy)
    for stage in (work.move, work.scrub):
        jobs.run_stage(node.db, job_id, stage)


def configure(node: Node, table: str, column: str, module: str) -> None:
    with node.db.transaction() as tx:
        fields.configure(
            tx, node.db, node.hierarchy, table=table, column=column, module=module, actor=ACTOR
        )


def _fill(net: Network) -> None:
    node = net.prod
    make_modules(node)
    with node.db.transaction() as tx:
        for table, rows in ((CUSTOMERS, CUSTOMER_ROWS), (VISITS, VISIT_ROWS), (RATES, RATE_ROWS)):
            node.db.create_table(tx, table)
            node.db.insert(tx, table.name, [c.name for c in table.columns], rows)
        for module in ("people", "names"):
            row = keys.module(tx, node.hierarchy, module)
            policies.add(
                tx,
                node.hierarchy.integrity,
                module_id=row["sys_id"],
                module_name=module,
                type=PolicyType.ROLE,
                target="reader",
                operation=Operation.DECRYPT,
                result=Result.TRACK,
                actor=ACTOR,
            )
    for other in net.nodes.values():
        with other.db.transaction() as tx:
            people.create_user(tx, other.hierarchy.integrity, READER, ["reader"], ACTOR)
            people.create_user(tx, other.hierarchy.integrity, STRANGER, [], ACTOR)
    configure(node, "customers", "name", "names")
    configure(node, "customers", "phone", "people")
    configure(node, "customers", "age", "people")
    configure(node, "visits", "note", "people")
    run_mass_job(node, JobKind.ENCRYPT, "customers")
    with node.db.transaction() as tx:
        keys.rotate(tx, node.hierarchy, "people", ACTOR)
    run_mass_job(node, JobKind.ENCRYPT, "visits")


@pytest.fixture(scope="session")
def _loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("loaded"), _fill) as net:
        yield net


@pytest.fixture
def net(_loaded: Network, monkeypatch: pytest.MonkeyPatch) -> Network:
    """`prod` has three tables, two of them encrypted under three keys; a page is four rows."""
    monkeypatch.setattr(jobs, "PAGE_ROWS", PAGE_ROWS)
    _loaded.restore()
    return _loaded


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
