"""Keystead's own tables: one registry, their shared tag, and what a clone does to each."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.sql.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from keystead.crypto.sha256 import sha256

METADATA: Final = MetaData()

# on MariaDB text compares by bytes, and what is in an index has a longest length; SQLite and
# PostgreSQL need neither
_BINARY: Final = "utf8mb4_nopad_bin"
_TEXT: Final = Text().with_variant(mysql.LONGTEXT(collation=_BINARY), "mysql", "mariadb")
NUMBER: Final = Integer().with_variant(BigInteger(), "postgresql", "mysql", "mariadb")
SHORT: Final = 190


class OnClone(StrEnum):
    """What a clone does with the rows of one of Keystead's tables."""

    COPY = "copy"
    KEEP = "keep"


def own_table(name: str, on_clone: OnClone, *items: SchemaItem) -> Table:
    """Declare a table with a `sys_id` of 32 hexadecimal digits and the given items."""
    return Table(
        name,
        METADATA,
        Column("sys_id", fixed(32), primary_key=True),
        *items,
        info={"on_clone": on_clone},
    )


def tagged_table(name: str, on_clone: OnClone, *items: SchemaItem) -> Table:
    """Declare a table whose rows carry a revision and an integrity tag (`database.integrity`)."""
    return own_table(
        name,
        on_clone,
        *items,
        Column("revision", NUMBER, nullable=False),
        Column("tag", fixed(64), nullable=False),
    )


def declared_id(table: str, name: str) -> str:
    """The `sys_id` of a row that code declares: the same on every instance, written or not."""
    return sha256(f"{table}\n{name}".encode()).hex()[:32]


def text(name: str, **options: Any) -> Column[str]:
    """A text column that must be given, unless `nullable` says otherwise."""
    return Column(name, _TEXT, **{"nullable": False, **options})


def short(name: str, longest: int = SHORT, **options: Any) -> Column[str]:
    """A text column that is unique: MariaDB takes up to `longest` characters there."""
    bounded = Text().with_variant(mysql.VARCHAR(longest, collation=_BINARY), "mysql", "mariadb")
    return Column(name, bounded, **{"nullable": False, **options})


def indexed(table: str, column: str) -> Index:
    """An index over a text column; on MariaDB over its first characters."""
    return Index(f"{table}_{column}", column, mysql_length=SHORT, mariadb_length=SHORT)


def fixed(length: int) -> TypeEngine[str]:
    """The type of ids and tags: so many hexadecimal digits."""
    bounded = mysql.VARCHAR(length, charset="ascii", collation="ascii_nopad_bin")
    return String(length).with_variant(bounded, "mysql", "mariadb")


def number(name: str, **options: Any) -> Column[int]:
    """A whole-number column that must be given, unless `nullable` says otherwise."""
    return Column(name, NUMBER, **{"nullable": False, **options})


def binary(name: str) -> Column[bytes]:
    """A column of up to 16 MiB of bytes; what is written at once must fit a server's packet."""
    bounded = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
    return Column(name, bounded, nullable=False)
