"""The key census: how many values and attachments each key still holds, and whether they open.

Counting groups on the first characters of marked values only; clear text is never grouped, since
that would print it. Opening reads every value by the same path that shows it to people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from keystead.attachments import service as attachments
from keystead.attachments.tables import ATTACHMENTS as ATTACHMENT_ROWS
from keystead.base.errors import KeysteadError
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

    `opened` and `unreadable` are None unless every value was opened.
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
    """Count the values of every encrypted column."""
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
            result.opened = result.unreadable = 0
        described = database.describe(tx, name)
        for rows in pages(tx, database, described, [c.configuration.column for c in columns]):
            width = len(described.primary_key)
            records = envelope.records([row[:width] for row in rows])
            for at, (column, result) in enumerate(zip(columns, counted, strict=True)):
                opened, unreadable = _open_page(column, [r[width + at] for r in rows], records)
                result.opened = (result.opened or 0) + opened
                result.unreadable = (result.unreadable or 0) + unreadable
            on_rows(len(rows))
        out.extend(counted)
    for configuration in service.attachments(tx, hierarchy, table):
        result = _count_attachments(tx, hierarchy, configuration)
        result.opened = result.unreadable = 0
        for row in attachments.listed(tx, ATTACHMENT_ROWS.c.table_name == configuration.table):
            if row["key_id"] is None and configuration.phase is not Phase.SEALED:
                continue
            if _opens(tx, database, hierarchy, row):
                result.opened += 1
            else:
                result.unreadable += 1
            on_rows(1)
        out.append(result)
    return out


def _opens(tx: Connection, database: Database, hierarchy: Hierarchy, row: Fields) -> bool:
    """Whether an attachment's key, facts and all of its content open."""
    try:
        key = attachments.opened_key(tx, hierarchy, row)
        attachments.facts_of(row, key)
        if key is None:
            return False
        for _chunk in attachments.chunks(attachments.source(database, row, key)):
            pass
    except KeysteadError:
        return False
    return True


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
) -> tuple[int, int]:
    sealed = column.configuration.phase is Phase.SEALED
    marked = [
        (value, record)
        for value, record in zip(values, records, strict=True)
        if value not in (None, "")
        and (sealed or (isinstance(value, str) and envelope.is_marked(value)))
    ]
    if not marked:
        return 0, 0
    try:
        column.open_many([value for value, _ in marked], [record for _, record in marked])
    except KeysteadError:
        opened = sum(column.opens(value, record) for value, record in marked)
        return opened, len(marked) - opened
    return len(marked), 0


def values_under(
    tx: Connection, database: Database, hierarchy: Hierarchy, key_id: str
) -> dict[str, int]:
    """How many values of each column, and attachments of each table, need a key, or might.

    `unknown` ones count.
    """
    found = {}
    for result in count(tx, database, hierarchy):
        needing = result.by_key.get(key_id, 0) + result.unknown
        if needing:
            found[f"{result.table}.{result.column}"] = needing
    return found


def needs(database: Database, hierarchy: Hierarchy) -> Needs:
    """`values_under` as the key life cycle asks for it."""
    return lambda tx, key_id: values_under(tx, database, hierarchy, key_id)


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
