"""An instance with an application beside it, on each database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session

from keystead.access import people, policies
from keystead.access.decision import Operation, PolicyType, Result
from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.crypto.envelope import Scheme
from keystead.fields import census, mass_job
from keystead.fields import service as fields
from keystead.fields.mass_job import MassJob
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.registry import CAPABILITIES
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.model import KeyState
from keystead.sqlalchemy import OpenInstance, knowledge

from .models import ENCRYPTED, USERS, Base

ACTOR = "test"
SERVERS: dict[str, Any] = {"postgresql": PostgresqlDatabase, "mariadb": MariadbDatabase}
SYNC = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
ASYNC = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "mariadb": "mariadb+asyncmy",
}
OPERATIONS = {
    "readers": Operation.DECRYPT,
    "all": Operation.BOTH,
    "writers": Operation.ENCRYPT,
}


def without_sync(raw: Any, _record: Any) -> None:
    """No test unplugs the machine."""
    raw.execute("PRAGMA synchronous = OFF")


class Estate:
    """The instance, what is done to it, and the application's engines."""

    def __init__(self, kind: str, folder: Path, url: URL | None) -> None:
        self.kind = kind
        self._url = url
        self.folder = folder
        self.instance = opening.open_instance(folder, self.connect)
        self.database = self.instance.database
        self.hierarchy = self.instance.hierarchy
        # the application has the instance open for itself, as another process would
        self.open = OpenInstance(opening.open_instance(folder, self.connect), lease=2**10)
        self.engine = self.new_engine()
        self._engines: list[Engine] = [self.engine]

    def connect(self, home: Home) -> Any:
        if self._url is not None:
            return SERVERS[self.kind](self._url)
        database = SqliteDatabase(home.database_file)
        event.listen(database._engine, "connect", without_sync)
        return database

    def url(self, drivers: dict[str, str]) -> URL:
        if self._url is None:
            return URL.create(drivers["sqlite"], database=str(self.folder / "instance.db"))
        return self._url.set(drivername=drivers[self.kind])

    def new_engine(self, **options: Any) -> Engine:
        engine = create_engine(self.url(SYNC), **options)
        if self.kind == "sqlite":
            event.listen(engine, "connect", without_sync)
        return engine

    def new_async_engine(self) -> AsyncEngine:
        return create_async_engine(self.url(ASYNC))

    def session(self, user: str | None = "both", **options: Any) -> Session:
        return Session(self.open.attach(self.engine, user=user), **options)

    def stored(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database holds."""
        with self.engine.connect() as plain:
            return [tuple(row) for row in plain.exec_driver_sql(statement)]

    def sql(self, statement: str) -> None:
        """Do something behind Keystead's back."""
        with self.engine.begin() as plain:
            plain.exec_driver_sql(statement)

    def key(self, action: Callable[..., Any], module: str, *more: Any) -> None:
        """Do something to the active key of a module, and let the application notice."""
        with self.database.transaction() as tx:
            action(tx, self.hierarchy, module, *more, ACTOR)
        self.forget()

    def end(self, action: Callable[..., Any], module: str, *more: Any) -> None:
        """The same with the key's row."""
        with self.database.transaction() as tx:
            row = keys.named_key(tx, self.hierarchy, module, KeyState.ACTIVE)
            action(tx, self.hierarchy, row, *more, ACTOR)
        self.forget()

    def forget(self) -> None:
        """As when a second has passed."""
        self.open._link._columns = None
        self.open._link._rights.clear()

    def start(self, kind: JobKind, table: str = "person") -> str:
        with self.database.transaction() as tx:
            return mass_job.start(
                tx, self.hierarchy, kind, table, rows_per_second=None, actor=ACTOR
            )

    def move(self, job_id: str, database: Any = None) -> None:
        job = MassJob(database or self.database, self.hierarchy)
        jobs.run_stage(self.database, job_id, job.move)
        with self.database.transaction() as tx:
            jobs.cancel(tx, job_id, ACTOR)

    def run(self, kind: JobKind, table: str = "person") -> None:
        self.move(self.start(kind, table))
        self.forget()

    def counted(self, table: str = "person") -> dict[str, census.ColumnCensus]:
        with self.database.snapshot() as tx:
            found = census.open_all(tx, self.database, self.hierarchy, table)
        return {one.column: one for one in found}

    def close(self) -> None:
        self.engine.dispose()
        self.open.close()
        self.instance.close()


def make(kind: str, folder: Path, url: URL | None) -> None:
    """A new instance, the application's tables in its database, and their configurations."""
    assert CAPABILITIES

    def connect(home: Home) -> Any:
        return SqliteDatabase(home.database_file) if url is None else SERVERS[kind](url)

    opening.init(folder, "prod", 8420, connect, ACTOR)
    estate = Estate(kind, folder, url)
    Base.metadata.create_all(estate.engine)
    hierarchy = estate.hierarchy
    for name, scheme in (("standard", Scheme.STANDARD), ("equal", Scheme.EQUALITY)):
        with estate.database.transaction() as tx:
            keys.create_module(tx, hierarchy, name, scheme, ACTOR)
            module = keys.publish_module(tx, hierarchy, name, ACTOR)
            for role, operation in OPERATIONS.items():
                policies.add(
                    tx,
                    hierarchy.integrity,
                    module_id=module["sys_id"],
                    module_name=name,
                    type=PolicyType.ROLE,
                    target=role,
                    operation=operation,
                    result=Result.TRACK,
                    actor=ACTOR,
                )
    with estate.database.transaction() as tx:
        for user, roles in USERS.items():
            people.create_user(tx, hierarchy.integrity, user, roles, ACTOR)
    with estate.database.transaction() as tx:
        for (table, column), module in ENCRYPTED.items():
            fields.configure(
                tx,
                estate.database,
                hierarchy,
                table=table,
                column=column,
                module=module,
                actor=ACTOR,
            )
    estate.close()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("estate") / "home"
    make("sqlite", folder, None)
    return folder


@pytest.fixture
def sqlite(template: Path, tmp_path: Path) -> Iterator[Estate]:
    """The application and its instance share a file."""
    shutil.copytree(template, tmp_path / "home")
    estate = Estate("sqlite", tmp_path / "home", None)
    yield estate
    estate.close()


@pytest.fixture(scope="session")
def served(
    session_database: Callable[[str], URL], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, URL]]:
    """An instance on a server, made once."""

    @cache
    def made(kind: str) -> tuple[Path, URL]:
        folder, url = tmp_path_factory.mktemp(kind) / "home", session_database(kind)
        make(kind, folder, url)
        return folder, url

    return made


@pytest.fixture(params=["sqlite", *SERVERS])
def estate(request: pytest.FixtureRequest) -> Iterator[Estate]:
    """The same on each database; on a server its keys grow older with each test."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    estate = Estate(request.param, *request.getfixturevalue("served")(request.param))
    yield estate
    with estate.engine.begin() as plain:
        for table in reversed(Base.metadata.sorted_tables):
            plain.execute(table.delete())
    estate.close()


@pytest.fixture
def never_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is asked for anew each time."""
    monkeypatch.setattr(knowledge, "FRESH_SECONDS", 0.0)
