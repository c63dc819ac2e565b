"""A copy is the source's rows, all of them and no others, or it is not there at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from exchange.pairs import (
    ACTOR,
    KEY_TABLE,
    Clock,
    Killed,
    MemoryChannel,
    Network,
    Node,
    allow,
    claims_of,
    signed,
    with_claims,
)
from tests.unit.opened import opened

from keystead.access import exchange_policies, policies
from keystead.access.decision import ModuleDefault, Operation, PolicyType, Result
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.base.errors import (
    Conflict,
    Denied,
    IllegalTransition,
    Invalid,
    KeysteadError,
    NotFound,
    Tampered,
    Unavailable,
)
from keystead.clone import inventory, plan, source
from keystead.clone.model import TRANSITIONS, Action, KeyOption, State, next_state
from keystead.crypto.envelope import Scheme
from keystead.database.integrity import Fields
from keystead.database.query import EVERY_ROW
from keystead.exchange import peers
from keystead.exchange.job import ExchangeJob
from keystead.exchange.model import Status
from keystead.fields import census, mass_job, withheld
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.records import service as records
from keystead.records.reading import Shown, View

from .conftest import CLEAR, PAGE_ROWS, READER, STRANGER, configure, finish_mass_job, run_mass_job

TABLES = ["customers", "rates", "visits"]
ENCRYPTED = {"customers": {"name", "phone", "age"}, "visits": {"note"}, "rates": set()}
MESSAGES = 1 + 2 + 1 + 2 + 1  # begin, the pages of each table, commit


def staging(clone: str, at: int = 0) -> str:
    return f"keystead_staging_{clone}_{at}"


@dataclass
class Case:
    """A planned clone of `prod` into `test`."""

    net: Network
    option: KeyOption = KeyOption.EXCHANGE
    source: Node = field(init=False)
    target: Node = field(init=False)
    clone: Fields = field(init=False)
    channel: MemoryChannel = field(init=False)

    def __post_init__(self) -> None:
        self.source, self.target = self.net.prod, self.net.test
        self.clone = make_plan(self.source, self.target, self.option)
        self.channel = self.net.channel(self.source)

    @property
    def clone_id(self) -> str:
        return str(self.clone["sys_id"])

    def state(self, node: Node) -> str:
        with node.db.snapshot() as tx:
            return str(plan.get(tx, node.hierarchy, self.clone_id)["state"])

    def start(self) -> str:
        with self.source.db.transaction() as tx:
            return source.request(tx, self.source.hierarchy, self.clone_id, ACTOR)

    def run(self, channel: MemoryChannel | None = None) -> str:
        """Ask for the clone to be run, as often as one likes, and run its job."""
        job_id = self.start()
        used = channel or self.channel
        stage = source.CloneJob(self.source.db, self.source.hierarchy, used).copy
        jobs.run_stage(self.source.db, job_id, stage)
        return job_id

    def jobs_of(self, kind: JobKind) -> list[str]:
        """The target's jobs of a kind, oldest first."""
        with self.target.db.snapshot() as tx:
            return [job["sys_id"] for job in reversed(jobs.listed(tx)) if job["kind"] == kind]

    def fetch_keys(self) -> Fields:
        """Run the target's exchange job."""
        ((job_id,),) = self.target.sql(
            "SELECT sys_id FROM keystead_job WHERE kind = 'key exchange'"
        )
        channel = self.net.channel(self.target)
        stage = ExchangeJob(self.target.db, self.target.hierarchy, channel).obtain
        jobs.run_stage(self.target.db, job_id, stage)
        with self.target.db.snapshot() as tx:
            counts = jobs.get(tx, job_id)["counts"]
        return self.target.request(counts["request_id"])

    def run_rekeying(self) -> None:
        for job_id in self.jobs_of(JobKind.REKEY):
            finish_mass_job(self.target, job_id)

    def refuse_run(self, family: type[KeysteadError], code: str) -> KeysteadError:
        with pytest.raises(family) as caught:
            self.run()
        assert caught.value.code == code
        assert_nothing_in_place(self.target)
        assert self.state(self.source) == State.RUNNING
        return caught.value

    def assert_in_place(self) -> None:
        assert (self.state(self.source), self.state(self.target)) == ("committed", "committed")
        assert_same(self.source, self.target)


def make_plan(sender: Node, receiver: Node, option: KeyOption = KeyOption.EXCHANGE) -> Fields:
    with sender.db.transaction() as tx:
        peer = peers.by_id(tx, sender.hierarchy, receiver.id)
        return plan.make(tx, sender.db, sender.hierarchy, peer, option, ACTOR)


def take(node: Node) -> inventory.Inventory:
    with node.db.snapshot() as tx:
        return inventory.take(tx, node.db, node.hierarchy)


def tables(node: Node) -> list[str]:
    with node.db.snapshot() as tx:
        return node.db.table_names(tx)


def assert_same(one: Node, other: Node) -> None:
    """Both have the same tables, rows, modules, configurations and policies."""
    assert take(one) == take(other)
    for table in tables(one):
        assert one.rows(table) == other.rows(table)
    assert not [name for name in other.tables() if name.startswith("keystead_staging")]


def assert_nothing_in_place(node: Node) -> None:
    assert tables(node) == []
    for table in (
        "sys_kmf_crypto_module",
        "sys_kmf_module_crypto_spec",
        "sys_kmf_crypto_caller_policy",
        "sys_platform_encryption_configuration",
        "keystead_column_key",
        KEY_TABLE,
        "keystead_job",
    ):
        assert node.rows(table) == [], table


def shown(node: Node, table: str, user: str | None = READER) -> Shown:
    with node.db.snapshot() as tx:
        integrity = node.hierarchy.integrity
        permissions = Permissions(tx, integrity, subject(tx, integrity, user), Refusals())
        return View(tx, node.db, node.hierarchy, table, permissions).rows(EVERY_ROW, None, 100)


def read_in(node: Node) -> dict[str, list[tuple[object, ...]]]:
    """What the reader sees, in the order of the primary key."""
    return {table: shown(node, table).rows for table in tables(node)}


def census_of(node: Node) -> list[census.ColumnCensus]:
    with node.db.snapshot() as tx:
        return census.open_all(tx, node.db, node.hierarchy)


def held_ids(node: Node, origin: str) -> set[str]:
    return {r["sys_id"] for r in node.key_rows() if r["origin"] == origin and keys.can_open(r)}


@pytest.fixture
def case(net: Network) -> Case:
    return Case(net)


# --- the way it should go ------------------------------------------------------------------------


def test_the_source_reads_what_was_loaded(net: Network) -> None:
    assert read_in(net.prod) == CLEAR
    assert all(c.unreadable == 0 and not c.plain for c in census_of(net.prod))


