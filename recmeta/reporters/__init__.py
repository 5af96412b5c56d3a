"""Reporters beside a run's directory: the console, Weights & Biases. Host only."""
