"""Crypto modules, specifications and keys, from the root key down."""
