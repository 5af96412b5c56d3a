"""Adapt on the support, predict the query, and score what was predicted."""
