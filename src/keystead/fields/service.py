"""Configuring which columns and attachments are encrypted.

Each function is part of one transaction.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection

from keystead.audit import log
from keystead.base.errors import Conflict, Invalid, NotFound
from keystead.crypto.envelope import MARKER, PREFIX_LENGTH, Scheme
from keystead.database.integrity import Fields
from keystead.database.model import Column, ColumnType, Table, check_business_name
from keystead.database.port import Database
from keystead.fields.model import ATTACHMENT, ATTACHMENTS, Configuration, Phase, Preview
from keystead.fields.tables import COLUMN_KEYS, CONFIGURATIONS
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


def configure(
    tx: Connection,
    database: Database,
    hierarchy: Hierarchy,
    *,
    table: str,
    column: str,
    module: str,
    actor: str,
) -> Configuration:
    """Declare a column as encrypted by a module. It is mixed until a mass job seals it.

    Raises:
        Conflict: when it is encrypted already.
        Invalid: when it cannot be, with the reason.
    """
    fit = _fit(tx, database, hierarchy, table, column, module)
    database.widen(tx, fit.described, column)
    configuration_id = hierarchy.integrity.insert(
        tx,
        CONFIGURATIONS,
        table_name=table,
        column_name=column,
        module_id=fit.module["sys_id"],
        spec_id=fit.specification["sys_id"],
        scheme=fit.scheme,
        phase=Phase.MIXED,
        original_type=fit.type,
    )
    log.record(tx, actor, "field.configure", f"{table}.{column}", module=fit.module["name"])
    return _get(tx, hierarchy, configuration_id)


def preview(
    tx: Connection, database: Database, hierarchy: Hierarchy, table: str, column: str, module: str
) -> Preview:
    """What `configure` and mass encryption would do to a column. Nothing is changed.

    Raises:
        Conflict, Invalid, NotFound: as `configure`.
    """
    fit = _fit(tx, database, hierarchy, table, column, module)
    return Preview(
        fit.scheme.mode,
        fit.type,
        fit.counts.get("plain", 0),
        fit.counts.get("empty", 0) + fit.counts.get("null", 0),
    )


def configure_attachments(
    tx: Connection, database: Database, hierarchy: Hierarchy, *, table: str, module: str, actor: str
) -> Configuration:
    """Declare the attachments of a table as encrypted; mixed until a mass job seals them.

    Raises:
        Conflict: when they are encrypted already.
        Invalid: when they cannot be, with the reason.
    """
    check_business_name(table)
    described = database.describe(tx, table)
    row = keys.published_module(tx, hierarchy, module)
    spec = keys.specification(tx, hierarchy, row["sys_id"])
    if attachments(tx, hierarchy, table):
        raise Conflict("field.exists", table=table, column=ATTACHMENTS)
    reasons = (
        (not described.primary_key, "the table has no primary key", "Give the table one."),
        (
            described.column(ATTACHMENTS) is not None,
            "the table has a column of that name",
            "Rename the column.",
        ),
        (
            keys.scheme_of(spec) is not Scheme.STANDARD,
            "attachments are never stored equal",
            "Use a module with a standard specification.",
        ),
    )
    for applies, reason, advice in reasons:
        if applies:
            raise Invalid(
                "field.refused", table=table, column=ATTACHMENTS, reason=reason, advice=advice
            )
    configuration_id = hierarchy.integrity.insert(
        tx,
        CONFIGURATIONS,
        table_name=table,
        column_name=ATTACHMENTS,
        module_id=row["sys_id"],
        spec_id=spec["sys_id"],
        scheme=Scheme.STANDARD,
        phase=Phase.MIXED,
        original_type=ColumnType.OTHER,
        type=ATTACHMENT,
    )
    log.record(tx, actor, "field.configure", f"{table}.{ATTACHMENTS}", module=row["name"])
    return _get(tx, hierarchy, configuration_id)


def attachments(
    tx: Connection, hierarchy: Hierarchy, table: str | None = None
) -> list[Configuration]:
    """The configurations of attachments, of one table or of all."""
    conditions = [CONFIGURATIONS.c.type == ATTACHMENT]
    if table is not None:
        conditions.append(CONFIGURATIONS.c.table_name == table)
    return [_model(row) for row in hierarchy.integrity.all(tx, CONFIGURATIONS, *conditions)]


def configurations(
    tx: Connection, hierarchy: Hierarchy, table: str | None = None, column: str | None = None
) -> tuple[Configuration, ...]:
    """The encrypted columns, of one table or of all."""
    return hierarchy.integrity.remembered(
        tx,
        (CONFIGURATIONS,),
        ("configurations", table, column),
        lambda: tuple(_configurations(tx, hierarchy, table, column)),
    )


def _configurations(
    tx: Connection, hierarchy: Hierarchy, table: str | None, column: str | None
) -> list[Configuration]:
    conditions: list[ColumnElement[bool]] = [CONFIGURATIONS.c.type.is_(None)]
    if table is not None:
        conditions.append(CONFIGURATIONS.c.table_name == table)
    if column is not None:
        conditions.append(CONFIGURATIONS.c.column_name == column)
    return [_model(row) for row in hierarchy.integrity.all(tx, CONFIGURATIONS, *conditions)]


def seal(tx: Connection, hierarchy: Hierarchy, configuration: Configuration, actor: str) -> None:
    """Declare that a column holds no plain text any more; the caller counted that in `tx`."""
    row = _row(tx, hierarchy, configuration.sys_id)
    where = f"{configuration.table}.{configuration.column}"
    if row["phase"] != Phase.SEALED:
        hierarchy.integrity.update(tx, CONFIGURATIONS, row, where, phase=Phase.SEALED)
        log.record(tx, actor, "field.seal", where)


def note_key(
    tx: Connection, hierarchy: Hierarchy, configuration: Configuration, key_id: str
) -> None:
    """Write down that values under this key may stand in the column, before any does."""
    if key_id not in key_ids(tx, hierarchy, configuration):
        hierarchy.integrity.insert(
            tx, COLUMN_KEYS, configuration_id=configuration.sys_id, key_id=key_id
        )


def key_ids(tx: Connection, hierarchy: Hierarchy, configuration: Configuration) -> list[str]:
    """The keys whose values may stand in the column."""
    condition = COLUMN_KEYS.c.configuration_id == configuration.sys_id
    return [str(row["key_id"]) for row in hierarchy.integrity.all(tx, COLUMN_KEYS, condition)]


def restore(
    tx: Connection, hierarchy: Hierarchy, rows: list[Fields], key_rows: list[Fields]
) -> None:
    """Write configurations that came with a clone, under this instance's own tags."""
    for row in rows:
        hierarchy.integrity.insert(tx, CONFIGURATIONS, **row)
    for row in key_rows:
        hierarchy.integrity.insert(tx, COLUMN_KEYS, **row)


