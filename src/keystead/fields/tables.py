"""Where configurations are kept, and which keys a column may hold values of."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint

from keystead.database.schema import OnClone, number, own_table, short, tagged_table, text

# `type` is NULL for a column; for the attachments of a table it says so
CONFIGURATIONS = tagged_table(
    "sys_platform_encryption_configuration",
    OnClone.COPY,
    short("table_name"),
    short("column_name"),
    text("module_id"),
    text("spec_id"),
    text("scheme"),
    text("phase"),
    text("original_type"),
    text("type", nullable=True),
    UniqueConstraint("table_name", "column_name"),
)

# a superset of the keys in a column, written before the first value under a key
COLUMN_KEYS = tagged_table(
    "keystead_column_key",
    OnClone.COPY,
    short("configuration_id"),
    short("key_id"),
    UniqueConstraint("configuration_id", "key_id"),
)

# what the census counted last; for people to look at, nothing is decided by it
COUNTS = own_table(
    "keystead_census",
    OnClone.KEEP,
    text("table_name"),
    text("column_name"),
    text("mode"),
    text("phase"),
    # the key of values that are encrypted, else NULL
    text("key_id", nullable=True),
    text("form"),
    number("amount"),
    text("counted_at"),
)
