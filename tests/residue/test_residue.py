"""After mass encryption no data file holds clear text; the scrub's report names what else may.

Values are planted everywhere a database copies them to: short and long ones, in an index, many
times so that statistics quote them, in rows that were changed or removed before. Servers of their
own are used, with the logs on that others may have turned on.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pymysql
import pytest
from demo import servers
from sqlalchemy import make_url, text

from keystead.access.recorder import Recorder
from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.crypto.envelope import Scheme
from keystead.fields import census, mass_job
from keystead.fields import service as fields
from keystead.instance import opening
from keystead.instance.opening import Instance
from keystead.instance.registry import CAPABILITIES
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.usage import Meter
from keystead.records import service as records
from keystead.records.attached import Desk
from keystead.records.session import Caller

ACTOR = "test"
COLUMNS = ("short", "long", "indexed")
ROWS = 400
PLANTED = {
    f"{column} {when}": f"planted{secrets.token_hex(12)}"
    for column in COLUMNS
    for when in ("kept", "changed", "removed", "common")
} | {f"attachment {what}": f"planted{secrets.token_hex(12)}" for what in ("name", "content")}
# where a planted value may be found, and what the report then says of it
NAMED = {
    "postgresql": [
        (r"^pg_wal/", "pg_wal"),
        (r"^base/\d+/(2619|2840|2841)(\.\d+)?$", "pg_statistic"),
        (r"^base/\d+/(3429|3430|3431)(\.\d+)?$", "pg_statistic_ext_data"),
    ],
    "mariadb": [
        (r"^ib_logfile0$", "ib_logfile0"),
        (r"^ibdata1$", "doublewrite buffer (ibdata1)"),
        (r"^mysql/column_stats\.", "mysql.column_stats"),
        (r"^undo\d+$", "undo logs"),
        (r"^binary\.\d+$", "binary log"),
        (r"^general\.log$", "general"),
    ],
    "sqlite": [],
}
SETTINGS = {
    "postgresql": ("wal_level=replica", "max_connections=20", "log_statement=none"),
    "mariadb": (
        *("log_bin=binary", "binlog_format=ROW", "general_log=1", "general_log_file=general.log"),
        *("innodb_buffer_pool_size=32M", "skip_name_resolve", "character_set_server=utf8mb4"),
        "histogram_type=JSON_HB",
    ),
}
# a user who owns the database and nothing of the server's
ORDINARY_USER = {
    "postgresql": (
        "CREATE ROLE ordinary LOGIN PASSWORD 'ordinary'",
        "ALTER DATABASE residue OWNER TO ordinary",
        "GRANT ALL ON SCHEMA public TO ordinary",
    ),
    "mariadb": (
        "CREATE USER ordinary@'%' IDENTIFIED BY 'ordinary'",
        "GRANT ALL ON residue.* TO ordinary@'%'",
    ),
}


class Place(NamedTuple):
    """A database, and how to look at what it has on the disk."""

    kind: str
    instance: Instance
    statement: Callable[[str], None]
    at_rest: Callable[[], dict[str, bytes]]


def files(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def found(held: dict[str, bytes], marks: Mapping[str, str]) -> dict[str, list[str]]:
    """Where marked values are, by file."""
    out = {}
    for name, content in held.items():
        here = [what for what, mark in marks.items() if mark.encode() in content]
        if here:
            out[name] = here
    return out


def value(column: str, when: str) -> str:
    mark = PLANTED[f"{column} {when}"]
    if column != "long":
        return mark
    # not to be compressed, and too long for a row
    return mark.join(secrets.token_urlsafe(900) for _ in range(12))


@pytest.fixture(params=["sqlite", *servers.KINDS, *(f"{kind} ordinary" for kind in servers.KINDS)])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    assert CAPABILITIES
    kind, _, is_ordinary = request.param.partition(" ")
    if kind == "sqlite":
        instance = made(tmp_path, lambda home: SqliteDatabase(home.database_file))
        folder = tmp_path / "home"

        def on_sqlite(statement: str) -> None:
            with instance.database.transaction() as tx:
                tx.execute(text(statement))

        yield Place(kind, instance, on_sqlite, lambda: files(folder))
        instance.close()
        return
    monkeypatch.setitem(servers._QUICK, kind, SETTINGS[kind])
    try:
        server = servers.start(kind)
    except servers.Missing as missing:
        pytest.skip(str(missing))
    try:
        servers.create_database(server, "residue")
        url = make_url(f"{server.url}/residue")
        if is_ordinary:
            url = url.set(username="ordinary", password="ordinary")
            for statement in ORDINARY_USER[kind]:
                servers.do(server, statement, "residue")
        adapter = {"postgresql": PostgresqlDatabase, "mariadb": MariadbDatabase}[kind]
        instance = made(tmp_path, lambda _home: adapter(url))

        def rest() -> dict[str, bytes]:
            """Everything that the server keeps, once what it changed is written."""
            if kind == "postgresql":
                servers.do(server, "CHECKPOINT")
            else:
                servers.do(server, "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0")
                servers.do(server, "SET GLOBAL innodb_max_dirty_pages_pct = 0")
                wait_until_flushed(server)
            return files(server.folder / "data")

        yield Place(kind, instance, lambda s: servers.do(server, s, "residue"), rest)
        instance.close()
    finally:
        server.stop()


def wait_until_flushed(server: servers.Server) -> None:
    url = make_url(server.url)
    with pymysql.connect(
        host=url.host, port=server.port, user=url.username, password=url.password, autocommit=True
    ) as connection:
        cursor = connection.cursor()
        servers._wait_until(lambda: _dirty(cursor) == 0, "pages stay unwritten")
        cursor.execute("FLUSH TABLES")


def _dirty(cursor: Any) -> int:
    cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")
    return int(cursor.fetchone()[1])


def made(tmp_path: Path, connect: Any) -> Instance:
    opening.init(tmp_path / "home", "prod", 8420, connect, ACTOR)
    instance = opening.open_instance(tmp_path / "home", connect)
    with instance.database.transaction() as tx:
        for name, scheme in (("standard", Scheme.STANDARD), ("equal", Scheme.EQUALITY)):
            keys.create_module(tx, instance.hierarchy, name, scheme, ACTOR)
            keys.publish_module(tx, instance.hierarchy, name, ACTOR)
    return instance


def plant(place: Place, tmp_path: Path) -> None:
    """Fill a table by the product, and let others index, count, change and remove its rows."""
    rows = [
        [str(n), *(value(c, "common" if n % 3 else "kept") for c in COLUMNS)] for n in range(ROWS)
    ]
    for n in (7, 8, 9):
        rows[n][1:] = [value(c, "changed") for c in COLUMNS]
        rows[n + 10][1:] = [value(c, "removed") for c in COLUMNS]
    source = tmp_path / "planted.csv"
    lines = [",".join(row) for row in [["id", *COLUMNS], *rows]]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    records.load(
        place.instance.database,
        "people",
        source,
        format=None,
        null="?",
        key="id",
        actor=ACTOR,
        on_rows=lambda _phase, _rows: None,
    )
    if place.kind == "mariadb":  # it takes no statistics of long text
        place.statement("ALTER TABLE people MODIFY short VARCHAR(200), MODIFY indexed VARCHAR(150)")
    of = "(100)" if place.kind == "mariadb" else ""
    quote = "`" if place.kind == "mariadb" else '"'
    place.statement(f"CREATE INDEX by_indexed ON people ({quote}indexed{quote}{of})")
    if place.kind == "postgresql":
        place.statement('CREATE STATISTICS both_columns (mcv) ON "short", indexed FROM people')
    attach(place)
    count(place)
    place.statement(
        "UPDATE people SET "
        + ", ".join(f"{quote}{c}{quote} = 'other'" for c in COLUMNS)
        + " WHERE id IN ('7', '8', '9')"
    )
    place.statement("DELETE FROM people WHERE id IN ('17', '18', '19')")
    count(place)


def attach(place: Place) -> None:
    """Give a record a file, in clear."""
    database, hierarchy = place.instance.database, place.instance.hierarchy
    meter, nobody = Meter(database, hierarchy), Caller(None, ACTOR)
    with Recorder(database) as recorder:
        desk = Desk(database, hierarchy, recorder, meter, nobody, 1)
        upload = desk.upload("people", "1", PLANTED["attachment name"], "text/plain")
        upload.write(PLANTED["attachment content"].encode())
        upload.finish()


def count(place: Place) -> None:
    """Take statistics, which quote values."""
    if place.kind == "mariadb":
        for table in ("people", "sys_attachment"):
            place.statement(f"ANALYZE TABLE {table} PERSISTENT FOR ALL")
    else:
        place.statement("ANALYZE")


def run(instance: Instance, kind: JobKind) -> dict[str, Any]:
    """Carry a mass job out; what its row says at the end."""
    with instance.database.transaction() as tx:
        job_id = mass_job.start(
            tx, instance.hierarchy, kind, "people", rows_per_second=None, actor=ACTOR
        )
    work = mass_job.MassJob(instance.database, instance.hierarchy)
    for stage in (work.move, work.scrub):
        jobs.run_stage(instance.database, job_id, stage)
    with instance.database.snapshot() as tx:
        return dict(jobs.get(tx, job_id)["counts"])


def encrypt(place: Place) -> list[str]:
    """Encrypt the columns; what the report says may remain."""
    instance = place.instance
    for column in COLUMNS:
        with instance.database.transaction() as tx:
            fields.configure(
                tx,
                instance.database,
                instance.hierarchy,
                table="people",
                column=column,
                module="equal" if column == "indexed" else "standard",
                actor=ACTOR,
            )
    with instance.database.transaction() as tx:
        fields.configure_attachments(
            tx,
            instance.database,
            instance.hierarchy,
            table="people",
            module="standard",
            actor=ACTOR,
        )
    return list(run(instance, JobKind.ENCRYPT)["scrub_may_remain"])


def test_no_file_of_the_database_holds_clear_text_and_the_report_names_the_others(
    place: Place, tmp_path: Path
) -> None:
    plant(place, tmp_path)
    before = found(place.at_rest(), PLANTED)
    for when in ("kept", "common"):
        for column in COLUMNS:
            assert any(f"{column} {when}" in here for here in before.values())
    for what in ("name", "content"):
        assert any(f"attachment {what}" in here for here in before.values())
    report = encrypt(place)
    refuse_unnamed(place, found(place.at_rest(), PLANTED), report)


def test_nor_does_one_hold_a_destroyed_key(place: Place, tmp_path: Path) -> None:
    plant(place, tmp_path)
    encrypt(place)
    database, hierarchy = place.instance.database, place.instance.hierarchy
    with database.transaction() as tx:
        spec_id = keys.specification(
            tx, hierarchy, keys.module(tx, hierarchy, "standard")["sys_id"]
        )["sys_id"]
        keys.rotate(tx, hierarchy, "standard", ACTOR)
        old, _ = keys.keys_of(tx, hierarchy, spec_id)
    run(place.instance, JobKind.REKEY)
    material = {"the key": old["material"]}
    assert found(place.at_rest(), material)
    with database.transaction() as tx:
        row = keys.key(tx, hierarchy, old["sys_id"])
        keys.destroy(tx, hierarchy, row, census.needs(database, hierarchy), ACTOR)
    report = database.scrub().may_remain
    refuse_unnamed(place, found(place.at_rest(), material), report)


def refuse_unnamed(place: Place, where: dict[str, list[str]], report: Sequence[str]) -> None:
    for name, held in where.items():
        said = [words for pattern, words in NAMED[place.kind] if re.search(pattern, name)]
        assert said, f"{name} holds {held}"
        assert any(said[0] in line for line in report), (name, report)
