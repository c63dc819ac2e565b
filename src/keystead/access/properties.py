"""System properties: values that people change while an instance runs.

Those that Keystead reads are declared here, with their type and what they are without a row. Who
needs one asks by its declaration: `whole_number`, `is_on` and `words` answer in its type. People
may add others of their own, which are texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from keystead.access.roles import ADMIN, SYSTEM
from keystead.access.tables import PROPERTIES
from keystead.audit import log
from keystead.base.errors import Conflict, Invalid, NotFound
from keystead.database.integrity import Integrity
from keystead.database.model import check_name
from keystead.database.schema import declared_id

LONGEST_VALUE: Final = 4_000


class PropertyType(StrEnum):
    """What a value may be; it is kept as text."""

    STRING = "string"
    INTEGER = "integer"
    TRUE_FALSE = "true | false"


@dataclass(frozen=True, slots=True)
class Property:
    """A property. One with an `owner` is changed by holders of that role alone, when elevated.

    `least` and `most` bound an integer.
    """

    name: str
    type: PropertyType
    default: str
    summary: str
    owner: str | None = None
    least: int = 0
    most: int = 0

    @property
    def sys_id(self) -> str:
        """Its id, the same on every instance, whether it has a row or not."""
        return declared_id(PROPERTIES.name, self.name)


AUTO_KEY_EXCHANGE: Final = Property(
    "glide_encryption.auto_key_exchange.enabled",
    PropertyType.TRUE_FALSE,
    "true",
    "Whether a clone asks its source for keys by itself.",
    ADMIN,
)
DEBUGGER_ROLES: Final = Property(
    "glide.kmf.module_access_policies.debugger.authorized.roles",
    PropertyType.STRING,
    "",
    "Roles, joined with commas, that may see how access is decided, besides those that always may.",
    ADMIN,
)
SESSION_IDLE_MINUTES: Final = Property(
    "glide.ui.session_timeout",
    PropertyType.INTEGER,
    "30",
    "Minutes after which a session ends when nothing was asked.",
    SYSTEM,
    1,
    12 * 60,
)
LIST_ROWS: Final = Property(
    "keystead.list.rows", PropertyType.INTEGER, "50", "Rows on a page of a list.", None, 5, 500
)
EXPIRY_WARNING_DAYS: Final = Property(
    "keystead.key.expiry_warning_days",
    PropertyType.INTEGER,
    "30",
    "Days before its expiry from which a key is shown as near it.",
    None,
    1,
    3650,
)
ALERT_WEBHOOK: Final = Property(
    "keystead.alert.webhook",
    PropertyType.STRING,
    "",
    "An https address that each alert is posted to as JSON; http on the loopback interface alone.",
    SYSTEM,
)
ALERT_MAIL_TO: Final = Property(
    "keystead.alert.mail.to",
    PropertyType.STRING,
    "",
    "Mail addresses that each alert is sent to, joined with commas.",
    SYSTEM,
)
ALERT_MAIL_FROM: Final = Property(
    "keystead.alert.mail.from",
    PropertyType.STRING,
    "",
    "The mail address that alerts come from.",
    SYSTEM,
)
ALERT_MAIL_SERVER: Final = Property(
    "keystead.alert.mail.server",
    PropertyType.STRING,
    "localhost:25",
    "The mail server that takes alerts, host:port; with STARTTLS unless it is on this machine.",
    SYSTEM,
)
OF_ALERTS: Final = (ALERT_WEBHOOK, ALERT_MAIL_TO, ALERT_MAIL_FROM, ALERT_MAIL_SERVER)
DECLARED: Final[dict[str, Property]] = {
    one.name: one
    for one in (
        *(AUTO_KEY_EXCHANGE, DEBUGGER_ROLES, SESSION_IDLE_MINUTES),
        *(LIST_ROWS, EXPIRY_WARNING_DAYS, *OF_ALERTS),
    )
}


@dataclass(frozen=True, slots=True)
class Held:
    """A property with its value as text; `is_set` says that it is not what it is without a row."""

    property: Property
    value: str
    is_set: bool


def whole_number(tx: Connection, integrity: Integrity, wanted: Property) -> int:
    """The value of an integer property."""
    return int(_value(tx, integrity, wanted))


def is_on(tx: Connection, integrity: Integrity, wanted: Property) -> bool:
    """The value of a property that is true or false."""
    return _value(tx, integrity, wanted) == "true"


def text(tx: Connection, integrity: Integrity, wanted: Property) -> str:
    """The value of a string property."""
    return _value(tx, integrity, wanted)


def words(tx: Connection, integrity: Integrity, wanted: Property) -> frozenset[str]:
    """The words of a string property, which are joined with commas."""
    parts = _value(tx, integrity, wanted).split(",")
    return frozenset(part.strip() for part in parts if part.strip())


def listed(tx: Connection, integrity: Integrity) -> list[Held]:
    """Every property, in order of name."""
    rows = {str(row["name"]): row for row in integrity.all(tx, PROPERTIES)}
    found = [
        Held(one, str(rows[name]["value"]) if name in rows else one.default, name in rows)
        for name, one in DECLARED.items()
    ]
    found += [
        Held(_own(name, str(row["description"])), str(row["value"]), is_set=True)
        for name, row in rows.items()
        if name not in DECLARED
    ]
    return sorted(found, key=lambda one: one.property.name)


def find(tx: Connection, integrity: Integrity, name: str) -> Held:
    """A property by its name.

    Raises:
        NotFound: when there is none.
    """
    for held in listed(tx, integrity):
        if held.property.name == name:
            return held
    raise NotFound("property.missing", property=name)


def change(tx: Connection, integrity: Integrity, name: str, value: str, actor: str) -> Held:
    """Give a property a value.

    Raises:
        NotFound: when there is none of that name.
        Invalid: when the value is not of its type.
    """
    held = find(tx, integrity, name)
    checked = _checked(held.property, value)
    if checked == held.value:
        return held
    rows = integrity.all(tx, PROPERTIES, PROPERTIES.c.name == name)
    if rows:
        integrity.update(tx, PROPERTIES, rows[0], f"The property '{name}'", value=checked)
    else:
        _insert(tx, integrity, held.property, checked)
    # what a property of one's own holds is not ours to tell
    told = {"before": held.value, "now": checked} if name in DECLARED else {}
    log.record(tx, actor, "property.set", name, **told)
    return Held(held.property, checked, is_set=True)


def create(
    tx: Connection, integrity: Integrity, name: str, value: str, summary: str, actor: str
) -> Held:
    """Add a property of one's own, a text.

    Raises:
        Conflict: when there is one of that name.
        Invalid: for a name or a value that cannot be used.
    """
    check_name(name, "a property")
    taken = Conflict("property.exists", property=name)
    if any(held.property.name == name for held in listed(tx, integrity)):
        raise taken
    made = _own(name, summary)
    checked = _checked(made, value)
    try:
        _insert(tx, integrity, made, checked)
    except IntegrityError:
        raise taken from None
    log.record(tx, actor, "property.create", name)
    return Held(made, checked, is_set=True)


def _value(tx: Connection, integrity: Integrity, wanted: Property) -> str:
    rows = integrity.all(tx, PROPERTIES, PROPERTIES.c.name == wanted.name)
    return str(rows[0]["value"]) if rows else wanted.default


def _insert(tx: Connection, integrity: Integrity, one: Property, value: str) -> None:
    integrity.insert(
        tx,
        PROPERTIES,
        sys_id=one.sys_id,
        name=one.name,
        type=one.type,
        value=value,
        description=one.summary,
    )


def _own(name: str, summary: str) -> Property:
    return Property(name, PropertyType.STRING, "", summary)


def _checked(one: Property, value: str) -> str:
    return _CHECKS[one.type](one, value)


def _string(one: Property, value: str) -> str:
    if len(value) > LONGEST_VALUE or not value.replace("\n", " ").replace("\t", " ").isprintable():
        raise Invalid("property.text", property=one.name, most=LONGEST_VALUE)
    return value


def _integer(one: Property, value: str) -> str:
    text = value.strip()
    fits = text.isascii() and text.isdigit() and len(text) <= len(str(one.most))
    if not fits or not one.least <= int(text) <= one.most:
        raise Invalid("property.integer", property=one.name, least=one.least, most=one.most)
    return str(int(text))


def _true_false(one: Property, value: str) -> str:
    text = value.strip().lower()
    if text not in ("true", "false"):
        raise Invalid("property.choice", property=one.name)
    return text


_CHECKS: Final[dict[PropertyType, Callable[[Property, str], str]]] = {
    PropertyType.STRING: _string,
    PropertyType.INTEGER: _integer,
    PropertyType.TRUE_FALSE: _true_false,
}
