"""Alerts about external keys: one for each that is not enabled, for as long as it is not.

An alert is raised when there is none for what was last heard, also when the day of a deletion is
another, and cleared when the key is enabled again: so one is raised for each change, however often
a provider is asked, and none is missing after a process was killed in between. Each function is
part of one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.database.integrity import Fields
from keystead.external import configurations
from keystead.external.leases import status_row
from keystead.external.model import State
from keystead.external.status import Status
from keystead.external.tables import ALERTS
from keystead.keys.hierarchy import Hierarchy

REVOKED = "revoked"


def missing(tx: Connection, hierarchy: Hierarchy) -> list[tuple[Fields, Fields]]:
    """Configurations that an alert is to be raised about, each with its status."""
    told = {
        row["configuration_id"]: (row["status"], row["deletion_at"])
        for row in open_alerts(tx, hierarchy)
    }
    found = []
    for configuration in configurations.listed(tx, hierarchy):
        status = status_row(tx, hierarchy, configuration["sys_id"])
        wanted = _wanted(configuration, status)
        if status is None or wanted is None:
            continue
        if told.get(configuration["sys_id"]) != (wanted, status["deletion_at"]):
            found.append((configuration, status))
    return found


def settle(
    tx: Connection, hierarchy: Hierarchy, words: Mapping[str, str], actor: str
) -> list[Fields]:
    """Raise what is missing and clear what is over; the alerts that were raised.

    `words` says what an alert means, by configuration; without words it waits for the next time.
    """
    raised = []
    open_ones = {row["configuration_id"]: row for row in open_alerts(tx, hierarchy)}
    for configuration in configurations.listed(tx, hierarchy):
        status = status_row(tx, hierarchy, configuration["sys_id"])
        wanted = _wanted(configuration, status)
        deletion_at = status["deletion_at"] if status else None
        now = open_ones.get(configuration["sys_id"])
        if now is not None and (now["status"], now["deletion_at"]) == (wanted, deletion_at):
            continue
        if now is not None:
            hierarchy.integrity.update(
                tx, ALERTS, now, "the alert", open_for=None, cleared_at=clock.now()
            )
            log.record(tx, actor, "alert.clear", configuration["name"], status=now["status"])
        what = words.get(configuration["sys_id"])
        if wanted is not None and what is not None:
            alert_id = hierarchy.integrity.insert(
                tx,
                ALERTS,
                configuration_id=configuration["sys_id"],
                open_for=configuration["sys_id"],
                status=wanted,
                what=what,
                deletion_at=deletion_at,
                raised_at=clock.now(),
            )
            log.record(tx, actor, "alert.raise", configuration["name"], status=wanted)
            raised += hierarchy.integrity.all(tx, ALERTS, ALERTS.c.sys_id == alert_id)
    return raised


def open_alerts(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """The alerts that are not cleared, the oldest first."""
    rows = hierarchy.integrity.remembered(
        tx,
        (ALERTS,),
        ("open alerts",),
        lambda: tuple(hierarchy.integrity.all(tx, ALERTS, ALERTS.c.cleared_at.is_(None))),
    )
    return sorted(rows, key=lambda row: str(row["raised_at"]))


def undelivered(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """The alerts that were not sent yet as they are now, raised or cleared; the oldest first."""
    rows = hierarchy.integrity.all(tx, ALERTS)
    waiting = [row for row in rows if (row["delivered_at"] or "") < _last_change(row)]
    return sorted(waiting, key=lambda row: str(row["raised_at"]))


def delivered(tx: Connection, hierarchy: Hierarchy, alert: Fields) -> None:
    """Note that an alert was sent as it is now."""
    hierarchy.integrity.update(tx, ALERTS, alert, "the alert", delivered_at=clock.now())


def _last_change(alert: Fields) -> str:
    return str(alert["cleared_at"] or alert["raised_at"])


def _wanted(configuration: Fields, status: Fields | None) -> str | None:
    if configuration["state"] == State.REVOKED:
        return REVOKED
    if configuration["state"] != State.ACTIVE or status is None:
        return None
    return None if status["status"] == Status.ENABLED else str(status["status"])
