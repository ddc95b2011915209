"""Search strategies compared on recorded curves."""
