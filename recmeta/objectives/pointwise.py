"""Pointwise losses, mean over rows: squared error, absolute error, binary cross entropy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from recmeta.types import Objective


def masked_mean(values: Array, mask: Array, weights: Array | None = None) -> Array:
    """Mean over the rows that are there, weighted where weights are given; 0 if none is there.

    >>> float(masked_mean(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False])))
    2.0
    >>> float(masked_mean(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False]), jnp.array([3.0, 1.0, 5.0])))
    1.5
    """
    if weights is None:
        return jnp.where(mask, values, 0).sum() / jnp.maximum(mask.sum(), 1)
    weights = jnp.where(mask, weights, 0)
    total = weights.sum()
    return (weights * jnp.where(mask, values, 0)).sum() / jnp.where(total > 0, total, 1)


def mse() -> Objective:
    """Squared error of the label; a score is the expected label itself."""

    def loss(scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None) -> Array:
        del key
        return masked_mean(jnp.square(jnp.where(where, scores - labels, 0)), where, weights)

    return Objective(loss)


def mae() -> Objective:
    """Absolute error of the label; a score is the median of the label, which minimises MAE."""

    def loss(scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None) -> Array:
        del key
        return masked_mean(jnp.abs(jnp.where(where, scores - labels, 0)), where, weights)

    return Objective(loss)


def bce() -> Objective:
    """Binary cross entropy; a score is the log-odds that the label is 1."""

    def loss(scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None) -> Array:
        del key
        return masked_mean(optax.sigmoid_binary_cross_entropy(scores, labels), where, weights)

    def link(label: Array) -> Array:
        # Closed-form learners can predict a probability of 0 or 1 or beyond; log-odds must stay finite.
        return jax.scipy.special.logit(jnp.clip(label, 1e-4, 1 - 1e-4))

    return Objective(loss, jax.nn.sigmoid, link, binary=True)
