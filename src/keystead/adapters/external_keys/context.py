"""What a wrapping is bound to, in the one order that all who open it again will find."""

from __future__ import annotations

from keystead.external.provider import Context


def place(context: Context) -> tuple[str, ...]:
    """The names and values of a context, by name, as `crypto.wrap` binds them."""
    return "external key", *(part for pair in sorted(context.items()) for part in pair)