def test_a_clone_is_the_source_row_by_row(case: Case) -> None:
    before = {table: case.source.rows(table) for table in TABLES}
    job_id = case.run()
    case.assert_in_place()
    assert tables(case.target) == TABLES
    assert {table: case.source.rows(table) for table in TABLES} == before
    assert [purpose for purpose, _ in case.channel.sent] == [
        "clone.begin",
        *["clone.rows"] * (MESSAGES - 2),
        "clone.commit",
    ]
    with case.source.db.snapshot() as tx:
        job = jobs.get(tx, job_id)
    assert (job["state"], job["done"], job["total"]) == ("done", 15, 15)


def test_the_target_reads_everything_once_it_has_the_keys(case: Case) -> None:
    case.run()
    request = case.fetch_keys()
    assert (request["status"], request["moved_key_count"]) == (Status.COMPLETE, 3)
    assert request["clone_id"] == case.clone_id
    assert case.source.request(request["sys_id"])["status"] == Status.COMPLETE
    assert read_in(case.target) == CLEAR
    assert held_ids(case.target, "imported") == held_ids(case.source, "generated")
    assert all(c.unreadable == 0 for c in census_of(case.target))
    case.assert_in_place()


def test_who_may_not_read_the_source_may_not_read_the_copy(case: Case) -> None:
    case.run()
    case.fetch_keys()
    for user in (STRANGER, None):
        seen = shown(case.target, "customers", user)
        assert set(seen.hidden) == ENCRYPTED["customers"]
        assert {row[1:4] for row in seen.rows} == {("", "", "")}


def test_no_key_and_no_clear_value_is_on_the_way(case: Case) -> None:
    case.run()
    carried = b"".join([*(frame for _, frame in case.channel.sent), *case.channel.answers])
    for clear in ("+49 30 1", "O'Neill", "李雷", "fourth"):
        assert clear.encode() not in carried
    for row in (*case.source.key_rows(), *case.target.key_rows()):
        assert row["material"].encode() not in carried


def test_the_copy_has_a_key_of_its_own_for_each_published_module(case: Case) -> None:
    case.run()
    own = case.target.key_rows()
    assert [row["state"] for row in own] == ["active", "active"]
    assert {row["origin"] for row in own} == {"generated"}
    assert not {row["sys_id"] for row in own} & {row["sys_id"] for row in case.source.key_rows()}


def test_the_copy_has_none_of_the_sources_exchange_policies(case: Case) -> None:
    case.run()
    statement = "SELECT count(*) FROM sys_kmf_crypto_caller_policy WHERE type != 'role'"
    assert case.source.sql(statement) == [(3,)], "one for each specification"
    assert case.target.sql(statement) == [(0,)]


def test_types_and_keys_of_tables_are_kept(case: Case) -> None:
    case.run()
    for table in TABLES:
        with case.source.db.snapshot() as one, case.target.db.snapshot() as other:
            here = case.source.db.describe(one, table)
            assert case.target.db.describe(other, table) == here
    with case.target.db.snapshot() as tx:
        visits = case.target.db.describe(tx, "visits")
    assert visits.primary_key == ("branch", "number")
    assert case.target.sql("SELECT typeof(id), typeof(rate), rate FROM rates ORDER BY id") == [
        ("integer", "integer", 100),
        ("integer", "null", None),
        ("integer", "integer", -(2**63)),
    ]


def test_rekeying_moves_every_value_to_the_targets_own_keys(net: Network) -> None:
    case = Case(net, KeyOption.EXCHANGE_AND_REKEY)
    before = case.source.rows("customers")
    case.run()
    assert case.fetch_keys()["status"] == Status.COMPLETE
    case.run_rekeying()
    own, received = held_ids(case.target, "generated"), held_ids(case.target, "imported")
    assert len(received) == 3
    for column in census_of(case.target):
        assert set(column.by_key) <= own
        assert (column.unreadable, column.unknown, column.plain) == (0, 0, 0)
    assert read_in(case.target) == CLEAR
    assert case.source.rows("customers") == before

    for key_id in received:
        with case.target.db.transaction() as tx:
            needed = census.needs(case.target.db, case.target.hierarchy)(tx, key_id)
            assert needed == {}
            keys.drop_key(
                tx, case.target.hierarchy, keys.key(tx, case.target.hierarchy, key_id), ACTOR
            )
    assert held_ids(case.target, "imported") == set()
    assert read_in(case.target) == CLEAR
    assert read_in(case.source) == CLEAR


def test_a_key_that_is_still_needed_is_counted(case: Case) -> None:
    case.run()
    case.fetch_keys()
    with case.target.db.snapshot() as tx:
        needed = [
            census.needs(case.target.db, case.target.hierarchy)(tx, key_id)
            for key_id in held_ids(case.target, "imported")
        ]
    assert sorted(sum(columns.values()) for columns in needed) == [5, 5, 9 + 1]


def test_without_the_keys_the_copy_reads_nothing(net: Network) -> None:
    case = Case(net, KeyOption.WITHHELD)
    case.run()
    case.assert_in_place()
    assert case.target.sql("SELECT count(*) FROM keystead_job") == [(0,)]
    assert case.source.sql(
        "SELECT count(*) FROM sys_kmf_crypto_caller_policy WHERE type = 'resource exchange'"
    ) == [(0,)]
    customers = shown(case.target, "customers")
    values = [v for row in CLEAR["customers"] for v in row[1:4] if v not in (None, "")]
    assert customers.not_held == len(values)
    assert customers.hidden == ()
    assert {v for row in customers.rows for v in row[1:4]} <= {"", None}
    assert [(row[0], row[4]) for row in customers.rows] == [
        (row[0], row[4]) for row in CLEAR["customers"]
    ]
    assert shown(case.target, "visits").not_held == 5
    assert shown(case.target, "rates").rows == CLEAR["rates"]
    source_keys = {row["sys_id"] for row in case.source.key_rows()}
    for column in census_of(case.target):
        assert set(column.by_key) <= source_keys, "known by name"
        assert (column.opened, column.unknown) == (0, 0)
        assert column.unreadable == column.encrypted


def test_no_key_of_the_copy_opens_a_withheld_value(net: Network) -> None:
    case = Case(net, KeyOption.WITHHELD)
    case.run()

    def tried(holder: Node) -> withheld.Trial:
        given = [(bytes.fromhex(row["sys_id"]), opened(holder, row)) for row in holder.key_rows()]
        node = case.target
        with node.db.snapshot() as tx:
            return withheld.try_keys(tx, node.db, node.hierarchy, given, None)

    total = sum(column.encrypted for column in census_of(case.source))
    assert tried(case.target) == withheld.Trial(tried=total, opened=0)
    assert tried(case.source) == withheld.Trial(tried=total, opened=total)


