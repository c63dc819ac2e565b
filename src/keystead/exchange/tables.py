"""Where exchange requests are kept: the same id, document and counts on both sides."""

from __future__ import annotations

from keystead.database.schema import OnClone, number, tagged_table, text

REQUESTS = tagged_table(
    "keystead_exchange_request",
    OnClone.KEEP,
    text("side"),
    text("peer_id"),
    text("frequency"),
    text("status"),
    text("document"),
    text("request_hash"),
    text("clone_id", nullable=True),
    number("total_key_count"),
    number("moved_key_count"),
    number("rekey"),
    text("bundle", nullable=True),
    text("receipt", nullable=True),
    text("created_at"),
    text("updated_at"),
)
