"""Keystead's own tables: one registry, their shared tag, and what a clone does to each."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Column, Integer, MetaData, String, Table, Text
from sqlalchemy.sql.schema import SchemaItem

METADATA: Final = MetaData()


class OnClone(StrEnum):
    """What a clone does with the rows of one of Keystead's tables."""

    COPY = "copy"
    KEEP = "keep"


def own_table(name: str, on_clone: OnClone, *items: SchemaItem) -> Table:
    """Declare a table with a `sys_id` of 32 hexadecimal digits and the given items."""
    return Table(
        name,
        METADATA,
        Column("sys_id", String(32), primary_key=True),
        *items,
        info={"on_clone": on_clone},
    )


def tagged_table(name: str, on_clone: OnClone, *items: SchemaItem) -> Table:
    """Declare a table whose rows carry a revision and an integrity tag (`database.integrity`)."""
    return own_table(
        name,
        on_clone,
        *items,
        Column("revision", Integer, nullable=False),
        Column("tag", String(64), nullable=False),
    )


def text(name: str, **options: Any) -> Column[str]:
    """A text column that must be given, unless `nullable` says otherwise."""
    return Column(name, Text, **{"nullable": False, **options})


def number(name: str, **options: Any) -> Column[int]:
    """A whole-number column that must be given, unless `nullable` says otherwise."""
    return Column(name, Integer, **{"nullable": False, **options})
