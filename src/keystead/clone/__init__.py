"""A copy of an instance in another: planned, streamed, compared, put in place."""
