"""Objectives: what is minimised, and in which units a score is."""

from recmeta.objectives.pointwise import bce, mae, masked_mean, mse

__all__ = ["bce", "mae", "masked_mean", "mse"]
