"""Errors, the clock, ids and secrets: what everything else stands on."""
