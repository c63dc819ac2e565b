"""SQLite: the embedded default. WAL, secure_delete, one writer at a time.

Transactions are begun explicitly (`BEGIN IMMEDIATE` to write), so that a reader never turns into a
writer half way. Temporary data stays in memory, since it may be clear text; only the scrub, which
comes after encryption, rebuilds the file by way of another.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Connection, create_engine, event, inspect
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from keystead.adapters.databases import sqlite_copy
from keystead.adapters.databases.conditions import Kind, is_row, order_by, where
from keystead.adapters.databases.sqlite_schema import (
    names_after,
    names_in,
    quote,
    retyped,
    type_of,
)
from keystead.adapters.databases.statements import reserved
from keystead.base.errors import Invalid, KeysteadError, NotFound, Tampered, Unavailable
from keystead.database.integrity import misread
from keystead.database.model import RESERVED_PREFIXES, STAGING_PREFIX, Column, ColumnType, Table
from keystead.database.port import Row, ScrubReport, Value
from keystead.database.query import EVERY_ROW, Query
from keystead.database.schema import METADATA

_BUSY_TIMEOUT_MS = 30_000
_PIECE = 1024 * 1024
_BETWEEN_TRIES_SECONDS = 0.004
_INSERT_BATCH = 2_000
_CACHE_KIB = 64_000
_REBUILD = "keystead_rebuild"
_COUNTS = "temp.keystead_counts"
_WRITE = {"keystead_begin": "BEGIN IMMEDIATE"}
_READ = {"keystead_begin": "BEGIN"}


class SqliteDatabase:
    """A database in one file, which one home has."""

    is_shared = False

    def __init__(self, file: Path) -> None:
        self._engine = create_engine(f"sqlite:///{file}", hide_parameters=True)
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._writing = self._engine.execution_options(**_WRITE)
        self._reading = self._engine.execution_options(**_READ)
        self._described: dict[str, tuple[Value, Table]] = {}

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction."""
        with _named_errors(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A read transaction at one point in time."""
        with _named_errors(), self._reading.begin() as connection:
            yield connection

    def create_own_tables(self, tx: Connection) -> None:
        """Create Keystead's tables."""
        METADATA.create_all(tx)

    def table_names(self, tx: Connection) -> list[str]:
        """The business tables."""
        names = inspect(tx).get_table_names()
        return sorted(n for n in names if not n.lower().startswith(RESERVED_PREFIXES))

    def reserved_names(self, tx: Connection) -> list[str]:
        """Tables that are neither business tables nor ours, though named like those."""
        return reserved(inspect(tx).get_table_names())

    def staging_names(self, tx: Connection) -> list[str]:
        """The tables in which a clone is being put together."""
        return [n for n in inspect(tx).get_table_names() if n.startswith(STAGING_PREFIX)]

    def describe(self, tx: Connection, table: str) -> Table:
        """Columns and constraints of a business table, kept while the schema is the same."""
        ((version,),) = _rows(tx, "PRAGMA schema_version", ())
        kept = self._described.get(table)
        if kept is None or kept[0] != version:
            kept = self._described[table] = (version, self._describe(tx, table))
        return kept[1]

    def _describe(self, tx: Connection, table: str) -> Table:
        inspector = inspect(tx)
        if table not in inspector.get_table_names():
            raise NotFound("table.missing", table=table)
        statement = self._statement(tx, table)
        checked, made_from = names_after("CHECK", statement), names_after("AS", statement)
        found_columns = inspector.get_columns(table)
        names = [found["name"] for found in found_columns]
        columns = tuple(
            Column(
                name=found["name"],
                type=type_of(str(found["type"])),
                nullable=bool(found["nullable"]),
                generated="computed" in found,
                checked=found["name"].lower() in checked,
            )
            for found in found_columns
        )
        foreign = {n for f in inspector.get_foreign_keys(table) for n in f["constrained_columns"]}
        key = tuple(inspector.get_pk_constraint(table)["constrained_columns"])
        sources = frozenset(name for name in names if name.lower() in made_from)
        unique = self._unique(tx, table, names)
        return Table(table, columns, key, frozenset(foreign), unique, sources)

    def _statement(self, tx: Connection, table: str) -> str:
        query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
        return str(_run(tx, query, (table,)).scalar_one())

    def _unique(self, tx: Connection, table: str, names: Sequence[str]) -> frozenset[str]:
        """Columns of unique constraints and indexes; of an index on an expression all it names."""
        indexes = _run(
            tx,
            "SELECT list.name, info.name, m.sql FROM pragma_index_list(?) AS list"
            " JOIN pragma_index_info(list.name) AS info"
            " LEFT JOIN sqlite_master AS m ON m.type = 'index' AND m.name = list.name"
            " WHERE list.\"unique\" AND list.origin <> 'pk'",
            (table,),
        ).all()
        found = {column for _, column, _ in indexes if column}
        for _, column, statement in indexes:
            if column is None:
                found |= {name for name in names if name.lower() in names_in(statement)}
        return frozenset(found)

    def create_table(self, tx: Connection, table: Table) -> None:
        """Create a table with its columns and primary key."""
        parts = [
            f"{quote(c.name)} {_SQL_TYPE[c.type]}{'' if c.nullable else ' NOT NULL'}"
            for c in table.columns
        ]
        parts.append(f"PRIMARY KEY ({_names(table.primary_key)})")
        _run(tx, f"CREATE TABLE {quote(table.name)} ({', '.join(parts)})")

    def rename_table(self, tx: Connection, old: str, new: str) -> None:
        """Give a table another name."""
        _run(tx, f"ALTER TABLE {quote(old)} RENAME TO {quote(new)}")

    def drop_table(self, tx: Connection, table: str) -> None:
        """Remove a table if it exists."""
        _run(tx, f"DROP TABLE IF EXISTS {quote(table)}")

    def insert(
        self, tx: Connection, table: str, columns: Sequence[str], rows: Iterable[Row]
    ) -> None:
        """Insert rows, in batches."""
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {quote(table)} ({_names(columns)}) VALUES ({marks})"  # noqa: S608
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
        name = quote(table.name)
        created = self._statement(tx, table.name)
        indexes = _run(
            tx,
            "SELECT sql FROM sqlite_master"
            " WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL",
            (table.name,),
        ).all()
        _run(tx, retyped(created, table.name, column, _REBUILD))
        every = _names([c.name for c in table.columns if not c.generated])
        picked = ", ".join(
            f"CAST({quote(c.name)} AS TEXT)" if c.name == column else quote(c.name)
            for c in table.columns
            if not c.generated
        )
        _run(tx, f"INSERT INTO {_REBUILD} ({every}) SELECT {picked} FROM {name}")  # noqa: S608
        _run(tx, f"DROP TABLE {name}")
        # views that name the table stand while it is away (SQLite, "ALTER TABLE", clause 7)
        _run(tx, "PRAGMA legacy_alter_table = ON")
        try:
            _run(tx, f"ALTER TABLE {_REBUILD} RENAME TO {name}")
        finally:
            _run(tx, "PRAGMA legacy_alter_table = OFF")
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
            f"SELECT {_names([*key, *columns])} FROM {quote(table)} {past}"  # noqa: S608
            f" ORDER BY {names} LIMIT {int(limit)}"
        )
        return _rows(tx, statement, tuple(after or ()))

    def select(
        self,
        tx: Connection,
        table: str,
        columns: Sequence[str],
        query: Query,
        limit: int,
        offset: int = 0,
    ) -> list[Row]:
        """Rows that meet a query; bytes become hexadecimal digits."""
        terms = _Terms(tx, table)
        condition, values = where(query, terms)
        read = ", ".join(
            f"CASE typeof({quote(c)}) WHEN 'blob' THEN hex({quote(c)}) ELSE {quote(c)} END"
            for c in columns
        )
        statement = (
            f"SELECT {read} FROM {quote(table)}{condition}{order_by(query, terms)}"  # noqa: S608
            f" LIMIT {int(limit)} OFFSET {int(offset)}"
        )
        return _rows(tx, statement, values)

    def update(
        self,
        tx: Connection,
        table: str,
        key: Sequence[str],
        row: Row,
        values: Mapping[str, Value],
    ) -> int:
        """Set columns of the row with that key."""
        condition, found = is_row(key, row, _Terms(tx, table))
        sets = ", ".join(f"{quote(column)} = ?" for column in values)
        statement = f"UPDATE {quote(table)} SET {sets}{condition}"  # noqa: S608
        return int(_run(tx, statement, (*values.values(), *found)).rowcount)

    def delete(self, tx: Connection, table: str, key: Sequence[str], row: Row) -> int:
        """Remove the row with that key."""
        condition, found = is_row(key, row, _Terms(tx, table))
        return int(_run(tx, f"DELETE FROM {quote(table)}{condition}", found).rowcount)  # noqa: S608

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
        width, until = len(columns), len(columns) + len(key)
        new = ", ".join(f"{quote(c)} = ?{at}" for at, c in enumerate(columns, 1))
        # the key finds the row by its index, then once more by bytes
        guards = [f"{quote(k)} = ?{at}" for at, k in enumerate(key, width + 1)]
        guards += [f"{guard} COLLATE BINARY" for guard in guards]
        guards += [f"{quote(c)} IS ?{at} COLLATE BINARY" for at, c in enumerate(columns, until + 1)]
        statement = f"UPDATE {quote(table)} SET {new} WHERE {' AND '.join(guards)}"  # noqa: S608
        return int(_run(tx, statement, list(changes)).rowcount)

    def count_rows(self, tx: Connection, table: str, query: Query = EVERY_ROW) -> int:
        """How many rows of a table meet a query."""
        condition, values = where(query, _Terms(tx, table)) if query.blocks else ("", ())
        statement = f"SELECT count(*) FROM {quote(table)}{condition}"  # noqa: S608
        return int(_run(tx, statement, values).scalar_one())

    def count_by_prefix(
        self, tx: Connection, table: str, column: str, marker: str, length: int
    ) -> dict[str, int]:
        """Values by prefix; unmarked ones under `null`, `empty` and `plain`."""
        # not GROUP BY, which would sort every prefix in memory first
        name = quote(column)
        prefix = (
            f"CASE WHEN {name} IS NULL THEN 'null'"
            f" WHEN {name} = '' COLLATE BINARY THEN 'empty'"
            f" WHEN substr({name}, 1, {len(marker)}) = ? THEN substr({name}, 1, {int(length)})"
            f" ELSE 'plain' END"
        )
        _run(tx, f"CREATE TEMP TABLE {_COUNTS} (prefix TEXT PRIMARY KEY, number) WITHOUT ROWID")
        _run(
            tx,
            f"INSERT INTO {_COUNTS} SELECT {prefix}, 1 FROM {quote(table)} WHERE true"  # noqa: S608
            " ON CONFLICT DO UPDATE SET number = number + 1",
            (marker,),
        )
        counts = _run(tx, f"SELECT prefix, number FROM {_COUNTS}").all()  # noqa: S608
        _run(tx, f"DROP TABLE {_COUNTS}")
        return {str(prefix): int(number) for prefix, number in counts}

    def scrub(self, *tables: str) -> ScrubReport:
        """Rebuild the file, whatever tables it is for, and empty the write-ahead log."""
        del tables
        raw = self._engine.raw_connection()
        try:
            # in a file, since the rebuilt database would not fit in memory; it holds what remains
            raw.execute("PRAGMA temp_store = FILE")
            raw.execute("VACUUM")
            blocked = not _emptied_log(raw)
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

    def copy(self, scratch: Path, on_bytes: Callable[[int, int], None]) -> Generator[bytes]:
        """The whole database, as it is at one moment, in pieces of a file."""
        with self._raw() as raw:
            sqlite_copy.copy_to(raw, scratch, on_bytes)
        with scratch.open("rb") as source:
            while piece := source.read(_PIECE):
                yield piece

    def fill(self, copy: Iterator[bytes], scratch: Path) -> None:
        """Fill this empty database from the pieces of such a file."""
        with scratch.open("xb") as out:
            out.writelines(copy)
        with self._raw() as raw:
            sqlite_copy.copy_from(raw, scratch)

    def trim(self, tx: Connection) -> None:
        """Empty the connection's page cache but for what is not written yet."""
        _run(tx, "PRAGMA shrink_memory")

    @contextmanager
    def _raw(self) -> Iterator[sqlite3.Connection]:
        with _named_errors(), closing(self._engine.raw_connection()) as pooled:
            yield cast("sqlite3.Connection", pooled.driver_connection)

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


