"""The time, in one form: UTC, ISO 8601, to the microsecond, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def now() -> str:
    """The present moment."""
    return text_of(datetime.now(UTC))


def text_of(moment: datetime) -> str:
    """A moment in the one form; it must know its zone."""
    return moment.astimezone(UTC).strftime(_FORM)


def after(seconds: float) -> str:
    """The moment `seconds` from now; a negative number is in the past."""
    return text_of(datetime.now(UTC) + timedelta(seconds=seconds))


def later(moment: str, seconds: float) -> str:
    """The moment `seconds` after another one that was written by `now`."""
    return text_of(parse(moment) + timedelta(seconds=seconds))


def parse(text: str) -> datetime:
    """A moment written by `now` or `after`.

    Raises:
        ValueError: for any other form.
    """
    moment = datetime.strptime(text, _FORM).replace(tzinfo=UTC)
    if moment.strftime(_FORM) != text:
        raise ValueError("not in the one form that is written")
    return moment
