"""attachments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLLATION = "utf8mb4_nopad_bin"
_SERVERS = ("mysql", "mariadb")
_ID = sa.String(length=32).with_variant(
    mysql.VARCHAR(32, charset="ascii", collation="ascii_nopad_bin"), *_SERVERS
)
_TEXT = sa.Text().with_variant(mysql.LONGTEXT(collation=_COLLATION), *_SERVERS)
_SHORT = sa.Text().with_variant(mysql.VARCHAR(190, collation=_COLLATION), *_SERVERS)
_NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql", *_SERVERS)
_BINARY = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), *_SERVERS)


def upgrade() -> None:
    """Take the tables from the version before to this one."""
    op.create_table(
        "sys_attachment",
        sa.Column("sys_id", _ID, nullable=False),
        sa.Column("table_name", _SHORT, nullable=False),
        sa.Column("table_sys_id", _TEXT, nullable=False),
        sa.Column("place", _SHORT, nullable=False),
        sa.Column("state", _SHORT, nullable=False),
        sa.Column("content_id", _TEXT, nullable=False),
        sa.Column("key_id", _TEXT, nullable=True),
        sa.Column("wrapped_key", _TEXT, nullable=True),
        sa.Column("facts", _TEXT, nullable=True),
        sa.Column("size_bytes", _NUMBER, nullable=False),
        sa.Column("created_by", _TEXT, nullable=False),
        sa.Column("created_at", _TEXT, nullable=False),
        sa.Column("touched_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("sys_id"),
    )
    op.create_index("sys_attachment_place", "sys_attachment", ["place"])
    op.create_index("sys_attachment_table", "sys_attachment", ["table_name"])
    op.create_index("sys_attachment_state", "sys_attachment", ["state"])
    op.create_table(
        "sys_attachment_doc",
        sa.Column("content_id", _ID, nullable=False),
        sa.Column("position", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("data", _BINARY, nullable=False),
        sa.PrimaryKeyConstraint("content_id", "position"),
    )
    with op.batch_alter_table("sys_platform_encryption_configuration") as batch_op:
        batch_op.add_column(sa.Column("type", _TEXT, nullable=True))