def test_a_target_of_a_withheld_clone_asks_in_vain(net: Network) -> None:
    case = Case(net, KeyOption.WITHHELD)
    case.run()
    specs = sorted(row["sys_id"] for row in take(case.target)["specifications"])
    arguments = {
        "peer": case.source.id,
        "specifications": specs,
        "clone_id": case.clone_id,
    }
    with case.target.db.transaction() as tx:
        jobs.create(tx, JobKind.EXCHANGE, case.clone_id, arguments, ACTOR)
    assert case.fetch_keys()["status"] == Status.PENDING
    assert held_ids(case.target, "imported") == set()


def test_a_copy_can_be_copied(case: Case) -> None:
    case.run()
    case.fetch_keys()
    second = Case(case.net)
    second.source, second.target = case.net.test, case.net.third
    second.clone = make_plan(second.source, second.target)
    second.channel = case.net.channel(second.source)
    second.run()
    assert_same(case.source, second.target)
    assert second.fetch_keys()["moved_key_count"] == 3 + 2
    assert read_in(second.target) == CLEAR


def test_a_copy_without_its_keys_cannot_be_copied(net: Network) -> None:
    Case(net, KeyOption.WITHHELD).run()
    with pytest.raises(Conflict, match="cannot be read here, and so would be lost") as caught:
        make_plan(net.test, net.third)
    assert caught.value.code == "clone.refused"


def test_tables_without_any_encryption_are_copied_too(net: Network) -> None:
    node = net.third
    node.sql("CREATE TABLE plain (a TEXT NOT NULL, b INTEGER NOT NULL, c TEXT, PRIMARY KEY (b, a))")
    for row in (("x", 2, None), ("", 1, ""), ("y", 1, "long " * 5000)):
        node.sql("INSERT INTO plain VALUES (?, ?, ?)", *row)
    case = Case(net)
    case.source, case.clone = node, make_plan(node, net.test)
    case.run(net.channel(node))
    case.assert_in_place()
    assert case.target.sql("SELECT count(*) FROM keystead_job") == [(0,)], "there is no key to ask"


def test_an_empty_table_is_copied(net: Network) -> None:
    net.third.sql("CREATE TABLE bare (id INTEGER NOT NULL PRIMARY KEY, x TEXT)")
    case = Case(net)
    case.source, case.clone = net.third, make_plan(net.third, net.test)
    case.run(net.channel(net.third))
    case.assert_in_place()
    assert tables(net.test) == ["bare"]


def test_every_message_delivered_twice_makes_the_same_copy(case: Case) -> None:
    case.channel.twice = True
    case.run()
    case.assert_in_place()


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("action", Action)
def test_a_clone_moves_only_as_the_table_says(state: State, action: Action) -> None:
    if (state, action) in TRANSITIONS:
        assert next_state("c", state, action) is TRANSITIONS[state, action]
    else:
        with pytest.raises(IllegalTransition):
            next_state("c", state, action)


# --- the plan ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (KeyOption.EXCHANGE, "readable"),
        (KeyOption.EXCHANGE_AND_REKEY, "rekeyed"),
        (KeyOption.WITHHELD, "deliberately unreadable"),
    ],
)
def test_a_plan_says_what_becomes_of_every_value(
    net: Network, option: KeyOption, expected: str
) -> None:
    content = claims_of(make_plan(net.prod, net.test, option)["plan"])
    assert (content["sender"], content["audience"]) == (net.prod.id, net.test.id)
    assert content["fingerprint"] == net.test.identity.fingerprint
    assert {name: counted["rows"] for name, counted in content["tables"].items()} == {
        "customers": 7,
        "rates": 3,
        "visits": 5,
    }
    found = {(v["table"], v["column"]): (v["encrypted"], v["class"]) for v in content["values"]}
    assert found == {
        ("customers", "name"): (5, expected),
        ("customers", "phone"): (4, expected),
        ("customers", "age"): (6, expected),
        ("visits", "note"): (5, expected),
    }
    assert "Anna" not in json.dumps(content, ensure_ascii=False)


def test_planning_changes_no_row_and_makes_no_policy(net: Network) -> None:
    before = net.prod.contents()
    make_plan(net.prod, net.test)
    after = net.prod.contents()
    assert len(after.pop("keystead_clone")) == 1
    for name in ("keystead_clone", "keystead_anchor", "keystead_anchored_row"):
        before.pop(name)
        after.pop(name, None)
    assert after == before


def refuse_plan(net: Network, reason: str, family: type[KeysteadError] = Conflict) -> None:
    before = net.prod.contents()
    with pytest.raises(family, match=reason) as caught:
        make_plan(net.prod, net.test)
    assert caught.value.code == "clone.refused"
    assert net.prod.contents() == before


def test_a_plan_with_plain_text_in_an_encrypted_column_is_refused(net: Network) -> None:
    configure(net.prod, "customers", "city", "people")
    refuse_plan(net, "customers.city still holds 5 clear values")
    run_mass_job(net.prod, JobKind.ENCRYPT, "customers")
    make_plan(net.prod, net.test)


def test_one_clear_value_is_enough_to_refuse_a_plan(net: Network) -> None:
    net.prod.sql("UPDATE visits SET note = 'clear' WHERE number = 10")
    refuse_plan(net, "visits.note still holds 1 clear values")


def test_a_plan_with_a_value_under_an_unknown_key_is_refused(net: Network) -> None:
    ((value,),) = net.prod.sql("SELECT note FROM visits WHERE number = 10")
    other = value[:6] + base64.urlsafe_b64encode(b"k" * 16).decode().rstrip("=") + value[28:]
    net.prod.sql("UPDATE visits SET note = ? WHERE number = 10", other)
    refuse_plan(net, "1 values of visits.note cannot be read here, and so would be lost")


def test_a_plan_with_a_value_under_a_key_of_another_column_is_refused(net: Network) -> None:
    net.prod.sql("UPDATE visits SET note = (SELECT name FROM customers LIMIT 1) WHERE number = 10")
    refuse_plan(net, "1 values of visits.note cannot be read here")


def test_a_plan_with_a_value_that_is_no_envelope_is_refused(net: Network) -> None:
    net.prod.sql("UPDATE visits SET note = '~ks1 of course' WHERE number = 10")
    refuse_plan(net, "1 values of visits.note cannot be read here")


