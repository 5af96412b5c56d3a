"""Objectives: the loss that is minimised, and the units of a score."""

from recmeta.objectives.pointwise import bce, mae, masked_mean, mse

__all__ = ["bce", "mae", "masked_mean", "mse"]
