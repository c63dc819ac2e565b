"""The key census: how many values and attachments each key still holds, and whether they open.

Counting groups on the first characters of marked values only; clear text is never grouped, since
that would print it. Opening reads every value by the same path that shows it to people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from keystead.attachments import service as attachments
from keystead.attachments.tables import ATTACHMENTS as ATTACHMENT_ROWS
from keystead.base.errors import Denied, KeysteadError, NotFound, Unavailable
from keystead.crypto import envelope
from keystead.crypto.envelope import MARKER, PREFIX_LENGTH
from keystead.database.integrity import Fields
from keystead.database.model import Table
from keystead.database.port import Database, Row, Value
from keystead.fields import service
from keystead.fields.model import Configuration, Phase
from keystead.fields.values import EncryptedColumn
from keystead.jobs.service import PAGE_ROWS
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.service import Needs

OnRows = Callable[[int], None]


def _ignore(_rows: int) -> None:
    """Progress that nobody watches."""


@dataclass(slots=True)
class ColumnCensus:
    """The values of one column, or the attachments of a table.

    `unknown` are marked values that name no key of the column.

    `opened`, `unreadable` and `dark` are None unless every value was opened. Dark ones are whole,
    as far as anybody can tell: their external key may not be used now.
    """

    table: str
    column: str
    mode: str
    phase: str
    by_key: dict[str, int] = field(default_factory=dict)
    plain: int = 0
    empty: int = 0
    null: int = 0
    unknown: int = 0
    opened: int | None = None
    unreadable: int | None = None
    dark: int | None = None

    @property
    def encrypted(self) -> int:
        """How many values are marked as encrypted."""
        return sum(self.by_key.values()) + self.unknown

    def as_json(self) -> dict[str, Any]:
        """The census as plain data."""
        return {
            "table": self.table,
            "column": self.column,
            "mode": self.mode,
            "phase": self.phase,
            "by_key": dict(sorted(self.by_key.items())),
            "encrypted": self.encrypted,
            "plain": self.plain,
            "empty": self.empty,
            "null": self.null,
            "unknown": self.unknown,
            "opened": self.opened,
            "unreadable": self.unreadable,
            "dark": self.dark,
        }


def count(
    tx: Connection,
    database: Database,
    hierarchy: Hierarchy,
    table: str | None = None,
) -> list[ColumnCensus]:
    """Count the values of every encrypted column, then encrypted attachments."""
    return count_columns(tx, database, hierarchy, table) + [
        _count_attachments(tx, hierarchy, configuration)
        for configuration in service.attachments(tx, hierarchy, table)
    ]


def count_columns(
    tx: Connection, database: Database, hierarchy: Hierarchy, table: str | None = None
) -> list[ColumnCensus]:
    """Count the values of every encrypted column.

    Raises:
        NotFound: when one of them is not there any more.
    """
    return [
        _count_column(tx, database, EncryptedColumn(tx, hierarchy, configuration))
        for configuration in service.configurations(tx, hierarchy, table)
    ]


def open_all(
    tx: Connection,
    database: Database,
    hierarchy: Hierarchy,
    table: str | None = None,
    on_rows: OnRows = _ignore,
) -> list[ColumnCensus]:
    """Count, and open every value and attachment."""
    out = []
    configurations = service.configurations(tx, hierarchy, table)
    for name, group in groupby(
        sorted(configurations, key=lambda c: (c.table, c.column)), key=lambda c: c.table
    ):
        columns = [EncryptedColumn(tx, hierarchy, c) for c in group]
        counted = [_count_column(tx, database, column) for column in columns]
        for result in counted:
            result.opened = result.unreadable = result.dark = 0
        described = database.describe(tx, name)
        for rows in pages(tx, database, described, [c.configuration.column for c in columns]):
            width = len(described.primary_key)
            records = envelope.records([row[:width] for row in rows])
            for at, (column, result) in enumerate(zip(columns, counted, strict=True)):
                _add(result, _open_page(column, [r[width + at] for r in rows], records))
            on_rows(len(rows))
        out.extend(counted)
    for configuration in service.attachments(tx, hierarchy, table):
        result = _count_attachments(tx, hierarchy, configuration)
        result.opened = result.unreadable = result.dark = 0
        for row in attachments.listed(tx, ATTACHMENT_ROWS.c.table_name == configuration.table):
            if row["key_id"] is None and configuration.phase is not Phase.SEALED:
                continue
            _add(result, Counter([_attempt(tx, database, hierarchy, row)]))
            on_rows(1)
        out.append(result)
    return out


class _Found(StrEnum):
    """What became of opening a value or an attachment; named like the counts of a census."""

    OPENED = "opened"
    UNREADABLE = "unreadable"
    DARK = "dark"


def _add(result: ColumnCensus, found: Counter[_Found]) -> None:
    for what, number in found.items():
        setattr(result, what, getattr(result, what) + number)


def _attempt(tx: Connection, database: Database, hierarchy: Hierarchy, row: Fields) -> _Found:
    """Whether an attachment's key, facts and all of its content open."""
    try:
        key = attachments.opened_key(tx, hierarchy, row)
        attachments.facts_of(row, key)
        if key is None:
            return _Found.UNREADABLE
        for _chunk in attachments.chunks(attachments.source(database, row, key)):
            pass
    except (Denied, Unavailable):
        return _Found.DARK
    except KeysteadError:
        return _Found.UNREADABLE
    return _Found.OPENED


