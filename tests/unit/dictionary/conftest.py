"""Instances in which everything that is declared has rows, and can be done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from exchange.pairs import ACTOR, Network, Node, Site, copy_modules, make_modules, network
from tests.unit.external.vendor import Vendor

from keystead.access import people
from keystead.access.authority import Actor
from keystead.access.decision import Operation
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.access.roles import ADMIN, MANAGER
from keystead.base.secret import Secret
from keystead.clone import source
from keystead.database.model import Column, ColumnType, Table
from keystead.dictionary import guard
from keystead.dictionary.model import Context, Outcome, Row
from keystead.dictionary.registry import OPERATIONS, TABLES
from keystead.exchange.job import ExchangeJob
from keystead.external.provider import Answer, Provider, Settings
from keystead.fields import mass_job
from keystead.fields import service as fields
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys

TABLE = Table(
    "customers",
    (
        Column("sys_id", ColumnType.TEXT, nullable=False),
        Column("name", ColumnType.TEXT),
        Column("phone", ColumnType.TEXT),
        Column("city", ColumnType.TEXT),
    ),
    ("sys_id",),
)
ROWS: list[tuple[str | int | None, ...]] = [
    ("c1", "Anna Secret", "+49 30 1", "Hidden City"),
    ("c2", "Bo Secret", "", "Hidden City"),
    ("c3", "Anna Secret", None, None),
]
HOME = Actor("os:root", None)


def _fill(net: Network) -> None:
    node = net.prod
    make_modules(node)
    with node.db.transaction() as tx:
        node.db.create_table(tx, TABLE)
        node.db.insert(tx, TABLE.name, [c.name for c in TABLE.columns], ROWS)
        people.create_user(tx, node.hierarchy.integrity, "ann", [ADMIN, MANAGER], ACTOR)
        people.create_user(tx, node.hierarchy.integrity, "bob", [], ACTOR)
        for column, module in (("name", "names"), ("phone", "people")):
            fields.configure(
                tx,
                node.db,
                node.hierarchy,
                table="customers",
                column=column,
                module=module,
                actor=ACTOR,
            )
    copy_modules(node, net.third)


class World:
    """`prod` as somebody sees and works it; `test` is empty, `third` has the same modules."""

    def __init__(self, net: Network, vendor: Vendor) -> None:
        self.net = net
        self.vendor = vendor
        self.node: Node = net.prod

    def context(self, actor: Actor = HOME, node: Node | None = None) -> Context:
        at = node or self.node
        return Context(at.instance, actor, self.net.channel(at))

    def run(self, operation: str, sys_id: str | None = None, /, **given: Any) -> Outcome:
        """Do something as the administrator at the home."""
        return self.run_as(HOME, operation, sys_id, given)

    def run_as(
        self, actor: Actor, operation: str, sys_id: str | None, given: dict[str, Any]
    ) -> Outcome:
        declared = OPERATIONS[operation]
        (table,) = (t for t in TABLES.values() if declared in t.every_operation)
        return guard.run(self.context(actor), table, declared, sys_id, given)

    def rows(self, table: str) -> list[Row]:
        return list(guard.rows(self.context(), TABLES[table]))

    def id_of(self, table: str, **facts: Any) -> str:
        """The one row with those facts."""
        found = [r for r in self.rows(table) if all(r[n] == v for n, v in facts.items())]
        assert len(found) == 1, (facts, found)
        return str(found[0]["sys_id"])

    def module(self, name: str) -> str:
        return self.id_of("sys_kmf_crypto_module", name=f"global.{name}")

    def key(self, module: str, state: str = "active") -> str:
        return self.id_of("sys_kmf_module_key", module_id=self.module(module), state=state)

    def specification(self, module: str) -> str:
        return self.id_of("sys_kmf_module_crypto_spec", module_id=self.module(module))

    def configuration(self, column: str = "name") -> str:
        return self.id_of("sys_platform_encryption_configuration", column_name=column)

    def finish(self, job_id: str) -> None:
        """Run a mass job as a serving process does."""
        work = mass_job.MassJob(self.node.db, self.node.hierarchy)
        for stage in (work.move, work.scrub):
            jobs.run_stage(self.node.db, job_id, stage)

    def encrypt(self) -> None:
        made = self.run("field.encrypt", self.configuration())
        assert made.job
        self.finish(made.job)

    def policy(self, **given: Any) -> str:
        made = self.run("policy.create", module=self.module("people"), target="reader", **given)
        assert made.sys_id
        return made.sys_id

    def import_key(self) -> str:
        """A key of `third` that came here by an exchange."""
        with self.node.db.transaction() as tx:
            keys.import_key(
                tx,
                self.node.hierarchy,
                key_id="ab" * 16,
                spec_id=keys.specification(
                    tx,
                    self.node.hierarchy,
                    keys.module(tx, self.node.hierarchy, "people")["sys_id"],
                )["sys_id"],
                secret=Secret(bytes(range(32))),
                source_instance=self.net.third.id,
            )
        return "ab" * 16

    def refuse(self, user: str) -> None:
        """Somebody asks for what he may not have."""
        node, refusals = self.node, Refusals()
        with node.db.transaction() as tx:
            asking = subject(tx, node.hierarchy.integrity, user)
            module = keys.module(tx, node.hierarchy, "people")
            spec = keys.specification(tx, node.hierarchy, module["sys_id"])
            permissions = Permissions(tx, node.hierarchy.integrity, asking, refusals)
            assert not permissions.allows(keys.guarded(module), spec["sys_id"], Operation.DECRYPT)
            refusals.write(tx, ACTOR)

    def external(self, name: str = "kms") -> str:
        """A draft of a configuration of an external key."""
        made = self.run("external.create_file", name=name, path="/media/key")
        assert made.sys_id
        return made.sys_id

    def active_external(self, name: str = "kms") -> str:
        configuration_id = self.external(name)
        self.run("external.activate", configuration_id)
        return configuration_id

    def plan(self) -> str:
        made = self.run("clone.plan", target=self.net.test.id)
        assert made.sys_id
        return made.sys_id

    def copy(self, clone_id: str) -> None:
        """Run a clone that was asked for, and let the target fetch its keys."""
        node, other = self.node, self.net.test
        job_id = self.id_of("keystead_job", subject=clone_id)
        copying = source.CloneJob(node.db, node.hierarchy, self.net.channel(node))
        jobs.run_stage(node.db, job_id, copying.copy)
        with other.db.snapshot() as tx:
            (waiting,) = [j["sys_id"] for j in jobs.listed(tx) if j["kind"] == JobKind.EXCHANGE]
        fetching = ExchangeJob(other.db, other.hierarchy, self.net.channel(other))
        jobs.run_stage(other.db, waiting, fetching.obtain)


class Reaching(Site):
    """An instance whose external keys are at a vendor in memory, another for each test."""

    vendor = Vendor()

    def open_provider(self, kind: str, settings: Settings, seconds: float) -> Provider:
        return self.vendor.open_provider(kind, settings, seconds)


@pytest.fixture(scope="session")
def _declared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Network, Reaching, dict[Node, bytes]]]:
    site = Reaching()
    with network(tmp_path_factory.mktemp("declared"), _fill, site) as net:
        heads = {n: n.instance.home.heads_file.read_bytes() for n in net.nodes.values()}
        yield net, site, heads


@pytest.fixture
def world(_declared: tuple[Network, Reaching, dict[Node, bytes]]) -> World:
    """Three paired instances as they were made; `prod` has a table with two configured columns."""
    net, site, heads = _declared
    site.vendor = Vendor()
    net.restore()
    for node, lines in heads.items():
        node.instance.home.heads_file.write_bytes(lines)
    return World(net, site.vendor)


@pytest.fixture
def full(world: World) -> World:
    """The same after everything declared got rows: all keys, a committed clone, refusals."""
    world.encrypt()
    world.run("key.rotate", world.key("people"))
    world.run("quorum.set", people=["user:ann", "user:bob", "os:eve"], needed=2)
    world.run("key.request_destruction", world.key("people", "deactivated"), reason="asked for")
    world.run("cap.set", date="expiration", most="5y")
    world.run("rule.add", module=world.module("people"), date="expiration", length="1y")
    world.policy()
    world.refuse("bob")
    world.run("exchange.request", **request(world, world.net.third))
    clone_id = world.plan()
    world.run("clone.run", clone_id)
    world.copy(clone_id)
    world.run("census.count")
    bob = world.id_of("sys_user", user_name="bob")
    world.run("user.make_token", bob, name="reports")
    group = world.run("group.create", name="helpers").sys_id
    world.run("group.add_member", group, user=bob)
    world.run("group.give_role", group, role="reader")
    world.run("external.wrap", world.module("people"), configuration=world.active_external())
    for state in (Answer.DISABLED, Answer.ENABLED):
        world.vendor.state = state
        world.run("external.synchronise")
    return world


def request(world: World, source: Node) -> dict[str, Any]:
    return {
        "exchange_frequency": "One Time Clone",
        "source_instance": source.id,
        "source_host": "third.example:8420",
        "crypto_specifications": [world.specification("people"), world.specification("names")],
        "enable_rekeying": True,
    }


@pytest.fixture
def request_to() -> Any:
    """What the form of a new exchange request is filled with."""
    return request
