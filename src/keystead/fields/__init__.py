"""Encrypted columns: configurations, values, mass jobs, and the census."""
