"""Business tables: loading them from files, and showing their rows to someone.

What a user sees of an encrypted column is decided by the module's access policies: with the right
to decrypt the clear value, without it an empty one. Searching by such a column needs the same
right, since a count answers guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from keystead.access import service as access
from keystead.access.service import Operation
from keystead.audit import log
from keystead.base.errors import Conflict, Denied, Invalid, NotFound
from keystead.base.ids import new_ids
from keystead.crypto import envelope
from keystead.crypto.envelope import Scheme
from keystead.database.model import Column, ColumnType, Table, check_business_name
from keystead.database.port import Database, Row, Value
from keystead.fields import service as fields
from keystead.fields.values import EncryptedColumn
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys.hierarchy import Hierarchy
from keystead.records import ingest
from keystead.records.ingest import Format
from keystead.records.query import Term, parse

DEFAULT_KEY = "sys_id"
_ID_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load made."""

    table: str
    rows: int
    columns: tuple[Column, ...]
    primary_key: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Rows as one user may see them: `hidden` columns are shown empty to him.

    `not_held` counts values whose key is known but not held here; they are shown empty too.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]
    hidden: tuple[str, ...]
    not_held: int


def load(
    database: Database,
    table: str,
    file: Path,
    *,
    format: Format | None,
    null: str | None,
    key: str | None,
    actor: str,
    on_rows: Callable[[str, int], None],
) -> Loaded:
    """Make a table from a file, in one transaction: all of it or nothing.

    `on_rows` is told what is being done and how many rows more are.

    Raises:
        Conflict: when the table exists.
        Invalid: for the first thing in the file that cannot be loaded.
    """
    check_business_name(table)
    with database.snapshot() as tx:
        _refuse_existing(tx, database, table)
    inspection = ingest.inspect(
        file, format=format, null=null, key=key, on_rows=lambda n: on_rows("checking", n)
    )
    has_own_key = any(c.name == DEFAULT_KEY for c in inspection.columns)
    if key is None and has_own_key:
        return load(
            database,
            table,
            file,
            format=format,
            null=null,
            key=DEFAULT_KEY,
            actor=actor,
            on_rows=on_rows,
        )
    columns = inspection.columns
    if key is None:
        columns = (Column(DEFAULT_KEY, ColumnType.TEXT, nullable=False), *columns)
    made = Table(table, columns, (key or DEFAULT_KEY,))
    rows = ingest.read(inspection)
    with database.transaction() as tx:
        _refuse_existing(tx, database, table)
        jobs.refuse_while_busy(tx, "The instance", JobKind.CLONE)
        database.create_table(tx, made)
        numbered = rows if key else _with_ids(rows)
        counted = _counted(numbered, lambda n: on_rows("loading", n))
        try:
            database.insert(tx, table, [c.name for c in columns], counted)
        except IntegrityError:
            raise Invalid(
                "file.column", file=file, reason=f"the values of '{key}' are not unique"
            ) from None
        log.record(tx, actor, "table.load", table, rows=inspection.rows)
    return Loaded(table, inspection.rows, columns, made.primary_key[0])


def show(
    tx: Connection,
    database: Database,
    hierarchy: Hierarchy,
    table: str,
    *,
    query: str,
    user: str | None,
    columns: list[str] | None,
    limit: int,
) -> Shown:
    """Rows of a table as `user` may see them; nobody (None) sees no clear value.

    Raises:
        NotFound: for a table or column that is not there.
        Denied: when the query names an encrypted column that the user may not decrypt.
    """
    described = database.describe(tx, table)
    wanted = columns or [c.name for c in described.columns]
    for name in wanted:
        _existing(described, name)
    encrypted = {
        c.column: EncryptedColumn(tx, hierarchy, c)
        for c in fields.configurations(tx, hierarchy, table)
    }
    readable = {
        name: column
        for name, column in encrypted.items()
        if access.may(
            tx, hierarchy.integrity, user, column.configuration.module_id, Operation.DECRYPT
        )
    }
    where = {term.column: _condition(described, term, encrypted, readable) for term in parse(query)}
    key = described.primary_key or tuple(wanted[:1])
    rows = database.select(tx, table, [*key, *wanted], where, key, limit)
    shown, not_held = _reveal(rows, len(key), wanted, encrypted, readable)
    hidden = tuple(name for name in wanted if name in encrypted and name not in readable)
    return Shown(tuple(wanted), shown, hidden, not_held)


def _reveal(
    rows: list[Row],
    key_width: int,
    wanted: list[str],
    encrypted: dict[str, EncryptedColumn],
    readable: dict[str, EncryptedColumn],
) -> tuple[list[tuple[Value, ...]], int]:
    records = [envelope.record(row[:key_width]) for row in rows] if readable else []
    by_column: list[list[Value]] = []
    not_held = 0
    for at, name in enumerate(wanted):
        stored: list[Value] = [row[key_width + at] for row in rows]
        if name in readable:
            clear, missing = readable[name].open_held(stored, records)
            not_held += missing
            integer = readable[name].configuration.original_type == ColumnType.INTEGER
            stored = [_as_integer(v) if integer and v else v for v in clear]
        elif name in encrypted:
            stored = [""] * len(rows)
        by_column.append(stored)
    return list(zip(*by_column, strict=True)) if rows else [], not_held


def _as_integer(text: str) -> Value:
    """A value of a column of whole numbers; what a writer put there besides stays as it is."""
    try:
        number = int(text)
    except ValueError:
        return text
    return number if str(number) == text else text


def _condition(
    table: Table,
    term: Term,
    encrypted: dict[str, EncryptedColumn],
    readable: dict[str, EncryptedColumn],
) -> tuple[str, list[Value]]:
    column = _existing(table, term.column)
    if term.column not in encrypted:
        value: Value = term.value
        if column.type is ColumnType.INTEGER and term.value.lstrip("-").isdecimal():
            value = int(term.value)
        return term.operator, [value]
    if term.column not in readable:
        raise Denied("query.denied", column=term.column)
    if encrypted[term.column].configuration.scheme is not Scheme.EQUALITY:
        raise Invalid("query.standard", column=term.column)
    if term.operator != "in":
        raise Invalid("query.operator", column=term.column)
    return "in", list(readable[term.column].search_values(term.value))


def _existing(table: Table, name: str) -> Column:
    column = table.column(name)
    if column is None:
        raise NotFound("column.missing", table=table.name, column=name)
    return column


def _refuse_existing(tx: Connection, database: Database, table: str) -> None:
    if table.lower() in {name.lower() for name in database.table_names(tx)}:
        raise Conflict("table.exists", table=table)


def _with_ids(rows: Iterator[Row]) -> Iterator[Row]:
    ids: list[str] = []
    for row in rows:
        if not ids:
            ids = new_ids(_ID_BATCH)[::-1]
        yield (ids.pop(), *row)


def _counted(rows: Iterator[Row], on_rows: Callable[[int], None]) -> Iterator[Row]:
    number = 0
    for row in rows:
        yield row
        number += 1
        if number % _ID_BATCH == 0:
            on_rows(_ID_BATCH)
    on_rows(number % _ID_BATCH)