def test_without_a_table_there_is_nothing_to_plan(net: Network) -> None:
    with pytest.raises(Conflict, match="there is no table to clone"):
        make_plan(net.test, net.third)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("(a TEXT)", "it has no primary key"),
        ("(a TEXT PRIMARY KEY, b REAL)", "its column 'b' is neither text nor a whole number"),
        ("(a TEXT PRIMARY KEY, b BLOB)", "its column 'b' is neither text nor a whole number"),
        ("(a TEXT PRIMARY KEY, b TEXT AS (a || a))", "its column 'b' is neither"),
        ("(a TEXT PRIMARY KEY, b TEXT UNIQUE)", "it has unique columns besides its key"),
        ("(a TEXT PRIMARY KEY, b TEXT CHECK (b > 'a'))", "it has CHECK constraints"),
        ("(a TEXT PRIMARY KEY, b INTEGER REFERENCES rates (id))", "it has foreign keys"),
    ],
)
def test_a_table_that_cannot_be_carried_refuses_the_plan(
    net: Network, declared: str, reason: str
) -> None:
    net.prod.sql(f"CREATE TABLE odd {declared}")
    refuse_plan(net, f"the table 'odd' cannot be carried yet: {reason}", Invalid)


def test_a_second_unique_index_refuses_the_plan(net: Network) -> None:
    net.prod.sql("CREATE UNIQUE INDEX once ON rates (rate)")
    refuse_plan(net, "the table 'rates' cannot be carried yet: it has unique columns", Invalid)


# --- plans that are not valid any more -----------------------------------------------------------


def _add_row(node: Node) -> None:
    node.sql("INSERT INTO rates VALUES (9, 9)")


def _remove_row(node: Node) -> None:
    node.sql("DELETE FROM visits WHERE number = 10")


def _empty_value(node: Node) -> None:
    node.sql("UPDATE customers SET name = NULL WHERE sys_id = 'c1'")


def _add_module(node: Node) -> None:
    with node.db.transaction() as tx:
        keys.create_module(tx, node.hierarchy, "late", Scheme.STANDARD, ACTOR)


def _publish_module(node: Node) -> None:
    with node.db.transaction() as tx:
        keys.publish_module(tx, node.hierarchy, "spare", ACTOR)


def _add_policy(node: Node) -> None:
    with node.db.transaction() as tx:
        policies.add(
            tx,
            node.hierarchy.integrity,
            module_id=keys.module(tx, node.hierarchy, "people")["sys_id"],
            module_name="people",
            type=PolicyType.ROLE,
            target="auditor",
            operation=Operation.BOTH,
            result=Result.TRACK,
            actor=ACTOR,
        )


def _add_table(node: Node) -> None:
    node.sql("CREATE TABLE late (id INTEGER NOT NULL PRIMARY KEY)")


def _add_column(node: Node) -> None:
    node.sql("ALTER TABLE rates ADD COLUMN more TEXT")


def _configure_column(node: Node) -> None:
    node.sql("UPDATE customers SET city = NULL")
    configure(node, "customers", "city", "people")


def _rekey(node: Node) -> None:
    run_mass_job(node, JobKind.REKEY, "customers")


