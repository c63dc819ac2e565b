"""wide_numbers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NUMBERS = (
    ("keystead_audit", "sequence"),
    ("keystead_audit_node", "sequence"),
    ("keystead_audit_head", "number"),
    ("keystead_anchored_row", "revision"),
)


def upgrade() -> None:
    """Take the tables from the version before to this one."""
    if op.get_bind().dialect.name == "sqlite":  # its whole numbers have 64 bits
        return
    for table, column in _NUMBERS:
        op.alter_column(
            table,
            column,
            type_=sa.BigInteger(),
            existing_type=sa.Integer(),
            existing_nullable=False,
        )
