"""What Keystead asks of a database: the port, its own schema, rows that show any change."""
