"""How Keystead calls the outside."""
