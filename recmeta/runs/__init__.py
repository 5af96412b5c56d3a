"""A run's directory: its files, its lock, and the provenance of its numbers."""
