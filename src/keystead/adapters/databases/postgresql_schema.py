"""Reading what PostgreSQL knows of its tables: the catalogue of the current schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from keystead.adapters.databases.conditions import Kind
from keystead.base.errors import NotFound
from keystead.database.model import Column, ColumnType, Table

_TYPES: Final = {
    **dict.fromkeys(("int2", "int4", "int8"), ColumnType.INTEGER),
    # a UUID has one text form, which every other database keeps as text
    **dict.fromkeys(("text", "varchar", "bpchar", "uuid"), ColumnType.TEXT),
}
_KINDS: Final = {
    **dict.fromkeys(("int2", "int4", "int8"), Kind.WHOLE),
    **dict.fromkeys(("float4", "float8", "numeric"), Kind.NUMBER),
    "uuid": Kind.UUID,
    **dict.fromkeys(("date", "timestamp", "timestamptz"), Kind.MOMENT),
    **dict.fromkeys(("text", "varchar", "bpchar"), Kind.TEXT),
}
_NUMBERS: Final = frozenset(("int2", "int4", "int8", "float4", "float8"))
_TEXTS: Final = frozenset(("text", "varchar"))

_TABLES: Final = """
    SELECT c.oid, c.relname FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
_COLUMNS: Final = """
    SELECT a.attname, y.typname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        a.attgenerated <> '', l.collisdeterministic IS FALSE,
        EXISTS (SELECT FROM pg_catalog.pg_partitioned_table AS p
                WHERE p.partrelid = a.attrelid AND a.attnum = ANY (p.partattrs))
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# contype: c check, f foreign, p primary; the `f` of another table may refer to this one
_CONSTRAINTS: Final = """
    SELECT c.contype, a.attname FROM pg_catalog.pg_constraint AS c
    CROSS JOIN LATERAL unnest(CASE WHEN c.conrelid = %s THEN c.conkey END
        || CASE WHEN c.confrelid = %s THEN c.confkey END) WITH ORDINALITY AS k (number, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = %s AND a.attnum = k.number
    WHERE c.conrelid = %s OR c.confrelid = %s ORDER BY c.oid, k.place
"""
# an index depends on every column that its keys, expressions and conditions name
_UNIQUE: Final = """
    SELECT a.attname FROM pg_catalog.pg_index AS i
    LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::regclass
        AND d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid > 0
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid
        AND (a.attnum = d.refobjsubid OR a.attnum = ANY (i.indkey))
    WHERE i.indrelid = %s AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary
"""

# what a generated column is made from; later servers note it of its default, earlier of itself
_SOURCES: Final = """
    SELECT s.attname FROM pg_catalog.pg_attribute AS g
    JOIN pg_catalog.pg_attrdef AS e ON e.adrelid = g.attrelid AND e.adnum = g.attnum
    JOIN pg_catalog.pg_depend AS d ON d.refobjid = g.attrelid AND d.refobjsubid <> g.attnum
        AND (d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = e.oid
            OR d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = g.attrelid
            AND d.objsubid = g.attnum)
    JOIN pg_catalog.pg_attribute AS s ON s.attrelid = g.attrelid AND s.attnum = d.refobjsubid
    WHERE g.attrelid = %s AND g.attgenerated <> ''
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """How a column is kept: its base type, its type as declared, whether it compares by bytes."""

    base: str
    declared: str
    by_bytes: bool

    @property
    def is_number(self) -> bool:
        """Whether the driver gives its values as numbers."""
        return self.base in _NUMBERS

    @property
    def is_text(self) -> bool:
        """Whether the driver gives its values as the text they are."""
        return self.base in _TEXTS

    @property
    def kind(self) -> Kind:
        """How its values are compared in a query."""
        return _KINDS.get(self.base, Kind.OTHER)

    @property
    def is_wide(self) -> bool:
        """Whether it takes text of any length and compares it by bytes."""
        return self.declared == "text" and self.by_bytes

    @property
    def passed_as(self) -> str:
        """The type in which its values are given to a statement."""
        return {"int2": "int8", "int4": "int8", "float4": "float8"}.get(
            self.base, self.base if self.is_number else "text"
        )


def tables(tx: Connection) -> dict[str, int]:
    """The tables of the current schema and their numbers."""
    return {str(name): int(oid) for oid, name in tx.exec_driver_sql(_TABLES)}


def stored(tx: Connection, table: str) -> dict[str, Stored]:
    """How each column of a table is kept.

    Raises:
        NotFound: when there is no table of that name.
    """
    found = tx.exec_driver_sql(_COLUMNS, (_oid(tx, table),)).all()
    return {row[0]: Stored(row[1], row[2], not row[5]) for row in found}


def describe(tx: Connection, table: str) -> Table:
    """Columns and constraints of a table.

    Raises:
        NotFound: when there is none of that name.
    """
    oid = _oid(tx, table)
    rows = tx.exec_driver_sql(_CONSTRAINTS, (oid,) * 5).all()
    held = {kind: [name for found, name in rows if found == kind] for kind in "cfp"}
    unique = {name for (name,) in tx.exec_driver_sql(_UNIQUE, (oid,))}
    columns = tuple(
        Column(
            name=name,
            type=_TYPES.get(base, ColumnType.OTHER),
            nullable=not required,
            generated=generated,
            checked=name in held["c"] or partitioned,
        )
        for name, base, _, required, generated, _, partitioned in tx.exec_driver_sql(
            _COLUMNS, (oid,)
        )
    )
    sources = frozenset(str(name) for (name,) in tx.exec_driver_sql(_SOURCES, (oid,)))
    return Table(table, columns, tuple(held["p"]), frozenset(held["f"]), frozenset(unique), sources)


def _oid(tx: Connection, table: str) -> int:
    # as text: a value of the type `name` would be cut off at 63 bytes, and match another table
    found = tx.exec_driver_sql(_TABLES + " AND c.relname::text = %s", (table,)).first()
    if found is None:
        raise NotFound("table.missing", table=table)
    return int(found[0])
