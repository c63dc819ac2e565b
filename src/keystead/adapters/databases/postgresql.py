"""PostgreSQL: one advisory lock makes write transactions serial, snapshots are repeatable reads.

A write transaction takes the lock first and reads at READ COMMITTED, so that it sees all that the
one before it wrote; programs that do not know the lock are met by compare and set. The server ends
one that stands still, so that a frozen program does not keep its turn. The driver commits by itself
(`autocommit`), and every transaction is begun by a statement written here.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import errors
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from keystead.adapters.databases import postgresql_schema as schema
from keystead.adapters.databases import server_tools
from keystead.adapters.databases.conditions import Kind, is_row, order_by, where
from keystead.adapters.databases.postgresql_schema import Stored
from keystead.adapters.databases.server_tools import Command, expecting, private_file
from keystead.adapters.databases.statements import names, own, quote, reserved
from keystead.adapters.databases.turns import turn
from keystead.base.errors import Conflict, Invalid, KeysteadError, Misconfigured, Unavailable
from keystead.database import versions
from keystead.database.integrity import misread
from keystead.database.model import RESERVED_PREFIXES, STAGING_PREFIX, ColumnType, Table
from keystead.database.port import IDLE_SECONDS, Row, ScrubReport, Value
from keystead.database.query import EVERY_ROW, Query
from keystead.database.schema import METADATA

_NUMBER: Final = re.compile(r"\d+")  # how many dead rows could not be removed
# the first transaction whose dead rows somebody may see, as version 15 says it and those before
_CUTOFF: Final = re.compile(r"(?:removable cutoff|oldest xmin): (\d+)")
_READERS_PATIENCE: Final = 3.0
_BETWEEN_LOOKS: Final = 0.1
_LOCK: Final = int.from_bytes(b"keystead", "big")
_LOCK_PATIENCE_MS: Final = 30_000
_CONNECT_PATIENCE: Final = 10
_LONGEST_NAME_BYTES: Final = 63
_SETTINGS: Final = {
    "lock_timeout": str(_LOCK_PATIENCE_MS),
    "timezone": "UTC",
    "datestyle": "ISO",
    "standard_conforming_strings": "on",
}
_WRITE: Final = {
    "keystead_begin": "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
    f" SET LOCAL idle_in_transaction_session_timeout = {IDLE_SECONDS * 1_000};"
    f" SELECT pg_catalog.pg_advisory_xact_lock({_LOCK})"
}
# the point in time is that of the first query, so there is one at once
_READ: Final = {"keystead_begin": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1"}
_BY_BYTES: Final = '::text COLLATE "C"'
_SQL_TYPE: Final = {ColumnType.TEXT: 'text COLLATE "C"', ColumnType.INTEGER: "bigint"}


class PostgresqlDatabase:
    """A schema of a PostgreSQL database, the first of the connection's search path."""

    is_shared = True

    def __init__(self, url: URL) -> None:
        self._url = url
        self._server = f"{url.host or 'localhost'}:{url.port or 5432}/{url.database}"
        self._engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            pool_pre_ping=True,
            use_native_hstore=False,
            connect_args={
                "autocommit": True,
                "connect_timeout": _CONNECT_PATIENCE,
                "client_encoding": "UTF8",
                "application_name": "keystead",
                "options": " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items()),
            },
        )
        event.listen(self._engine, "begin", _begin)
        self._writing = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction."""
        with (
            _named_errors(self._server),
            turn(self._writing, _LOCK_PATIENCE_MS / 1000),
            self._connection(_WRITE) as connection,
        ):
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A read transaction at one point in time."""
        with self._connection(_READ) as connection:
            yield connection

    @contextmanager
    def _connection(self, options: dict[str, str]) -> Iterator[Connection]:
        with _named_errors(self._server), self._engine.connect() as plain:
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection

    def create_own_tables(self, tx: Connection) -> None:
        """Create Keystead's tables."""
        self._refuse_encoding(tx)
        if set(METADATA.tables) & set(schema.tables(tx)):
            raise Conflict("database.taken", server=self._server)
        METADATA.create_all(tx, checkfirst=False)

    def _refuse_encoding(self, tx: Connection) -> None:
        encoding = tx.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise Misconfigured("database.encoding", server=self._server, encoding=encoding)

    def table_names(self, tx: Connection) -> list[str]:
        """The business tables."""
        found = schema.tables(tx)
        return sorted(n for n in found if not n.lower().startswith(RESERVED_PREFIXES))

    def reserved_names(self, tx: Connection) -> list[str]:
        """Tables that are neither business tables nor ours, though named like those."""
        return reserved(schema.tables(tx))

    def staging_names(self, tx: Connection) -> list[str]:
        """The tables in which a clone is being put together."""
        return [n for n in schema.tables(tx) if n.startswith(STAGING_PREFIX)]

    def describe(self, tx: Connection, table: str) -> Table:
        """Columns and constraints of a business table."""
        return schema.describe(tx, table)

    def create_table(self, tx: Connection, table: Table) -> None:
        """Create a table with its columns and primary key."""
        _refuse_unfit("a table", table.name)
        _refuse_unfit("a column", *(c.name for c in table.columns))
        parts = [
            f"{quote(c.name)} {_SQL_TYPE[c.type]}{'' if c.nullable else ' NOT NULL'}"
            for c in table.columns
        ]
        parts.append(f"PRIMARY KEY ({names(table.primary_key)})")
        _run(tx, f"CREATE TABLE {quote(table.name)} ({', '.join(parts)})")

    def rename_table(self, tx: Connection, old: str, new: str) -> None:
        """Give a table another name."""
        _refuse_unfit("a table", new)
        _run(tx, f"ALTER TABLE {quote(old)} RENAME TO {quote(new)}")

    def drop_table(self, tx: Connection, table: str) -> None:
        """Remove a table if it exists."""
        _run(tx, f"DROP TABLE IF EXISTS {quote(table)}")

    def insert(
        self, tx: Connection, table: str, columns: Sequence[str], rows: Iterable[Row]
    ) -> None:
        """Insert rows by COPY, which is several times as fast as INSERT."""
        statement = f"COPY {quote(table)} ({names(columns)}) FROM STDIN".replace("%%", "%")
        with _raw(tx) as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def widen(self, tx: Connection, table: Table, column: str) -> None:
        """Make a column `text` with the collation "C"; a text column that is wide enough stays."""
        kept = schema.stored(tx, table.name)[column]
        if kept.is_wide or table.column(column) is None:
            return
        name = quote(column)
        try:
            _run(
                tx,
                f"ALTER TABLE {quote(table.name)} ALTER COLUMN {name}"
                f' TYPE text COLLATE "C" USING {name}::text',
            )
        except DBAPIError as error:
            if not isinstance(error.orig, _HELD):
                raise
            raise Invalid(
                "field.refused",
                table=table.name,
                column=column,
                reason="a view, a rule, a generated column or an identity is made of it",
                advice="Drop that first; it can be made again afterwards.",
            ) from None

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
        kept = schema.stored(tx, table)
        past, order = ", ".join(map(own, key)), ", ".join(map(own, key))
        condition = f"WHERE ({past}) > ({', '.join(['%s'] * len(key))})" if after else ""
        read = ", ".join(_read(kept, column) for column in (*key, *columns))
        statement = (
            f"SELECT {read} FROM {quote(table)} AS t {condition}"  # noqa: S608
            f" ORDER BY {order} LIMIT {int(limit)}"
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
        """Rows that meet a query."""
        kept = schema.stored(tx, table)
        terms = _Terms(kept)
        condition, values = where(query, terms)
        read = ", ".join(_read(kept, column) for column in columns)
        statement = (
            f"SELECT {read} FROM {quote(table)} AS t{condition}{order_by(query, terms)}"  # noqa: S608
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
        condition, found = is_row(key, row, _Terms(schema.stored(tx, table)))
        # without a cast: one to varchar(9) would cut a text off
        sets = ", ".join(f"{quote(column)} = %s" for column in values)
        statement = f"UPDATE {quote(table)} AS t SET {sets}{condition}"  # noqa: S608
        with _raw(tx) as cursor:
            return int(cursor.execute(statement, (*values.values(), *found)).rowcount)

    def delete(self, tx: Connection, table: str, key: Sequence[str], row: Row) -> int:
        """Remove the row with that key."""
        condition, found = is_row(key, row, _Terms(schema.stored(tx, table)))
        with _raw(tx) as cursor:
            statement = f"DELETE FROM {quote(table)} AS t{condition}"  # noqa: S608
            return int(cursor.execute(statement, found).rowcount)

    def compare_and_set(
        self,
        tx: Connection,
        table: str,
        key: Sequence[str],
        columns: Sequence[str],
        changes: Sequence[Row],
    ) -> int:
        """Apply the changes whose rows still hold the old values, all in one statement."""
        if not changes:
            return 0
        kept = schema.stored(tx, table)
        places = [*columns, *key, *columns]
        sets, guards = [], []
        for at, column in enumerate(columns):
            sets.append(f"{quote(column)} = v.c{at}::{kept[column].declared}")
            old = f"v.c{at + len(columns) + len(key)}"
            guards.append(f"{_compared(kept, column)} IS NOT DISTINCT FROM {old}")
        for at, column in enumerate(key, start=len(columns)):
            guards.append(f"{own(column)} = v.c{at}::{kept[column].declared}")
            if kept[column].is_text:
                guards.append(f'{own(column)} COLLATE "C" = v.c{at}')
        arrays = ", ".join(f"%b::{kept[column].passed_as}[]" for column in places)
        aliases = ", ".join(f"c{at}" for at in range(len(places)))
        statement = (
            f"UPDATE {quote(table)} AS t SET {', '.join(sets)}"  # noqa: S608
            f" FROM unnest({arrays}) AS v ({aliases}) WHERE {' AND '.join(guards)}"
        )
        values = tuple(map(list, zip(*changes, strict=True)))
        with _raw(tx) as cursor:
            return int(cursor.execute(statement, values).rowcount)

    def count_rows(self, tx: Connection, table: str, query: Query = EVERY_ROW) -> int:
        """How many rows of a table meet a query."""
        condition, values = where(query, _Terms(schema.stored(tx, table)))
        statement = f"SELECT count(*) FROM {quote(table)} AS t{condition}"  # noqa: S608
        ((number,),) = _rows(tx, statement, values)
        return int(str(number))

    def count_by_prefix(
        self, tx: Connection, table: str, column: str, marker: str, length: int
    ) -> dict[str, int]:
        """Values by prefix; unmarked ones under `null`, `empty` and `plain`."""
        name = f'{own(column)}::text COLLATE "C"'
        prefix = (
            f"CASE WHEN {own(column)} IS NULL THEN 'null' WHEN {name} = '' THEN 'empty'"
            f" WHEN substr({name}, 1, {len(marker)}) = %s THEN substr({name}, 1, {int(length)})"
            f" ELSE 'plain' END"
        )
        statement = f"SELECT {prefix} AS p, count(*) FROM {quote(table)} AS t GROUP BY 1"  # noqa: S608
        return {str(p): int(number) for p, number in _run(tx, statement, (marker,))}

    def scrub(self, *tables: str) -> ScrubReport:
        """Rebuild the tables without dead rows, and the statistics that quote values."""
        done, kept = list(_SCRUBBED), []
        with _named_errors(self._server), self._engine.connect() as connection:
            cursor = connection.connection.cursor()
            try:
                for name in tables or sorted(METADATA.tables):
                    _clear(cursor, quote(name).replace("%%", "%"))
            except errors.LockNotAvailable:
                raise Unavailable("scrub.blocked") from None
            try:
                # the planner keeps common values of every column, in clear
                for name in _STATISTICS:
                    _rebuild(cursor, f"pg_catalog.{name}", "")
                done.append("the planner's old statistics were cleared away (VACUUM FULL)")
            except (errors.InsufficientPrivilege, errors.LockNotAvailable, Unavailable):
                where = " and ".join(_STATISTICS)
                kept.append(f"old statistics in {where}, until the server clears them away")
        return ScrubReport(tuple(done), (*kept, *_MAY_REMAIN))

    def copy(self, scratch: Path, on_bytes: Callable[[int, int], None]) -> Generator[bytes]:
        """An archive by pg_dump, which reads everything in one snapshot."""
        del scratch, on_bytes
        with self.snapshot() as tx:
            program = self._tool(tx, "pg_dump")
            schema_name = str(_run(tx, "SELECT current_schema()").scalar())
        if schema_name != _SCHEMA:
            raise Misconfigured("backup.schema", schema=schema_name)
        arguments = ["--format=custom", "--no-publications", "--no-subscriptions"]
        with self._command(program, arguments) as command:
            yield from command.read()

    def fill(self, copy: Iterator[bytes], scratch: Path) -> None:
        """Fill an empty database by pg_restore in one transaction: all of it, or nothing."""
        del scratch
        whole = expecting(copy, _ARCHIVES)
        with self.transaction() as tx:
            self._refuse_encoding(tx)
            program = self._tool(tx, "pg_restore")
            if versions.is_half_restored(tx):
                raise Conflict("database.half", server=self._server)
            if _run(tx, _ANYTHING).first():
                raise Conflict("database.not_empty", server=self._server)
            versions.begin_restore(tx)
        arguments = [
            *("--format=custom", "--single-transaction", "--exit-on-error", "--no-owner"),
            *("--no-privileges", "--no-tablespaces", "--no-security-labels"),
        ]
        try:
            with self._command(program, arguments) as command:
                command.feed(whole)
        except BaseException:
            with suppress(KeysteadError), self.transaction() as tx:
                if len(_run(tx, _ANYTHING).all()) == 1:
                    versions.end_restore(tx)
            raise

    def _tool(self, tx: Connection, name: str) -> Path:
        version = int(_run(tx, "SHOW server_version_num").scalar_one()) // 10_000
        # the nearest: a newer one may say what an older server does not understand
        folders = sorted(_PROGRAMS.glob("*/bin"), key=_folder_version)
        known = [folder / name for folder in folders]
        return server_tools.find(name, known, _TOOL_VERSION, (version,), "PostgreSQL")

    @contextmanager
    def _command(self, program: Path, arguments: list[str]) -> Iterator[Command]:
        """A tool that connects as this database does; its password is in the environment only."""
        _, given = self._engine.dialect.create_connect_args(self._url)
        password = given.pop("password", None)
        lines = "".join(
            f"{key}={value}\n" for key, value in given.items() if key not in _PSYCOPG_OPTIONS
        )
        with private_file(f"[keystead]\n{lines}") as (service, descriptor):
            environment = {"PGSERVICEFILE": service, "LC_ALL": "C"}
            if password is not None:
                environment["PGPASSWORD"] = str(password)
            words = [str(program), *arguments, "--no-password", "--dbname=service=keystead"]
            yield Command(words, environment, descriptor, self._server)

    def trim(self, tx: Connection) -> None:
        """Nothing: the memory is the server's."""
        del tx

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


_SCHEMA: Final = "public"  # the only one that is there before an archive is restored
_PROGRAMS: Final = Path("/usr/lib/postgresql")  # Debian keeps each version's there
_ARCHIVES: Final = (b"PGDMP",)
_TOOL_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
_PSYCOPG_OPTIONS: Final = frozenset(
    ("autocommit", "prepare_threshold", "context", "row_factory", "cursor_factory", "options")
)
# tables, views, sequences and such that are no part of the server or of an extension
_ANYTHING: Final = (
    "SELECT c.oid FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
    " AND c.relkind NOT IN ('i', 'I')"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'"
    " AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid) LIMIT 2"
)
_HELD: Final = (
    errors.FeatureNotSupported,
    errors.InvalidParameterValue,
    errors.DependentObjectsStillExist,
)


# of columns, and of several together (CREATE STATISTICS)
_STATISTICS: Final = ("pg_statistic", "pg_statistic_ext_data")
_SCRUBBED: Final = (
    "the table was rebuilt without dead rows (VACUUM FULL)",
    "the planner's statistics were taken anew (ANALYZE)",
)
_MAY_REMAIN: Final = (
    "the write-ahead log (pg_wal), until its files are written over",
    "archived write-ahead logs and standby servers",
    "the server's own log, if it writes statements with their values",
    "blocks that the file system freed (the table's old files)",
    "backups and snapshots made before this moment",
    "the file the rows were loaded from",
)


def _folder_version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdecimal() else 0


def _begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get("keystead_begin", "BEGIN")
    connection.exec_driver_sql(begin)


def _clear(cursor: Any, table: str) -> None:
    """Rebuild a table without the rows that were dead when this began.

    Rows that others replace meanwhile may stay: what is cleared away was replaced before.

    Raises:
        Unavailable: when there is a reader who may still see one of the old rows.
    """
    cursor.execute("SELECT txid_snapshot_xmax(txid_current_snapshot())")
    (begun,) = cursor.fetchone()
    deadline = time.monotonic() + _READERS_PATIENCE
    while not (unseen := _is_unseen(cursor, table, begun)) and time.monotonic() < deadline:
        time.sleep(_BETWEEN_LOOKS)
    try:
        _rebuild(cursor, table, " ANALYZE,")
    except Unavailable:
        if not unseen:
            raise


def _is_unseen(cursor: Any, table: str, begun: int) -> bool:
    """Whether nobody sees rows any more that were dead when transaction `begun` was the next."""
    told = _vacuum(cursor, f"VACUUM (VERBOSE) {table}")
    found = [match for _, *texts in told for text in texts if (match := _CUTOFF.search(text or ""))]
    # the server counts transactions in 32 bits, round and round
    return any((int(match[1]) - begun) % 2**32 < 2**31 for match in found)


def _rebuild(cursor: Any, table: str, options: str) -> None:
    """Rebuild a table; dead rows that a reader may still see stay, and are told in the notices.

    Raises:
        Unavailable: when there are such rows.
    """
    told = _vacuum(cursor, f"VACUUM (FULL,{options} VERBOSE) {table}")
    seen = [_NUMBER.match(detail or "") for _, _, detail in told]
    if any(number and int(number[0]) for number in seen):
        raise Unavailable("scrub.blocked")


def _vacuum(cursor: Any, statement: str) -> list[tuple[str | None, ...]]:
    """Carry out a VACUUM; the severity, message and detail of each notice.

    Raises:
        InsufficientPrivilege: when the user may not; the server itself only warns.
    """
    told: list[tuple[str | None, ...]] = []

    def note(notice: psycopg.errors.Diagnostic) -> None:
        # read at once: what a notice says is gone when the statement has ended
        told.append((notice.severity_nonlocalized, notice.message_primary, notice.message_detail))

    cursor.connection.add_notice_handler(note)
    try:
        cursor.execute(statement)
    finally:
        cursor.connection.remove_notice_handler(note)
    if any(severity == "WARNING" for severity, _, _ in told):
        raise errors.InsufficientPrivilege
    return told


def _refuse_unfit(what: str, *of: str) -> None:
    """Refuse a name that the server would cut off, or look for among its own tables."""
    for name in of:
        reserved = what == "a table" and name.startswith("pg_")
        if len(name.encode()) > _LONGEST_NAME_BYTES or reserved:
            raise Invalid("name.engine", name=name, what=what, engine="PostgreSQL")


def _read(kept: Mapping[str, Stored], column: str) -> str:
    """A column as text, a number or null."""
    plain = kept[column].is_number or kept[column].is_text
    return own(column) if plain else f"{own(column)}::text"


def _compared(kept: Mapping[str, Stored], column: str) -> str:
    """A column as it is compared with values: by bytes when it is text."""
    if kept[column].is_number:
        return own(column)
    return own(column) + _BY_BYTES


class _Terms:
    """How a query is said; the server takes a value for one of the type it is compared with."""

    mark = "%s"

    def __init__(self, kept: Mapping[str, Stored]) -> None:
        self._kept = kept

    def kind(self, column: str) -> Kind:
        """How its values are compared."""
        return self._kept[column].kind

    def own(self, column: str) -> str:
        """The column itself."""
        return own(column)

    def by_bytes(self, column: str) -> str:
        """Its values as text, compared by bytes."""
        return own(column) + _BY_BYTES

    def folded(self, text: str) -> str:
        """A text in lower case, by the rules of the database."""
        return f'lower({text.removesuffix(_BY_BYTES)}::text COLLATE "default") COLLATE "C"'


class _Refused(Exception):
    """A row that the database refused."""


@contextmanager
def _raw(tx: Connection) -> Iterator[Any]:
    """The driver's own cursor; a refused row is an IntegrityError as SQLAlchemy has it."""
    cursor = tx.connection.cursor()
    try:
        yield cursor
    except psycopg.IntegrityError as error:
        raise IntegrityError(None, None, _Refused(type(error).__name__)) from None
    finally:
        cursor.close()


@contextmanager
def _named_errors(server: str) -> Iterator[None]:
    try:
        yield
    except (KeysteadError, IntegrityError):
        raise
    except DBAPIError as error:
        if error.detail and isinstance(error.orig, _MISREAD):
            raise misread(error) from None
        raise _translated(error.orig or error, server) from None
    except psycopg.Error as error:
        raise _translated(error, server) from None
    except PoolTimeoutError:
        raise Unavailable("database.busy") from None
    except UnicodeEncodeError:
        raise Invalid("database.value", reason="a text that is not valid UTF-8") from None


_MISREAD: Final = (errors.UndefinedTable, errors.UndefinedColumn)


def _translated(error: BaseException, server: str) -> KeysteadError:
    """What an error of the driver means; its text is not passed on, since it quotes values."""
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return _no_connection(str(error), server)
    for kinds, meaning in _MEANINGS:
        if isinstance(error, kinds):
            family, code, reason = meaning
            return family(code, server=server, reason=reason)
    return Unavailable("database.broken", reason=type(error).__name__)


def _no_connection(said: str, server: str) -> KeysteadError:
    if "authentication failed" in said or "no password supplied" in said:
        return Misconfigured("database.login", server=server)
    if "does not exist" in said:
        return Misconfigured("database.absent", server=server)
    return Unavailable("database.away", server=server)


_Meaning = tuple[type[KeysteadError], str, str]
_MEANINGS: Final[tuple[tuple[tuple[type[Exception], ...], _Meaning], ...]] = (
    (
        (
            errors.LockNotAvailable,
            errors.DeadlockDetected,
            errors.SerializationFailure,
            errors.QueryCanceled,
        ),
        (Unavailable, "database.busy", ""),
    ),
    ((errors.DiskFull,), (Unavailable, "disk.full", "")),
    ((errors.InsufficientPrivilege,), (Misconfigured, "database.rights", "")),
    (
        (errors.ProgramLimitExceeded,),
        (Invalid, "database.value", "a value too long for an index on its column"),
    ),
    ((psycopg.DataError,), (Invalid, "database.value", "a value that its column cannot hold")),
    (
        (psycopg.OperationalError, errors.IdleInTransactionSessionTimeout),
        (Unavailable, "database.away", ""),
    ),
)


def _run(tx: Connection, statement: str, values: Any = None) -> Any:
    return tx.exec_driver_sql(statement, values or ())


def _rows(tx: Connection, statement: str, values: Row) -> list[Row]:
    """Rows as the driver makes them: to make them SQLAlchemy's costs as much as reading them."""
    with _raw(tx) as cursor:
        return list(cursor.execute(statement, values).fetchall())