class _Terms:
    """How a query is said; SQLite converts a value to the affinity of its column."""

    mark = "?"
    _KINDS: Final = {ColumnType.TEXT: Kind.TEXT, ColumnType.INTEGER: Kind.WHOLE}

    def __init__(self, tx: Connection, table: str) -> None:
        statement = "SELECT name, type FROM pragma_table_xinfo(?)"
        self._types = {str(n): type_of(str(kind)) for n, kind in _rows(tx, statement, (table,))}

    def kind(self, column: str) -> Kind:
        """How its values are compared."""
        return self._KINDS.get(self._types[column], Kind.OTHER)

    def own(self, column: str) -> str:
        """The column itself."""
        return quote(column)

    def by_bytes(self, column: str) -> str:
        """The column, compared by bytes."""
        return f"{quote(column)} COLLATE BINARY"

    def folded(self, text: str) -> str:
        """A text in lower case; SQLite knows that of ASCII only."""
        return f"lower({text})"


def _begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get("keystead_begin", "BEGIN")
    raw = cast("sqlite3.Connection", connection.connection.driver_connection)
    if begin != _WRITE["keystead_begin"]:
        raw.execute(begin)
        return
    # SQLite itself waits longer and longer between its tries, so who came first may never come in
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        _begin_in_turn(raw, begin)
    finally:
        raw.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")


