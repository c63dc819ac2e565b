"""Where external keys and what they wrap are kept."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint

from keystead.database.schema import OnClone, number, short, tagged_table, text

CONFIGURATIONS = tagged_table(
    "keystead_external_configuration",
    OnClone.KEEP,
    short("name", unique=True),
    text("kind"),
    text("state"),
    # the settings that are no credentials, as JSON; and those that are, wrapped under the root key
    text("settings"),
    text("credentials", nullable=True),
    # the key as its provider names it for all who can use it
    text("reference", nullable=True),
    number("lease_seconds"),
    number("grace_seconds"),
    number("timeout_seconds"),
    text("created_at"),
    text("activated_at", nullable=True),
    text("revoke_reason", nullable=True),
)

# what was last heard of an external key; only changes are written
STATUSES = tagged_table(
    "keystead_external_status",
    OnClone.KEEP,
    short("configuration_id", unique=True),
    text("status"),
    text("since"),
    # the call and the answer behind the status, and the vendor's words
    text("call", nullable=True),
    text("answer"),
    text("reason", nullable=True),
    text("deletion_at", nullable=True),
    text("missing_since", nullable=True),
)

# the EKEKs ("External Instance Keys"), each wrapped under the root key and then by its external key
EKEKS = tagged_table(
    "sys_kmf_external_key",
    OnClone.KEEP,
    short("configuration_id"),
    number("version"),
    text("state"),
    # the configuration while the EKEK wraps new keys, else NULL: no database keeps two
    short("active_of", nullable=True, unique=True),
    text("wrapped", nullable=True),
    # which bytes of the external key wrapped it, where the provider says
    text("material_id", nullable=True),
    text("generated_at"),
    text("rewrapped_at", nullable=True),
    text("retired_at", nullable=True),
    UniqueConstraint("configuration_id", "version"),
)

ALERTS = tagged_table(
    "keystead_alert",
    OnClone.KEEP,
    short("configuration_id"),
    # the configuration while the alert is open, else NULL: one open alert for each
    short("open_for", nullable=True, unique=True),
    text("status"),
    text("what"),
    text("deletion_at", nullable=True),
    text("raised_at"),
    text("cleared_at", nullable=True),
    text("delivered_at", nullable=True),
)
