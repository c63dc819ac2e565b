"""Alerts told to people who are not looking: to whom, what, and what was not told yet.

An alert is told when it is raised and again when it is cleared, at least once each: what a process
that was killed had sent already is sent again. Nothing is sent while nobody is named for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from keystead.access import properties
from keystead.base.errors import KeysteadError, Unavailable
from keystead.database.port import Database
from keystead.external import alerts, configurations
from keystead.keys.hierarchy import Hierarchy


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert in words for outside; `alert` is its id, the same in both of its notices."""

    alert: str
    instance: str
    instance_id: str
    configuration: str
    status: str
    what: str
    raised_at: str
    cleared_at: str | None

    def as_json(self) -> dict[str, str | None]:
        """The notice as plain data."""
        return asdict(self)

    @property
    def subject(self) -> str:
        """The notice in one line."""
        now = "is over" if self.cleared_at else "alert"
        return f"Keystead {self.instance}: external key {self.configuration} {self.status}, {now}"


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where notices go; an empty one is none."""

    webhook: str
    mail_to: tuple[str, ...]
    mail_from: str
    mail_server: str

    def __bool__(self) -> bool:
        return bool(self.webhook or self.mail_to)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many notices were sent, and why no more."""

    sent: int
    refused: KeysteadError | None


Send = Callable[[Notice, Destinations], None]
"""Sends a notice to every destination.

Raises Unavailable when one cannot be reached, and Invalid when one cannot be used.
"""


def send_nothing(_notice: Notice, _destinations: Destinations) -> None:
    """Refuse to send: for a program that has no way out.

    Raises:
        Unavailable: always.
    """
    raise Unavailable("alert.unsent", where="anywhere", reason="this program sends nothing")


def deliver(database: Database, hierarchy: Hierarchy, name: str, send: Send) -> Delivered:
    """Send what was not sent yet about the alerts of the instance of that name, oldest first.

    One that cannot be sent keeps none of the others back.
    """
    with database.snapshot() as tx:
        waiting = alerts.undelivered(tx, hierarchy)
        texts = {
            one.name: properties.text(tx, hierarchy.integrity, one) for one in properties.OF_ALERTS
        }
        names = {row["sys_id"]: row["name"] for row in configurations.listed(tx, hierarchy)}
    recipients = texts[properties.ALERT_MAIL_TO.name].split(",")
    destinations = Destinations(
        texts[properties.ALERT_WEBHOOK.name].strip(),
        tuple(one.strip() for one in recipients if one.strip()),
        texts[properties.ALERT_MAIL_FROM.name].strip(),
        texts[properties.ALERT_MAIL_SERVER.name].strip(),
    )
    if not destinations:
        return Delivered(0, None)
    sent, refused = 0, None
    for alert in waiting:
        notice = Notice(
            alert["sys_id"],
            name,
            hierarchy.instance_id,
            names[alert["configuration_id"]],
            alert["status"],
            alert["what"],
            alert["raised_at"],
            alert["cleared_at"],
        )
        try:
            send(notice, destinations)
        except KeysteadError as error:
            refused = refused or error
            continue
        with database.transaction() as tx:
            alerts.delivered(tx, hierarchy, alert)
        sent += 1
    return Delivered(sent, refused)
