"""Watching external keys: look at each, go on with what was begun, raise and clear alerts."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from keystead.base.errors import KeysteadError, Tampered
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.external import alerts
from keystead.external.leases import Leases, status_row
from keystead.external.model import State
from keystead.external.provider import Answer
from keystead.external.service import ExternalKeys, Synchronised
from keystead.external.settling import Settled
from keystead.external.status import Status
from keystead.instance import blast_radius, schedules
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


class News:
    """What the leases of one process hear of external keys, beside what is written down of them."""

    def __init__(self, database: Database, hierarchy: Hierarchy, leases: Leases) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._leases = leases
        self._told: dict[str, tuple[Answer, str | None]] = {}

    def ask_for_look(self, actor: str) -> bool:
        """Ask the process that leads to look, if something else is heard than what was seen last.

        One difference is told once: a provider may describe a key otherwise than it treats it.
        Whether it was asked.
        """
        news = self._leases.take_news()
        if not news:
            return False
        with self._database.snapshot() as tx:
            seen = {each: status_row(tx, self._hierarchy, each) for each in news}
        differs = False
        for configuration_id, answer in news.items():
            row = seen[configuration_id]
            if row is not None and row["answer"] == answer:
                self._told.pop(configuration_id, None)
                continue
            told = (answer, row["tag"] if row is not None else None)
            differs |= self._told.get(configuration_id) != told
            self._told[configuration_id] = told
        if differs:
            request_look(self._database, self._hierarchy, actor)
        return differs


def request_look(database: Database, hierarchy: Hierarchy, actor: str) -> None:
    """Ask the process that leads to look at every external key now."""
    name = schedules.WATCH_EXTERNAL_KEYS.name
    with database.transaction() as tx:
        if schedules.find(tx, hierarchy.integrity, name).requested_at is None:
            schedules.request(tx, hierarchy.integrity, name, actor)


def look(database: Database, hierarchy: Hierarchy, external: ExternalKeys, actor: str) -> Looked:
    """Synchronise every external key, settle the wrappings of keys, and the alerts.

    Killed anywhere, the next look does what is left.

    Raises:
        Tampered: when a row about them is not as it was written; alerts are raised before.
    """
    found: list[Synchronised] = []
    settled, tampered = Settled(0, 0, None), None
    try:
        found = external.synchronise(actor)
        settled = external.settle(actor)
    except Tampered as error:
        tampered = error
    with database.snapshot() as tx:
        # counting takes long where there are many values: not while others wait to write
        words = {
            configuration["sys_id"]: _in_words(tx, database, hierarchy, configuration, status)
            for configuration, status in alerts.missing(tx, hierarchy)
        }
    with database.transaction() as tx:
        raised = alerts.settle(tx, hierarchy, words, actor)
    if tampered is not None:
        raise tampered
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
    now, reason = status["status"], status["reason"]
    if configuration["state"] == State.REVOKED:
        now, reason = "revoked here", configuration["revoke_reason"]
    said = f" ({reason})" if reason and not reason.endswith(now) else ""
    words = f"The external key '{configuration['name']}' is {now}{said}."
    if status["deletion_at"] is not None:
        words += f" It is to be deleted on {status['deletion_at'][:10]} for good."
    protected = blast_radius.in_words(tx, database, hierarchy, configuration)
    return f"{words} It protects {protected}."
