"""Scripts that take the tables of an older version along; run by `database.versions`."""
