"""What a business table looks like, in words every database shares."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from keystead.base.errors import Invalid

RESERVED_PREFIXES = ("sys_", "sysauto_", "keystead_", "sqlite_")
STAGING_PREFIX = "keystead_staging_"
_FORBIDDEN = frozenset("\"'`^=<>![],;")
_LONGEST_NAME = 60
_WHOLE = re.compile(r"[+-]?[0-9]+")
_MOST_DIGITS = 80
_BEYOND = 2**63


class ColumnType(StrEnum):
    """The types Keystead creates and encrypts."""

    TEXT = "text"
    INTEGER = "integer"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `generated` and `checked` ones are left alone by encryption."""

    name: str
    type: ColumnType
    nullable: bool = True
    generated: bool = False
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns, its primary key in order, and the columns other constraints hold.

    `sources` are the columns that generated columns are made from.
    """

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    foreign: frozenset[str] = frozenset()
    unique: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    def column(self, name: str) -> Column | None:
        """The column of that name, if there is one."""
        return next((c for c in self.columns if c.name == name), None)


def key_text(key: Iterable[object]) -> str:
    """A primary key as people and clients write it: several columns joined with commas."""
    return ",".join(map(str, key))


def whole_number(column: str, text: str) -> int | None:
    """The whole number that a text is, if it is one.

    Raises:
        Invalid: when it has more than 64 bits.
    """
    if not _WHOLE.fullmatch(text):
        return None
    number = int(text) if len(text) <= _MOST_DIGITS else _BEYOND
    if not -_BEYOND <= number < _BEYOND:
        raise Invalid("value.range", column=column)
    return number


def refuse_nul(*texts: str) -> None:
    """Refuse texts that not every database can keep.

    Raises:
        Invalid: when one holds the character NUL.
    """
    if any("\0" in text for text in texts):
        raise Invalid("text.nul")


def check_name(name: str, what: str) -> None:
    """Refuse a name that could not be used in a query or shown in one line.

    Raises:
        Invalid: naming it.
    """
    if (
        not 1 <= len(name) <= _LONGEST_NAME
        or name != name.strip()
        or not name.isprintable()
        or _FORBIDDEN & set(name)
    ):
        raise Invalid("name.invalid", name=name, what=what)


def check_business_name(name: str) -> None:
    """Refuse a table name that cannot be used or that belongs to Keystead.

    Raises:
        Invalid: naming it.
    """
    check_name(name, "a table")
    if name.lower().startswith(RESERVED_PREFIXES):
        raise Invalid("name.reserved", name=name)
