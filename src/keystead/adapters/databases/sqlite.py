"""SQLite: the embedded default. WAL, secure_delete, one writer at a time.

Transactions are begun explicitly (`BEGIN IMMEDIATE` to write), so that a reader never turns into a
writer half way. Temporary data stays in memory, since it may be clear text; only the scrub, which
comes after encryption, rebuilds the file by way of another.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, inspect
from sqlalchemy.exc import DatabaseError, IntegrityError

from keystead.base.errors import Invalid, KeysteadError, NotFound, Unavailable
from keystead.database.model import RESERVED_PREFIXES, STAGING_PREFIX, Column, ColumnType, Table
from keystead.database.port import Row, ScrubReport, Value
from keystead.database.schema import METADATA

_BUSY_TIMEOUT_MS = 30_000
_INSERT_BATCH = 2_000
_CACHE_KIB = 64_000
_REBUILD = "keystead_rebuild"
_COUNTS = "temp.keystead_counts"
_WRITE = {"keystead_begin": "BEGIN IMMEDIATE"}
_READ = {"keystead_begin": "BEGIN"}


class SqliteDatabase:
    """A database in one file."""

    def __init__(self, file: Path) -> None:
        self._engine = create_engine(f"sqlite:///{file}", hide_parameters=True)
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction."""
        with self._connection(_WRITE) as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A read transaction at one point in time."""
        with self._connection(_READ) as connection:
            yield connection

    @contextmanager
    def _connection(self, options: dict[str, str]) -> Iterator[Connection]:
        with _named_errors(), self._engine.connect() as plain:
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection

    def create_own_tables(self, tx: Connection) -> None:
        """Create Keystead's tables."""
        METADATA.create_all(tx)

    def table_names(self, tx: Connection) -> list[str]:
        """The business tables."""
        names = inspect(tx).get_table_names()
        return sorted(n for n in names if not n.lower().startswith(RESERVED_PREFIXES))

    def staging_names(self, tx: Connection) -> list[str]:
        """The tables in which a clone is being put together."""
        return [n for n in inspect(tx).get_table_names() if n.startswith(STAGING_PREFIX)]

    def describe(self, tx: Connection, table: str) -> Table:
        """Columns and constraints of a business table."""
        inspector = inspect(tx)
        if table not in inspector.get_table_names():
            raise NotFound("table.missing", table=table)
        checks = " ".join(c["sqltext"] for c in inspector.get_check_constraints(table))
        uniques = {n for u in inspector.get_unique_constraints(table) for n in u["column_names"]}
        for index in inspector.get_indexes(table):
            if index["unique"]:
                uniques |= {n for n in index["column_names"] if n}
        columns = tuple(
            Column(
                name=found["name"],
                type=_type_of(str(found["type"])),
                nullable=bool(found["nullable"]),
                generated="computed" in found,
                checked=found["name"] in checks,
            )
            for found in inspector.get_columns(table)
        )
        foreign = {n for f in inspector.get_foreign_keys(table) for n in f["constrained_columns"]}
        key = tuple(inspector.get_pk_constraint(table)["constrained_columns"])
        return Table(table, columns, key, frozenset(foreign), frozenset(uniques))

    def create_table(self, tx: Connection, table: Table) -> None:
        """Create a table with its columns and primary key."""
        parts = [
            f"{_quote(c.name)} {_SQL_TYPE[c.type]}{'' if c.nullable else ' NOT NULL'}"
            for c in table.columns
        ]
        parts.append(f"PRIMARY KEY ({_names(table.primary_key)})")
        _run(tx, f"CREATE TABLE {_quote(table.name)} ({', '.join(parts)})")

    def rename_table(self, tx: Connection, old: str, new: str) -> None:
        """Give a table another name."""
        _run(tx, f"ALTER TABLE {_quote(old)} RENAME TO {_quote(new)}")

    def drop_table(self, tx: Connection, table: str) -> None:
        """Remove a table if it exists."""
        _run(tx, f"DROP TABLE IF EXISTS {_quote(table)}")

    def insert(
        self, tx: Connection, table: str, columns: Sequence[str], rows: Iterable[Row]
    ) -> None:
        """Insert rows, in batches."""
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {_quote(table)} ({_names(columns)}) VALUES ({marks})"  # noqa: S608
        batch: list[Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _INSERT_BATCH:
                _run(tx, statement, batch)
                batch = []
        if batch:
            _run(tx, statement, batch)

    def widen(self, tx: Connection, table: Table, column: str) -> None:
        """Rebuild the table with a TEXT column; SQLite has no other way to change a type."""
        target = table.column(column)
        if target is None or target.type is ColumnType.TEXT:
            return
        self._refuse_referenced(tx, table, column)
        name = _quote(table.name)
        (created,) = _run(
            tx, "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table.name,)
        ).one()
        indexes = _run(
            tx,
            "SELECT sql FROM sqlite_master"
            " WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL",
            (table.name,),
        ).all()
        _run(tx, _retyped(created, table.name, column))
        every = _names([c.name for c in table.columns if not c.generated])
        picked = ", ".join(
            f"CAST({_quote(c.name)} AS TEXT)" if c.name == column else _quote(c.name)
            for c in table.columns
            if not c.generated
        )
        _run(tx, f"INSERT INTO {_REBUILD} ({every}) SELECT {picked} FROM {name}")  # noqa: S608
        _run(tx, f"DROP TABLE {name}")
        _run(tx, f"ALTER TABLE {_REBUILD} RENAME TO {name}")
        for (sql,) in indexes:
            _run(tx, sql)

    def _refuse_referenced(self, tx: Connection, table: Table, column: str) -> None:
        """Refuse to rebuild a table that another refers to: its rows would follow the old one."""
        inspector = inspect(tx)
        for other in inspector.get_table_names():
            keys = inspector.get_foreign_keys(other)
            if any(key["referred_table"].lower() == table.name.lower() for key in keys):
                raise Invalid(
                    "field.refused",
                    table=table.name,
                    column=column,
                    reason=f"the table '{other}' refers to this one",
                    advice="Remove that foreign key first.",
                )

    def page(
        self,
        tx: Connection,
        table: str,
        key: Sequence[str],
        columns: Sequence[str],
        after: Row | None,
        limit: int,
    ) -> list[Row]:
        """The next rows in key order."""
        names = _names(key)
        past = f"WHERE ({names}) > ({', '.join('?' * len(key))})" if after is not None else ""
        statement = (
            f"SELECT {_names([*key, *columns])} FROM {_quote(table)} {past}"  # noqa: S608
            f" ORDER BY {names} LIMIT {int(limit)}"
        )
        return _rows(tx, statement, tuple(after or ()))

    def select(
        self,
        tx: Connection,
        table: str,
        columns: Sequence[str],
        where: Mapping[str, tuple[str, Sequence[Value]]],
        order: Sequence[str],
        limit: int,
    ) -> list[Row]:
        """Rows whose columns are in, or not in, the given values."""
        terms: list[str] = []
        values: list[Value] = []
        for column, (operator, wanted) in where.items():
            negated = {"in": "", "not in": "NOT "}[operator]
            terms.append(f"{_quote(column)} {negated}IN ({', '.join('?' * len(wanted))})")
            values.extend(wanted)
        condition = f" WHERE {' AND '.join(terms)}" if terms else ""
        statement = (
            f"SELECT {_names(columns)} FROM {_quote(table)}{condition}"  # noqa: S608
            f" ORDER BY {_names(order)} LIMIT {int(limit)}"
        )
        return _rows(tx, statement, tuple(values))

    def compare_and_set(
        self,
        tx: Connection,
        table: str,
        key: Sequence[str],
        columns: Sequence[str],
        changes: Sequence[Row],
    ) -> int:
        """Apply the changes whose rows still hold the old values."""
        if not changes:
            return 0
        new = ", ".join(f"{_quote(c)} = ?" for c in columns)
        guard = " AND ".join(
            [f"{_quote(k)} = ?" for k in key]
            + [f"{_quote(c)} IS ? COLLATE BINARY" for c in columns]
        )
        statement = f"UPDATE {_quote(table)} SET {new} WHERE {guard}"  # noqa: S608
        return int(_run(tx, statement, list(changes)).rowcount)

    def count_rows(self, tx: Connection, table: str) -> int:
        """How many rows a table has."""
        return int(_run(tx, f"SELECT count(*) FROM {_quote(table)}").scalar_one())  # noqa: S608

    def count_by_prefix(
        self, tx: Connection, table: str, column: str, marker: str, length: int
    ) -> dict[str, int]:
        """Values by prefix; unmarked ones under `null`, `empty` and `plain`."""
        # not GROUP BY, which would sort every prefix in memory first
        name = _quote(column)
        prefix = (
            f"CASE WHEN {name} IS NULL THEN 'null'"
            f" WHEN {name} = '' COLLATE BINARY THEN 'empty'"
            f" WHEN substr({name}, 1, {len(marker)}) = ? THEN substr({name}, 1, {int(length)})"
            f" ELSE 'plain' END"
        )
        _run(tx, f"CREATE TEMP TABLE {_COUNTS} (prefix TEXT PRIMARY KEY, number) WITHOUT ROWID")
        _run(
            tx,
            f"INSERT INTO {_COUNTS} SELECT {prefix}, 1 FROM {_quote(table)} WHERE true"  # noqa: S608
            " ON CONFLICT DO UPDATE SET number = number + 1",
            (marker,),
        )
        counts = _run(tx, f"SELECT prefix, number FROM {_COUNTS}").all()  # noqa: S608
        _run(tx, f"DROP TABLE {_COUNTS}")
        return {str(prefix): int(number) for prefix, number in counts}

    def scrub(self) -> ScrubReport:
        """Rebuild the file without free pages and empty the write-ahead log."""
        raw = self._engine.raw_connection()
        try:
            # in a file, since the rebuilt database would not fit in memory; it holds what remains
            raw.execute("PRAGMA temp_store = FILE")
            raw.execute("VACUUM")
            (blocked, _, _) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            raise _translated(error) from None
        finally:
            raw.execute("PRAGMA temp_store = MEMORY")
            raw.close()
        if blocked:
            raise Unavailable("scrub.blocked")
        return ScrubReport(
            done=(
                "replaced values were overwritten as they were replaced (secure_delete)",
                "the file was rebuilt without free pages (VACUUM)",
                "the write-ahead log was emptied (checkpoint TRUNCATE)",
            ),
            may_remain=(
                "blocks that the file system freed (the old log and the old file)",
                "backups and snapshots made before this moment",
                "the file the rows were loaded from",
            ),
        )

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


_SQL_TYPE = {ColumnType.TEXT: "TEXT", ColumnType.INTEGER: "INTEGER"}


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = ON",
        "foreign_keys = ON",
        "temp_store = MEMORY",
        f"cache_size = -{_CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get("keystead_begin", "BEGIN")
    connection.exec_driver_sql(begin)


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except KeysteadError:
        raise
    except IntegrityError:
        raise
    except DatabaseError as error:
        raise _translated(error.orig or error) from None
    except sqlite3.Error as error:
        raise _translated(error) from None


def _translated(error: BaseException) -> Unavailable:
    reason = _first_line(error)
    if isinstance(error, sqlite3.OperationalError) and "full" in reason:
        return Unavailable("disk.full")
    if isinstance(error, sqlite3.OperationalError) and ("locked" in reason or "busy" in reason):
        return Unavailable("database.busy")
    return Unavailable("database.broken", reason=type(error).__name__)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _type_of(declared: str) -> ColumnType:
    upper = declared.upper()
    if "INT" in upper:
        return ColumnType.INTEGER
    if any(word in upper for word in ("CHAR", "TEXT", "CLOB")):
        return ColumnType.TEXT
    return ColumnType.OTHER


def _retyped(created: str, table: str, column: str) -> str:
    """The declaration of `table` as SQLite keeps it, for the rebuilt table, `column` as TEXT."""
    name = rf"""(?:{re.escape(_quote(table))}|{re.escape(table)})"""
    renamed, found = re.subn(
        rf"^CREATE TABLE {name}", f"CREATE TABLE {_REBUILD}", created, count=1, flags=re.IGNORECASE
    )
    field = rf"""([(,]\s*(?:{re.escape(_quote(column))}|{re.escape(column)})\s+)\w*INT\w*"""
    retyped, changed = re.subn(field, r"\1TEXT", renamed, count=1, flags=re.IGNORECASE)
    if not (found and changed):
        raise Unavailable("database.broken", reason=f"the type of {column} cannot be changed")
    return retyped


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _names(names: Iterable[str]) -> str:
    return ", ".join(_quote(n) for n in names)


def _run(tx: Connection, statement: str, values: Any = None) -> Any:
    return tx.exec_driver_sql(statement, values or ())


def _rows(tx: Connection, statement: str, values: Row) -> list[Row]:
    """Rows as the driver makes them: to make them SQLAlchemy's costs as much as reading them."""
    cursor = tx.connection.cursor()
    try:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
    finally:
        cursor.close()
