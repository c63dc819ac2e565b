"""The console: the pages people log in to, drawn from what is declared and from business tables."""
