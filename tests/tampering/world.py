"""An instance in which the product wrote rows into every table of its own, and what uses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Table
from tests.unit.exchange.pairs import (
    ACTOR,
    Network,
    Node,
    Site,
    allow,
    ask,
    copy_modules,
    make_modules,
    specification,
)
from tests.unit.external.vendor import Vendor

from keystead.access import accounts, people, policies, properties
from keystead.access.decision import Operation, PolicyType, Result
from keystead.access.permissions import Permissions, subject
from keystead.access.rejections import Refusals
from keystead.access.sessions import Sessions
from keystead.base import clock
from keystead.base.secret import Secret
from keystead.clone import plan, source
from keystead.clone.model import KeyOption
from keystead.crypto import oaep
from keystead.crypto.envelope import Scheme
from keystead.database.model import Column, ColumnType
from keystead.database.model import Table as BusinessTable
from keystead.database.query import EVERY_ROW
from keystead.exchange import peers
from keystead.exchange import service as exchange
from keystead.external import alerts, configurations
from keystead.external.provider import Answer, Call
from keystead.fields import census, due, mass_job
from keystead.fields import service as fields
from keystead.instance import epochs, external_watch, opening, scheduled, schedules
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import rules
from keystead.keys import service as keys
from keystead.keys.rule_model import Base, Date, Direction, Rule, duration
from keystead.records.reading import View

CLEAR = [("p1", "Anna", "north"), ("p2", "Bo", "south")]
PASSWORD = "correct horse battery"
PEOPLE = ("os:ann", "os:ben", "os:eve")
Use = Callable[["World"], object]


class World:
    """The instance `prod` of a network, filled; it is put back for each test."""

    def __init__(self, net: Network, site: Site) -> None:
        self.net, self.site = net, site
        self.node: Node = net.prod
        self.vendor = Vendor()
        self.database = self.node.db
        self.hierarchy, self.external = opening.with_external_keys(
            self.database, self.node.hierarchy, self.vendor.open_provider
        )
        self.integrity = self.hierarchy.integrity
        self.home = self.node.instance.home
        self.request = ""
        self.clone = ""
        self.destroy_request = ""
        self.token = ""
        self.session = ""
        self.import_token, self.public = "", b""

    def fill(self) -> None:
        """Let the product write into each of its tables, twice where it can."""
        net, h = self.net, self.hierarchy
        make_modules(self.node)
        with self.database.transaction() as tx:
            columns = tuple(
                Column(name, ColumnType.TEXT, nullable=name != "id")
                for name in ("id", "name", "team")
            )
            self.database.create_table(tx, BusinessTable("people", columns, ("id",)))
            self.database.insert(tx, "people", ["id", "name", "team"], CLEAR)
            for user in ("rita", "sven"):
                people.create_user(tx, self.integrity, user, [f"{user}s"], ACTOR)
                accounts.set_password(tx, self.integrity, user, PASSWORD, ACTOR)
                self.token = accounts.make_token(tx, self.integrity, user, "t", 1, ACTOR)
            for name in ("readers", "writers"):
                people.create_group(tx, self.integrity, name, [], ACTOR)
                people.give_group_role(tx, self.integrity, name, name, ACTOR)
                people.add_member(tx, self.integrity, name, "sven", ACTOR)
            for module in ("people", "names"):
                policies.add(
                    tx,
                    self.integrity,
                    module_id=keys.module(tx, h, module)["sys_id"],
                    module_name=module,
                    type=PolicyType.ROLE,
                    target="readers",
                    operation=Operation.BOTH,
                    result=Result.TRACK,
                    actor=ACTOR,
                )
            for minutes, wanted in (
                (60, properties.LIST_ROWS),
                (61, properties.SESSION_IDLE_MINUTES),
            ):
                properties.change(tx, self.integrity, wanted.name, str(minutes), ACTOR)
            for operation in (schedules.APPLY_RULES, schedules.VERIFY_AUDIT):
                schedules.change(tx, self.integrity, operation.name, ACTOR, minutes=5)
        for user in ("rita", "sven"):
            self.session = Sessions(self.database, self.integrity).open(user).secret
        for column, module in (("name", "people"), ("team", "names")):
            with self.database.transaction() as tx:
                fields.configure(
                    tx, self.database, h, table="people", column=column, module=module, actor=ACTOR
                )
        self.finish(self.start(JobKind.ENCRYPT))
        for module in ("names", "people"):
            self.writing(lambda tx, m=module: keys.rotate(tx, h, m, ACTOR))
        self.rekey()
        private, self.public = oaep.new_pair()
        with self.database.transaction() as tx:
            keys.rotate(tx, h, "people", ACTOR)
            for order in (1, 2):
                rule = Rule(
                    Date.ROTATION,
                    order,
                    None,
                    duration(f"{order}y"),
                    Direction.AFTER,
                    Base.ACTIVATED,
                )
                rules.add_rule(tx, h, "people", rule, ACTOR)
            rules.set_cap(tx, h, Date.ROTATION, duration("9y"), ACTOR)
            rules.set_cap(tx, h, Date.ROTATION, duration("9y"), ACTOR, name="people")
            for module in ("names", "people"):
                self.import_token = keys.make_token(tx, h, module, private, ACTOR)
            keys.set_quorum(tx, h, list(PEOPLE), 2, ACTOR)
            for version in (0, 1):
                request = keys.request_destruction(
                    tx, h, self.key(tx, version), self.needs, "an order", ACTOR
                )
                keys.approve_destruction(tx, h, request["sys_id"], self.needs, PEOPLE[0])
                self.destroy_request = self.destroy_request or request["sys_id"]
            for backup in ("one", "two"):
                epochs.begin(tx, self.integrity, backup, clock.now(), ACTOR)
            for other in (net.test, net.third):
                target = peers.by_id(tx, h, other.id)
                made = plan.make(tx, self.database, h, target, KeyOption.EXCHANGE, ACTOR)
                self.clone = self.clone or made["sys_id"]
        copy_modules(self.node, net.test)
        spec = specification(self.node, "people")
        allow(self.node, net.test, [spec], "kept")
        ask(self.node, net.test, [spec], None)
        self.request = ask(net.test, self.node, [spec], "kept")["sys_id"]
        channel = net.channel(net.test)
        channel.lost_answers = {0}
        with pytest.raises(Exception, match="away"):
            exchange.obtain(
                net.test.db, net.test.hierarchy, channel, self.request, lambda _tx: None
            )
        self.fill_external()
        self.show(user="rita")
        self.test = self.node.peer(net.test)

    def fill_external(self) -> None:
        """Two external keys, a module that moved between them, and alerts about both."""
        with self.database.transaction() as tx:
            keys.create_module(tx, self.hierarchy, "held", Scheme.STANDARD, ACTOR)
            keys.publish_module(tx, self.hierarchy, "held", ACTOR)
        for name in ("one", "two"):
            with self.database.transaction() as tx:
                settings = {"path": f"/{name}"}
                configurations.create(
                    tx, self.hierarchy, name=name, kind="file", settings=settings, actor=ACTOR
                )
            self.external.activate(name, ACTOR)
            assert self.external.wrap_module("held", name, ACTOR).left == 0
        self.vendor.answers[Call.DESCRIBE] = Answer.UNREACHABLE
        external_watch.look(self.database, self.hierarchy, self.external, ACTOR)
        self.vendor.answers.clear()

    # --- what the product does with its tables ---

    def use_held(self) -> None:
        with self.database.snapshot() as tx:
            self.hierarchy.unwrap_module_key(tx, self.key(tx, 0, "held"))

    def start(self, kind: JobKind) -> str:
        with self.database.transaction() as tx:
            return mass_job.start(
                tx, self.hierarchy, kind, "people", rows_per_second=None, actor=ACTOR
            )

    def finish(self, job_id: str) -> None:
        work = mass_job.MassJob(self.database, self.hierarchy)
        for stage in (work.move, work.scrub):
            jobs.run_stage(self.database, job_id, stage)

    def rekey(self) -> None:
        self.finish(self.start(JobKind.REKEY))

    def show(self, user: str = "sven") -> list[tuple[Any, ...]]:
        refusals = Refusals()
        with self.database.snapshot() as tx:
            asking = subject(tx, self.integrity, user)
            permissions = Permissions(tx, self.integrity, asking, refusals)
            shown = View(tx, self.database, self.hierarchy, "people", permissions).rows(
                EVERY_ROW, None, 10
            )
        with self.database.transaction() as tx:
            refusals.write(tx, ACTOR)
        return shown.rows

    def needs(self, tx: Any, key_id: str) -> Any:
        return census.needs(self.database, self.hierarchy)(tx, key_id)

    def key(self, tx: Any, version: int, module: str = "people") -> Any:
        spec = keys.specification(
            tx, self.hierarchy, keys.module(tx, self.hierarchy, module)["sys_id"]
        )
        return keys.keys_of(tx, self.hierarchy, spec["sys_id"])[version]

    def approve(self) -> None:
        with self.database.transaction() as tx:
            keys.approve_destruction(
                tx, self.hierarchy, self.destroy_request, self.needs, PEOPLE[1]
            )

    def writing(self, act: Callable[[Any], object]) -> object:
        with self.database.transaction() as tx:
            return act(tx)

    # --- what somebody does who can write the database and has no key ---

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.node.sql(statement, *values)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        names = [c.name for c in table.columns]
        quoted = ", ".join(f'"{name}"' for name in names)
        key = table.primary_key.columns.values()[0].name
        found = self.sql(f'SELECT {quoted} FROM "{table.name}" ORDER BY "{key}"')
        return [dict(zip(names, row, strict=True)) for row in found]

    def loosen(self, table: Table) -> None:
        """Take every constraint away from a table, so that any row can be put into it."""
        for statement in (
            f'CREATE TABLE loose AS SELECT * FROM "{table.name}"',
            f'DROP TABLE "{table.name}"',
            f'ALTER TABLE loose RENAME TO "{table.name}"',
        ):
            self.sql(statement)

    def put(self, table: Table, row: dict[str, Any]) -> None:
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        self.sql(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', *row.values())

    def set(self, table: Table, row: dict[str, Any], **fields: object) -> None:
        """Change fields of one row; it is found by all that it holds."""
        sets = ", ".join(f'"{name}" = ?' for name in fields)
        where = " AND ".join(f'"{name}" IS ?' for name in row)
        statement = f'UPDATE "{table.name}" SET {sets} WHERE {where}'
        self.sql(statement, *fields.values(), *row.values())


def rotation_after(years: int) -> Rule:
    length = duration(f"{years}y")
    return Rule(Date.ROTATION, years, None, length, Direction.AFTER, Base.ACTIVATED)


# for each tagged table something that relies on its rows; a new table needs its own here
USES: dict[str, Use] = {
    "sys_user": lambda w: accounts.LogIn(w.integrity).by_token(w.database, w.token),
    "sys_user_has_role": World.show,
    "sys_user_group": lambda w: w.writing(
        lambda tx: people.add_member(tx, w.integrity, "readers", "rita", ACTOR)
    ),
    "sys_user_grmember": World.show,
    "sys_group_has_role": World.show,
    "sys_kmf_crypto_caller_policy": World.show,
    "sys_kmf_crypto_module": lambda w: w.writing(
        lambda tx: keys.rotate(tx, w.hierarchy, "names", ACTOR)
    ),
    "sys_kmf_module_crypto_spec": World.rekey,
    "sys_kmf_module_key": World.show,
    "sys_platform_encryption_configuration": World.show,
    "keystead_column_key": World.show,
    "keystead_key_use": World.rekey,
    "keystead_destroy_quorum": lambda w: w.writing(
        lambda tx: keys.request_destruction(
            tx, w.hierarchy, w.key(tx, 0, "names"), w.needs, "an order", ACTOR
        )
    ),
    "keystead_destroy_request": World.approve,
    "keystead_destroy_approval": World.approve,
    "keystead_key_rule": lambda w: due.apply_rules(w.database, w.hierarchy),
    "keystead_key_rule_cap": lambda w: w.writing(
        lambda tx: rules.add_rule(
            tx,
            w.hierarchy,
            "people",
            rotation_after(3),
            ACTOR,
        )
    ),
    "keystead_import_token": lambda w: w.writing(
        lambda tx: keys.import_supplied(
            tx, w.hierarchy, "people", w.import_token, oaep.wrap(w.public, Secret(bytes(32))), ACTOR
        )
    ),
    "keystead_credential": lambda w: accounts.LogIn(w.integrity).by_password(
        w.database, "rita", PASSWORD
    ),
    "keystead_token": lambda w: accounts.LogIn(w.integrity).by_token(w.database, w.token),
    "keystead_session": lambda w: Sessions(w.database, w.integrity).find(w.session),
    "sys_properties": lambda w: Sessions(w.database, w.integrity).find(w.session),
    "sysauto_script": lambda w: scheduled.due_jobs(w.node.instance),
    # as a peer asks, past the answer in which a refusal is hidden from him
    "keystead_peer": lambda w: w.node.peer(w.net.test),
    "keystead_exchange_request": lambda w: w.node.handlers["exchange.request"](
        w.test, {"document": json.loads(w.net.test.request(w.request)["document"])}
    ),
    "keystead_clone": lambda w: w.writing(
        lambda tx: source.request(tx, w.hierarchy, w.clone, ACTOR)
    ),
    "keystead_external_configuration": World.use_held,
    "keystead_external_status": World.use_held,
    "sys_kmf_external_key": World.use_held,
    "keystead_alert": lambda w: w.writing(lambda tx: alerts.open_alerts(tx, w.hierarchy)),
    "keystead_epoch": lambda w: w.writing(lambda tx: epochs.current(tx, w.integrity)),
}
