"""Sweeps: many points in few compiled programs."""
