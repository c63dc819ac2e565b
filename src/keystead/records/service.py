"""Business tables: loading them from files, and showing their rows to someone.

What a user sees of an encrypted column is decided by the module's access policies
(`records.visibility`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from keystead.access.recorder import Recorder
from keystead.audit import log
from keystead.base.errors import Conflict, Invalid
from keystead.base.ids import new_ids
from keystead.database.model import Column, ColumnType, Table, check_business_name
from keystead.database.port import Database, Row
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys.hierarchy import Hierarchy
from keystead.records import ingest
from keystead.records.ingest import Format
from keystead.records.query import parse
from keystead.records.reading import Shown
from keystead.records.session import Caller, Records

DEFAULT_KEY = "sys_id"
_ID_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load made."""

    table: str
    rows: int
    columns: tuple[Column, ...]
    primary_key: str


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


def view(
    database: Database,
    hierarchy: Hierarchy,
    table: str,
    *,
    query: str,
    user: str | None,
    impersonate: str | None,
    columns: list[str] | None,
    limit: int,
    actor: str,
) -> Shown:
    """Show rows to `user`, who may impersonate another; nobody (None) sees no clear value.

    What is shown to somebody is audited, and so is what is refused to him, although the transaction
    it was asked in has ended without a trace.

    Raises:
        NotFound: for a user, table or column that is not there.
        Denied: when the query names an encrypted column that he may not decrypt.
    """
    caller = Caller(user, actor, impersonate)
    with Recorder(database) as recorder:
        records = Records(database, hierarchy, recorder)
        with records.reading(caller, table) as seen:
            return seen.rows(parse(query, seen.table), columns, limit)


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