CHANGES = [
    _add_row,
    _remove_row,
    _empty_value,
    _add_module,
    _publish_module,
    _add_policy,
    _add_table,
    _add_column,
    _configure_column,
    _rekey,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_plan_does_not_survive_a_change_of_the_source(
    case: Case, change: Callable[[Node], None]
) -> None:
    change(case.source)
    case.refuse_run(Conflict, "clone.stale")
    assert case.channel.sent == []
    with pytest.raises(NotFound):
        case.state(case.target)


def test_a_rotation_after_the_plan_does_no_harm(case: Case) -> None:
    """The new key travels too, since keys are chosen when they are asked for."""
    with case.source.db.transaction() as tx:
        keys.rotate(tx, case.source.hierarchy, "people", ACTOR)
    case.run()
    assert case.fetch_keys()["moved_key_count"] == 4
    assert read_in(case.target) == CLEAR


def test_an_expired_plan_is_not_run(case: Case, time: Clock) -> None:
    case.clone = make_plan(case.source, case.target)
    time.move(24 * 3600 + 60)
    before = case.source.contents()
    with pytest.raises(Tampered, match="it has expired"):
        case.start()
    assert case.source.contents() == before


def test_a_plan_that_was_changed_in_the_database_is_not_run(case: Case) -> None:
    other = make_plan(case.source, case.net.third)
    case.source.sql(
        "UPDATE keystead_clone SET plan = ? WHERE sys_id = ?", other["plan"], case.clone_id
    )
    with pytest.raises(Tampered):
        case.start()


def test_a_clone_that_is_done_is_not_run_again(case: Case) -> None:
    case.run()
    with pytest.raises(IllegalTransition, match="it cannot be run"):
        case.start()


def test_the_target_does_not_run_the_clone(case: Case) -> None:
    case.run()
    with pytest.raises(IllegalTransition), case.target.db.transaction() as tx:
        source.request(tx, case.target.hierarchy, case.clone_id, ACTOR)


def test_there_is_no_clone_of_an_unknown_id(net: Network) -> None:
    with pytest.raises(NotFound), net.prod.db.transaction() as tx:
        source.request(tx, net.prod.hierarchy, "0" * 32, ACTOR)


# --- targets that are not empty ------------------------------------------------------------------


def _own_table(node: Node) -> None:
    node.sql("CREATE TABLE own (id INTEGER PRIMARY KEY)")


def _own_module(node: Node) -> None:
    with node.db.transaction() as tx:
        keys.create_module(tx, node.hierarchy, "own", Scheme.STANDARD, ACTOR)


@pytest.mark.parametrize(
    ("fill", "what"),
    [(_own_table, "tables of its own"), (_own_module, "crypto modules of its own")],
)
def test_a_target_that_is_not_empty_is_refused(
    case: Case, fill: Callable[[Node], None], what: str
) -> None:
    source.ask(case.channel, case.source.peer(case.target))
    fill(case.target)
    before = case.target.contents()
    with pytest.raises(Conflict, match=f"The target is not empty: it has .*{what}"):
        source.ask(case.channel, case.source.peer(case.target))
    with pytest.raises(Conflict, match=f"The target is not empty: it has .*{what}"):
        case.run()
    assert case.target.contents() == before


def _own_people(node: Node) -> None:
    with node.db.transaction() as tx:
        keys.create_module(tx, node.hierarchy, "people", Scheme.STANDARD, ACTOR)


def _own_rates(node: Node) -> None:
    node.sql("CREATE TABLE rates (id INTEGER PRIMARY KEY)")


@pytest.mark.parametrize("fill", [_own_table, _own_module, _own_people, _own_rates])
def test_a_target_that_was_filled_meanwhile_is_refused(
    case: Case, fill: Callable[[Node], None]
) -> None:
    kept: list[dict[str, list[tuple[Any, ...]]]] = []

    def before(purpose: str) -> None:
        if purpose == source.COMMIT:
            fill(case.target)
            kept.append(case.target.contents())

    case.channel.before = before
    with pytest.raises(Conflict, match="The target is not empty"):
        case.run()
    assert [case.target.contents()] == kept


def test_a_copy_is_not_copied_over(case: Case) -> None:
    case.run()
    again = Case(case.net)
    before = case.target.contents()
    with pytest.raises(Conflict, match="The target is not empty: it has tables of its own"):
        again.run()
    assert case.target.contents() == before


# --- messages out of place -----------------------------------------------------------------------


class Copy:
    """The messages of a clone, sent one by one as the test pleases."""

    def __init__(self, net: Network, sender: Node, receiver: Node) -> None:
        self.sender = sender
        self.receiver = receiver
        self.peer = sender.peer(receiver)
        self.channel = net.channel(sender)
        self.clone = make_plan(sender, receiver, KeyOption.WITHHELD)
        self.taken = take(sender)
        self.head = {"clone_id": self.clone["sys_id"], "attempt": 1}
        self.pages = list(self._pages())

    def _pages(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        with self.sender.db.snapshot() as tx:
            for at, table in enumerate(inventory.tables_of(self.taken)):
                width = len(table.primary_key)
                names = [c.name for c in table.columns]
                for rows in census.pages(tx, self.sender.db, table, names, PAGE_ROWS):
                    made.append(
                        {"sequence": len(made), "table": at, "rows": [r[width:] for r in rows]}
                    )
        return made

    def send(self, purpose: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self.channel.send(self.peer, purpose, body)

    def begin(self, **changed: object) -> dict[str, Any]:
        given = {**self.head, "plan": self.clone["plan"], "inventory": self.taken, **changed}
        return self.send(source.BEGIN, given)

    def rows(self, at: int, **changed: object) -> dict[str, Any]:
        return self.send(source.ROWS, {**self.head, **self.pages[at], **changed})

    def all_rows(self, start: int = 0) -> None:
        for at in range(start, len(self.pages)):
            assert self.rows(at) == {"next_sequence": at + 1}

    def commit(self, **changed: object) -> dict[str, Any]:
        return self.send(source.COMMIT, {**self.head, **changed})

    def refused(
        self, send: Callable[[], object], reason: str, family: type[KeysteadError] = Conflict
    ) -> None:
        before = self.receiver.contents()
        with pytest.raises(family, match=reason) as caught:
            send()
        assert caught.value.code == "peer.refused"
        assert self.receiver.contents() == before


@pytest.fixture
def copy(net: Network) -> Copy:
    return Copy(net, net.prod, net.test)


def test_a_clone_by_hand_is_as_good_as_the_jobs(copy: Copy) -> None:
    assert copy.begin() == {"state": "staging", "external": []}
    copy.all_rows()
    assert copy.commit() == {"state": "committed"}
    assert_same(copy.sender, copy.receiver)


def test_staging_is_not_seen_as_a_table(copy: Copy) -> None:
    copy.begin()
    copy.all_rows()
    node = copy.receiver
    name = copy.head["clone_id"]
    assert node.rows(staging(name)) != []
    assert tables(node) == []
    with node.db.snapshot() as tx:
        assert sorted(node.db.staging_names(tx)) == [staging(name, n) for n in range(3)]
        with pytest.raises(NotFound):
            node.db.describe(tx, "customers")
    with pytest.raises(Conflict, match="there is no table to clone"):
        make_plan(node, copy.sender)


def test_rows_are_taken_in_order(copy: Copy) -> None:
    copy.begin()
    changed = "came out of its order"
    for at in (1, 2, len(copy.pages) - 1):
        copy.refused(lambda at=at: copy.rows(at), changed)
    copy.rows(0)
    copy.rows(1)
    for at in (0, 3):
        copy.refused(lambda at=at: copy.rows(at), changed)
    copy.refused(lambda: copy.rows(2, sequence=-2), changed)
    copy.all_rows(2)
    assert copy.commit() == {"state": "committed"}
    assert_same(copy.sender, copy.receiver)


def test_a_page_that_is_sent_twice_is_taken_once(copy: Copy) -> None:
    copy.begin()
    for at in range(len(copy.pages)):
        for _ in range(3):
            assert copy.rows(at) == {"next_sequence": at + 1}
    copy.commit()
    assert_same(copy.sender, copy.receiver)


def test_a_page_that_is_sent_again_with_other_rows_is_not_looked_at(copy: Copy) -> None:
    copy.begin()
    copy.rows(0)
    before = copy.receiver.contents()
    assert copy.rows(0, rows=[["c9", "x", "x", "x", "x"]]) == {"next_sequence": 1}
    assert copy.receiver.contents() == before


def test_nothing_is_taken_from_an_earlier_attempt(copy: Copy) -> None:
    copy.begin()
    copy.rows(0)
    copy.begin(attempt=2)
    changed = "came out of its order"
    copy.refused(lambda: copy.rows(1), changed)
    copy.refused(lambda: copy.rows(0), changed)
    copy.refused(copy.commit, changed)
    copy.refused(copy.begin, changed)
    copy.refused(lambda: copy.begin(attempt=2), changed)
    copy.refused(lambda: copy.rows(0, attempt=3), changed)
    copy.head["attempt"] = 2
    copy.all_rows()
    assert copy.commit() == {"state": "committed"}
    assert_same(copy.sender, copy.receiver)


def test_an_attempt_begins_with_empty_staging(copy: Copy) -> None:
    copy.begin()
    copy.all_rows()
    name = staging(copy.head["clone_id"])
    assert copy.receiver.rows(name) != []
    copy.begin(attempt=2)
    assert copy.receiver.rows(name) == []


def test_only_the_source_of_a_clone_continues_it(net: Network, copy: Copy) -> None:
    copy.begin()
    copy.rows(0)
    other = net.channel(net.third)
    peer = net.third.peer(net.test)
    before = net.test.contents()
    for purpose, body in (
        (source.ROWS, {**copy.head, **copy.pages[1]}),
        (source.COMMIT, copy.head),
    ):
        with pytest.raises(NotFound, match="There is no clone"):
            other.send(peer, purpose, body)
    begun = {**copy.head, "plan": copy.clone["plan"], "inventory": copy.taken, "attempt": 5}
    with pytest.raises(Tampered, match="does not match the sender's key"):
        other.send(peer, source.BEGIN, begun)
    assert net.test.contents() == before
    copy.all_rows(1)
    copy.commit()
    assert_same(copy.sender, copy.receiver)


def test_two_sources_do_not_mix_their_rows(net: Network) -> None:
    """Both copy a table of the same name, form and length; the first to commit is in place."""
    sources = (net.third, net.test)
    for node, rate in zip(sources, (1, 2), strict=True):
        node.sql("CREATE TABLE rates (id INTEGER NOT NULL PRIMARY KEY, rate INTEGER)")
        for number in range(3):
            node.sql("INSERT INTO rates VALUES (?, ?)", number, rate)
    for table in TABLES:
        net.prod.sql(f"DROP TABLE {table}")
    for table in ("sys_kmf_crypto_module", "sys_platform_encryption_configuration"):
        net.prod.sql(f"DELETE FROM {table}")
    with net.prod.db.transaction() as tx:
        net.prod.hierarchy.integrity.adopt(tx)
    one, other = (Copy(net, node, net.prod) for node in sources)
    one.begin()
    one.all_rows()
    other.begin()
    other.all_rows()
    assert one.commit() == {"state": "committed"}
    assert net.prod.rows("rates") == net.third.rows("rates")
    other.refused(other.commit, "The target is not empty")


def test_the_target_cannot_turn_a_clone_around(copy: Copy) -> None:
    copy.begin()
    back = copy.receiver.peer(copy.sender)
    channel = MemoryChannel(copy.receiver, {copy.sender.id: copy.sender})
    before = copy.sender.contents()
    for purpose, body in (
        (source.ROWS, {**copy.head, **copy.pages[0]}),
        (source.COMMIT, copy.head),
    ):
        with pytest.raises(NotFound, match="There is no clone"):
            channel.send(back, purpose, body)
    assert copy.sender.contents() == before


def test_rows_need_a_beginning(copy: Copy) -> None:
    copy.refused(lambda: copy.rows(0), "There is no clone", NotFound)
    copy.refused(copy.commit, "There is no clone", NotFound)


def test_nothing_is_taken_after_the_commit(copy: Copy) -> None:
    copy.begin()
    copy.all_rows()
    copy.commit()
    before = copy.receiver.contents()
    for at in range(len(copy.pages)):
        copy.refused(lambda at=at: copy.rows(at), "it cannot be staged", IllegalTransition)
    copy.refused(lambda: copy.begin(attempt=1), "came out of its order")
    copy.refused(lambda: copy.begin(attempt=2), "The target is not empty")
    for attempt in (1, 2):
        assert copy.commit(attempt=attempt) == {"state": "committed"}
    assert copy.receiver.contents() == before


def test_a_commit_before_the_last_row_puts_nothing_in_place(copy: Copy) -> None:
    copy.begin()
    for at, missing in enumerate(
        [
            "customers has 0 rows, not 7",
            "customers has 4 rows, not 7",
            "rates has 0 rows, not 3",
            "visits has 0 rows, not 5",
            "visits has 4 rows, not 5",
        ]
    ):
        copy.refused(copy.commit, f"The copy differs from the source: {missing}")
        copy.rows(at)
    assert copy.commit() == {"state": "committed"}


# --- plans and inventories that the target refuses -----------------------------------------------


def resigned(copy: Copy, signer: Node, audience: Node, **changed: Any) -> str:
    """The plan's content, signed anew."""
    claims = claims_of(copy.clone["plan"])
    content = {
        k: claims[k]
        for k in ("clone_id", "keys", "fingerprint", "tables", "values", "inventory_hash")
    }
    given = {
        "purpose": plan.PURPOSE,
        "lifetime": 3600,
        "sender": None,
        "claims": {**content, **changed.pop("claims", {})},
        **changed,
    }
    return json.dumps(
        signed(
            signer,
            given["purpose"],
            audience,
            given["claims"],
            lifetime=given["lifetime"],
            sender=given["sender"],
        )
    )


def test_a_plan_must_be_the_sources_for_this_target_and_in_time(net: Network, copy: Copy) -> None:
    third, prod, test = net.third, net.prod, net.test
    envelope = json.loads(copy.clone["plan"])
    for wrong, reason in (
        (resigned(copy, third, test), "does not match the sender's key"),
        (resigned(copy, third, test, sender=prod), "does not match the sender's key"),
        (resigned(copy, test, test, sender=prod), "does not match the sender's key"),
        (resigned(copy, prod, test, sender=third), "names another sender"),
        (resigned(copy, prod, third), "addressed to another instance"),
        (make_plan(prod, third)["plan"], "addressed to another instance"),
        (resigned(copy, prod, test, purpose="clone.begin"), "made for another purpose"),
        (resigned(copy, prod, test, purpose="exchange.keys"), "made for another purpose"),
        (json.dumps(with_claims(envelope, keys="exchange")), "does not match"),
        (json.dumps(with_claims(envelope, clone_id="0" * 32)), "does not match"),
        (json.dumps({**envelope, "signatures": envelope["signatures"][:1]}), "expected form"),
    ):
        copy.refused(lambda wrong=wrong: copy.begin(plan=wrong), reason, Tampered)
    assert copy.receiver.rows("keystead_clone") == []
    assert copy.begin(plan=resigned(copy, prod, test)) == {"state": "staging", "external": []}


def test_a_plan_expires_at_the_target(net: Network, time: Clock) -> None:
    copy = Copy(net, net.prod, net.test)
    time.move(24 * 3600 + 59)
    assert copy.begin() == {"state": "staging", "external": []}
    time.move(1)
    copy.refused(lambda: copy.begin(attempt=2), "it has expired", Tampered)


def _dropped(taken: inventory.Inventory, part: str) -> inventory.Inventory:
    return {**taken, part: taken[part][:-1]}


@pytest.mark.parametrize(
    "part",
    ["tables", "modules", "specifications", "configurations", "column_keys", "policies"],
)
def test_an_inventory_must_be_the_one_that_was_planned(copy: Copy, part: str) -> None:
    reason = "its tables, modules or policies changed"
    copy.refused(lambda: copy.begin(inventory=_dropped(copy.taken, part)), reason)
    more = {**copy.taken, part: copy.taken[part] * 2}
    copy.refused(lambda: copy.begin(inventory=more), reason)
    copy.refused(lambda: copy.begin(inventory={**copy.taken, part: []}), reason)
    assert copy.begin() == {"state": "staging", "external": []}


def test_a_planned_table_must_have_a_name_of_its_own(net: Network, copy: Copy) -> None:
    """The source plans, and signs, to put a table in the place of one of the target's own."""
    for name in ("sys_user", "keystead_peer", "KEYSTEAD_staging_0", "sqlite_master", "", "a'b"):
        first = {**copy.taken["tables"][0], "name": name}
        odd = {**copy.taken, "tables": [first, *copy.taken["tables"][1:]]}
        content = {"inventory_hash": plan.inventory_hash(odd)}
        signed_plan = resigned(copy, net.prod, net.test, claims=content)
        copy.refused(
            lambda odd=odd, signed_plan=signed_plan: copy.begin(plan=signed_plan, inventory=odd),
            "belongs to Keystead|is not a usable name",
            Invalid,
        )


@pytest.mark.parametrize(
    "said",
    [
        {"type": "resource exchange"},
        {"type": "script"},
        {"type": "system-user"},
        {"type": "scope"},
        {"result": "allow"},
        {"result": None},
        {"operation": "all"},
        {"operation": None},
        {"role": ""},
        {"role": "a;b"},
        {"role": 1},
        {"active": 2},
        {"impersonation": 2},
        {"name": "a\nb"},
        {"module_id": "0" * 32},
        {"spec_id": "0" * 32},
    ],
)
def test_a_policy_that_says_nothing_known_is_not_taken(net: Network, said: dict[str, Any]) -> None:
    taken = take(net.prod)
    inventory.check(taken)
    first, *others = taken["policies"]
    with pytest.raises(Invalid) as caught:
        inventory.check({**taken, "policies": [{**first, **said}, *others]})
    assert caught.value.code == "message.invalid"


def test_a_default_that_is_none_is_not_taken(net: Network) -> None:
    taken = take(net.prod)
    first, *others = taken["modules"]
    inventory.check({**taken, "modules": [{**first, "default_policy": "track"}, *others]})
    with pytest.raises(Invalid):
        inventory.check({**taken, "modules": [{**first, "default_policy": "allow"}, *others]})


def test_refusals_and_defaults_travel_with_a_clone(net: Network) -> None:
    with net.prod.db.transaction() as tx:
        module = keys.set_default(tx, net.prod.hierarchy, "people", ModuleDefault.TRACK, ACTOR)
        policies.add(
            tx,
            net.prod.hierarchy.integrity,
            module_id=module["sys_id"],
            module_name="people",
            type=PolicyType.ROLE,
            target="reader",
            operation=Operation.DECRYPT,
            result=Result.STRICT_REJECT,
            actor=ACTOR,
        )
    case = Case(net, KeyOption.EXCHANGE)
    case.run()
    case.fetch_keys()
    for node in (case.source, case.target):
        assert shown(node, "customers", READER).hidden == ("phone", "age")
        assert shown(node, "customers", STRANGER).hidden == ("name",)


# --- copies that differ --------------------------------------------------------------------------


def spoil(case: Case, statement: str) -> None:
    """Change the target's staging just before it is asked to commit."""

    def before(purpose: str) -> None:
        if purpose == source.COMMIT:
            names = [staging(case.clone_id, at) for at in range(3)]
            case.target.sql(statement.format(*names))

    case.channel.before = before


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DELETE FROM {0} WHERE sys_id = 'c4'", "customers has 6 rows, not 7"),
        ("DELETE FROM {0}", "customers has 0 rows, not 7"),
        ("INSERT INTO {1} VALUES (9, 9)", "rates has 4 rows, not 3"),
        ("UPDATE {0} SET name = NULL WHERE sys_id = 'c1'", "customers counts other values"),
        ("UPDATE {0} SET phone = 'clear' WHERE sys_id = 'c1'", "customers counts other"),
        ("UPDATE {0} SET phone = name WHERE sys_id = 'c1'", "customers counts other"),
        ("UPDATE {2} SET note = '' WHERE number = 10", "visits counts other"),
    ],
)
def test_a_copy_that_differs_is_not_put_in_place(case: Case, statement: str, reason: str) -> None:
    spoil(case, statement)
    error = case.refuse_run(Conflict, "peer.refused")
    assert f"The copy differs from the source: {reason}" in error.what
    assert case.state(case.target) == State.STAGING
    assert case.target.audit(1)[0]["subject"] == "clone.differs"

    case.channel.before = lambda _purpose: None
    case.run()
    case.assert_in_place()


def test_keys_granted_later_are_followed_by_the_rekeying_that_was_planned(net: Network) -> None:
    case = Case(net, KeyOption.EXCHANGE_AND_REKEY)
    case.run()
    with case.source.db.transaction() as tx:
        exchange_policies.end_exchange_policies(
            tx, case.source.hierarchy.integrity, {case.clone_id}
        )
    request = case.fetch_keys()
    assert request["status"] == Status.PENDING
    assert case.jobs_of(JobKind.REKEY) == []

    allow(
        case.source, case.target, json.loads(request["document"])["specifications"], case.clone_id
    )
    with case.target.db.transaction() as tx:
        arguments = {"request_id": request["sys_id"]}
        job_id = jobs.create(tx, JobKind.EXCHANGE, case.source.id, arguments, ACTOR)
    channel = case.net.channel(case.target)
    stage = ExchangeJob(case.target.db, case.target.hierarchy, channel).obtain
    jobs.run_stage(case.target.db, job_id, stage)
    assert len(case.jobs_of(JobKind.REKEY)) == 2


# --- ends in the middle --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "failure"),
    [("lost_messages", "away"), ("lost_answers", "away"), ("lost_answers", "killed")],
)
@pytest.mark.parametrize("number", range(MESSAGES))
def test_a_clone_that_ended_anywhere_is_run_again(
    case: Case, number: int, lost: str, failure: str
) -> None:
    setattr(case.channel, lost, {number})
    if failure == "killed":
        case.channel.failure = lambda _peer: Killed()
    with pytest.raises((Unavailable, Killed)):
        case.run()
    assert len(case.channel.sent) == number + 1
    assert case.state(case.source) == State.RUNNING
    told = number == MESSAGES - 1 and lost == "lost_answers"
    if told:
        assert case.state(case.target) == State.COMMITTED
    else:
        assert_nothing_in_place(case.target)

    again = case.net.channel(case.source)
    case.run(again)
    assert len(again.sent) == (1 if told else MESSAGES + 1)
    case.assert_in_place()
    assert len(case.source.rows("keystead_job")) == len(case.target.rows("keystead_job")) + 2


