"""Keystead keeps the keys of an estate and everything that depends on them."""

__version__ = "0.1.0"
