"""Pairing, messages and exchanges, between instances in one process."""
