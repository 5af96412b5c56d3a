"""Adapt to a task: inner loops, adapters, fast weights, rows of tables, episodes."""
