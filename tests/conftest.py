"""Database servers for tests: one of a kind in a session, a new database for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from demo import servers
from demo.servers import Server
from sqlalchemy import URL, make_url
from tests import shared_servers


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shared_servers.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shared_servers.end()


def _server(kind: str) -> Server:
    """The session's server of a kind of database."""
    try:
        return shared_servers.shared(kind, lambda: servers.start(kind))
    except servers.Missing as missing:
        pytest.skip(str(missing))


_EMPTIED = {
    "postgresql": ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"),
    "mariadb": ("DROP DATABASE {name}", "CREATE DATABASE {name}"),
}
_free: dict[str, list[str]] = {kind: [] for kind in servers.KINDS}


@contextmanager
def _database(kind: str) -> Iterator[URL]:
    """An empty database; it is emptied afterwards and used again, faster than a new one."""
    server = _server(kind)
    if _free[kind]:
        name = _free[kind].pop()
    else:
        name = f"t{uuid4().hex}"
        servers.create_database(server, name)
    try:
        yield make_url(f"{server.url}/{name}")
    finally:
        within = name if kind == "postgresql" else None
        for statement in _EMPTIED[kind]:
            servers.do(server, statement.format(name=name), within)
        _free[kind].append(name)


@pytest.fixture
def new_database() -> Iterator[Callable[[str], URL]]:
    """Gives an empty database of a kind each time, taken back after the test."""
    with ExitStack() as stack:
        yield lambda kind: stack.enter_context(_database(kind))


@pytest.fixture(scope="session")
def session_database() -> Iterator[Callable[[str], URL]]:
    """The same, taken back after the session."""
    with ExitStack() as stack:
        yield lambda kind: stack.enter_context(_database(kind))


@pytest.fixture
def server_folder() -> Callable[[str], Path]:
    """Where the server of a kind keeps its files."""
    return lambda kind: _server(kind).folder


@pytest.fixture
def postgresql(new_database: Callable[[str], URL]) -> URL:
    """An empty database on PostgreSQL."""
    return new_database("postgresql")


@pytest.fixture
def mariadb(new_database: Callable[[str], URL]) -> URL:
    """An empty database on MariaDB."""
    return new_database("mariadb")
