"""Backups of instances on servers: everything in the database comes back, or nothing is taken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from demo import servers
from sqlalchemy import URL

from keystead.adapters.databases import postgresql as postgresql_adapter
from keystead.adapters.databases import server_tools
from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.base.errors import Conflict, Invalid, KeysteadError, Misconfigured, Unavailable
from keystead.crypto.envelope import Scheme
from keystead.fields import mass_job
from keystead.fields import service as fields
from keystead.instance import backup, backup_file, opening, restoring, upgrading
from keystead.instance.backup_file import Unlock
from keystead.instance.opening import Instance
from keystead.instance.restoring import Restored
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.programs.instance import connect

ACTOR = "test"
CLEAR = "Orlando in clear"
NAMES = [f"name {n} ☂" for n in range(300)]
# what Keystead would never make itself
_COMMON = (
    "CREATE TABLE place (id INTEGER PRIMARY KEY, name VARCHAR(40) UNIQUE)",
    "INSERT INTO place VALUES (1, 'here'), (2, 'there')",
)
BUSINESS = {
    "postgresql": (
        *_COMMON,
        "CREATE EXTENSION IF NOT EXISTS pgcrypto",
        "CREATE SCHEMA elsewhere",
        "CREATE TYPE elsewhere.mood AS ENUM ('fair', 'foul')",
        "CREATE TABLE t (id INTEGER GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY,"
        " name TEXT, place INTEGER REFERENCES place, feels elsewhere.mood, raw BYTEA,"
        " twice INTEGER GENERATED ALWAYS AS (place * 2) STORED, CHECK (place < 9))",
        "CREATE INDEX t_place ON t (place) WHERE place > 1",
        "CREATE SEQUENCE counted START 7",
        "SELECT nextval('counted')",
        "CREATE FUNCTION plus_one(x INTEGER) RETURNS INTEGER LANGUAGE SQL AS 'SELECT x + 1'",
        "CREATE VIEW seen AS SELECT t.id, p.name, plus_one(t.place) AS more"
        " FROM t JOIN place p ON p.id = t.place",
        "COMMENT ON TABLE place IS 'said \"so\"'",
    ),
    "mariadb": (
        *_COMMON,
        "CREATE TABLE t (id INTEGER AUTO_INCREMENT PRIMARY KEY, name LONGTEXT, place INTEGER,"
        " feels ENUM('fair', 'foul'), raw BLOB, twice INTEGER AS (place * 2) STORED,"
        " CONSTRAINT of_place FOREIGN KEY (place) REFERENCES place (id), KEY t_place (place),"
        " CHECK (place < 9)) AUTO_INCREMENT = 100 ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        "CREATE SEQUENCE counted START WITH 7 NOCACHE",
        "SELECT NEXTVAL(counted)",
        "CREATE FUNCTION plus_one(x INTEGER) RETURNS INTEGER DETERMINISTIC RETURN x + 1",
        "CREATE VIEW seen AS SELECT t.id, p.name, plus_one(t.place) AS more"
        " FROM t JOIN place p ON p.id = t.place",
        "CREATE TRIGGER fills BEFORE INSERT ON t FOR EACH ROW SET NEW.feels ="
        " COALESCE(NEW.feels, 'fair')",
        "CREATE EVENT later ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01' DO DELETE FROM t",
    ),
}
COMPARED = {
    "postgresql": (
        "SELECT * FROM t ORDER BY id",
        "SELECT * FROM seen ORDER BY id",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
        "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
        "SELECT last_value, is_called FROM counted",
        "SELECT obj_description('place'::regclass)",
        "SELECT extname FROM pg_extension ORDER BY 1",
        "SELECT table_name, column_name, data_type, collation_name, is_generated, is_identity"
        " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
    ),
    "mariadb": (
        "SELECT * FROM t ORDER BY id",
        "SELECT * FROM seen ORDER BY id",
        "SHOW CREATE TABLE t",
        "SHOW CREATE TABLE keystead_instance_key",
        "SELECT trigger_name, action_timing, action_statement, definer FROM"
        " information_schema.triggers WHERE trigger_schema = DATABASE()",
        "SELECT next_not_cached_value FROM counted",
        "SELECT event_name, starts FROM information_schema.events WHERE event_schema = DATABASE()",
        "SELECT table_name, column_name, column_type, collation_name, extra FROM"
        " information_schema.columns WHERE table_schema = DATABASE() ORDER BY 1, 2",
    ),
}


class Site:
    """An instance on a server, with its recovery key, in a folder."""

    def __init__(self, kind: str, url: URL, folder: Path) -> None:
        self.kind, self.url, self.folder = kind, url, folder
        _, text = opening.init(folder, "prod", 8420, connect, ACTOR, database=shown(url))
        self.recovery_key = text
        self.unlock = backup_file.by_recovery_key(text)
        self.instance: Instance = opening.open_instance(folder, connect)
        for statement in BUSINESS[kind]:
            self.sql(statement)
        database, hierarchy = self.instance.database, self.instance.hierarchy
        with database.transaction() as tx:
            keys.create_module(tx, hierarchy, "m", Scheme.STANDARD, ACTOR)
            keys.publish_module(tx, hierarchy, "m", ACTOR)
            rows = [(name, n % 2 + 1, "foul") for n, name in enumerate(NAMES)]
            database.insert(tx, "t", ["name", "place", "feels"], rows)
        with database.transaction() as tx:
            fields.configure(
                tx, database, hierarchy, table="t", column="name", module="m", actor=ACTOR
            )
        with database.transaction() as tx:
            job_id = mass_job.start(
                tx, hierarchy, JobKind.ENCRYPT, "t", rows_per_second=None, actor=ACTOR
            )
        jobs.run_stage(database, job_id, mass_job.MassJob(database, hierarchy).move)
        self.sql("INSERT INTO place VALUES (3, %s)", CLEAR)

    def sql(self, statement: str, *values: Any, url: URL | None = None) -> list[tuple[Any, ...]]:
        return sql(url or self.url, statement, *values)

    def back_up(self, file: Path, progress: Any = lambda *_: None) -> Path:
        return backup.make(self.instance, file, None, ACTOR, progress).file

    def restore(self, file: Path, folder: Path, url: URL, **more: Any) -> Restored:
        return restore(file, folder, self.unlock, shown(url), **more)


def sql(url: URL, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Do something in a database behind Keystead's back."""
    from sqlalchemy import create_engine

    driver = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
    engine = create_engine(url.set(drivername=driver[url.drivername]))
    try:
        with engine.connect() as connection:
            done = connection.exec_driver_sql(statement, values)
            rows = [tuple(row) for row in done] if done.returns_rows else []
            connection.commit()
            return rows
    finally:
        engine.dispose()


