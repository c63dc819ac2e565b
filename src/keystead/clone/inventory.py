"""What a clone carries besides rows: tables, modules, configurations and policies. Never a key.

The inventory is plain data. It is counted inside the snapshot that is copied, and the target must
count the same before anything is put in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from keystead.access import policies as access_policies
from keystead.access.decision import ModuleDefault
from keystead.access.tables import POLICIES
from keystead.base.errors import Conflict, Invalid
from keystead.base.ids import is_id
from keystead.crypto.envelope import MARKER, PREFIX_LENGTH
from keystead.database.integrity import Fields
from keystead.database.model import Column, ColumnType, Table, check_business_name, check_name
from keystead.database.port import Database
from keystead.external import standing
from keystead.fields import service as fields
from keystead.fields.model import ATTACHMENT, ATTACHMENTS, Phase
from keystead.fields.tables import COLUMN_KEYS, CONFIGURATIONS
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.tables import MODULES, SPECIFICATIONS

Inventory = dict[str, Any]
# Keystead's own tables that are carried; `OnClone.COPY` says the same of each
CARRIED: Final = (MODULES, SPECIFICATIONS, CONFIGURATIONS, COLUMN_KEYS, POLICIES)
_REFERENCE: Final = "external_reference"
_BOOKKEEPING = ("revision", "tag")


def take(tx: Connection, database: Database, hierarchy: Hierarchy) -> Inventory:
    """The inventory of this instance at this moment.

    Raises:
        Invalid: when a table cannot be carried.
    """
    tables = [database.describe(tx, name) for name in database.table_names(tx)]
    for table in tables:
        _refuse_unfit(table)
    integrity, external = hierarchy.integrity, standing.of_modules(tx, hierarchy)
    return {
        "tables": [_table_as_json(table) for table in tables],
        "counts": {table.name: count(tx, database, hierarchy, table.name) for table in tables},
        "modules": [_module(row, external) for row in integrity.all(tx, MODULES)],
        "specifications": [_bare(row) for row in integrity.all(tx, SPECIFICATIONS)],
        "configurations": [_bare(row) for row in integrity.all(tx, CONFIGURATIONS)],
        "column_keys": [_bare(row) for row in integrity.all(tx, COLUMN_KEYS)],
        "policies": [_bare(row) for row in access_policies.rows(tx, integrity)],
    }


def count(tx: Connection, database: Database, hierarchy: Hierarchy, table: str) -> dict[str, Any]:
    """Rows of a table, and values of each encrypted column by their first characters."""
    columns = [c.column for c in fields.configurations(tx, hierarchy, table)]
    return count_columns(tx, database, table, columns)


def count_columns(
    tx: Connection, database: Database, table: str, columns: list[str]
) -> dict[str, Any]:
    """Rows, and values of the named columns by their first characters."""
    return {
        "rows": database.count_rows(tx, table),
        "values": {
            column: database.count_by_prefix(tx, table, column, MARKER, PREFIX_LENGTH)
            for column in columns
        },
    }


def encrypted_columns(inventory: Inventory, table: str) -> list[str]:
    """The encrypted columns of one table of an inventory."""
    return [
        str(row["column_name"])
        for row in inventory["configurations"]
        if row["table_name"] == table and row.get("type") is None
    ]


def tables_of(inventory: Inventory) -> list[Table]:
    """The tables of an inventory.

    Raises:
        Invalid: when a name or type in it cannot be used here.
    """
    tables = []
    for described in inventory["tables"]:
        check_business_name(described["name"])
        for column in described["columns"]:
            check_name(column["name"], "a column")
        columns = tuple(
            Column(column["name"], ColumnType(column["type"]), bool(column["nullable"]))
            for column in described["columns"]
        )
        tables.append(Table(described["name"], columns, tuple(described["primary_key"])))
    return tables


def check(inventory: Inventory) -> None:
    """Refuse an inventory from a peer whose parts do not fit each other.

    Raises:
        Invalid: naming the part.
    """
    tables = {table.name: table for table in tables_of(inventory)}
    modules = {row["sys_id"] for row in inventory["modules"]}
    for row in inventory["modules"]:
        _require(row["default_policy"] in {None, *ModuleDefault}, "a module")
        _require(isinstance(row.get(_REFERENCE), str | None), "a module")
    specs = {row["sys_id"]: row for row in inventory["specifications"]}
    configured = {row["sys_id"] for row in inventory["configurations"]}
    for spec in specs.values():
        _require(spec["module_id"] in modules, "a specification")
    for row in inventory["configurations"]:
        table, spec = tables.get(row["table_name"]), specs.get(row["spec_id"])
        fitting = (
            table is not None
            and spec is not None
            and _is_of(row, table)
            and row["module_id"] == spec["module_id"]
            and row["scheme"] == keys.scheme_of(spec)
            and row["phase"] in set(Phase)
            and row["original_type"] in set(ColumnType)
        )
        _require(fitting, "an encrypted field")
    for row in inventory["column_keys"]:
        _require(row["configuration_id"] in configured and is_id(row["key_id"]), "a key")
    for row in inventory["policies"]:
        _require(_is_fitting(row, modules, specs), "an access policy")


def _is_of(configuration: Fields, table: Table) -> bool:
    """Whether a configuration is of a column that can be encrypted, or of attachments."""
    column = configuration["column_name"]
    if configuration.get("type") is not None:
        return bool(configuration["type"] == ATTACHMENT and column == ATTACHMENTS)
    return table.column(column) is not None and column not in table.primary_key


def _is_fitting(policy: Fields, modules: set[str], specs: dict[str, Fields]) -> bool:
    try:
        access_policies.check_carried(policy)
    except (KeyError, TypeError, ValueError, Invalid):
        return False
    module_id, spec_id = policy["module_id"], policy["spec_id"]
    return module_id in modules and (
        spec_id is None or (spec_id in specs and specs[spec_id]["module_id"] == module_id)
    )


def _require(fitting: bool, what: str) -> None:
    if not fitting:
        raise Invalid("message.invalid", reason=f"{what} in its inventory does not fit the rest")


def refuse_other_external_keys(inventory: Inventory, external: Mapping[str, str]) -> None:
    """Refuse modules under an external key of which this instance has no configuration.

    Raises:
        Conflict: naming the first.
    """
    for row in inventory["modules"]:
        if row.get(_REFERENCE) is not None and row[_REFERENCE] not in external:
            raise Conflict(
                "clone.refused",
                reason=f"the module '{row['name']}' is under an external key that is not here",
                advice="Activate its configuration at the target, and run the clone again.",
            )


def restore(
    tx: Connection, hierarchy: Hierarchy, inventory: Inventory, external: Mapping[str, str]
) -> None:
    """Write modules, configurations and policies under this instance's own integrity tags.

    `external` has this instance's own configuration of each external key, by its reference: a
    module that comes under another is under none here.
    """
    modules = [
        {
            **{name: value for name, value in row.items() if name != _REFERENCE},
            "external_configuration": external.get(row.get(_REFERENCE, "")),
        }
        for row in inventory["modules"]
    ]
    keys.restore(tx, hierarchy, modules, inventory["specifications"])
    fields.restore(tx, hierarchy, inventory["configurations"], inventory["column_keys"])
    access_policies.restore(tx, hierarchy.integrity, inventory["policies"])


def _module(row: Fields, external: Mapping[str, Fields]) -> Fields:
    """A module as it is carried: with the name of its external key, not the id of a configuration.

    One under none is as older releases know it.
    """
    bare = _bare(row)
    del bare["external_configuration"]
    if row["sys_id"] in external:
        bare[_REFERENCE] = external[row["sys_id"]]["reference"]
    return bare


def _table_as_json(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "primary_key": list(table.primary_key),
        "columns": [
            {"name": c.name, "type": c.type.value, "nullable": c.nullable} for c in table.columns
        ],
    }


def _refuse_unfit(table: Table) -> None:
    odd = next((c.name for c in table.columns if c.generated or c.type is ColumnType.OTHER), None)
    reasons = (
        (not table.primary_key, "it has no primary key"),
        (bool(table.foreign), "it has foreign keys"),
        (bool(table.unique), "it has unique columns besides its key"),
        (any(c.checked for c in table.columns), "it has CHECK constraints"),
        (odd is not None, f"its column '{odd}' is neither text nor a whole number"),
    )
    for applies, reason in reasons:
        if applies:
            raise Invalid(
                "clone.refused",
                reason=f"the table '{table.name}' cannot be carried yet: {reason}",
                advice="Move the table out of the instance's database, or change it.",
            )


def _bare(row: Fields) -> Fields:
    return {name: value for name, value in row.items() if name not in _BOOKKEEPING}
