"""How the outside calls Keystead."""