def test_a_clone_in_place_ends_well_although_the_source_went_on(case: Case) -> None:
    case.channel.lost_answers = {MESSAGES - 1}
    with pytest.raises(Unavailable):
        case.run()
    in_place = case.target.contents()
    _add_row(case.source)
    case.run(case.net.channel(case.source))
    assert case.state(case.source) == case.state(case.target) == State.COMMITTED
    assert case.target.contents() == in_place


def test_a_peer_is_told_the_state_of_its_own_clones_only(copy: Copy, net: Network) -> None:
    asked = {"clone_id": copy.clone["sys_id"]}
    assert copy.send(source.STATE, asked) == {"state": None}
    copy.begin()
    assert copy.send(source.STATE, asked) == {"state": "staging"}
    other = net.channel(net.third)
    assert other.send(net.third.peer(copy.receiver), source.STATE, asked) == {"state": None}


def test_a_clone_that_ends_again_and_again_comes_to_its_end(case: Case) -> None:
    """Each run gets one message further than the one before."""
    for number in range(MESSAGES):
        channel = case.net.channel(case.source)
        channel.lost_messages = {number}
        with pytest.raises(Unavailable):
            case.run(channel)
        assert_nothing_in_place(case.target)
    case.run()
    case.assert_in_place()
    with case.source.db.snapshot() as tx:
        assert plan.get(tx, case.source.hierarchy, case.clone_id)["attempt"] == MESSAGES + 1


