"""The audit log: what was done, by whom, written in the transaction that does it."""

from __future__ import annotations

import json

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Connection, Table, insert, select

from keystead.base import clock
from keystead.base.ids import new_id
from keystead.database.schema import METADATA, NUMBER, OnClone, text

AUDIT = Table(
    "keystead_audit",
    METADATA,
    SqlColumn("sequence", NUMBER, primary_key=True, autoincrement=True),
    text("sys_id"),
    text("at"),
    text("actor"),
    text("action"),
    text("subject"),
    text("detail"),
    info={"on_clone": OnClone.KEEP},
)


def record(
    tx: Connection, actor: str, action: str, subject: str, **detail: str | int | None
) -> None:
    """Write one entry. Details are ids, names and counts; never a value or a key."""
    tx.execute(
        insert(AUDIT).values(
            sys_id=new_id(),
            at=clock.now(),
            actor=actor,
            action=action,
            subject=subject,
            detail=json.dumps(detail, ensure_ascii=False, sort_keys=True),
        )
    )


def entries(tx: Connection, limit: int) -> list[dict[str, object]]:
    """The newest `limit` entries, newest first."""
    newest = select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(limit)
    return [
        {**row._mapping, "detail": json.loads(row._mapping["detail"])} for row in tx.execute(newest)
    ]
