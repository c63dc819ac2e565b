"""Instances to work on: made once for a run, copied for each test.

There are four, each a step further: `site` has a table and modules, in `mixed` columns of the table
are configured, in `sealed` they are encrypted, and in `rotated` a newer key waits for every value.
"""

from __future__ import annotations

import csv
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from keystead.access import people as access_people
from keystead.access import policies
from keystead.access.decision import Operation, PolicyType, Result
from keystead.access.permissions import Permissions, subject
from keystead.access.recorder import Recorder
from keystead.access.rejections import Refusals
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.crypto.envelope import Scheme
from keystead.fields import census, mass_job
from keystead.fields import service as fields
from keystead.fields.census import ColumnCensus
from keystead.fields.mass_job import MassJob
from keystead.fields.model import Configuration
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.opening import Instance
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.usage import Meter
from keystead.records import service as records
from keystead.records.query import parse
from keystead.records.reading import Shown, View

ACTOR = "test"
COLUMNS = ("id", "name", "city", "salary", "email", "team", "note")
ENCRYPTED = {
    "name": "standard",
    "city": "standard",
    "salary": "standard",
    "email": "equal",
    "team": "equal",
}
PEOPLE: list[tuple[str | int | None, ...]] = [
    ("p01", "Zoë Ångström", "Malmö", 7300451, "zoë@example.com", "north", "one"),
    ("p02", "zoë ångström", "malmö", 7300452, "Zoë@example.com", "North", "two"),
    ("p03", "Zoe Angstrom", "Malmo", 7300453, "zoe@example.com", "north ", "three"),
    ("p04", "山田太郎", "東京", 0, "山田@例え.jp", "北", "four"),
    ("p05", 'O\'Neil, "Shaq"\nJr.', "Orlando\t", -7300455, "a,b@example.com", "北", "five"),
    ("p06", "", None, 2**63 - 1, "zoë@example.com", "", "six"),
    ("p07", None, "", None, "zoë@example.com", None, "seven"),
    ("p08", "~ks is not a marker", "NULL", -(2**63), "", "north", "eight"),
    ("p09", "Ve\u0301ra", "V\u00e9ra", 7300459, None, "No\u0301rd", "nine"),
    ("p10", "שלום 👩‍👩‍👧", "🏔", 42, "rtl@example.com", "N\u00f3rd", "ten"),
    ("p11", "x" * 3000, " ", 10, " ", " ", "eleven"),
    ("p12", "last", "0", -1, "last@example.com", "north", "twelve"),
]
USERS = {"reader": ["readers"], "both": ["all"], "writer": ["writers"], "guest": ["guests"]}
POLICIES = {
    "readers": Operation.DECRYPT,
    "all": Operation.BOTH,
    "writers": Operation.ENCRYPT,
}


