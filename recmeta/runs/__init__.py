"""A run's directory: what lies in it, who holds it, and what its numbers depend on."""
