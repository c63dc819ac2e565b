"""The last census, kept: to count reads every encrypted column, to look at it should not."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from keystead.audit import log
from keystead.base import clock
from keystead.base.ids import new_id
from keystead.database.port import Database
from keystead.fields import census
from keystead.fields.census import ColumnCensus
from keystead.fields.tables import COUNTS
from keystead.keys.hierarchy import Hierarchy


def count_now(database: Database, hierarchy: Hierarchy, actor: str) -> int:
    """Count the values of every encrypted column by key, and keep that in place of the last count.

    Returns how many values are encrypted.

    Raises:
        NotFound: when a column that is encrypted is not there any more.
    """
    moment = clock.now()
    with database.snapshot() as tx:
        found = census.count(tx, database, hierarchy)
    encrypted = sum(column.encrypted for column in found)
    with database.transaction() as tx:
        tx.execute(delete(COUNTS))
        for column in found:
            tx.execute(insert(COUNTS), _rows(column, moment))
        log.record(tx, actor, "census.count", hierarchy.instance_id, values=encrypted)
    return encrypted


def last(tx: Connection) -> list[dict[str, Any]]:
    """What was counted last, by table, column and key."""
    columns = COUNTS.c
    ordered = select(COUNTS).order_by(columns.table_name, columns.column_name, columns.sys_id)
    return [row._asdict() for row in tx.execute(ordered)]


def _rows(column: ColumnCensus, moment: str) -> list[dict[str, Any]]:
    where = {
        "table_name": column.table,
        "column_name": column.column,
        "mode": column.mode,
        "phase": column.phase,
        "counted_at": moment,
    }
    others = {"plain": column.plain, "empty": column.empty + column.null, "unknown": column.unknown}
    counted: list[tuple[str, str | None, int]] = [
        ("encrypted", key_id, count) for key_id, count in sorted(column.by_key.items())
    ]
    counted += [(form, None, count) for form, count in others.items() if count or form == "plain"]
    return [
        {"sys_id": new_id(), **where, "form": form, "key_id": key_id, "amount": count}
        for form, key_id, count in counted
    ]
