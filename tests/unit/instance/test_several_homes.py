"""One database, two homes: who is there, who must be alone, and whose heads follow whose."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.audit import log
from keystead.audit.heads import HeadFile
from keystead.base import clock
from keystead.base.errors import Conflict, Tampered
from keystead.crypto.envelope import Scheme
from keystead.fields import due
from keystead.instance import auditing, opening, presence
from keystead.instance.opening import Instance
from keystead.instance.presence import Presence
from keystead.instance.registry import CAPABILITIES
from keystead.instance.rotation import rotate_root
from keystead.jobs import processes
from keystead.jobs.processes import Role
from keystead.keys import rules
from keystead.keys import service as keys
from keystead.keys.rule_model import Date, Rule

ACTOR = "test"
PATIENCE = 20.0
SERVERS = {"postgresql": PostgresqlDatabase, "mariadb": MariadbDatabase}


class Homes:
    """Two homes of one instance, opened."""

    def __init__(self, folder: Path, connect: Any) -> None:
        assert CAPABILITIES
        self.connect = connect
        self.folders = folder / "one", folder / "two"
        opening.init(self.folders[0], "prod", 8420, connect, ACTOR)
        shutil.copytree(*self.folders)
        self.one, self.two = self.open(0), self.open(1)

    def open(self, at: int) -> Instance:
        return opening.open_instance(self.folders[at], self.connect)

    def presence(self, instance: Instance, role: Role) -> Presence:
        return Presence(
            instance.home, instance.database, role, PATIENCE, lambda _event, **_facts: None
        )

    def listed(self) -> list[tuple[str, str]]:
        with self.one.database.snapshot() as tx:
            return [(p.role, p.home) for p in processes.listed(tx)]

    def note(self, instance: Instance) -> None:
        with instance.database.transaction() as tx:
            log.record(tx, ACTOR, "thing.do", "it")

    def close(self) -> None:
        self.one.close()
        self.two.close()


@pytest.fixture(params=SERVERS)
def homes(
    request: pytest.FixtureRequest, new_database: Callable[[str], URL], tmp_path: Path
) -> Iterator[Homes]:
    url = new_database(request.param)
    made = Homes(tmp_path, lambda _home: SERVERS[request.param](url))
    yield made
    made.close()


def sign(instance: Instance) -> Any:
    return auditing.sign(instance.home, instance.database, instance.hierarchy)


def lines(instance: Instance) -> list[bytes]:
    return list(HeadFile(instance.home.heads_file).lines())


class TestPresence:
    def test_any_number_may_be_there_and_the_oldest_leads(self, homes: Homes) -> None:
        roles = (Role.SERVE, Role.SERVE, Role.WORKER)
        there = [homes.presence(homes.one, role) for role in roles]
        for one in there:
            one.join()
        assert [role for role, _ in homes.listed()] == list(roles)
        assert [one.leads for one in there] == [True, False, False]
        for one in there:
            one.leave()
        assert homes.listed() == []
        assert list(homes.one.home.processes_folder.iterdir()) == []

    def test_who_must_be_alone_is_refused_while_another_home_has_one(self, homes: Homes) -> None:
        other = homes.presence(homes.two, Role.WORKER)
        other.join()
        homes.one.close()
        with pytest.raises(Conflict) as caught:
            rotate_root(homes.folders[0], homes.connect, ACTOR, lambda _key: None, with_kek=False)
        assert caught.value.code == "process.lives"
        assert caught.value.facts["home"] == str(homes.folders[1])
        assert caught.value.facts["pid"] == os.getpid()
        other.leave()
        rotate_root(homes.folders[0], homes.connect, ACTOR, lambda _key: None, with_kek=False)
        homes.one = homes.open(0)
        assert homes.listed() == []

    def test_nobody_joins_while_one_is_alone(self, homes: Homes) -> None:
        late = homes.presence(homes.two, Role.WORKER)
        with (
            presence.alone(homes.one.home, homes.one.database, PATIENCE),
            pytest.raises(Conflict) as caught,
        ):
            late.join()
        assert caught.value.code == "process.lives"
        late = homes.presence(homes.two, Role.WORKER)
        late.join()
        late.leave()

    def test_one_that_died_elsewhere_stands_in_nobodys_way(self, homes: Homes) -> None:
        dead = processes.Process("0" * 32, Role.WORKER, "elsewhere", "/gone", 1, clock.now())
        with homes.one.database.transaction() as tx:
            processes.add(tx, dead)
        with presence.alone(homes.one.home, homes.one.database, 1.0):
            assert [role for role, _ in homes.listed()] == [Role.ALONE]
        assert homes.listed() == []


class TestHeads:
    def test_the_file_of_each_home_follows_the_other(self, homes: Homes) -> None:
        for turn in range(4):
            signing = (homes.one, homes.two)[turn % 2]
            homes.note(signing)
            assert sign(signing).number == turn + 2
        sign(homes.one)
        assert lines(homes.one) == lines(homes.two)
        for instance in (homes.one, homes.two):
            found = auditing.verify(
                instance.home, instance.database, instance.hierarchy, lambda *_: None
            )
            assert (found.heads, found.findings) == (5, ())

    def test_a_home_that_is_behind_opens_and_catches_up(self, homes: Homes) -> None:
        for _ in range(3):
            homes.note(homes.one)
            sign(homes.one)
        assert len(lines(homes.two)) == 1
        homes.open(1).close()
        assert lines(homes.two) == lines(homes.one)
        homes.two.home.heads_file.unlink()
        homes.open(1).close()
        assert lines(homes.two) == lines(homes.one)

    def test_together_they_make_one_chain(self, homes: Homes) -> None:
        def work(instance: Instance) -> None:
            for _ in range(5):
                homes.note(instance)
                sign(instance)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, (homes.one, homes.two) * 2))
        sign(homes.one)
        sign(homes.two)
        assert lines(homes.one) == lines(homes.two)
        found = auditing.verify(
            homes.one.home, homes.one.database, homes.one.hierarchy, lambda *_: None
        )
        assert (found.heads, found.findings) == (len(lines(homes.one)), ())

    def test_a_database_put_back_is_refused_by_the_home_that_saw_more(self, homes: Homes) -> None:
        homes.note(homes.one)
        sign(homes.one)
        with homes.one.database.transaction() as tx:
            tx.exec_driver_sql("DELETE FROM keystead_audit_head WHERE number > 1")
        with pytest.raises(Tampered) as caught:
            homes.open(0)
        assert caught.value.code == "audit.other"
        with pytest.raises(Tampered):
            sign(homes.one)

    def test_a_head_that_was_not_signed_is_not_followed(self, homes: Homes) -> None:
        homes.note(homes.one)
        sign(homes.one)
        with homes.one.database.transaction() as tx:
            tx.exec_driver_sql(
                "UPDATE keystead_audit_head SET envelope = replace(envelope, 'a', 'b')"
                " WHERE number = 2"
            )
        before = lines(homes.two)
        with pytest.raises(Tampered):
            homes.open(1)
        assert lines(homes.two) == before


def test_what_is_due_is_done_once_by_all_together(homes: Homes) -> None:
    with homes.one.database.transaction() as tx:
        keys.create_module(tx, homes.one.hierarchy, "m", Scheme.STANDARD, ACTOR)
        keys.publish_module(tx, homes.one.hierarchy, "m", ACTOR)
        soon = clock.after(1)
        rules.add_rule(tx, homes.one.hierarchy, "m", Rule(Date.ROTATION, 1, soon), ACTOR)
    while clock.now() <= soon:
        time.sleep(0.05)
    both = (homes.one, homes.two) * 2
    with ThreadPoolExecutor(len(both)) as pool:
        done = pool.map(lambda i: due.apply_rules(i.database, i.hierarchy), both)
    assert [(one.action, one.held_back) for some in done for one in some] == [("rotate", None)]
    with homes.two.database.snapshot() as tx:
        entries = log.entries(tx, 100)
        rotated, new = keys.all_keys(tx, homes.two.hierarchy)
    assert [entry["action"] for entry in entries].count("key.rotate") == 1
    dated = [entry["subject"] for entry in entries if entry["action"] == "key.schedule"]
    assert sorted(dated) == sorted((rotated["sys_id"], new["sys_id"]))
