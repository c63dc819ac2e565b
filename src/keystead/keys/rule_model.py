"""Life-cycle rules: when a key expires, becomes active, is renewed, rotated or destroyed.

A rule gives one date of a key, either absolute or so long before or after another date of it. The
rules of a date are looked at in their order; the first that gives a date decides. A date that is to
come may follow another one only in the order of `Date`, so no two wait for each other.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from keystead.base import clock
from keystead.base.errors import Invalid


class Date(StrEnum):
    """What a rule decides."""

    ACTIVATION = "activation"
    EXPIRATION = "expiration"
    RENEWAL = "renewal"
    ROTATION = "rotation"
    DESTRUCTION = "destruction"


class Unit(StrEnum):
    """Of a duration."""

    YEARS = "years"
    MONTHS = "months"
    DAYS = "days"


class Direction(StrEnum):
    """On which side of the other date."""

    BEFORE = "before"
    AFTER = "after"


class Base(StrEnum):
    """The date that a rule counts from."""

    GENERATED = "generated"
    ACTIVATED = "activated"
    RENEWED = "last renewed"
    ROTATED = "last rotated"
    DEACTIVATED = "deactivated"
    REVOKED = "revoked"
    ACTIVATION = "activation"
    EXPIRATION = "expiration"
    RENEWAL = "renewal"
    ROTATION = "rotation"


# the column of a key's row that holds each date
DATE_COLUMNS: Final[dict[Date, str]] = {
    Date.ACTIVATION: "activate_at",
    Date.EXPIRATION: "expires_at",
    Date.RENEWAL: "renew_at",
    Date.ROTATION: "rotate_at",
    Date.DESTRUCTION: "destroy_at",
}
_BASE_COLUMNS: Final[dict[Base, str]] = {
    Base.GENERATED: "generated_at",
    Base.ACTIVATED: "activated_at",
    Base.RENEWED: "renewed_at",
    Base.ROTATED: "rotated_at",
    Base.DEACTIVATED: "deactivated_at",
    Base.REVOKED: "revoked_at",
    **{Base(date.value): DATE_COLUMNS[date] for date in Date if date is not Date.DESTRUCTION},
}
_MONTHS_OF_A_YEAR: Final = 12
_MOST: Final = 36_500
_DURATION = re.compile(r"([0-9]{1,5})([ymd])", re.ASCII)
_UNITS: Final = {"y": Unit.YEARS, "m": Unit.MONTHS, "d": Unit.DAYS}


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in calendar units."""

    amount: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.amount}{self.unit[0]}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: absolute where `at` is given, else relative."""

    date: Date
    order: int
    at: str | None = None
    duration: Duration | None = None
    direction: Direction | None = None
    base: Base | None = None

    def __post_init__(self) -> None:
        relative = (self.duration, self.direction, self.base)
        if (self.at is None) == (None in relative) or (self.at and any(relative)):
            raise Invalid("rule.form")
        to_come = [date.value for date in Date]
        if self.base in to_come and to_come.index(self.base) >= to_come.index(self.date):
            raise Invalid("rule.circle", date=self.date, base=self.base)


def duration(text: str) -> Duration:
    """A duration written as a number and y, m or d.

    Raises:
        Invalid: for any other form, and for none or more than 36500.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= _MOST:
        raise Invalid("rule.duration", text=text)
    return Duration(int(match[1]), _UNITS[match[2]])


def moment(text: str) -> str:
    """A moment that somebody wrote in ISO 8601, in the one form; in UTC if it names no zone.

    Raises:
        Invalid: for any other text.
    """
    try:
        read = datetime.fromisoformat(text)
        return clock.text_of(read if read.tzinfo else read.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise Invalid("rule.time", text=text) from None


def sentence(row: Mapping[str, Any]) -> str:
    """What a rule says, from its row as it is kept."""
    if row["at"]:
        return f"{row['for_date']} at {row['at']}"
    length = f"{row['amount']} {row['unit']}"
    return f"{row['for_date']} {length} {row['direction']} {row['relative_to']}"


def shift(moment: datetime, by: Duration, direction: Direction) -> datetime:
    """`moment` moved by a duration; a day that a month lacks becomes that month's last.

    Raises:
        Invalid: when the result is outside the years 1 to 9999.
    """
    amount = by.amount if direction is Direction.AFTER else -by.amount
    try:
        if by.unit is Unit.DAYS:
            return moment + timedelta(days=amount)
        months = amount * (_MONTHS_OF_A_YEAR if by.unit is Unit.YEARS else 1)
        year, month = divmod(moment.year * _MONTHS_OF_A_YEAR + moment.month - 1 + months, 12)
        last = calendar.monthrange(year, month + 1)[1]
        return moment.replace(year=year, month=month + 1, day=min(moment.day, last))
    except (OverflowError, ValueError):
        raise Invalid("rule.too_far") from None


def dates(rules: Sequence[Rule], row: Mapping[str, Any]) -> dict[str, str | None]:
    """The dates to come of a key, by column, as the rules have them.

    A renewed key keeps the expiry that its renewal gave it.

    Raises:
        Invalid: when one lies outside the years 1 to 9999.
    """
    found: dict[str, str | None] = {}
    for date in Date:
        column = DATE_COLUMNS[date]
        if date is Date.EXPIRATION and row["renewed_at"] is not None:
            found[column] = row["expires_at"]
            continue
        given = (_date(rule, {**row, **found}) for rule in _ordered(rules, date))
        found[column] = next((moment for moment in given if moment is not None), None)
    return found


def _ordered(rules: Sequence[Rule], date: Date) -> list[Rule]:
    return sorted((rule for rule in rules if rule.date is date), key=lambda rule: rule.order)


def _date(rule: Rule, row: Mapping[str, Any]) -> str | None:
    if rule.duration is None or rule.direction is None or rule.base is None:
        return rule.at
    start = row[_BASE_COLUMNS[rule.base]]
    if start is None:
        return None
    return clock.text_of(shift(clock.parse(start), rule.duration, rule.direction))


def exceeds(rule: Rule, rules: Sequence[Rule], cap: Duration, now: str) -> bool:
    """Whether a rule would let a key go on for longer than `cap`.

    It is tried on a key that is generated, activated, renewed, rotated, deactivated and revoked
    `now`, together with the other rules of its specification.
    """
    fresh = {column: now for column in _BASE_COLUMNS.values() if column.endswith("ed_at")}
    # a key that was never renewed: else its own expiry would be taken for the rules'
    row = {**dict.fromkeys(_BASE_COLUMNS.values()), **fresh, "renewed_at": None}
    limit = shift(clock.parse(now), cap, Direction.AFTER)
    others = [other for other in rules if other.date is not rule.date]
    moment = dates([*others, rule], row)[DATE_COLUMNS[rule.date]]
    if moment is None and rule.duration is not None:
        moment = clock.text_of(shift(clock.parse(now), rule.duration, Direction.AFTER))
    return moment is not None and clock.parse(moment) > limit