def test_a_clone_says_why_it_stopped(case: Case) -> None:
    case.channel.lost_messages = {2}
    with pytest.raises(Unavailable):
        case.run()
    ((state, code, phase, done),) = case.source.sql(
        "SELECT state, error_code, phase, done FROM keystead_job WHERE kind = 'clone'"
    )
    assert (state, code) == ("failed", "peer.unreachable")
    assert (phase, done) == ("copying", 4)


def test_whoever_lost_the_job_puts_nothing_in_place(case: Case) -> None:
    """A process that seemed dead goes on with its copy while another finished it."""
    job_id = case.start()
    stage = source.CloneJob(case.source.db, case.source.hierarchy, case.channel).copy
    other = case.net.channel(case.source)

    def taken_over(purpose: str) -> None:
        if purpose == source.COMMIT:
            case.channel.before = lambda _purpose: None
            case.run(other)

    case.channel.before = taken_over
    with case.source.db.transaction() as tx:
        late = jobs.claim(tx, job_id)
    with pytest.raises(KeysteadError):
        stage(late)
    case.assert_in_place()
    assert case.fetch_keys()["status"] == Status.COMPLETE
    assert read_in(case.target) == CLEAR


def test_a_change_during_the_copy_is_not_in_it(case: Case) -> None:
    """The copy is of one moment: what other programs write meanwhile stays behind."""
    before = {table: case.source.rows(table) for table in TABLES}

    def change(purpose: str) -> None:
        if purpose == source.ROWS and len(case.channel.sent) == 3:
            case.source.sql("INSERT INTO visits VALUES (99, '', 99)")
            case.source.sql("DELETE FROM customers WHERE sys_id = 'c6'")
            case.source.sql("UPDATE rates SET rate = 5")

    case.channel.before = change
    case.run()
    assert {table: case.target.rows(table) for table in TABLES} == before


