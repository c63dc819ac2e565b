"""Instances on each database, opened any number of times, in this process or another."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url

from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.opening import Instance
from keystead.instance.registry import CAPABILITIES

ENGINES = ("sqlite", "postgresql", "mariadb")
ACTOR = "test"
_SEED = "KEYSTEAD_TEST_SEED"


@dataclass(frozen=True)
class Place:
    """Where an instance is; without a URL in its home folder."""

    engine: str
    folder: Path
    url: str | None

    def init(self, port: int = 8420) -> None:
        assert CAPABILITIES
        opening.init(self.folder, "prod", port, self.connect, ACTOR, self.url or "")

    def open(self) -> Instance:
        """The instance, with connections of its own."""
        return opening.open_instance(self.folder, self.connect)

    def connect(self, home: Home) -> Any:
        if self.engine == "postgresql":
            return PostgresqlDatabase(make_url(str(self.url)))
        if self.engine == "mariadb":
            return MariadbDatabase(make_url(str(self.url)))
        database = SqliteDatabase(home.database_file)
        event.listen(database._engine, "connect", _unsynchronized)
        return database


def _unsynchronized(raw: Any, _record: object) -> None:
    raw.execute("PRAGMA synchronous = OFF")  # no test unplugs it


def seed() -> int:
    """Where chance begins; printed, so that a failure can be had again by KEYSTEAD_TEST_SEED."""
    chosen = int(os.environ.get(_SEED) or secrets.randbits(32))
    print(f"{_SEED}={chosen}")
    return chosen
