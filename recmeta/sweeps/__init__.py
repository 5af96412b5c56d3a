"""Sweeps and searches: many runs in few compiled programs."""
