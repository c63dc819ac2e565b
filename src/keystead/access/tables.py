"""Users, groups, their roles, and the policies that say who may use a module."""

from __future__ import annotations

from typing import Final

from sqlalchemy import UniqueConstraint

from keystead.database.schema import OnClone, number, own_table, short, tagged_table, text

# `active` is NULL in rows made before it was there: active
USERS = tagged_table(
    "sys_user", OnClone.KEEP, short("user_name", unique=True), number("active", nullable=True)
)

USER_ROLES = tagged_table(
    "sys_user_has_role",
    OnClone.KEEP,
    short("user_id"),
    short("role"),
    UniqueConstraint("user_id", "role"),
)

GROUPS = tagged_table("sys_user_group", OnClone.KEEP, short("name", unique=True))

GROUP_MEMBERS = tagged_table(
    "sys_user_grmember",
    OnClone.KEEP,
    short("group_id"),
    short("user_id"),
    UniqueConstraint("group_id", "user_id"),
)

GROUP_ROLES = tagged_table(
    "sys_group_has_role",
    OnClone.KEEP,
    short("group_id"),
    short("role"),
    UniqueConstraint("group_id", "role"),
)

# who is logged in to the console; a session is known by the digest of its secret, as a token is
SESSIONS = tagged_table(
    "keystead_session",
    OnClone.KEEP,
    text("user_id"),
    short("digest", unique=True),
    text("opened_at"),
    text("seen_at"),
    text("ends_at"),
    text("elevated_until", nullable=True),
)

# values of properties (`access.properties`); one without a row has its default
PROPERTIES = tagged_table(
    "sys_properties",
    OnClone.KEEP,
    short("name", unique=True),
    text("type"),
    text("value"),
    text("description"),
)

# policies for callers travel with a clone; resource exchange policies stay where they were made
POLICIES = tagged_table(
    "sys_kmf_crypto_caller_policy",
    OnClone.COPY,
    text("type"),
    text("module_id"),
    text("role", nullable=True),
    text("operation", nullable=True),
    text("result"),
    number("active"),
    text("name", nullable=True),
    text("target_scope", nullable=True),
    number("impersonation", nullable=True),
    text("spec_id", nullable=True),
    text("target_instance", nullable=True),
    text("target_fingerprint", nullable=True),
    text("key_ids", nullable=True),
    text("expires_at", nullable=True),
    text("frequency", nullable=True),
    text("clone_id", nullable=True),
    text("consumed_at", nullable=True),
)

# two users and a scope, with what stands between them (`Subject.caller`)
_LONGEST_CALLER: Final = 255

# who was refused what; for people to look at, nothing is decided by it
REJECTIONS = own_table(
    "keystead_module_key_rejection",
    OnClone.KEEP,
    short("caller", _LONGEST_CALLER),
    short("module_id"),
    text("module_name"),
    short("operation"),
    text("result"),
    text("decided_by"),
    text("first_enforced"),
    text("last_enforced"),
    UniqueConstraint("caller", "module_id", "operation"),
)
