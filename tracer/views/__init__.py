"""How results are shown and exported."""
