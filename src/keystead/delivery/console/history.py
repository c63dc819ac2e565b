"""What the audit log says about a row: who did what and when, columns by name, never a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystead.audit import log
from keystead.audit.entries import Entry
from keystead.database.port import Database
from keystead.delivery.console import cells
from keystead.dictionary.model import Row, Table

_WRITTEN: Final = ("record.insert", "record.update", "record.delete")
_SHOWN: Final = 20
_REACH: Final = 50_000  # how far back in the log it is looked for


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a history."""

    at: str
    actor: str
    action: str
    detail: str


def of_row(database: Database, table: Table, row: Row) -> list[Event]:
    """What was done to a row of a declared table.

    Entries by its id are its own. Things of other kinds may have its name: of entries by that, only
    those of what is done with its table count.
    """
    sys_id, name = str(row["sys_id"]), str(row.get("name") or row["sys_id"])
    families = {operation.name.partition(".")[0] for operation in table.every_operation}
    with database.snapshot() as tx:
        found = [
            entry
            for entry in log.about(tx, {sys_id, name}, (), _REACH, _REACH)
            if entry.subject == sys_id or entry.action.partition(".")[0] in families
        ]
    return [_event(entry, str(entry.detail.get("reason") or "")) for entry in found[:_SHOWN]]


def of_record(database: Database, table: str, sys_id: str) -> list[Event]:
    """Who made and changed a record of a business table, and which columns."""
    with database.snapshot() as tx:
        found = [
            entry
            for entry in log.about(tx, [table], _WRITTEN, _REACH, _REACH)
            if entry.detail.get("record") == sys_id
        ]
    return [_event(entry, str(entry.detail.get("columns") or "")) for entry in found[:_SHOWN]]


def _event(entry: Entry, detail: str) -> Event:
    return Event(cells.moment(entry.at), entry.actor, entry.action, detail)
