"""Fits to meta-train in closed form, on the host, that baselines and learners read; and their cross-fitting."""
