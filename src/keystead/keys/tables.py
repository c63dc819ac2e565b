"""Where modules, specifications and keys are kept, under the documented names if any."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint

from keystead.database.schema import OnClone, number, own_table, short, tagged_table, text

MODULES = tagged_table(
    "sys_kmf_crypto_module", OnClone.COPY, short("name", unique=True), text("state")
)

SPECIFICATIONS = tagged_table(
    "sys_kmf_module_crypto_spec",
    OnClone.COPY,
    short("module_id"),
    short("purpose"),
    text("algorithm"),
    number("size_bits"),
    number("equality_preserving"),
    UniqueConstraint("module_id", "purpose"),
)

# sys_id is the key id, the same on every instance that holds the key
KEYS = tagged_table(
    "sys_kmf_module_key",
    OnClone.KEEP,
    short("spec_id"),
    number("version"),
    text("state"),
    # the specification while the key is active, else NULL: so no database keeps two active ones
    short("active_of", nullable=True, unique=True),
    text("origin"),
    text("source_instance", nullable=True),
    text("material", nullable=True),
    text("generated_at"),
    text("activated_at", nullable=True),
    text("deactivated_at", nullable=True),
    text("destroyed_at", nullable=True),
    UniqueConstraint("spec_id", "version"),
)

# the KEK and the identity keys: each is bound by its wrapping to instance and purpose
INSTANCE_KEYS = own_table(
    "keystead_instance_key", OnClone.KEEP, short("purpose", unique=True), text("material")
)
