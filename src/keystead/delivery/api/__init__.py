"""Over HTTPS."""
