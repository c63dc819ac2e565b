"""What people administer, declared once: tables, fields and operations, for console and API."""
