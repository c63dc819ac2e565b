"""Homes of older versions, newer ones, and the scripts between them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event

from keystead.adapters.databases import sqlite_copy
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.errors import Conflict, KeysteadError, Misconfigured, Tampered, Unavailable
from keystead.database import versions
from keystead.instance import backup, opening
from keystead.instance.home import Home
from keystead.instance.rotation import rotate_root
from keystead.instance.upgrading import Upgraded, upgrade
from keystead.keys import renewal
from keystead.programs import instance

ACTOR = "test"
del instance  # importing the program registers every table


def connect(home: Home) -> SqliteDatabase:
    return SqliteDatabase(home.database_file)


def ignore(_phase: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def upgraded(folder: Path, connecting: Any = connect) -> Upgraded:
    return upgrade(folder, connecting, ACTOR, ignore)


def sql(folder: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "instance.db", isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def dump(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "instance.db")) as connection:
        return list(connection.iterdump())


def declared(folder: Path) -> list[Any]:
    """Every table and index, as the database keeps their declarations."""
    return sql(folder, "SELECT name, sql FROM sqlite_master ORDER BY name")


class TestTheFirstVersion:
    def test_is_refused_by_the_others(self, first):
        before = dump(first)
        for call in (
            lambda: opening.open_instance(first, connect),
            lambda: rotate_root(first, connect, ACTOR, lambda _key: None, with_kek=False),
        ):
            with pytest.raises(Misconfigured) as caught:
                call()
            assert caught.value.code == "home.older"
            assert f"keystead upgrade {first}" in caught.value.todo
        assert dump(first) == before

    def test_comes_along_and_every_value_opens(self, first, rotated, people):
        before = dump(first)
        done = upgraded(first)
        assert (done.before, done.after) == ("0001", versions.head())
        site = type(rotated)(first)
        assert site.rows() == people
        counted = site.open_all()
        assert set(counted) == {"name", "city", "salary", "email", "team"}
        assert all(c.unreadable == 0 and c.opened for c in counted.values())
        with site.snapshot() as tx:
            assert renewal.check(tx, site.hierarchy) == done.module_keys == 4
            assert versions.differences(tx) == []
        site.rotate()
        site.rekey()
        assert site.rows() == people
        site.instance.close()
        assert done.copy is not None
        with closing(sqlite3.connect(done.copy)) as copy:
            assert list(copy.iterdump()) == before
        assert done.copy.stat().st_mode & 0o777 == 0o600

    def test_regains_rotates_and_is_backed_up(self, first, rotated, people):
        upgraded(first)
        (first / "root.key").unlink()
        key = (first / "recovery.key").read_text()
        site = opening.recover(first, key, connect, ACTOR)
        with pytest.raises(Misconfigured) as caught:
            backup.make(site, first.parent / "b", None, ACTOR, ignore)
        assert caught.value.code == "backup.no_recipient"
        site.close()
        # its integrity key was derived from the root key, and is stored from now on
        for with_kek in (False, True):
            rotate_root(first, connect, ACTOR, lambda _key: None, with_kek=with_kek)
            again = type(rotated)(first)
            assert again.rows() == people
            with again.snapshot() as tx:
                renewal.check(tx, again.hierarchy)
            again.instance.close()
        site = opening.open_instance(first, connect)
        backup.make(site, first.parent / "b", None, ACTOR, ignore)
        site.close()

    def test_twice_is_once(self, first):
        upgraded(first)
        before = dump(first)
        done = upgraded(first)
        assert (done.before, done.copy) == (versions.head(), None)
        assert dump(first) == before
        entries = sql(first, "SELECT count(*) FROM keystead_audit WHERE action LIKE '%upgrade'")
        assert entries == [(1,)]

    def test_while_it_is_served_or_open(self, first, served):
        with served(Home(first)), pytest.raises(Conflict):
            upgraded(first)
        upgraded(first)
        other = opening.open_instance(first, connect)
        with pytest.raises(Unavailable):
            upgraded(first)
        other.close()

    @pytest.mark.parametrize("moment", ["copy_to", "migrate", "check"])
    def test_that_fails_stays_as_it_was(self, first, people, rotated, monkeypatch, moment):
        class Failure(Exception):
            pass

        before = dump(first)
        where: Any = {"copy_to": sqlite_copy, "migrate": versions, "check": renewal}[moment]
        inner = getattr(where, moment)

        def failing(*arguments: Any) -> None:
            inner(*arguments)
            raise Failure

        with monkeypatch.context() as patch:
            patch.setattr(where, moment, failing)
            with pytest.raises(Failure):
                upgraded(first)
        assert dump(first) == before
        assert not (first / "database.copy").exists()
        upgraded(first)
        site = type(rotated)(first)
        assert site.rows() == people
        site.instance.close()

    def test_with_a_changed_row_stays_as_it_was(self, first):
        sql(first, "UPDATE sys_user SET user_name = user_name || 'x'")
        before = dump(first)
        with pytest.raises(Tampered):
            upgraded(first)
        assert dump(first) == before


class TestAnotherVersion:
    @pytest.mark.parametrize("version", ["9999", "0000abcd", "x"])
    def test_newer_is_refused_by_all(self, sealed, version):
        sealed.instance.close()
        sealed.sql("UPDATE keystead_version SET version_num = ?", version)
        before = sealed.everything()
        for call in (opening.open_instance, upgraded):
            with pytest.raises(Misconfigured) as caught:
                call(sealed.folder, connect)
            assert caught.value.code == "home.newer"
        assert sealed.everything() == before

    def test_no_tables_of_ours(self, sealed):
        sealed.instance.close()
        sealed.sql("DROP TABLE keystead_instance_key")
        for call in (opening.open_instance, upgraded):
            with pytest.raises(KeysteadError) as caught:
                call(sealed.folder, connect)
            assert caught.value.code == "home.foreign_schema"


class TestTheScripts:
    @pytest.fixture
    def tx(self):
        with create_engine("sqlite://").begin() as tx:
            yield tx

    def test_end_at_the_declared_tables(self, tx):
        versions.migrate(tx)
        assert versions.written(tx) == versions.head()
        assert versions.differences(tx) == [], "run: make migration NAME=what_changed"

    def test_are_one_line_with_one_end(self):
        from alembic.script import ScriptDirectory

        with create_engine("sqlite://").begin() as tx:
            scripts = ScriptDirectory.from_config(versions.configuration(tx))
        numbers = [script.revision for script in scripts.walk_revisions()][::-1]
        assert numbers == [f"{n:04d}" for n in range(1, len(numbers) + 1)]
        assert scripts.get_heads() == [versions.head()]

    @pytest.mark.parametrize(
        "change",
        [
            "ALTER TABLE sys_user ADD COLUMN more TEXT",
            "ALTER TABLE sys_kmf_module_key DROP COLUMN generated_at",
            "DROP TABLE keystead_epoch",
            "CREATE TABLE keystead_other (a TEXT)",
            "CREATE UNIQUE INDEX one_job ON keystead_job (kind)",
        ],
    )
    def test_a_difference_is_seen(self, tx, change):
        versions.migrate(tx)
        tx.exec_driver_sql(change)
        assert versions.differences(tx)

    def test_business_tables_are_none_of_theirs(self, tx):
        versions.migrate(tx)
        tx.exec_driver_sql("CREATE TABLE people (a TEXT)")
        tx.exec_driver_sql("CREATE TABLE keystead_staging_people (a TEXT)")
        assert versions.differences(tx) == []

    def test_a_new_home_is_of_this_version(self, tmp_path):
        opening.init(tmp_path / "home", "prod", 8420, connect, ACTOR)
        database = connect(Home(tmp_path / "home"))
        with database.snapshot() as tx:
            assert versions.written(tx) == versions.head()
            assert versions.differences(tx) == []
        database.close()


def _killed_at(folder: Path, kill_at: int) -> bool:
    """Upgrade in a process of its own, killed with -9 at the so-manyth event; whether it was.

    An event is a copy opened, renamed or removed, a statement, and each side of a commit.
    """
    child = os.fork()
    if child == 0:  # pragma: no cover - it never returns
        seen = 0

        def happened(*_: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        def hook(name: str, arguments: tuple[Any, ...]) -> None:
            if name in ("open", "os.rename", "os.remove") and ".copy" in str(arguments[0]):
                happened()

        def watched(home: Home) -> SqliteDatabase:
            database = connect(home)
            for moment in ("commit", "before_cursor_execute"):
                event.listen(database._engine, moment, happened)
            return database

        try:
            sys.addaudithook(hook)
            upgraded(folder, watched)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_at_many_events_it_is_of_one_version_and_can_be_run_again(
    first, rotated, people, tmp_path
):
    before = dump(first)
    whole = tmp_path / "whole"
    shutil.copytree(first, whole)
    upgraded(whole)
    with closing(opening.open_instance(whole, connect)) as opened, opened.database.snapshot() as tx:
        assert versions.differences(tx) == []
    kill_at, killed, old = 1, True, 0
    while killed:
        folder = tmp_path / f"killed-{kill_at}"
        shutil.copytree(first, folder)
        killed = _killed_at(folder, kill_at)
        if not sql(folder, "SELECT 1 FROM sqlite_master WHERE name = 'keystead_version'"):
            assert dump(folder) == before
            old += 1
        upgraded(folder)
        assert not list(folder.glob("database.copy*"))
        site = type(rotated)(folder)
        assert site.rows() == people
        site.instance.close()
        assert declared(folder) == declared(whole)
        shutil.rmtree(folder)
        kill_at += 6
    assert old > 4
