"""Where clones are kept, on the source and on the target."""

from __future__ import annotations

from keystead.database.schema import OnClone, number, tagged_table, text

CLONES = tagged_table(
    "keystead_clone",
    OnClone.KEEP,
    text("side"),
    text("peer_id"),
    text("state"),
    text("plan"),
    number("attempt"),
    number("next_sequence"),
    text("inventory", nullable=True),
    text("job_id", nullable=True),
    text("created_at"),
    text("committed_at", nullable=True),
)
