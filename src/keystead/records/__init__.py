"""Business tables: loading them from files and showing their rows."""
