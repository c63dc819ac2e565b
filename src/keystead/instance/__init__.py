"""An instance's home folder: making it and opening it."""
