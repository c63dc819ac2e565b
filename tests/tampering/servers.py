"""An instance on a database server, and somebody who goes past all of Keystead there."""

from __future__ import annotations

from typing import Any

import psycopg
import pymysql
from sqlalchemy import URL, create_engine
from tests.unit.exchange.pairs import Past, Refused, Site

from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.database.port import Database
from keystead.database.schema import METADATA
from keystead.instance.home import Home

_UNFIT = (1265, 1292, 1366, 1406)


class Server(Past):
    """A database on a server; statements are given as SQLite takes them."""

    driver: str
    same: str
    listed = "SELECT table_name FROM information_schema.tables WHERE table_schema = "

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url.set(drivername=self.driver))
        self._raw = self._connected(url)
        self._cursor = self._raw.cursor()
        self._kept: dict[str, list[tuple[Any, ...]]] = {}
        self._altered: set[str] = set()

    def _connected(self, url: URL) -> Any:
        raise NotImplementedError

    def sql(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if statement.startswith(("CREATE", "DROP", "ALTER")):
            self._altered |= {name for name in METADATA.tables if f'"{name}"' in statement}
        said = statement.replace("%", "%%").replace("IS ?", f"{self.same} %s").replace("?", "%s")
        try:
            self._cursor.execute(said, values)
        except (psycopg.DataError, psycopg.errors.DatatypeMismatch) as error:
            raise Refused from error
        except pymysql.Error as error:
            if error.args[0] in _UNFIT:
                raise Refused from error
            raise
        return list(self._cursor.fetchall()) if self._cursor.description else []

    def tables(self) -> list[str]:
        return sorted(name for (name,) in self.sql(self.listed, ()))

    def keep(self) -> None:
        self._kept = {name: self._rows(name) for name in self.tables()}

    def restore(self) -> None:
        for name in {*self.tables(), *self._altered} - (self._kept.keys() - self._altered):
            self.sql(f'DROP TABLE IF EXISTS "{name}"', ())
        for name in self._altered:
            METADATA.tables[name].create(self._engine)
        self._altered.clear()
        for name, rows in self._kept.items():
            if self._rows(name) != rows:
                self.sql(f'DELETE FROM "{name}"', ())
                for row in rows:
                    marks = ", ".join("?" * len(row))
                    self.sql(f'INSERT INTO "{name}" VALUES ({marks})', row)

    def _rows(self, name: str) -> list[tuple[Any, ...]]:
        return sorted(self.sql(f'SELECT * FROM "{name}"', ()), key=repr)

    def close(self) -> None:
        self._cursor.close()
        self._raw.close()
        self._engine.dispose()


class Postgresql(Server):
    driver, same = "postgresql+psycopg", "IS NOT DISTINCT FROM"
    listed = f"{Server.listed}current_schema()"

    def _connected(self, url: URL) -> Any:
        plain = url.render_as_string(hide_password=False)
        return psycopg.connect(plain, autocommit=True)

    def remove_one(self, table: str, key: str, value: object) -> None:
        one = f'(SELECT max(ctid) FROM "{table}" WHERE {key} = ?)'
        self.sql(f'DELETE FROM "{table}" WHERE ctid = {one}', (value,))

    def spoil(self, table: str, column: str) -> None:
        self.sql(f'ALTER TABLE "{table}" ALTER "{column}" TYPE bytea USING \'\\xff\'::bytea', ())


class Mariadb(Server):
    driver, same = "mariadb+pymysql", "<=>"
    listed = f"{Server.listed}database()"

    def _connected(self, url: URL) -> Any:
        return pymysql.connect(
            host=str(url.host),
            port=int(str(url.port)),
            user=str(url.username),
            password=str(url.password),
            database=str(url.database),
            autocommit=True,
            charset="utf8mb4",
            init_command="SET SESSION sql_mode = 'STRICT_ALL_TABLES,ANSI_QUOTES,PIPES_AS_CONCAT'",
        )

    def remove_one(self, table: str, key: str, value: object) -> None:
        self.sql(f'DELETE FROM "{table}" WHERE {key} = ? LIMIT 1', (value,))

    def spoil(self, table: str, column: str) -> None:
        self.sql(f'ALTER TABLE "{table}" MODIFY "{column}" LONGBLOB', ())
        self.sql(f'UPDATE "{table}" SET "{column}" = x\'ff\'', ())


class ServerSite(Site):
    """A place on a server."""

    def __init__(self, kind: str, url: URL) -> None:
        self._kind, self._url = kind, url

    def connect(self, home: Home) -> Database:
        adapters = {"postgresql": PostgresqlDatabase, "mariadb": MariadbDatabase}
        return adapters[self._kind](self._url)

    def past(self, home: Home) -> Past:
        return {"postgresql": Postgresql, "mariadb": Mariadb}[self._kind](self._url)
