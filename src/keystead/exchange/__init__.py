"""Paired instances, the messages between them, and keys that travel."""
