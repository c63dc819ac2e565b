"""One module for each database."""
