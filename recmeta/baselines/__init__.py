"""Closed-form methods that every table carries, and their tuning on meta-validation."""
