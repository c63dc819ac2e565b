"""Reading what MariaDB knows of its tables: the information schema of the current database.

While a table is being altered, the information schema shows for a moment none of that name, or one
without its indexes. So a table is asked about after `hold`, in the same transaction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from keystead.adapters.databases.conditions import Kind
from keystead.adapters.databases.statements import own, quote
from keystead.base.errors import NotFound
from keystead.database.model import Column, ColumnType, Table

BINARY: Final = "utf8mb4_nopad_bin"
NO_SUCH_TABLE: Final = 1146
# it is not there, or a name that none can have
_NO_TABLE: Final = frozenset((NO_SUCH_TABLE, 1059, 1103, 1300))
_INTEGERS: Final = frozenset(("tinyint", "smallint", "mediumint", "int", "bigint"))
_TEXTS: Final = frozenset(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"))
_BYTES: Final = frozenset(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"))
_KINDS: Final = {
    **dict.fromkeys(_INTEGERS, Kind.WHOLE),
    **dict.fromkeys(("float", "double", "decimal"), Kind.NUMBER),
    "uuid": Kind.UUID,
    **dict.fromkeys(("date", "datetime", "timestamp"), Kind.MOMENT),
    **dict.fromkeys(_TEXTS, Kind.TEXT),
}
_NAME: Final = re.compile(r'`((?:[^`]|``)*)`|"((?:[^"]|"")*)"')

_TABLES: Final = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = database() AND table_type = 'BASE TABLE'
"""
_COLUMNS: Final = """
    SELECT column_name, data_type, column_type, is_nullable, collation_name, extra,
        generation_expression, column_default, table_name
    FROM information_schema.columns
    WHERE table_schema = database() AND table_name = %s ORDER BY ordinal_position
"""
_INDEXES: Final = """
    SELECT index_name, column_name, non_unique, sub_part FROM information_schema.statistics
    WHERE table_schema = database() AND table_name = %s ORDER BY index_name, seq_in_index
"""
_FOREIGN: Final = """
    SELECT CASE WHEN table_name = %s THEN column_name ELSE referenced_column_name END
    FROM information_schema.key_column_usage
    WHERE referenced_table_schema = database() AND referenced_table_name IS NOT NULL
        AND (table_name = %s OR referenced_table_name = %s)
"""
_CHECKS: Final = """
    SELECT check_clause FROM information_schema.check_constraints
    WHERE constraint_schema = database() AND table_name = %s
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """How a column is kept, as the information schema says it."""

    kind: str
    declared: str
    nullable: bool
    collation: str | None
    extra: str
    default: str | None

    @property
    def is_number(self) -> bool:
        """Whether the driver gives its values as numbers."""
        return self.kind in _INTEGERS or self.is_floating

    @property
    def is_floating(self) -> bool:
        """Whether its values are floating numbers."""
        return self.kind in {"float", "double"}

    @property
    def is_wide(self) -> bool:
        """Whether it takes text of any length and compares it by bytes."""
        return self.kind == "longtext" and self.collation == BINARY

    @property
    def type(self) -> ColumnType:
        """Its type in words that every database shares."""
        if self.kind in _INTEGERS and self.declared != "bigint(20) unsigned":
            return ColumnType.INTEGER
        return ColumnType.TEXT if self.kind in _TEXTS | {"uuid"} else ColumnType.OTHER

    @property
    def compares(self) -> Kind:
        """How its values are compared in a query."""
        return _KINDS.get(self.kind, Kind.OTHER)

    @property
    def mark(self) -> str:
        """Where a value of it stands in a statement."""
        return "UNHEX(%s)" if self.kind in _BYTES else "%s"

    def read(self, column: str) -> str:
        """Its values as text, numbers or null; bytes become hexadecimal digits."""
        if self.is_number or self.kind in _TEXTS:
            return own(column)
        return f"HEX({own(column)})" if self.kind in _BYTES else f"CAST({own(column)} AS CHAR)"

    def compared(self, column: str) -> str:
        """Its values as they are compared: by bytes when they are text."""
        if self.is_number:
            return own(column)
        return f"CONVERT({self.read(column)} USING utf8mb4) COLLATE {BINARY}"


def tables(tx: Connection) -> list[str]:
    """The tables of the current database."""
    return [str(name) for (name,) in tx.exec_driver_sql(_TABLES)]


def hold(tx: Connection, name: str, table: str) -> None:
    """Let nobody alter a table until the transaction ends.

    Raises:
        NotFound: when there is none; it says the `name` that the table is to be called.
    """
    try:
        tx.exec_driver_sql(f"SELECT 1 FROM {quote(table)} LIMIT 0")  # noqa: S608
    except DBAPIError as error:
        if error.orig is None or error.orig.args[0] not in _NO_TABLE:
            raise
        raise NotFound("table.missing", table=name) from None


def stored(tx: Connection, table: str) -> dict[str, Stored]:
    """How each column of a table is kept.

    Raises:
        NotFound: when there is no table of that name.
    """
    return {
        str(row[0]): Stored(row[1], row[2], row[3] == "YES", row[4], row[5], row[7])
        for row in _columns(tx, table)
    }


def describe(tx: Connection, name: str, table: str) -> Table:
    """Columns and constraints of a table, under the `name` it is to be called.

    Raises:
        NotFound: when there is none of that name.
    """
    rows = _columns(tx, table, name)
    kept = stored(tx, table)
    checks = " ".join(str(clause) for (clause,) in tx.exec_driver_sql(_CHECKS, (table,)))
    indexes = tx.exec_driver_sql(_INDEXES, (table,)).all()
    unique = {column for index, column, loose, _ in indexes if not loose and index != "PRIMARY"}
    made_of = " ".join(row[6] for row in rows if row[6] and row[0] in unique)
    unique |= _names(made_of) & kept.keys()
    sources = _names(" ".join(row[6] for row in rows if row[6])) & kept.keys()
    foreign = {column for (column,) in tx.exec_driver_sql(_FOREIGN, (table,) * 3)}
    checked = _names(checks)
    columns = tuple(
        Column(
            name=column,
            type=how.type,
            nullable=how.nullable,
            generated="GENERATED" in how.extra.upper(),
            checked=column in checked,
        )
        for column, how in kept.items()
    )
    key = tuple(column for index, column, _, _ in indexes if index == "PRIMARY")
    return Table(name, columns, key, frozenset(foreign), frozenset(unique), frozenset(sources))


def shortened_indexes(tx: Connection, table: str, column: str, length: int) -> list[str]:
    """What makes the plain indexes on a column look at no more than its first characters."""
    found: dict[str, list[str]] = {}
    concerned = set()
    for index, part, loose, sub_part in tx.exec_driver_sql(_INDEXES, (table,)):
        cut = length if part == column else sub_part
        found.setdefault(index, []).append(quote(part) + (f"({cut})" if cut else ""))
        if loose and part == column:
            concerned.add(index)
    return [
        f"DROP INDEX {quote(index)}, ADD INDEX {quote(index)} ({', '.join(found[index])})"
        for index in sorted(concerned)
    ]


def _columns(tx: Connection, table: str, name: str | None = None) -> list[Any]:
    # the server may be set to find a table under several names; only its own is taken
    rows = [row for row in tx.exec_driver_sql(_COLUMNS, (table,)) if row[-1] == table]
    if not rows:
        raise NotFound("table.missing", table=name or table)
    return rows


def _names(clause: str) -> set[str]:
    """The names in an expression; it shows them in quotes."""
    return {(a or b).replace("``", "`").replace('""', '"') for a, b in _NAME.findall(clause)}