class _Fit(NamedTuple):
    """A column that can be encrypted, and by what."""

    described: Table
    type: ColumnType
    module: Fields
    specification: Fields
    scheme: Scheme
    counts: dict[str, int]


def _fit(
    tx: Connection, database: Database, hierarchy: Hierarchy, table: str, column: str, module: str
) -> _Fit:
    check_business_name(table)
    described = database.describe(tx, table)
    found = described.column(column)
    if found is None:
        raise NotFound("column.missing", table=table, column=column)
    row = keys.published_module(tx, hierarchy, module)
    spec = keys.specification(tx, hierarchy, row["sys_id"])
    scheme = keys.scheme_of(spec)
    if configurations(tx, hierarchy, table, column):
        raise Conflict("field.exists", table=table, column=column)
    _refuse_unfit(described, found, scheme)
    counts = database.count_by_prefix(tx, table, column, MARKER, PREFIX_LENGTH)
    if any(prefix.startswith(MARKER) for prefix in counts):
        raise _refused(
            described,
            found,
            "some of its values look like encrypted ones",
            f"Change the values that begin with '{MARKER}' first.",
        )
    return _Fit(described, found.type, row, spec, scheme, counts)


def _refuse_unfit(table: Table, column: Column, scheme: Scheme) -> None:
    standard_unique = scheme is Scheme.STANDARD and column.name in table.unique
    reasons = (
        (not table.primary_key, "the table has no primary key", "Give the table a primary key."),
        (
            column.name in table.primary_key,
            "it is part of the primary key",
            "Encrypt another column, or load the table with another key.",
        ),
        (
            column.name in table.foreign,
            "a foreign key holds it",
            "Encrypt another column, or remove the foreign key.",
        ),
        (column.generated, "it is generated", "Encrypt the columns it is made from."),
        (
            column.name in table.sources,
            "a generated column is made from it",
            "Remove the generated column first: it would keep the clear text.",
        ),
        (column.checked, "a CHECK constraint looks at it", "Remove the constraint first."),
        (
            standard_unique,
            "it is unique, and standard values are stored unequal",
            "Use a module with an equality preserving specification.",
        ),
        (
            column.type is ColumnType.OTHER,
            "only text and whole numbers can be encrypted",
            "Keep the column as text.",
        ),
    )
    for applies, reason, advice in reasons:
        if applies:
            raise _refused(table, column, reason, advice)


def _refused(table: Table, column: Column, reason: str, advice: str) -> Invalid:
    return Invalid(
        "field.refused", table=table.name, column=column.name, reason=reason, advice=advice
    )


def _row(tx: Connection, hierarchy: Hierarchy, configuration_id: str) -> Fields:
    missing = NotFound("field.missing", table=configuration_id, column="")
    condition = CONFIGURATIONS.c.sys_id == configuration_id
    return hierarchy.integrity.one(tx, CONFIGURATIONS, missing, condition)


def _get(tx: Connection, hierarchy: Hierarchy, configuration_id: str) -> Configuration:
    return _model(_row(tx, hierarchy, configuration_id))


def _model(row: Fields) -> Configuration:
    return Configuration(
        sys_id=row["sys_id"],
        table=row["table_name"],
        column=row["column_name"],
        module_id=row["module_id"],
        spec_id=row["spec_id"],
        scheme=Scheme(row["scheme"]),
        phase=Phase(row["phase"]),
        original_type=row["original_type"],
    )
