"""Watching external keys: look at each, go on with what was begun, raise and clear alerts."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from keystead.base.errors import KeysteadError
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.external import alerts
from keystead.external.service import ExternalKeys
from keystead.external.status import Status
from keystead.instance import blast_radius
from keystead.keys.hierarchy import Hierarchy


@dataclass(frozen=True, slots=True)
class Change:
    """What one look changed about an external key, for the process's own log."""

    name: str
    status: str
    before: str | None
    rewrapped: bool
    failure: str | None


@dataclass(frozen=True, slots=True)
class Looked:
    """One look at all external keys."""

    result: str
    changes: tuple[Change, ...]
    refused: KeysteadError | None


def look(database: Database, hierarchy: Hierarchy, external: ExternalKeys, actor: str) -> Looked:
    """Synchronise every external key, settle the wrappings of keys, and the alerts.

    Killed anywhere, the next look does what is left.
    """
    found = external.synchronise(actor)
    settled = external.settle(actor)
    with database.snapshot() as tx:
        # counting takes long where there are many values: not while others wait to write
        words = {
            configuration["sys_id"]: _in_words(tx, database, hierarchy, configuration, status)
            for configuration, status in alerts.missing(tx, hierarchy)
        }
    with database.transaction() as tx:
        raised = alerts.settle(tx, hierarchy, words, actor)
    changes = tuple(
        Change(one.name, one.heard.status, one.before, one.rewrapped, one.failure)
        for one in found
        if one.before is not one.heard.status or one.rewrapped or one.failure
    )
    enabled = sum(one.heard.status is Status.ENABLED for one in found)
    result = (
        f"{enabled} of {len(found)} enabled, {sum(one.rewrapped for one in found)} rewrapped, "
        f"{settled.moved} keys moved, {settled.left} still to move, {len(raised)} alerts raised"
    )
    return Looked(result, changes, settled.failure)


def _in_words(
    tx: Connection, database: Database, hierarchy: Hierarchy, configuration: Fields, status: Fields
) -> str:
    radius = blast_radius.of(tx, database, hierarchy, configuration)
    said = f" ({status['reason']})" if status["reason"] else ""
    words = f"The external key '{configuration['name']}' is {status['status']}{said}."
    if status["deletion_at"] is not None:
        words += f" It is to be deleted on {status['deletion_at'][:10]} for good."
    return f"{words} It protects {radius.summary}."
