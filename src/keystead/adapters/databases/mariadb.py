"""MariaDB: one named lock makes write transactions serial, snapshots are InnoDB's.

Text is compared by bytes: Keystead's own columns have a binary collation that does not pad, and
values of others are converted to it. Changes of tables commit by themselves on this server, so they
are made by `mariadb_changes`. The lock is of one server: where several take writes (Galera), all of
Keystead's programs must use the same one.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pymysql
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from keystead.adapters.databases import mariadb_schema as schema
from keystead.adapters.databases import server_tools
from keystead.adapters.databases.conditions import Kind, is_row, order_by, where
from keystead.adapters.databases.mariadb_changes import Changes
from keystead.adapters.databases.mariadb_schema import BINARY, Stored
from keystead.adapters.databases.mariadb_setting import CompareAndSet
from keystead.adapters.databases.server_tools import Command, expecting, private_file
from keystead.adapters.databases.statements import batches, marks, names, own, quote, reserved
from keystead.adapters.databases.turns import turn
from keystead.base.errors import Conflict, Invalid, KeysteadError, Misconfigured, Unavailable
from keystead.database import versions
from keystead.database.integrity import misread
from keystead.database.model import RESERVED_PREFIXES, STAGING_PREFIX, ColumnType, Table
from keystead.database.port import IDLE_SECONDS, Row, ScrubReport, Value
from keystead.database.query import EVERY_ROW, Query
from keystead.database.schema import METADATA

_PATIENCE: Final = 30
_STANDS_SECONDS: Final = IDLE_SECONDS
_CONNECT_PATIENCE: Final = 10
_INSERT_BATCH: Final = 2_000
_LONGEST_NAME: Final = 64
_LONGEST_KEY: Final = 3_072  # bytes, of all its columns
_NUMBER_BYTES: Final = 8
_LETTER_BYTES: Final = 4
_INDEXED: Final = 190
_SETTINGS: Final = {
    "sql_mode": "'STRICT_ALL_TABLES,ANSI_QUOTES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
    "lock_wait_timeout": str(_PATIENCE),
    "innodb_lock_wait_timeout": str(_PATIENCE),
    "time_zone": "'+00:00'",
}
_WRITE: Final = {
    "keystead_begin": (
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "START TRANSACTION READ WRITE",
    )
}
_READ: Final = {
    "keystead_begin": (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )
}


class MariadbDatabase:
    """A database of a MariaDB server."""

    is_shared = True

    def __init__(self, url: URL) -> None:
        self._url = url
        self._server = f"{url.host}:{url.port or 3306}/{url.database}"
        # lock names are of the whole server
        digest = hashlib.sha256(str(url.database).encode()).hexdigest()
        self._lock = f"keystead:{digest[:32]}"
        settings = ", ".join(f"{name} = {value}" for name, value in _SETTINGS.items())
        self._engine = create_engine(
            url.set(drivername="mariadb+pymysql"),
            hide_parameters=True,
            pool_pre_ping=True,
            connect_args={
                "autocommit": True,
                "charset": "utf8mb4",
                "connect_timeout": _CONNECT_PATIENCE,
                "init_command": f"SET SESSION {settings}",
            },
        )
        event.listen(self._engine, "begin", _begin)
        self._writing = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction."""
        with (
            _named_errors(self._server),
            turn(self._writing, _PATIENCE),
            self._engine.connect() as plain,
            self._turn(plain),
        ):
            changes = Changes(self._engine, lambda: _let_stand(plain))
            connection = plain.execution_options(**_WRITE, keystead_changes=changes)
            committed = False
            try:
                changes.settle()
                with connection.begin():
                    yield connection
                    changes.before_commit(connection)
                committed = True
            finally:
                changes.end(committed=committed)

    @contextmanager
    def _turn(self, plain: Connection) -> Iterator[None]:
        """The lock, for as long as the block lasts; it ends with its connection in any case.

        The server ends a connection that stands still: its program may be frozen.
        """
        cursor = plain.connection.cursor()
        cursor.execute(f"SET SESSION wait_timeout = {_STANDS_SECONDS}")
        cursor.execute("SELECT GET_LOCK(%s, %s)", (self._lock, int(_PATIENCE)))
        if cursor.fetchone() != (1,):
            raise Unavailable("database.busy")
        try:
            yield
        finally:
            with suppress(pymysql.Error):
                cursor.execute("SELECT RELEASE_LOCK(%s)", (self._lock,))
                _let_stand(plain)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A read transaction at one point in time."""
        with _named_errors(self._server), self._engine.connect() as plain:
            connection = plain.execution_options(**_READ)
            with connection.begin():
                yield connection

    def create_own_tables(self, tx: Connection) -> None:
        """Create Keystead's tables."""
        if set(METADATA.tables) & set(schema.tables(tx)):
            raise Conflict("database.taken", server=self._server)
        created = [table.name for table in METADATA.sorted_tables]
        _changes(tx).create_all(lambda c: METADATA.create_all(c, checkfirst=False), created)

    def table_names(self, tx: Connection) -> list[str]:
        """The business tables."""
        found = _changes(tx).overlaid(schema.tables(tx))
        return sorted(n for n in found if not n.lower().startswith(RESERVED_PREFIXES))

    def reserved_names(self, tx: Connection) -> list[str]:
        """Tables that are neither business tables nor ours, though named like those."""
        return reserved(_changes(tx).overlaid(schema.tables(tx)))

    def staging_names(self, tx: Connection) -> list[str]:
        """The tables in which a clone is being put together."""
        found = _changes(tx).overlaid(schema.tables(tx))
        return [n for n in found if n.startswith(STAGING_PREFIX)]

    def describe(self, tx: Connection, table: str) -> Table:
        """Columns and constraints of a business table."""
        actual = _changes(tx).actual(table)
        with _held(tx, actual, table) as held:
            return schema.describe(held, table, actual)

    def create_table(self, tx: Connection, table: Table) -> None:
        """Create a table with its columns and primary key; text in the key has a longest length."""
        _refuse_unfit("a table", table.name)
        _refuse_unfit("a column", *(c.name for c in table.columns))
        texts = [c for c in table.columns if c.name in table.primary_key and c.type is _TEXT]
        room = _LONGEST_KEY - _NUMBER_BYTES * (len(table.primary_key) - len(texts))
        in_key = f"VARCHAR({room // _LETTER_BYTES // max(1, len(texts))}) COLLATE {BINARY}"
        parts = [
            f"{quote(c.name)} {in_key if c in texts else _SQL_TYPE[c.type]}"
            f"{'' if c.nullable else ' NOT NULL'}"
            for c in table.columns
        ]
        parts.append(f"PRIMARY KEY ({names(table.primary_key)})")
        statement = f"CREATE TABLE {quote(table.name)} ({', '.join(parts)}) {_TABLE_OPTIONS}"
        _changes(tx).create(table.name, statement)

    def rename_table(self, tx: Connection, old: str, new: str) -> None:
        """Give a table another name; the server does it once the transaction is committed."""
        _refuse_unfit("a table", new)
        _changes(tx).rename(tx, old, new)

    def drop_table(self, tx: Connection, table: str) -> None:
        """Remove a table if it exists: a staging table at once, another once that is committed."""
        if table.startswith(STAGING_PREFIX):
            _changes(tx).aside(f"DROP TABLE IF EXISTS {quote(table)}")
        else:
            _changes(tx).drop(tx, table)

    def insert(
        self, tx: Connection, table: str, columns: Sequence[str], rows: Iterable[Row]
    ) -> None:
        """Insert rows, many with each statement."""
        actual = _changes(tx).actual(table)
        _changes(tx).note_writing(actual)
        into = f"{quote(actual)} ({names(columns)})"
        statement = f"INSERT INTO {into} VALUES ({marks(len(columns))})"  # noqa: S608
        with _raw(tx) as cursor:
            for batch in batches(rows, _INSERT_BATCH):
                cursor.executemany(statement, batch)

    def widen(self, tx: Connection, table: Table, column: str) -> None:
        """Make a column LONGTEXT with a binary collation, before the transaction writes."""
        actual = _changes(tx).actual(table.name)
        with _held(tx, actual, table.name) as held:
            kept = schema.stored(held, actual)[column]
            shortened = schema.shortened_indexes(held, actual, column, _INDEXED)
        if kept.is_wide or table.column(column) is None:
            return
        name, of = quote(column), f"ALTER TABLE {quote(actual)} "
        back = f"MODIFY {name} {kept.declared}{_rest(kept)}"
        if kept.collation:
            back = f"MODIFY {name} {kept.declared} COLLATE {kept.collation}{_rest(kept)}"
        wider = [
            f"MODIFY {name} LONGTEXT CHARACTER SET utf8mb4 COLLATE {BINARY}{_rest(kept)}",
            *shortened,
        ]
        try:
            _changes(tx).alter(actual, of + ", ".join(wider), of + back)
        except DBAPIError as error:
            if _number(error.orig) not in _HELD:
                raise
            raise Invalid(
                "field.refused",
                table=table.name,
                column=column,
                reason="a generated column, a count or a foreign key is made of it",
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
        actual = _changes(tx).actual(table)
        kept = _stored(tx, actual)
        condition, values = _past(kept, key, after) if after else ("", ())
        read = ", ".join(kept[column].read(column) for column in (*key, *columns))
        order = ", ".join(map(own, key))
        statement = (
            f"SELECT {read} FROM {quote(actual)} AS t {condition}"  # noqa: S608
            f" ORDER BY {order} LIMIT {int(limit)}"
        )
        return _rows(_reader(tx, actual), statement, values)

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
        actual = _changes(tx).actual(table)
        kept = _stored(tx, actual)
        terms = _Terms(kept)
        condition, values = where(query, terms)
        read = ", ".join(kept[column].read(column) for column in columns)
        statement = (
            f"SELECT {read} FROM {quote(actual)} AS t{condition}{order_by(query, terms)}"  # noqa: S608
            f" LIMIT {int(limit)} OFFSET {int(offset)}"
        )
        return _rows(_reader(tx, actual), statement, values)

    def update(
        self,
        tx: Connection,
        table: str,
        key: Sequence[str],
        row: Row,
        values: Mapping[str, Value],
    ) -> int:
        """Set columns of the row with that key."""
        actual = _changes(tx).actual(table)
        kept = _stored(tx, actual)
        condition, found = is_row(key, row, _Terms(kept))
        sets = ", ".join(f"{own(column)} = {kept[column].mark}" for column in values)
        statement = f"UPDATE {quote(actual)} AS t SET {sets}{condition}"  # noqa: S608
        return _written(tx, actual, statement, (*values.values(), *found))

    def delete(self, tx: Connection, table: str, key: Sequence[str], row: Row) -> int:
        """Remove the row with that key."""
        actual = _changes(tx).actual(table)
        condition, found = is_row(key, row, _Terms(_stored(tx, actual)))
        statement = f"DELETE t FROM {quote(actual)} AS t{condition}"
        return _written(tx, actual, statement, found)

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
        actual = _changes(tx).actual(table)
        _changes(tx).note_writing(actual)
        setting = CompareAndSet(actual, _stored(tx, actual), key, columns)
        with _raw(tx) as cursor:
            return sum(cursor.execute(*statement) for statement in setting.statements(changes))

    def count_rows(self, tx: Connection, table: str, query: Query = EVERY_ROW) -> int:
        """How many rows of a table meet a query."""
        actual = _changes(tx).actual(table)
        condition, values = where(query, _Terms(_stored(tx, actual)))
        statement = f"SELECT count(*) FROM {quote(actual)} AS t{condition}"  # noqa: S608
        ((number,),) = _rows(_reader(tx, actual), statement, values)
        return int(str(number))

    def count_by_prefix(
        self, tx: Connection, table: str, column: str, marker: str, length: int
    ) -> dict[str, int]:
        """Values by prefix; unmarked ones under `null`, `empty` and `plain`."""
        actual = _changes(tx).actual(table)
        name = f"CONVERT({own(column)} USING utf8mb4) COLLATE {BINARY}"
        prefix = (
            f"CASE WHEN {own(column)} IS NULL THEN 'null' WHEN {name} = '' THEN 'empty'"
            f" WHEN substr({name}, 1, {len(marker)}) = %s THEN substr({name}, 1, {int(length)})"
            f" ELSE 'plain' END COLLATE {BINARY}"
        )
        statement = f"SELECT {prefix}, count(*) FROM {quote(actual)} AS t GROUP BY 1"  # noqa: S608
        return {
            str(p): int(str(number))
            for p, number in _rows(_reader(tx, actual), statement, (marker,))
        }

    def scrub(self, *tables: str) -> ScrubReport:
        """Rebuild the tables into new files, and take the statistics anew that quote values."""
        done, kept = list(_SCRUBBED), []
        with _named_errors(self._server), self._engine.connect() as connection:
            cursor = connection.connection.cursor()
            try:
                for name in tables or sorted(METADATA.tables):
                    cursor.execute(f"ALTER TABLE {quote(name)} FORCE".replace("%%", "%"))
                    cursor.execute(
                        f"ANALYZE TABLE {quote(name)} PERSISTENT FOR ALL".replace("%%", "%")
                    )
            except pymysql.OperationalError as error:
                if _number(error) != _LOCK_WAIT:
                    raise
                raise Unavailable("scrub.blocked") from None
            try:
                # what an earlier statistic quoted stays in the file when its row goes
                cursor.execute("ALTER TABLE mysql.column_stats FORCE")
                done.append("the table of statistics was rebuilt (mysql.column_stats)")
            except pymysql.OperationalError as error:
                if _number(error) not in (_LOCK_WAIT, *_NOT_ALLOWED):
                    raise
                kept.append("old statistics in mysql.column_stats, until they are written over")
        return ScrubReport(tuple(done), (*kept, *_MAY_REMAIN))

    def copy(self, scratch: Path, on_bytes: Callable[[int, int], None]) -> Generator[bytes]:
        """Statements by mariadb-dump, which reads everything in one snapshot of InnoDB."""
        del scratch, on_bytes
        with self.snapshot() as tx:
            program = self._tool(tx, "mariadb-dump")
            for table, engine in _rows(tx, _WITHOUT_SNAPSHOTS, ()):
                raise Misconfigured("backup.table_engine", table=table, engine=engine)
        arguments = [
            *("--single-transaction", "--quick", "--hex-blob", "--routines", "--triggers"),
            *("--events", "--no-tablespaces", "--max-allowed-packet=1G", "--skip-dump-date"),
            *("--default-character-set=utf8mb4", "--", str(self._url.database)),
        ]
        with self._command(program, arguments) as command:
            yield from command.read()

    def fill(self, copy: Iterator[bytes], scratch: Path) -> None:
        """Fill an empty database by its statements; the server cannot take them back."""
        del scratch
        whole = expecting(copy, _DUMPS)
        with self.transaction() as tx:
            program = self._tool(tx, "mariadb")
            if versions.is_half_restored(tx):
                raise Conflict("database.half", server=self._server)
            if _rows(tx, _ANYTHING, ()):
                raise Conflict("database.not_empty", server=self._server)
            versions.begin_restore(tx)
        arguments = [
            *("--batch", "--binary-mode", "--max-allowed-packet=1G"),
            *("--default-character-set=utf8mb4", "--", str(self._url.database)),
        ]
        with self._command(program, arguments) as command:
            command.feed(whole)

    def _tool(self, tx: Connection, name: str) -> Path:
        ((said,),) = _rows(tx, "SELECT VERSION()", ())
        version = tuple(int(part) for part in str(said).split("-")[0].split(".")[:2])
        return server_tools.find(name, [], _TOOL_VERSION, version, "MariaDB")

    @contextmanager
    def _command(self, program: Path, arguments: list[str]) -> Iterator[Command]:
        """A tool that connects as this database does, by options that nobody else sees."""
        url = self._url
        options: dict[str, object] = {"host": url.host, "port": url.port, "user": url.username}
        if url.password is not None:
            options["password"] = url.password
        for key, value in url.query.items():
            if key in _TOOL_OPTIONS:
                options[_TOOL_OPTIONS[key]] = value
            elif key not in _DRIVER_OPTIONS:
                raise Misconfigured("backup.option", option=key)
        if any(key.startswith("ssl") for key in url.query):
            # else a tool goes on in clear where the server has no TLS
            options["ssl-verify-server-cert"] = 1
        lines = "".join(
            f"{key}={_quoted(str(value))}\n" for key, value in options.items() if value is not None
        )
        with private_file(f"[client]\n{lines}") as (file, descriptor):
            words = [str(program), f"--defaults-file={file}", *arguments]
            yield Command(words, {"LC_ALL": "C"}, descriptor, self._server)

    def trim(self, tx: Connection) -> None:
        """Nothing: the memory is the server's."""
        del tx

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


_DUMPS: Final = (b"/*M!999999", b"-- MariaDB dump")
_TOOL_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.\d+-MariaDB")
_TOOL_OPTIONS: Final = {
    "ssl_ca": "ssl-ca",
    "ssl_capath": "ssl-capath",
    "ssl_cert": "ssl-cert",
    "ssl_key": "ssl-key",
    "ssl_cipher": "ssl-cipher",
    "unix_socket": "socket",
}
# what does not bear on where a tool connects; with TLS it always checks certificate and name
_DRIVER_OPTIONS: Final = frozenset(
    (
        *("charset", "connect_timeout", "read_timeout", "write_timeout", "init_command"),
        *("sql_mode", "ssl_check_hostname", "ssl_verify_cert", "ssl_verify_identity"),
    )
)
_WITHOUT_SNAPSHOTS: Final = (
    "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
    " AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB' ORDER BY TABLE_NAME LIMIT 1"
)
_ANYTHING: Final = (
    "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
    " UNION ALL SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()"
    " UNION ALL SELECT 1 FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() LIMIT 1"
)
_TEXT: Final = ColumnType.TEXT
_SQL_TYPE: Final = {ColumnType.TEXT: f"LONGTEXT COLLATE {BINARY}", ColumnType.INTEGER: "BIGINT"}
_TABLE_OPTIONS: Final = f"ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={BINARY}"
_LOCK_WAIT: Final = 1205
_NOT_ALLOWED: Final = (1044, 1142, 1227)
_HELD: Final = frozenset((1063, 1832, 1833, 1846, 1901, 1904, 1907, 3106, 3108))
_SCRUBBED: Final = (
    "the table was rebuilt into a new file (ALTER TABLE FORCE)",
    "the statistics of its columns were taken anew (ANALYZE TABLE PERSISTENT)",
)
_MAY_REMAIN: Final = (
    "the undo logs (undo001 and the like, or ibdata1), until readers of older states have ended"
    " and the server purges them",
    "the doublewrite buffer (ibdata1), until it is written over",
    "the redo log (ib_logfile0), until it is written over",
    "the binary log, and servers that it is copied to",
    "the server's general and slow logs, if they are on",
    "blocks that the file system freed (the table's old file)",
    "backups and snapshots made before this moment",
    "the file the rows were loaded from",
)


def _quoted(value: str) -> str:
    """A value as MariaDB's option files have it."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(letter, letter) for letter in value) + '"'


def _begin(connection: Connection) -> None:
    for statement in connection.get_execution_options().get("keystead_begin", ()):
        connection.exec_driver_sql(statement)


def _let_stand(plain: Connection) -> None:
    """Let a connection stand still for long, as while another one changes a table."""
    plain.connection.cursor().execute("SET SESSION wait_timeout = DEFAULT")


def _changes(tx: Connection) -> Changes:
    """What the transaction does to tables; nothing in a snapshot."""
    found = tx.get_execution_options().get("keystead_changes")
    return found if found is not None else Changes(tx.engine, lambda: None)


def _reader(tx: Connection, table: str) -> Connection:
    changes = tx.get_execution_options().get("keystead_changes")
    return tx if changes is None else changes.reader(tx, table)


@contextmanager
def _held(tx: Connection, table: str, name: str) -> Iterator[Connection]:
    """Where a table, to be called `name`, is asked about while nobody alters it.

    Raises:
        NotFound: when there is none.
    """
    reader = _reader(tx, table)
    if reader is tx:
        schema.hold(tx, name, table)
        yield tx
        return
    reader.exec_driver_sql("START TRANSACTION READ ONLY")
    try:
        schema.hold(reader, name, table)
        yield reader
    finally:
        reader.exec_driver_sql("COMMIT")


def _stored(tx: Connection, table: str) -> dict[str, Stored]:
    with _held(tx, table, table) as held:
        return schema.stored(held, table)


def _rest(kept: Stored) -> str:
    """What belongs to a column besides its type."""
    rest = " NULL" if kept.nullable else " NOT NULL"
    return rest if kept.default is None else f"{rest} DEFAULT {kept.default}"


def _past(kept: Mapping[str, Stored], key: Sequence[str], after: Row) -> tuple[str, Row]:
    """The rows past a key, said so that the server uses the index: a >= 1 AND (a > 1 OR ...)."""
    column, value = key[0], after[0]
    mark = kept[column].mark
    if len(key) == 1:
        inner, values = f"{own(column)} > {mark}", after
    else:
        deeper, more = _past(kept, key[1:], after[1:])
        deeper = deeper.removeprefix("WHERE ")
        inner = f"{own(column)} >= {mark} AND ({own(column)} > {mark} OR ({deeper}))"
        values = (value, value, *more)
    return f"WHERE {inner}", values


def _refuse_unfit(what: str, *of: str) -> None:
    """Refuse a name that the server cannot hold."""
    for name in of:
        if len(name) > _LONGEST_NAME or any(ord(letter) > 0xFFFF for letter in name):
            raise Invalid("name.engine", name=name, what=what, engine="MariaDB")


class _Terms:
    """How a query is said."""

    mark = "%s"

    def __init__(self, kept: Mapping[str, Stored]) -> None:
        self._kept = kept

    def kind(self, column: str) -> Kind:
        """How its values are compared."""
        return self._kept[column].compares

    def own(self, column: str) -> str:
        """The column itself."""
        return own(column)

    def by_bytes(self, column: str) -> str:
        """Its values as text, compared by bytes."""
        return f"CONVERT({self._kept[column].read(column)} USING utf8mb4) COLLATE {BINARY}"

    def folded(self, text: str) -> str:
        """A text in lower case, compared by bytes."""
        return f"LOWER({text}) COLLATE {BINARY}"


class _Refused(Exception):
    """A row that the database refused; it stands for the driver's error, whose text quotes it."""


@contextmanager
def _raw(tx: Connection) -> Iterator[Any]:
    """The driver's own cursor; a refused row is an IntegrityError as SQLAlchemy has it."""
    cursor = tx.connection.cursor()
    try:
        yield cursor
    except pymysql.IntegrityError as error:
        raise IntegrityError(None, None, _Refused(f"error {_number(error)}")) from None
    finally:
        cursor.close()


@contextmanager
def _named_errors(server: str) -> Iterator[None]:
    try:
        yield
    except (KeysteadError, IntegrityError):
        raise
    except DBAPIError as error:
        if error.detail and _number(error.orig) in _MISREAD:
            raise misread(error) from None
        raise _translated(error.orig, server) from None
    except pymysql.Error as error:
        raise _translated(error, server) from None
    except PoolTimeoutError:
        raise Unavailable("database.busy") from None
    except UnicodeEncodeError:
        raise Invalid("database.value", reason="a text that is not valid UTF-8") from None


_MISREAD: Final = frozenset((1054, 1146))


def _number(error: object) -> int | None:
    arguments = getattr(error, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _translated(error: BaseException | None, server: str) -> KeysteadError:
    """What an error of the driver means; its text is not passed on, since it quotes values."""
    number = _number(error)
    for numbers, (family, code, reason) in _MEANINGS:
        if number in numbers:
            return family(code, server=server, reason=reason)
    if isinstance(error, pymysql.DataError):
        return Invalid("database.value", reason="a value that its column cannot hold")
    return Unavailable("database.broken", reason=f"{type(error).__name__} {number}")


_Meaning = tuple[type[KeysteadError], str, str]
_MEANINGS: Final[tuple[tuple[frozenset[int], _Meaning], ...]] = (
    (frozenset((_LOCK_WAIT, 1213, 1412, 1020)), (Unavailable, "database.busy", "")),
    (frozenset((1021, 1114)), (Unavailable, "disk.full", "")),
    (frozenset((1045, 1698)), (Misconfigured, "database.login", "")),
    (frozenset((1044, 1049)), (Misconfigured, "database.absent", "")),
    (frozenset((1142, 1143, 1227)), (Misconfigured, "database.rights", "")),
    (frozenset((1053, 1927, 2002, 2003, 2006, 2013, 2055)), (Unavailable, "database.away", "")),
    (
        frozenset((1062, 1071, 1264, 1265, 1292, 1366, 1406)),
        (Invalid, "database.value", "a value that its column cannot hold"),
    ),
)


def _written(tx: Connection, table: str, statement: str, values: Row) -> int:
    _changes(tx).note_writing(table)
    with _raw(tx) as cursor:
        return int(cursor.execute(statement, values))


def _rows(tx: Connection, statement: str, values: Row) -> list[Row]:
    """Rows as the driver makes them: to make them SQLAlchemy's costs as much as reading them."""
    with _raw(tx) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
