"""What goes dark with an external key: modules, keys, columns, values, attachments."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from keystead.base.errors import KeysteadError
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.exchange import service as exchange
from keystead.external import configurations
from keystead.external.service import ekeks_of
from keystead.fields import census
from keystead.fields import service as fields
from keystead.fields.model import ATTACHMENTS
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


@dataclass(frozen=True, slots=True)
class Column:
    """An encrypted column, or the attachments of a table, with its values that go dark."""

    table: str
    column: str
    module: str
    values: int


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What one external key darkens.

    `copies` are the instances that received keys of these modules before: what they hold under
    another wrapping stays readable there.
    """

    name: str
    modules: tuple[str, ...]
    keys: int
    columns: tuple[Column, ...]
    copies: tuple[str, ...]

    @property
    def values(self) -> int:
        """How many values go dark."""
        return sum(c.values for c in self.columns if c.column != ATTACHMENTS)

    @property
    def attachments(self) -> int:
        """How many attachments go dark."""
        return sum(c.values for c in self.columns if c.column == ATTACHMENTS)

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {**asdict(self), "values": self.values, "attachments": self.attachments}

    @property
    def summary(self) -> str:
        """The report in one line."""
        columns = sum(c.column != ATTACHMENTS for c in self.columns)
        where = f"{_counting(self.values, 'value')} in {_counting(columns, 'column')}"
        held = f"{_counting(self.keys, 'key')} of {_counting(len(self.modules), 'module')}"
        return f"{where}, {_counting(self.attachments, 'attachment')}, {held}"


def of(
    tx: Connection, database: Database, hierarchy: Hierarchy, configuration: Fields
) -> BlastRadius:
    """What goes dark when the external key of a configuration does. Values are counted now."""
    ekeks = {row["sys_id"] for row in ekeks_of(tx, hierarchy, configuration["sys_id"])}
    under = {row["sys_id"]: row for row in keys.all_keys(tx, hierarchy) if row["ekek_id"] in ekeks}
    by_spec = {spec["sys_id"]: spec["module_id"] for spec in keys.all_specifications(tx, hierarchy)}
    holding = {by_spec[row["spec_id"]] for row in under.values()}
    modules = {
        module["sys_id"]: str(module["name"])
        for module in keys.all_modules(tx, hierarchy)
        if module["sys_id"] in holding or configurations.chosen(module) == configuration["sys_id"]
    }
    module_of = {
        (one.table, one.column): modules[one.module_id]
        for one in fields.configurations(tx, hierarchy)
        if one.module_id in modules
    } | {
        (one.table, ATTACHMENTS): modules[one.module_id]
        for one in fields.attachments(tx, hierarchy)
        if one.module_id in modules
    }
    columns = []
    for counted in _counted(tx, database, hierarchy, {table for table, _ in module_of}):
        where = (counted.table, counted.column)
        if where in module_of:
            values = sum(count for key, count in counted.by_key.items() if key in under)
            columns.append(Column(*where, module_of[where], values))
    specs = {spec for spec, module_id in by_spec.items() if module_id in modules}
    copies = exchange.holders(tx, hierarchy, specs)
    names = tuple(sorted(modules.values()))
    return BlastRadius(configuration["name"], names, len(under), tuple(columns), copies)


def _counting(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def in_words(
    tx: Connection, database: Database, hierarchy: Hierarchy, configuration: Fields
) -> str:
    """What goes dark, in one line; where it cannot be counted, why not."""
    try:
        return of(tx, database, hierarchy, configuration).summary
    except KeysteadError as error:
        return f"what cannot be counted now ({error.what.rstrip('.')})"


def _counted(
    tx: Connection, database: Database, hierarchy: Hierarchy, tables: set[str]
) -> list[census.ColumnCensus]:
    present = set(database.table_names(tx))  # a configured table may have been dropped
    return [
        column
        for table in sorted(tables & present)
        for column in census.count(tx, database, hierarchy, table)
    ]
