"""Where modules, specifications and keys are kept, under the documented names if any."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, UniqueConstraint

from keystead.database.schema import OnClone, number, own_table, short, tagged_table, text

# `default_policy` decides where no module access policy does; NULL: as the system does
MODULES = tagged_table(
    "sys_kmf_crypto_module",
    OnClone.COPY,
    short("name", unique=True),
    text("state"),
    text("default_policy", nullable=True),
    # the external key under which its keys are to be wrapped: a configuration; NULL: none
    text("external_configuration", nullable=True),
)

SPECIFICATIONS = tagged_table(
    "sys_kmf_module_crypto_spec",
    OnClone.COPY,
    short("module_id"),
    short("purpose"),
    text("algorithm"),
    number("size_bits"),
    number("equality_preserving"),
    # 1 where a suspended key may still open values
    number("decrypts_suspended", nullable=True),
    UniqueConstraint("module_id", "purpose"),
)

# sys_id is the key id, the same on every instance that holds the key
KEYS = tagged_table(
    "sys_kmf_module_key",
    OnClone.KEEP,
    short("spec_id"),
    number("version"),
    text("state"),
    # the specification while the key encrypts, else NULL: so no database keeps two active ones
    short("active_of", nullable=True, unique=True),
    text("origin"),
    text("source_instance", nullable=True),
    text("material", nullable=True),
    # the EKEK that wraps the material; NULL: the KEK
    text("ekek_id", nullable=True),
    text("generated_at"),
    text("activated_at", nullable=True),
    text("deactivated_at", nullable=True),
    text("destroyed_at", nullable=True),
    text("renewed_at", nullable=True),
    text("rotated_at", nullable=True),
    text("suspended_at", nullable=True),
    text("revoked_at", nullable=True),
    text("revoke_reason", nullable=True),
    # what the specification said when the key was suspended
    number("decrypts_suspended", nullable=True),
    # 1 where the key was destroyed, not dropped: it is never received again
    number("destroyed_for_good", nullable=True),
    # since when another is to replace it, whatever rules say: its external key was dark then
    text("rotation_owed_at", nullable=True),
    # what life-cycle rules have in store
    text("expires_at", nullable=True),
    text("activate_at", nullable=True),
    text("renew_at", nullable=True),
    text("rotate_at", nullable=True),
    text("destroy_at", nullable=True),
    # values needed the key when it was due: the census is not asked again before
    text("destroy_held_until", nullable=True),
    UniqueConstraint("spec_id", "version"),
)

# the KEK and the identity keys: each is bound by its wrapping to instance and purpose
INSTANCE_KEYS = own_table(
    "keystead_instance_key", OnClone.KEEP, short("purpose", unique=True), text("material")
)

# who may approve the destruction of a key that values still need: one row
QUORUM = tagged_table(
    "keystead_destroy_quorum", OnClone.KEEP, number("needed"), text("people"), text("set_at")
)

DESTROY_REQUESTS = tagged_table(
    "keystead_destroy_request",
    OnClone.KEEP,
    text("key_id"),
    # the key while the request is open, else NULL: so there is one open request for each
    short("open_for", nullable=True, unique=True),
    text("requester"),
    text("reason"),
    number("lost_values"),
    number("needed"),
    text("people"),
    text("created_at"),
    text("expires_at"),
    text("destroyed_at", nullable=True),
)

DESTROY_APPROVALS = tagged_table(
    "keystead_destroy_approval",
    OnClone.KEEP,
    short("request_id"),
    short("approver"),
    text("approved_at"),
    UniqueConstraint("request_id", "approver"),
)

RULES = tagged_table(
    "keystead_key_rule",
    OnClone.KEEP,
    short("spec_id"),
    short("for_date"),
    number("place"),
    text("at", nullable=True),
    number("amount", nullable=True),
    text("unit", nullable=True),
    text("direction", nullable=True),
    text("relative_to", nullable=True),
    UniqueConstraint("spec_id", "for_date", "place"),
)

# how far rules may go: for the instance, or as an exception for one specification
RULE_CAPS = tagged_table(
    "keystead_key_rule_cap",
    OnClone.KEEP,
    # a specification, or * for all
    short("spec_id"),
    short("for_date"),
    number("amount"),
    text("unit"),
    UniqueConstraint("spec_id", "for_date"),
)

# how many encryptions under a key were reserved, ever; 32 bits are not enough for it everywhere
KEY_USE = tagged_table(
    "keystead_key_use",
    OnClone.KEEP,
    short("key_id", unique=True),
    Column("reserved", BigInteger, nullable=False),
)

# each lets a customer bring one key, within two hours; known by the digest of the token
IMPORT_TOKENS = tagged_table(
    "keystead_import_token",
    OnClone.KEEP,
    text("spec_id"),
    short("digest", unique=True),
    # the private key that opens what the customer wraps; gone once it was used
    text("private", nullable=True),
    text("created_at"),
    text("expires_at"),
    text("used_at", nullable=True),
)