class Site:
    """An opened instance, what people do with it, and what can be done to its file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance: Instance = opening.open_instance(folder, connect)
        self.database = self.instance.database
        self.hierarchy = self.instance.hierarchy
        self.integrity = self.hierarchy.integrity
        self.recorder = Recorder(self.database)
        self.meter = Meter(self.database, self.hierarchy)
        self.file = self.instance.home.database_file

    def close(self) -> None:
        self.recorder.close()
        self.database.close()

    def transaction(self) -> AbstractContextManager[Connection]:
        return self.database.transaction()

    def snapshot(self) -> AbstractContextManager[Connection]:
        return self.database.snapshot()

    def load(self, table: str, file: Path, key: str | None = "id") -> None:
        records.load(
            self.database,
            table,
            file,
            format=None,
            null="?",
            key=key,
            actor=ACTOR,
            on_rows=lambda _phase, _rows: None,
        )

    def configure(self, column: str, module: str, table: str = "people") -> Configuration:
        with self.transaction() as tx:
            return fields.configure(
                tx,
                self.database,
                self.hierarchy,
                table=table,
                column=column,
                module=module,
                actor=ACTOR,
            )

    def configurations(self, table: str = "people") -> dict[str, Configuration]:
        with self.snapshot() as tx:
            return {c.column: c for c in fields.configurations(tx, self.hierarchy, table)}

    def phases(self, table: str = "people") -> dict[str, str]:
        return {c.column: c.phase.value for c in self.configurations(table).values()}

    def rotate(self, *modules: str) -> None:
        with self.transaction() as tx:
            for module in modules or ("standard", "equal"):
                keys.rotate(tx, self.hierarchy, module, ACTOR)

    def keys_of(self, module: str) -> list[dict[str, Any]]:
        with self.snapshot() as tx:
            row = keys.module(tx, self.hierarchy, module)
            spec = keys.specification(tx, self.hierarchy, row["sys_id"])
            return keys.keys_of(tx, self.hierarchy, spec["sys_id"])

    def show(
        self,
        user: str | None = "reader",
        query: str = "",
        columns: list[str] | None = None,
        table: str = "people",
        impersonate: str | None = None,
    ) -> Shown:
        with self.snapshot() as tx:
            asking = subject(tx, self.integrity, user, impersonate=impersonate)
            permissions = Permissions(tx, self.integrity, asking, Refusals())
            seen = View(tx, self.database, self.hierarchy, table, permissions)
            return seen.rows(parse(query, seen.table), columns, 10_000)

    def rows(self, table: str = "people") -> list[tuple[Any, ...]]:
        return self.show(table=table).rows

    def found(self, query: str) -> list[Any]:
        return [row[0] for row in self.show(query=query, columns=["id"]).rows]

    def count(self, table: str = "people") -> dict[str, ColumnCensus]:
        with self.snapshot() as tx:
            counted = census.count(tx, self.database, self.hierarchy, table)
        return {c.column: c for c in counted}

    def open_all(self, table: str = "people") -> dict[str, ColumnCensus]:
        with self.snapshot() as tx:
            counted = census.open_all(tx, self.database, self.hierarchy, table)
        return {c.column: c for c in counted}

    def start(self, kind: JobKind, table: str = "people") -> str:
        with self.transaction() as tx:
            return mass_job.start(
                tx, self.hierarchy, kind, table, rows_per_second=None, actor=ACTOR
            )

    def move(self, job_id: str, database: Any = None) -> None:
        on = database or self.database
        jobs.run_stage(self.database, job_id, MassJob(on, self.hierarchy).move)

    def scrub(self, job_id: str) -> None:
        jobs.run_stage(self.database, job_id, MassJob(self.database, self.hierarchy).scrub)

    def run(self, kind: JobKind, table: str = "people", database: Any = None) -> dict[str, Any]:
        job_id = self.start(kind, table)
        self.move(job_id, database)
        self.scrub(job_id)
        return self.job(job_id)

    def encrypt(self, table: str = "people") -> dict[str, Any]:
        return self.run(JobKind.ENCRYPT, table)

    def rekey(self, table: str = "people") -> dict[str, Any]:
        return self.run(JobKind.REKEY, table)

    def job(self, job_id: str) -> dict[str, Any]:
        with self.snapshot() as tx:
            return jobs.get(tx, job_id)

    def newest_job(self) -> dict[str, Any]:
        with self.snapshot() as tx:
            return jobs.listed(tx)[0]

    def cancel(self, job_id: str) -> None:
        with self.transaction() as tx:
            jobs.cancel(tx, job_id, ACTOR)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Do something to the file behind Keystead's back."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            return connection.execute(statement, values).fetchall()

    def cell(self, column: str, row: str, table: str = "people") -> Any:
        ((value,),) = self.sql(f'SELECT "{column}" FROM "{table}" WHERE id = ?', row)
        return value

    def put(self, column: str, row: str, value: Any, table: str = "people") -> None:
        self.sql(f'UPDATE "{table}" SET "{column}" = ? WHERE id = ?', value, row)

    def stored(self, table: str = "people") -> list[tuple[Any, ...]]:
        """The rows as the file has them."""
        return self.sql(f'SELECT * FROM "{table}" ORDER BY 1')

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables but the heads, which any command may sign when it ends."""
        names = self.sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'keystead_audit_head'"
            " ORDER BY name"
        )
        return {name: self.sql(f'SELECT * FROM "{name}"') for (name,) in names}

    def on_disk(self) -> bytes:
        """All bytes of the database and its write-ahead log."""
        files = sorted(self.folder.glob("instance.db*"))
        return b"\0".join(file.read_bytes() for file in files)


