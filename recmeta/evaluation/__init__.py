"""Adapt on the support, predict the query, and score the predictions."""
