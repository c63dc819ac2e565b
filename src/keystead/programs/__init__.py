"""Composition: what is behind each port, for each program."""
