"""Where attachments and the pieces of their content are kept.

They are data, as the rows of business tables are: they carry no tag and no anchor, which would make
each upload read every row. What an encrypted one says of itself is authenticated (docs/formats).
"""

from __future__ import annotations

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Index, Table

from keystead.database.schema import (
    METADATA,
    OnClone,
    binary,
    fixed,
    number,
    own_table,
    short,
    text,
)

# `key_id` and `wrapped_key` are NULL where the content is plain; `facts` until it is whole
ATTACHMENTS = own_table(
    "sys_attachment",
    OnClone.KEEP,
    short("table_name"),
    text("table_sys_id"),
    short("place"),
    short("state"),
    text("content_id"),
    text("key_id", nullable=True),
    text("wrapped_key", nullable=True),
    text("facts", nullable=True),
    number("size_bytes"),
    text("created_by"),
    text("created_at"),
    text("touched_at"),
    Index("sys_attachment_place", "place"),
    Index("sys_attachment_table", "table_name"),
    Index("sys_attachment_state", "state"),
)

PIECES = Table(
    "sys_attachment_doc",
    METADATA,
    SqlColumn("content_id", fixed(32), primary_key=True),
    number("position", primary_key=True, autoincrement=False),
    binary("data"),
    info={"on_clone": OnClone.KEEP},
)