def pages(
    tx: Connection,
    database: Database,
    table: Table,
    columns: Sequence[str],
    page_rows: int = PAGE_ROWS,
) -> Iterator[list[Row]]:
    """A table's rows, a page at a time: primary key values, then `columns`."""
    after: Row | None = None
    key = table.primary_key
    while rows := database.page(tx, table.name, key, columns, after, page_rows):
        yield rows
        after = rows[-1][: len(key)]


def _count_column(tx: Connection, database: Database, column: EncryptedColumn) -> ColumnCensus:
    where = column.configuration
    # asked for by name first: SQLite takes a column that is not there for a text
    if database.describe(tx, where.table).column(where.column) is None:
        raise NotFound("column.missing", table=where.table, column=where.column)
    result = ColumnCensus(where.table, where.column, where.scheme.mode, where.phase)
    counts = database.count_by_prefix(tx, where.table, where.column, MARKER, PREFIX_LENGTH)
    result.plain = counts.pop("plain", 0)
    result.empty = counts.pop("empty", 0)
    result.null = counts.pop("null", 0)
    for prefix, number in counts.items():
        key_id = column.key_of(prefix)
        if key_id is None:
            result.unknown += number
        else:
            result.by_key[key_id] = number
    return result


def _count_attachments(tx: Connection, hierarchy: Hierarchy, where: Configuration) -> ColumnCensus:
    result = ColumnCensus(where.table, where.column, where.scheme.mode, where.phase)
    known = set(service.key_ids(tx, hierarchy, where))
    for key_id, number in attachments.counts_by_key(tx, where.table).items():
        if key_id is None:
            result.plain += number
        elif key_id in known:
            result.by_key[key_id] = number
        else:
            result.unknown += number
    return result


def _open_page(
    column: EncryptedColumn, values: list[Value], records: list[bytes]
) -> Counter[_Found]:
    sealed = column.configuration.phase is Phase.SEALED
    marked = [
        (value, record)
        for value, record in zip(values, records, strict=True)
        if value not in (None, "")
        and (sealed or (isinstance(value, str) and envelope.is_marked(value)))
    ]
    if not marked:
        return Counter()
    try:
        column.open_many([value for value, _ in marked], [record for _, record in marked])
    except KeysteadError:
        return Counter(_opened_one(column, value, record) for value, record in marked)
    return Counter({_Found.OPENED: len(marked)})


def _opened_one(column: EncryptedColumn, value: Value, record: bytes) -> _Found:
    try:
        column.open_many([value], [record])
    except (Denied, Unavailable):
        return _Found.DARK
    except KeysteadError:
        return _Found.UNREADABLE
    return _Found.OPENED


def needs(database: Database, hierarchy: Hierarchy) -> Needs:
    """What needs a key, or might: how many values, by where they stand.

    Every column of every business table is looked at, since one that is encrypted may have been
    renamed. What stands in clear in a sealed column, and a column that is not there, might hide
    values of any key. Within one transaction the tables are read once.
    """
    last: list[tuple[Connection, _Needed]] = []

    def needed(tx: Connection, key_id: str) -> dict[str, int]:
        if not last or last[0][0] is not tx:
            last[:] = [(tx, _search(tx, database, hierarchy))]
        found = last[0][1]
        return {**found.unknown, **found.by_key.get(key_id, {})}

    return needed


@dataclass(slots=True)
class _Needed:
    """Where values stand: of each key, and such as may be of any."""

    by_key: dict[str, dict[str, int]] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)


def _search(tx: Connection, database: Database, hierarchy: Hierarchy) -> _Needed:
    found = _Needed()
    configured = {(c.table, c.column): c for c in service.configurations(tx, hierarchy)}
    for name in (*database.table_names(tx), *database.reserved_names(tx)):
        for column in database.describe(tx, name).columns:
            configuration = configured.pop((name, column.name), None)
            where = f"{name}.{column.name}"
            counts = database.count_by_prefix(tx, name, column.name, MARKER, PREFIX_LENGTH)
            unknown = counts.pop("plain", 0) if _is_sealed(configuration) else 0
            theirs = set(service.key_ids(tx, hierarchy, configuration)) if configuration else None
            for prefix, number in counts.items():
                key_id = envelope.key_of(prefix)
                if key_id is not None and (theirs is None or key_id in theirs):
                    found.by_key.setdefault(key_id, {})[where] = number
                elif theirs is not None and prefix.startswith(MARKER):
                    unknown += number
            if unknown:
                found.unknown[where] = unknown
    for configuration in service.attachments(tx, hierarchy):
        result = _count_attachments(tx, hierarchy, configuration)
        where = f"{result.table}.{result.column}"
        for key_id, number in result.by_key.items():
            found.by_key.setdefault(key_id, {})[where] = number
        if result.unknown:
            found.unknown[where] = result.unknown
    for table, column_name in configured:
        found.unknown[f"{table}.{column_name}, which is not there"] = 1
    return found


def _is_sealed(configuration: Configuration | None) -> bool:
    return configuration is not None and configuration.phase is Phase.SEALED


def configured_tables(tx: Connection, hierarchy: Hierarchy) -> set[str]:
    """The tables of which columns or attachments are encrypted."""
    found = [*service.configurations(tx, hierarchy), *service.attachments(tx, hierarchy)]
    return {configuration.table for configuration in found}


def configurations_by_table(tx: Connection, hierarchy: Hierarchy) -> dict[str, list[Configuration]]:
    """The encrypted columns of each table that has any."""
    out: dict[str, list[Configuration]] = {}
    for configuration in service.configurations(tx, hierarchy):
        out.setdefault(configuration.table, []).append(configuration)
    return out