def _emptied_log(raw: Any) -> bool:
    """Empty the write-ahead log; whether that was possible within the patience.

    While another connection moves the log into the file by itself, which it does after a commit,
    SQLite refuses at once and does not wait.
    """
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1_000
    while raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline:
            return False
        time.sleep(_BETWEEN_TRIES_SECONDS)
    return True


def _begin_in_turn(raw: sqlite3.Connection, begin: str) -> None:
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1_000
    while True:
        try:
            raw.execute(begin)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0, 2 * _BETWEEN_TRIES_SECONDS))  # noqa: S311
        else:
            return


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except KeysteadError:
        raise
    except IntegrityError:
        raise
    except DatabaseError as error:
        reason = _first_line(error.orig or error)
        if error.detail and any(words in reason for words in _MISREAD):
            raise misread(error) from None
        raise _translated(error.orig or error) from None
    except sqlite3.Error as error:
        raise _translated(error) from None
    except PoolTimeoutError:
        raise Unavailable("database.busy") from None
    except UnicodeEncodeError:
        raise Invalid("database.value", reason="a text that is not valid UTF-8") from None


_MISREAD: Final = ("no such table", "no such column", "decode to UTF-8")


def _translated(error: BaseException) -> KeysteadError:
    reason = _first_line(error)
    if "decode to UTF-8" in reason:
        return Invalid("database.not_text")
    if "not a database" in reason or "malformed" in reason:
        return Tampered("database.damaged")
    if isinstance(error, sqlite3.OperationalError) and "full" in reason:
        return Unavailable("disk.full")
    if isinstance(error, sqlite3.OperationalError) and ("locked" in reason or "busy" in reason):
        return Unavailable("database.busy")
    return Unavailable("database.broken", reason=type(error).__name__)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _names(names: Iterable[str]) -> str:
    return ", ".join(quote(n) for n in names)


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
