"""Where the audit log is kept: entries, the hashes of its Merkle tree, its signed heads."""

from __future__ import annotations

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Table

from keystead.database.schema import METADATA, NUMBER, OnClone, number, text

AUDIT = Table(
    "keystead_audit",
    METADATA,
    SqlColumn("sequence", NUMBER, primary_key=True, autoincrement=False),
    text("sys_id"),
    text("at"),
    text("actor"),
    text("action"),
    text("subject"),
    text("detail"),
    info={"on_clone": OnClone.KEEP},
)

# for each entry the hashes it completes, lowest first, 64 hexadecimal digits each
NODES = Table(
    "keystead_audit_node",
    METADATA,
    SqlColumn("sequence", NUMBER, primary_key=True, autoincrement=False),
    text("hashes"),
    info={"on_clone": OnClone.KEEP},
)

# the same lines as in the file of heads
HEADS = Table(
    "keystead_audit_head",
    METADATA,
    SqlColumn("number", NUMBER, primary_key=True, autoincrement=False),
    number("size"),
    text("at"),
    text("envelope"),
    info={"on_clone": OnClone.KEEP},
)
