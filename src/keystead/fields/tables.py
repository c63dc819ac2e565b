"""Where configurations are kept, and which keys a column may hold values of."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint

from keystead.database.schema import OnClone, short, tagged_table, text

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