# --- what cannot be done meanwhile ---------------------------------------------------------------


def _plan_again(case: Case) -> None:
    make_plan(case.source, case.net.third)


def _rotate(case: Case) -> None:
    with case.source.db.transaction() as tx:
        keys.rotate(tx, case.source.hierarchy, "people", ACTOR)


def _mass(kind: JobKind) -> Callable[[Case], None]:
    def start(case: Case) -> None:
        with case.source.db.transaction() as tx:
            mass_job.start(
                tx, case.source.hierarchy, kind, "visits", rows_per_second=None, actor=ACTOR
            )

    return start


def _load(case: Case) -> None:
    file = Path(case.source.instance.home.folder) / "more.csv"
    file.write_text("id,x\n1,a\n", encoding="utf-8")
    records.load(
        case.source.db,
        "more",
        file,
        format=None,
        null=None,
        key="id",
        actor=ACTOR,
        on_rows=lambda _what, _count: None,
    )


MEANWHILE = [_plan_again, _rotate, _mass(JobKind.ENCRYPT), _mass(JobKind.REKEY), _load]
MEANWHILE_IDS = ["plan", "rotation", "encryption", "rekeying", "load"]


def refuse_while_busy(case: Case, act: Callable[[Case], None], code: str = "job.busy") -> None:
    before = case.source.contents()
    with pytest.raises(Conflict) as caught:
        act(case)
    assert caught.value.code == code
    assert case.source.contents() == before


@pytest.mark.parametrize("act", MEANWHILE, ids=MEANWHILE_IDS)
def test_the_source_stands_still_while_a_clone_waits_runs_or_failed(
    case: Case, act: Callable[[Case], None]
) -> None:
    case.start()
    refuse_while_busy(case, act)  # it waits
    refused = []

    def before(purpose: str) -> None:
        refuse_while_busy(case, act)  # it runs
        refused.append(purpose)

    case.channel.before = before
    case.channel.lost_messages = {2}
    with pytest.raises(Unavailable):
        case.run()
    assert len(refused) == 3
    refuse_while_busy(case, act, "job.unfinished")  # it failed
    again = case.net.channel(case.source)
    case.run(again)
    case.assert_in_place()
    act(case)


def test_a_clone_does_not_begin_during_another(case: Case) -> None:
    other = make_plan(case.source, case.net.third)
    case.start()
    before = case.source.contents()
    with pytest.raises(Conflict) as caught, case.source.db.transaction() as tx:
        source.request(tx, case.source.hierarchy, other["sys_id"], ACTOR)
    assert caught.value.code == "job.busy"
    assert case.source.contents() == before
    case.run()
    with case.source.db.transaction() as tx:
        source.request(tx, case.source.hierarchy, other["sys_id"], ACTOR)


@pytest.mark.parametrize("kind", [JobKind.ENCRYPT, JobKind.REKEY])
def test_a_clone_does_not_begin_during_a_mass_job(case: Case, kind: JobKind) -> None:
    _mass(kind)(case)
    before = case.source.contents()
    with pytest.raises(Conflict) as caught:
        make_plan(case.source, case.target)
    assert caught.value.code == "job.busy"
    with pytest.raises(Conflict) as caught:
        case.start()
    assert caught.value.code == "job.busy"
    assert case.source.contents() == before


def test_asking_twice_makes_one_job_and_one_policy_for_each_specification(case: Case) -> None:
    job_id = case.start()
    before = case.source.contents()
    assert case.start() == job_id
    assert case.source.contents() == before
    policies = case.source.sql(
        "SELECT target_instance, clone_id FROM sys_kmf_crypto_caller_policy"
        " WHERE type = 'resource exchange'"
    )
    assert policies == [(case.target.id, case.clone_id)] * 3


def test_a_cancelled_clone_can_be_run_again(case: Case) -> None:
    case.channel.lost_messages = {3}
    with pytest.raises(Unavailable):
        case.run()
    cancelled = case.start()
    with case.source.db.transaction() as tx:
        jobs.cancel(tx, cancelled, ACTOR)
    job_id = case.run(case.net.channel(case.source))
    assert job_id != cancelled
    case.assert_in_place()
    assert case.fetch_keys()["moved_key_count"] == 3
    policies = "SELECT count(*) FROM sys_kmf_crypto_caller_policy WHERE consumed_at IS NOT NULL"
    assert case.source.sql(policies) == [(3,)]


def test_a_key_made_after_the_clone_stays_at_the_source(case: Case) -> None:
    case.run()
    with case.source.db.transaction() as tx:
        late = keys.rotate(tx, case.source.hierarchy, "people", ACTOR)["sys_id"]
    assert case.fetch_keys()["moved_key_count"] == 3
    assert late not in {row["sys_id"] for row in case.target.key_rows()}
    assert read_in(case.target) == CLEAR


def test_an_instance_that_is_not_paired_any_more_gets_no_copy(case: Case) -> None:
    case.target.unpair(case.source)
    with pytest.raises(Denied):
        case.run()
    assert_nothing_in_place(case.target)
    case.target.pair(case.source)
    case.run()
    case.assert_in_place()