class Interrupted:
    """A database of small pages; after one is read, and before it is written, something happens.

    `after_page` is told the number of the page.
    """

    def __init__(
        self,
        site: Site,
        after_page: Callable[[int], None] = lambda _number: None,
        page_rows: int = 5,
    ) -> None:
        self._database = site.database
        self._after_page = after_page
        self._page_rows = page_rows
        self._pages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def page(self, *arguments: Any) -> list[tuple[Any, ...]]:
        *others, limit = arguments
        rows = self._database.page(*others, min(limit, self._page_rows))
        self._pages += 1
        self._after_page(self._pages)
        return rows


def connect(home: Home) -> SqliteDatabase:
    """The instance's own database, which does not wait for the disk: no test unplugs it."""
    database = SqliteDatabase(home.database_file)
    event.listen(
        database._engine, "connect", lambda raw, _record: raw.execute("PRAGMA synchronous = OFF")
    )
    return database


def write_csv(file: Path, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(header)
        writer.writerows(["?" if v is None else v for v in row] for row in rows)
    return file


class Templates:
    """A closed home for each step, each made from the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._steps = {
            "site": self._make_site,
            "mixed": self._make_mixed,
            "sealed": self._make_sealed,
            "rotated": self._make_rotated,
        }
        _, self.recovery_key = opening.init(folder / "site", "prod", 8420, connect, ACTOR)
        names = list(self._steps)
        for before, name in zip([None, *names], names, strict=False):
            if before is not None:
                shutil.copytree(folder / before, folder / name)
            site = Site(folder / name)
            self._steps[name](site)
            site.database.close()

    def copy(self, name: str, to: Path) -> Site:
        shutil.copytree(self._folder / name, to)
        return Site(to)

    def _make_site(self, site: Site) -> None:
        with site.transaction() as tx:
            for name, scheme in (("standard", Scheme.STANDARD), ("equal", Scheme.EQUALITY)):
                keys.create_module(tx, site.hierarchy, name, scheme, ACTOR)
                module = keys.publish_module(tx, site.hierarchy, name, ACTOR)
                for role, operation in POLICIES.items():
                    policies.add(
                        tx,
                        site.integrity,
                        module_id=module["sys_id"],
                        module_name=name,
                        type=PolicyType.ROLE,
                        target=role,
                        operation=operation,
                        result=Result.TRACK,
                        actor=ACTOR,
                    )
            for user, roles in USERS.items():
                access_people.create_user(tx, site.integrity, user, roles, ACTOR)
        site.load("people", write_csv(self._folder / "people.csv", COLUMNS, PEOPLE))

    def _make_mixed(self, site: Site) -> None:
        for column, module in ENCRYPTED.items():
            site.configure(column, module)

    def _make_sealed(self, site: Site) -> None:
        site.encrypt()

    def _make_rotated(self, site: Site) -> None:
        site.rotate()


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture(scope="session")
def people() -> list[tuple[str | int | None, ...]]:
    """What the table holds, in clear."""
    return PEOPLE


@pytest.fixture(scope="session")
def rows(people: list[tuple[str | int | None, ...]]) -> list[tuple[str | int | None, ...]]:
    """The same, where `people` means something else."""
    return people


@pytest.fixture(scope="session")
def encrypted() -> dict[str, str]:
    """The columns that are encrypted, and by which module."""
    return ENCRYPTED


@pytest.fixture(scope="session")
def interrupted() -> type[Interrupted]:
    return Interrupted


@pytest.fixture
def site(templates: Templates, tmp_path: Path) -> Iterator[Site]:
    made = templates.copy("site", tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def instance(site: Site) -> Instance:
    """An opened instance with a table, two modules, users and policies."""
    return site.instance


@pytest.fixture
def mixed(templates: Templates, tmp_path: Path) -> Iterator[Site]:
    made = templates.copy("mixed", tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def sealed(templates: Templates, tmp_path: Path) -> Iterator[Site]:
    made = templates.copy("sealed", tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def rotated(templates: Templates, tmp_path: Path) -> Iterator[Site]:
    made = templates.copy("rotated", tmp_path / "home")
    yield made
    made.close()
