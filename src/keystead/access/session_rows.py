"""The end of sessions, for what ends them: each function is part of one transaction."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection

from keystead.access.tables import SESSIONS
from keystead.audit import log
from keystead.database.integrity import Integrity


def end_of_user(tx: Connection, integrity: Integrity, user_id: str) -> int:
    """End every session of a user; how many there were. Who calls it records why."""
    return end(tx, integrity, SESSIONS.c.user_id == user_id)


def end_every(tx: Connection, integrity: Integrity, actor: str) -> int:
    """End every session of an instance that was restored; how many there were."""
    count = end(tx, integrity)
    if count:
        log.record(tx, actor, "session.end_every", SESSIONS.name, count=count)
    return count


def end(tx: Connection, integrity: Integrity, *conditions: ColumnElement[bool]) -> int:
    """End the sessions that meet conditions; how many there were."""
    ended = integrity.all(tx, SESSIONS, *conditions)
    for row in ended:
        integrity.delete(tx, SESSIONS, row, "A session")
    return len(ended)
