"""Rotation, backup, restore, upgrade of whole instances."""
