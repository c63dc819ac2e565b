"""Users, their roles, and the policies that say who may use a module."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint

from keystead.database.schema import OnClone, number, short, tagged_table, text

USERS = tagged_table("sys_user", OnClone.KEEP, short("user_name", unique=True))

USER_ROLES = tagged_table(
    "sys_user_has_role",
    OnClone.KEEP,
    short("user_id"),
    short("role"),
    UniqueConstraint("user_id", "role"),
)

# role policies travel with a clone; resource exchange policies stay where they were made
POLICIES = tagged_table(
    "sys_kmf_crypto_caller_policy",
    OnClone.COPY,
    text("type"),
    text("module_id"),
    text("role", nullable=True),
    text("operation", nullable=True),
    text("result"),
    number("active"),
    text("spec_id", nullable=True),
    text("target_instance", nullable=True),
    text("target_fingerprint", nullable=True),
    text("key_ids", nullable=True),
    text("expires_at", nullable=True),
    text("frequency", nullable=True),
    text("clone_id", nullable=True),
    text("consumed_at", nullable=True),
)
