"""Epochs of an instance: a restore begins a new one, since numbers may be given a second time.

What was written after the backup is gone, and its sequence numbers are given again. The epoch says
which of two entries with the same number is meant, and the row says where the gap is.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from keystead.audit import log
from keystead.audit.tables import AUDIT
from keystead.base import clock
from keystead.database.integrity import Fields, Integrity
from keystead.database.schema import OnClone, number, tagged_table, text

EPOCHS = tagged_table(
    "keystead_epoch",
    OnClone.KEEP,
    number("number", unique=True),
    text("began_at"),
    text("backup_id"),
    text("backup_made_at"),
    # the last audit entry of the backup; between it and the next lies what was lost
    number("audit_sequence"),
)
_FIRST = 1


def current(tx: Connection, integrity: Integrity) -> int:
    """The epoch that an instance is in; the first has no row."""
    return max((int(row["number"]) for row in integrity.all(tx, EPOCHS)), default=_FIRST)


def begin(
    tx: Connection, integrity: Integrity, backup_id: str, backup_made_at: str, actor: str
) -> Fields:
    """Begin the next epoch in an instance that was restored, and record the gap."""
    following = current(tx, integrity) + 1
    last = int(tx.execute(select(func.max(AUDIT.c.sequence))).scalar() or 0)
    row: dict[str, str | int] = {
        "number": following,
        "began_at": clock.now(),
        "backup_id": backup_id,
        "backup_made_at": backup_made_at,
        "audit_sequence": last,
    }
    integrity.insert(tx, EPOCHS, **row)
    log.record(
        tx,
        actor,
        "instance.restore",
        backup_id,
        epoch=following,
        after_sequence=last,
        lost_since=backup_made_at,
    )
    return dict(row)
