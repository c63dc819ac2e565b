"""indexes_and_long_callers."""

from __future__ import annotations

from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SHORT = 190
_CALLER = mysql.VARCHAR(255, collation="utf8mb4_nopad_bin")


def upgrade() -> None:
    """Take the tables from the version before to this one."""
    op.create_index(
        "keystead_job_state", "keystead_job", ["state"], mysql_length=_SHORT, mariadb_length=_SHORT
    )
    op.create_index(
        "keystead_seen_message_expires",
        "keystead_seen_message",
        ["expires"],
        mysql_length=_SHORT,
        mariadb_length=_SHORT,
    )
    if op.get_bind().dialect.name in ("mysql", "mariadb"):  # elsewhere text has no longest length
        op.alter_column(
            "keystead_module_key_rejection", "caller", type_=_CALLER, existing_nullable=False
        )
