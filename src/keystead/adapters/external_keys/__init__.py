"""Who holds external keys: one module for each kind of provider."""
