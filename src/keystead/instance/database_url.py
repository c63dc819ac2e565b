"""The URL of a database server: which are understood, and what of one may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from keystead.base.errors import Invalid

ENGINES: Final = ("postgresql", "mariadb")
PASSWORD: Final = "KEYSTEAD_DATABASE_PASSWORD"  # noqa: S105 - the variable's name


def parse(text: str, environment: Mapping[str, str] | None = None) -> URL:
    """The parts of a URL; the password of the environment goes before that of the URL.

    Raises:
        Invalid: when it is not `engine://user@host[:port]/database` of an engine that is known.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise Invalid("database.url", reason="it is not a URL") from None
    if url.drivername not in ENGINES:
        raise Invalid("database.url", reason=f"it does not begin with one of {', '.join(ENGINES)}")
    if not (url.host and url.username and url.database):
        raise Invalid("database.url", reason="it lacks the user, the host or the database")
    password = (environment or {}).get(PASSWORD)
    return url if password is None else url.set(password=password)


def shown(text: str) -> str:
    """A URL without its password, even one that stands among its options."""
    if not text:
        return text
    try:
        return parse(text).set(password=None, query={}).render_as_string()
    except Invalid:
        return "not usable"
