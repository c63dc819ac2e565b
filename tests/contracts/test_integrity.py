"""Tagged rows on every database, while somebody else writes it behind Keystead's back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine

from keystead.access import people, rejections
from keystead.access.decision import Module, ModuleDefault, Operation
from keystead.access.permissions import Permissions, subject
from keystead.access.recorder import Recorder
from keystead.access.tables import USER_ROLES, USERS
from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.errors import Conflict, Invalid, NotFound, Tampered
from keystead.base.secret import Secret
from keystead.database.anchors import ANCHORS
from keystead.database.integrity import Integrity
from keystead.database.port import Database
from keystead.instance.registry import CAPABILITIES

ADAPTERS = {"postgresql": PostgresqlDatabase, "mariadb": MariadbDatabase}
DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
MANY = [{"user_name": f"u{n}"} for n in range(150)]
ACTOR = "test"


class Place:
    """A database with tagged tables, and somebody else who writes it."""

    def __init__(self, database: Database, write: Callable[[str], None]) -> None:
        self.database = database
        self.foreign = write
        self.integrity = Integrity("i" * 32, Secret(b"k" * 32))
        with database.transaction() as tx:
            database.create_own_tables(tx)
            self.integrity.adopt(tx)
            for name in ("ada", "bob"):
                people.create_user(tx, self.integrity, name, ["readers"], ACTOR)

    def all(self, table: Any = USER_ROLES) -> list[dict[str, Any]]:
        with self.database.snapshot() as tx:
            return self.integrity.all(tx, table)


@pytest.fixture(params=["sqlite", *ADAPTERS])
def place(
    request: pytest.FixtureRequest, new_database: Callable[[str], URL], tmp_path: Path
) -> Iterator[Place]:
    assert CAPABILITIES
    engine = request.param
    if engine == "sqlite":
        file = tmp_path / "contract.db"

        def alone(statement: str) -> None:
            """SQLite lets nobody write while a transaction does."""
            locked = suppress(sqlite3.OperationalError)
            with locked, closing(sqlite3.connect(file, timeout=0)) as raw, raw:
                raw.execute(statement)

        database: Database = SqliteDatabase(file)
        yield Place(database, alone)
    else:
        url = new_database(engine)
        other = create_engine(url.set(drivername=DRIVERS[engine]))

        def beside(statement: str) -> None:
            with other.begin() as connection:
                connection.exec_driver_sql(statement)

        database = ADAPTERS[engine](url)
        yield Place(database, beside)
        other.dispose()
    database.close()


def test_what_is_written_meanwhile_is_not_answered(place):
    with place.database.transaction() as tx:
        place.integrity.all(tx, USER_ROLES)
        place.foreign("UPDATE sys_user_has_role SET role = 'admins'")
        assert people.person(tx, place.integrity, "ada").direct_roles == {"readers"}
        place.foreign("DELETE FROM sys_user_has_role")
        assert people.person(tx, place.integrity, "bob").direct_roles == {"readers"}


def test_what_is_written_meanwhile_is_not_signed(place):
    (one, two) = place.all()
    with place.database.transaction() as tx:
        place.integrity.all(tx, USER_ROLES)
        place.foreign("UPDATE sys_user_has_role SET role = 'admins'")
        (row, _) = place.integrity.all(tx, USER_ROLES)
        place.integrity.update(tx, USER_ROLES, row, "it", user_id=row["user_id"])
        people.give_role(tx, place.integrity, "bob", "writers", ACTOR)
    with suppress(Tampered):  # SQLite kept the other one out
        assert {row["role"] for row in place.all()} == {"readers", "writers"}
    for held in (one, two):
        place.foreign(f"UPDATE sys_user_has_role SET role = 'readers' WHERE tag = '{held['tag']}'")
    assert {row["role"] for row in place.all()} == {"readers", "writers"}


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM sys_user_has_role WHERE sys_id = '{sys_id}'",
        "UPDATE sys_user_has_role SET tag = '0' WHERE sys_id = '{sys_id}'",
        "UPDATE keystead_anchor SET tag = '0' WHERE table_name = 'sys_user_has_role'",
    ],
)
@pytest.mark.parametrize("way", ["update", "delete"])
def test_a_row_or_anchor_that_another_took_meanwhile_is_not_written(place, change, way):
    before = place.all()
    with suppress(Conflict), place.database.transaction() as tx:
        (row, _) = place.integrity.all(tx, USER_ROLES)
        place.foreign(change.format(**row))
        getattr(place.integrity, way)(tx, USER_ROLES, row, "it")
        # nobody can have been there
        assert isinstance(place.database, SqliteDatabase)
        tx.rollback()
    if isinstance(place.database, SqliteDatabase):
        assert place.all() == before
    else:
        with pytest.raises(Tampered):
            place.all()


def test_what_was_taken_back_to_a_savepoint_leaves_the_table_usable(place):
    with place.database.transaction() as tx:
        people.give_role(tx, place.integrity, "ada", "before", ACTOR)
        savepoint = tx.begin_nested()
        people.give_role(tx, place.integrity, "ada", "taken back", ACTOR)
        savepoint.rollback()
        assert "taken back" not in people.person(tx, place.integrity, "ada").direct_roles
        with tx.begin_nested():
            people.give_role(tx, place.integrity, "ada", "kept", ACTOR)
        people.give_role(tx, place.integrity, "ada", "after", ACTOR)
    with place.database.snapshot() as tx:
        place.integrity.check(tx, USER_ROLES)
        held = people.person(tx, place.integrity, "ada").direct_roles
    assert held == {"readers", "before", "kept", "after"}


def test_many_rows_are_one_change(place):
    with place.database.snapshot() as tx:
        before = place.integrity.anchors(tx)[USERS.name].revision
    with place.database.transaction() as tx:
        made = place.integrity.insert_many(tx, USERS, MANY)
        assert place.integrity.insert_many(tx, USERS, []) == []
    with place.database.snapshot() as tx:
        assert place.integrity.anchors(tx)[USERS.name].revision == before + 1
        place.integrity.check(tx, USERS)
    assert {row["sys_id"] for row in place.all(USERS)} >= set(made)


def test_the_refusal_of_the_longest_caller_is_recorded(place):
    acting, seen_as, scope = "a" * 60, "b" * 60, "s" * 60
    with place.database.transaction() as tx:
        for name in (acting, seen_as):
            people.create_user(tx, place.integrity, name, [], ACTOR)
    module = Module("m" * 32, "global.m", ModuleDefault.SYSTEM)
    with (
        Recorder(place.database) as recorder,
        recorder.refusals(ACTOR) as refusals,
        place.database.snapshot() as tx,
    ):
        asking = subject(tx, place.integrity, acting, impersonate=seen_as, scope=scope)
        permissions = Permissions(tx, place.integrity, asking, refusals)
        assert not permissions.allows(module, "spec", Operation.DECRYPT)
    with place.database.snapshot() as tx:
        (row,) = rejections.listed(tx)
        with pytest.raises(Invalid):
            subject(tx, place.integrity, acting, scope="s" * 61)
    assert row["caller"] == f"user:{acting} > user:{seen_as}, scope:{scope}"


class TestLargeTable:
    """One that is not scanned again as long as its anchor is the same."""

    @pytest.fixture
    def large(self, place: Place) -> Place:
        with place.database.transaction() as tx:
            place.integrity.insert_many(tx, USERS, MANY)
        assert len(place.all(USERS)) == len(MANY) + 2
        return place

    def found(self, place: Place, name: str) -> dict[str, Any]:
        with place.database.snapshot() as tx:
            return people.user(tx, place.integrity, name)

    def refused(self, place: Place, name: str) -> dict[str, Any]:
        with pytest.raises(Tampered) as error:
            self.found(place, name)
        return error.value.facts

    @pytest.mark.parametrize("change", ["active = 0", "user_name = 'eve'", "tag = '0'"])
    def test_a_row_that_is_used_is_read(self, large, change):
        row = self.found(large, "u7")
        large.foreign(f"UPDATE sys_user SET {change} WHERE user_name = 'u7'")
        assert self.refused(large, "u7") == {"row": row["sys_id"], "table": "sys_user"}
        # and then the table is refused, whatever is asked of it
        assert self.refused(large, "u8")["row"] == row["sys_id"]
        assert self.refused(large, "nobody")["row"] == row["sys_id"]

    def test_a_row_that_is_used_and_gone_is_named(self, large):
        row = self.found(large, "u7")
        large.foreign("DELETE FROM sys_user WHERE user_name = 'u7'")
        assert row["sys_id"] in self.refused(large, "u7")["reason"]

    def test_an_old_row_put_back_is_named_when_it_is_used(self, large):
        old = self.found(large, "u7")
        with large.database.transaction() as tx:
            people.set_active(tx, large.integrity, "u7", False, ACTOR)
        assert self.found(large, "u7")["active"] == 0
        large.foreign(
            f"UPDATE sys_user SET active = NULL, revision = 1, tag = '{old['tag']}'"
            " WHERE user_name = 'u7'"
        )
        assert "has revision 1, not 2" in self.refused(large, "u7")["reason"]

    def test_what_is_not_used_changes_nothing_and_is_told_by_the_next_scan(self, large):
        large.foreign("UPDATE sys_user SET user_name = 'eve' WHERE user_name = 'u7'")
        large.foreign("DELETE FROM sys_user WHERE user_name = 'u8'")
        assert self.found(large, "u9")
        with large.database.snapshot() as tx, pytest.raises(NotFound):
            people.user(tx, large.integrity, "eve")
        with pytest.raises(Tampered), large.database.snapshot() as tx:
            large.integrity.check(tx, USERS)
        self.refused(large, "u9")

    def test_a_scan_counts_for_a_while_only(self, large, monkeypatch):
        large.foreign("DELETE FROM sys_user WHERE user_name = 'u8'")
        assert self.found(large, "u9")
        monkeypatch.setattr("keystead.database.integrity._SECONDS", 0.0)
        self.refused(large, "u9")

    def test_a_changed_row_is_not_signed_with_others(self, large):
        large.foreign("UPDATE sys_user SET user_name = 'eve' WHERE user_name = 'u7'")
        with large.database.transaction() as tx:
            people.create_user(tx, large.integrity, "late", [], ACTOR)
        assert "row" in self.refused(large, "u7")

    def test_all_of_it_is_scanned_when_all_is_asked_for(self, large):
        large.foreign("DELETE FROM sys_user WHERE user_name = 'u8'")
        with pytest.raises(Tampered) as error:
            large.all(USERS)
        assert error.value.facts["table"] == "sys_user"

    def test_what_another_process_wrote_is_seen(self, large):
        other = Integrity("i" * 32, Secret(b"k" * 32))
        with large.database.transaction() as tx:
            people.set_active(tx, other, "u7", False, ACTOR)
            other.delete(tx, USERS, people.user(tx, other, "u8"), "it")
        assert self.found(large, "u7")["active"] == 0
        with large.database.snapshot() as tx, pytest.raises(NotFound):
            people.user(tx, large.integrity, "u8")

    def test_what_was_taken_back_is_not_known(self, large):
        with large.database.transaction() as tx:
            people.set_active(tx, large.integrity, "u7", False, ACTOR)
            tx.rollback()
        assert self.found(large, "u7")["active"] is None

    def test_a_changed_anchor_is_refused(self, large):
        large.foreign(f"UPDATE {ANCHORS.name} SET revision = 9 WHERE table_name = 'sys_user'")
        self.refused(large, "u7")

    def test_few_are_read_one_by_one_and_many_at_once(self, large, monkeypatch):
        scans = []
        scan = Integrity._scan
        monkeypatch.setattr(Integrity, "_scan", lambda *a: scans.append(1) or scan(*a))
        with large.database.snapshot() as tx:
            for fields in MANY:
                people.user(tx, large.integrity, fields["user_name"])
        assert len(scans) == 1
