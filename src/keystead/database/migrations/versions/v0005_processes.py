"""processes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.String(32).with_variant(
    mysql.VARCHAR(32, charset="ascii", collation="ascii_nopad_bin"), "mysql", "mariadb"
)
_TEXT = sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_nopad_bin"), "mysql", "mariadb")
_NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql", "mysql", "mariadb")


def upgrade() -> None:
    """Take the tables from the version before to this one."""
    op.create_table(
        "keystead_process",
        sa.Column("sys_id", _ID, nullable=False),
        sa.Column("role", _TEXT, nullable=False),
        sa.Column("host", _TEXT, nullable=False),
        sa.Column("home", _TEXT, nullable=False),
        sa.Column("pid", _NUMBER, nullable=False),
        sa.Column("started_at", _TEXT, nullable=False),
        sa.Column("beat", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("sys_id"),
    )
    with op.batch_alter_table("keystead_job", schema=None) as batch_op:
        batch_op.add_column(sa.Column("holder", _TEXT, nullable=True))
        batch_op.add_column(sa.Column("stages_done", _NUMBER, nullable=True))
