"""Many at once: keys, values and jobs, on every database."""
