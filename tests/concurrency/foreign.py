"""A program that uses the tables by its own SQL and knows nothing of Keystead."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pymysql
from sqlalchemy import make_url
from tests.concurrency.places import Place

# rows that a program may look for under another spelling than the one they are stored under
_TEXT = {
    "sqlite": "VARCHAR(80) COLLATE NOCASE",
    "postgresql": "VARCHAR(80)",
    "mariadb": "VARCHAR(80) COLLATE utf8mb4_general_ci",
}
_BETWEEN_TRIES = 0.003
COLUMNS = ("id", "uid", "name", "city", "age", "note")
Values = dict[str, Any]


class Refused(Exception):
    """The database took nothing of it: it may be tried again."""


class Twice(Exception):
    """There is such a row already."""


class Gone(Exception):
    """The database is away; whether it took what was being committed is not known."""


class Foreign:
    """One connection, in autocommit; it is made anew when it was lost."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection: Any = None

    def create(self) -> None:
        text = _TEXT[self._place.engine]
        self.run(
            f"CREATE TABLE people (id {text} PRIMARY KEY, uid VARCHAR(40) NOT NULL UNIQUE,"
            f" name {text}, city {text}, age BIGINT, note {text})"
        )

    def insert(self, values: Values) -> int:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        return self.run(f"INSERT INTO people ({names}) VALUES ({marks})", *values.values())

    def update(self, uid: str, values: Values) -> int:
        sets = ", ".join(f"{name} = ?" for name in values)
        return self.run(f"UPDATE people SET {sets} WHERE uid = ?", *values.values(), uid)

    def delete(self, uid: str) -> int:
        return self.run("DELETE FROM people WHERE uid = ?", uid)

    def rows(self) -> list[Values]:
        cursor = self._cursor()
        cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM people")
        return [dict(zip(COLUMNS, row, strict=True)) for row in cursor.fetchall()]

    def run(self, statement: str, *values: Any) -> int:
        """Carry out a statement; how many rows it met."""
        if self._place.engine != "sqlite":
            statement = statement.replace("?", "%s")
        # a column of numbers becomes one of texts when it is encrypted
        given = [str(v) if isinstance(v, int) else v for v in values]
        with self._named():
            cursor = self._cursor()
            while True:
                try:
                    cursor.execute(statement, given)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                        raise
                    time.sleep(_BETWEEN_TRIES)
                else:
                    return int(cursor.rowcount)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Several statements as one transaction."""
        self.run("BEGIN IMMEDIATE" if self._place.engine == "sqlite" else "BEGIN")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            self.close()  # which takes back what is not committed
            raise

    def close(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error, pymysql.Error):
                self._connection.close()
            self._connection = None

    def _cursor(self) -> Any:
        if self._connection is None:
            with self._named():
                self._connection = self._connected()
        return self._connection.cursor()

    def _connected(self) -> Any:
        engine = self._place.engine
        if engine == "sqlite":
            file = self._place.folder / "instance.db"
            return sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
        url = make_url(str(self._place.url))
        if engine == "postgresql":
            plain = url.render_as_string(hide_password=False)
            return psycopg.connect(plain, autocommit=True, connect_timeout=10)
        return pymysql.connect(
            host=str(url.host),
            port=int(str(url.port)),
            user=str(url.username),
            password=str(url.password),
            database=str(url.database),
            autocommit=True,
            charset="utf8mb4",
            connect_timeout=10,
            client_flag=pymysql.constants.CLIENT.FOUND_ROWS,
        )

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.IntegrityError, pymysql.IntegrityError, sqlite3.IntegrityError) as error:
            raise Twice from error
        except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable) as error:
            raise Refused from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            raise Gone from error
        except (pymysql.OperationalError, pymysql.InterfaceError) as error:
            if error.args and error.args[0] in (1205, 1213, 1412):
                raise Refused from error
            self.close()
            raise Gone from error