def shown(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def ignore(_phase: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def restore(file: Path, folder: Path, unlock: Unlock, url: str, progress: Any = ignore) -> Restored:
    return restoring.restore(file, folder, unlock, connect, ACTOR, progress, url)


def tables(url: URL) -> list[tuple[Any, ...]]:
    within = "DATABASE()" if url.drivername == "mariadb" else "'public'"
    return sql(url, f"SELECT table_name FROM information_schema.tables WHERE table_schema={within}")


@pytest.fixture(params=sorted(BUSINESS))
def site(
    request: pytest.FixtureRequest, new_database: Callable[[str], URL], tmp_path: Path
) -> Iterator[Site]:
    made = Site(request.param, new_database(request.param), tmp_path / "prod")
    yield made
    made.instance.close()
    if request.param == "postgresql":
        made.sql("DROP SCHEMA elsewhere CASCADE")


@pytest.fixture
def target(site: Site, new_database: Callable[[str], URL]) -> Iterator[URL]:
    url = new_database(site.kind)
    yield url
    if site.kind == "postgresql":
        sql(url, "DROP SCHEMA IF EXISTS elsewhere CASCADE")


def test_everything_comes_back_and_opens(site, target, tmp_path):
    before = [site.sql(statement) for statement in COMPARED[site.kind]]
    made = site.back_up(tmp_path / "b")
    done = site.restore(made, tmp_path / "again", target)
    assert (done.opened, done.unreadable) == (len(NAMES), 0)
    # keys rotate and tables that Keystead itself writes go on; nothing else differs
    assert [site.sql(statement, url=target) for statement in COMPARED[site.kind]] == before
    again = opening.open_instance(tmp_path / "again", connect)
    assert again.settings.database == shown(target)
    again.close()
    site.sql("INSERT INTO t (name, place) VALUES ('new', 1)", url=target)
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        site.sql("INSERT INTO t (name, place) VALUES ('new', 5)", url=target)
    ((identity, twice),) = site.sql("SELECT id, twice FROM t WHERE name = 'new'", url=target)
    assert identity >= 100 + len(NAMES)
    assert twice == 2
    # from the restored one once more
    third = opening.open_instance(tmp_path / "again", connect)
    backup.make(third, tmp_path / "b2", None, ACTOR, ignore)
    third.close()
    # the original is as it was
    assert [site.sql(statement) for statement in COMPARED[site.kind]] == before


def test_it_is_of_one_moment_while_others_write(site, target, tmp_path):
    site.sql("CREATE TABLE a_first (n INTEGER)")
    site.sql("CREATE TABLE z_last (n INTEGER)")
    for table in ("a_first", "z_last"):
        site.sql(f"INSERT INTO {table} VALUES (0)")
    ended, written = threading.Event(), []

    def write() -> None:
        from sqlalchemy import create_engine

        driver = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
        engine = create_engine(site.url.set(drivername=driver[site.kind]))
        with engine.connect() as connection:
            while not ended.is_set():
                for table in ("a_first", "z_last"):
                    connection.exec_driver_sql(f"UPDATE {table} SET n = n + 1")
                connection.commit()
                written.append(1)
        engine.dispose()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 3:
            assert writer.is_alive()
            time.sleep(0.01)
        made = site.back_up(tmp_path / "b")
    finally:
        ended.set()
        writer.join()
    site.restore(made, tmp_path / "again", target)
    ((first,),) = site.sql("SELECT n FROM a_first", url=target)
    assert [(first,)] == site.sql("SELECT n FROM z_last", url=target)
    assert 0 < first < len(written)


def test_no_clear_value_and_no_password_lies_anywhere(site, target, tmp_path, monkeypatch):
    words: list[str] = []
    start = subprocess.Popen

    def watched(command: list[str], **options: Any) -> Any:
        words.extend(command)
        return start(command, **options)

    monkeypatch.setattr(server_tools.subprocess, "Popen", watched)
    seen: list[bytes] = []

    def look(_phase: str, _done: int, _total: int) -> None:
        seen.extend(f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())

    made = site.back_up(tmp_path / "b", look)
    site.restore(made, tmp_path / "again", target, progress=look)
    assert len(seen) > 10
    assert not any(CLEAR.encode() in content for content in seen)
    assert words
    assert not any(str(site.url.password) in word for word in words)


def test_a_password_may_have_any_letters(site, new_database, tmp_path):
    password = "a'b\"c\\d #;=e%\tf "
    url = site.url.set(username="odd", password=password)
    if site.kind == "postgresql":
        quoted = password.replace("'", "''")
        for statement in (
            f"CREATE ROLE odd SUPERUSER LOGIN PASSWORD '{quoted}'",
            "ALTER ROLE odd SET standard_conforming_strings = on",
        ):
            _literally(site.url, statement)
    else:
        quoted = password.replace("\\", "\\\\").replace("'", "\\'")
        _literally(site.url, f"CREATE USER odd IDENTIFIED BY '{quoted}'")
        _literally(site.url, "GRANT ALL ON *.* TO odd")
    try:
        database = type(site.instance.database)(url)
        assert sum(map(len, database.copy(tmp_path / "x", lambda _d, _t: None))) > 1000
        database.close()
    finally:
        site.sql("DROP ROLE odd" if site.kind == "postgresql" else "DROP USER odd")


def _literally(url: URL, statement: str) -> None:
    sql(url, statement.replace("%", "%%"))


class TestIsRefused:
    def test_into_a_database_that_is_not_empty(self, site, target, tmp_path):
        made = site.back_up(tmp_path / "b")
        site.sql("CREATE TABLE mine (id INTEGER)", url=target)
        before = sorted(tmp_path.rglob("*"))
        for url in (target, site.url):
            held = tables(url)
            with pytest.raises(Conflict) as caught:
                site.restore(made, tmp_path / "r", url)
            assert caught.value.code == "database.not_empty"
            assert tables(url) == held
        assert sorted(tmp_path.rglob("*")) == before

    def test_without_a_database(self, site, tmp_path):
        made = site.back_up(tmp_path / "b")
        with pytest.raises(Invalid) as caught:
            restore(made, tmp_path / "r", site.unlock, "")
        assert caught.value.code == "backup.place"
        assert str(site.url.password) not in caught.value.what
        assert not (tmp_path / "r").exists()

    def test_into_the_other_kind(self, site, new_database, tmp_path):
        made = site.back_up(tmp_path / "b")
        (other,) = set(servers.KINDS) - {site.kind}
        url = new_database(other)
        with pytest.raises(Invalid) as caught:
            site.restore(made, tmp_path / "r", url)
        assert caught.value.code == "backup.engine"
        assert tables(url) == []

    def test_where_the_environment_names_another(self, site, target, tmp_path, monkeypatch):
        made = site.back_up(tmp_path / "b")
        monkeypatch.setenv("KEYSTEAD_DATABASE", shown(site.url))
        with pytest.raises(Misconfigured) as caught:
            site.restore(made, tmp_path / "r", target)
        assert caught.value.code == "backup.environment"
        assert tables(target) == []

    def test_a_damaged_one_before_the_database_is_touched(self, site, target, tmp_path):
        made = site.back_up(tmp_path / "b")
        whole = made.read_bytes()
        for changed in (whole[:-1], whole[:-20000], whole[:-5] + b"x" + whole[-4:]):
            made.write_bytes(changed)
            with pytest.raises(KeysteadError) as caught:
                site.restore(made, tmp_path / "r", target)
            assert caught.value.code == "backup.damaged"
        assert tables(target) == []
        made.write_bytes(whole)
        assert site.restore(made, tmp_path / "r", target).opened == len(NAMES)

    def test_without_the_tools(self, site, target, tmp_path, monkeypatch):
        made = site.back_up(tmp_path / "b")
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(postgresql_adapter, "_PROGRAMS", tmp_path)
        with pytest.raises(Misconfigured) as caught:
            site.back_up(tmp_path / "b2")
        assert caught.value.code == "backup.tool_missing"
        with pytest.raises(Misconfigured) as caught:
            site.restore(made, tmp_path / "r", target)
        assert caught.value.code == "backup.tool_missing"
        assert tables(target) == []
        assert not (tmp_path / "b2").exists()

    def test_with_older_tools(self, site, tmp_path, monkeypatch):
        said = {"postgresql": "(PostgreSQL) 9.6.24", "mariadb": "Distrib 10.1.3-MariaDB, for"}
        tool = tmp_path / {"postgresql": "pg_dump", "mariadb": "mariadb-dump"}[site.kind]
        tool.write_text(f"#!/bin/sh\necho '{tool.name} {said[site.kind]}'\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(postgresql_adapter, "_PROGRAMS", tmp_path)
        with pytest.raises(Misconfigured) as caught:
            site.back_up(tmp_path / "b")
        assert caught.value.code == "backup.tool_old"

    def test_when_the_tool_fails(self, site, tmp_path):
        """A user who may not read all gets no backup of what he may read."""
        name = f"few{os.getpid()}"
        known = str(site.url.database)
        if site.kind == "postgresql":
            site.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'p'")
            site.sql(f"GRANT USAGE ON SCHEMA public TO {name}")
            site.sql(f"GRANT SELECT ON place TO {name}")
        else:
            site.sql(f"CREATE USER {name} IDENTIFIED BY 'p'")
            site.sql(f"GRANT SELECT ON {known}.place TO {name}")
        try:
            database = type(site.instance.database)(site.url.set(username=name, password="p"))
            with pytest.raises(KeysteadError) as caught:
                list(database.copy(tmp_path / "x", lambda _d, _t: None))
            assert caught.value.code in ("database.rights", "backup.tool")
            database.close()
        finally:
            if site.kind == "postgresql":
                site.sql(f"DROP OWNED BY {name}")
            site.sql(f"DROP {'ROLE' if site.kind == 'postgresql' else 'USER'} {name}")


@pytest.mark.parametrize(("server", "expected"), [(14, "14"), (15, "15"), (16, "17"), (17, "17")])
def test_the_nearest_tool_that_is_new_enough_is_taken(tmp_path, server, expected):
    known = []
    for version in ("9", "14", "15", "17"):
        known.append(tmp_path / version)
        known[-1].write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}.3'\n")
        known[-1].chmod(0o755)
    known.insert(0, tmp_path / "absent")
    pattern = postgresql_adapter._TOOL_VERSION
    found = server_tools.find("no-such-tool", known, pattern, (server,), "PostgreSQL")
    assert found.name == expected


def test_a_table_without_snapshots_is_refused(mariadb, tmp_path):
    site = Site("mariadb", mariadb, tmp_path / "prod")
    site.sql("CREATE TABLE old (id INTEGER) ENGINE=Aria")
    with pytest.raises(Misconfigured) as caught:
        site.back_up(tmp_path / "b")
    assert caught.value.code == "backup.table_engine"
    site.instance.close()


def test_a_tool_does_not_go_on_in_clear_where_tls_was_asked_for(mariadb, tmp_path):
    (tmp_path / "ca.pem").write_text("")
    database = MariadbDatabase(mariadb.update_query_dict({"ssl_ca": str(tmp_path / "ca.pem")}))
    program, words = Path(shutil.which("mariadb") or ""), ["--execute=SELECT 1"]
    with database._command(program, words) as command, pytest.raises(KeysteadError):
        list(command.read())
    plain = MariadbDatabase(mariadb)
    with plain._command(program, words) as command:
        assert list(command.read())


def test_an_option_that_no_tool_has_is_refused(mariadb, tmp_path):
    database = MariadbDatabase(mariadb.update_query_dict({"local_infile": "1"}))
    with pytest.raises(Misconfigured) as caught:
        list(database.copy(tmp_path / "x", lambda _d, _t: None))
    assert caught.value.code == "backup.option"


def test_another_schema_is_refused(postgresql, tmp_path):
    sql(postgresql, "CREATE SCHEMA ours")
    sql(postgresql, f"ALTER DATABASE {postgresql.database} SET search_path = ours")
    opening.init(tmp_path / "p", "prod", 8420, connect, ACTOR, database=shown(postgresql))
    instance = opening.open_instance(tmp_path / "p", connect)
    with pytest.raises(Misconfigured) as caught:
        backup.make(instance, tmp_path / "b", None, ACTOR, ignore)
    assert caught.value.code == "backup.schema"
    instance.close()
    sql(postgresql, f"ALTER DATABASE {postgresql.database} RESET search_path")
    sql(postgresql, "DROP SCHEMA ours CASCADE")


RESTORE = """
import os, sys
from pathlib import Path
from keystead.instance import backup_file, restoring, auditing
from keystead.database import versions
from keystead.programs.instance import connect
from keystead.adapters.databases.server_tools import Command

file, folder, key, url, moment = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), 9)

if moment == "filling":
    feed = Command.feed
    def halfway(pieces):
        kept = b"".join(pieces)
        yield kept[: len(kept) * 2 // 3]
        die()
    Command.feed = lambda self, pieces: feed(self, halfway(pieces))
elif moment == "filled":
    restoring.open_hierarchy = die
elif moment == "proven":
    restoring.versions.end_restore = die
unlock = backup_file.by_recovery_key(Path(key).read_text())
restoring.restore(Path(file), Path(folder), unlock, connect, "t", lambda *_: None, url)
"""


@pytest.mark.parametrize("moment", ["filling", "filled", "proven"])
def test_a_killed_restore_is_never_taken_for_whole(site, target, tmp_path, moment):
    key = tmp_path / "key"
    key.write_text(site.recovery_key)
    made = site.back_up(tmp_path / "b")
    words = [str(made), str(tmp_path / "r"), str(key), shown(target), moment]
    ended = subprocess.run([sys.executable, "-c", RESTORE, *words], check=False)
    assert ended.returncode == -9
    assert not (tmp_path / "r").exists()
    # whoever points a home at it hears what it is
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEYSTEAD_DATABASE", shown(target))
        with pytest.raises(Misconfigured) as caught:
            opening.open_instance(site.folder, connect).close()
    assert caught.value.code in ("home.half_restored", "home.foreign_schema")
    with pytest.raises(Conflict) as refused:
        site.restore(made, tmp_path / "r", target)
    assert refused.value.code == "database.half"
    if site.kind == "postgresql":
        for schema in ("public", "elsewhere"):
            sql(target, f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        sql(target, "CREATE SCHEMA public")
    else:
        for action in ("DROP", "CREATE"):
            site.sql(f"{action} DATABASE {target.database}")
    assert site.restore(made, tmp_path / "r", target).opened == len(NAMES)


def test_a_failure_while_it_is_filled(site, target, tmp_path, monkeypatch):
    made = site.back_up(tmp_path / "b")
    content = restoring._Content.database

    def failing(self: Any) -> Iterator[bytes]:
        for piece in content(self):
            yield piece[: len(piece) // 2]
            raise Unavailable("disk.full")

    with monkeypatch.context() as patch:
        patch.setattr(restoring._Content, "database", failing)
        with pytest.raises(Unavailable):
            site.restore(made, tmp_path / "r", target)
    assert not (tmp_path / "r").exists()
    if site.kind == "postgresql":  # all or nothing
        assert tables(target) == []
        assert site.restore(made, tmp_path / "r", target).opened == len(NAMES)
    else:
        with pytest.raises(Conflict) as caught:
            site.restore(made, tmp_path / "r", target)
        assert caught.value.code == "database.half"


def test_an_upgrade_keeps_an_encrypted_backup(site, target, tmp_path, monkeypatch):
    from keystead.database import versions

    site.instance.close()
    with monkeypatch.context() as patch:
        head = versions.head()
        patch.setattr(upgrading.versions, "head", lambda: "9999")
        patch.setattr(upgrading.versions, "check", lambda *_, **__: head)
        done = upgrading.upgrade(site.folder, connect, ACTOR, ignore)
    assert done.copy == site.folder / f"before-upgrade-{head}.backup"
    assert CLEAR.encode() not in done.copy.read_bytes()
    assert site.restore(done.copy, tmp_path / "r", target).opened == len(NAMES)
    site.instance = opening.open_instance(site.folder, connect)
