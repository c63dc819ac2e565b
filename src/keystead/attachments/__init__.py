"""Files that belong to a record: kept in the database in pieces, each under a key of its own."""
