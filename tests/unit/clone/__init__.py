"""Clones between instances in one process."""
