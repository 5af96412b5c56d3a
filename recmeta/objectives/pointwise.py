"""What is minimised, and in which units a score is."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from recmeta.types import Objective


def masked_mean(values: Array, mask: Array) -> Array:
    """Mean over the rows that are there; 0 if none is.

    >>> float(masked_mean(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False])))
    2.0
    """
    return jnp.where(mask, values, 0).sum() / jnp.maximum(mask.sum(), 1)


def mse() -> Objective:
    """Squared error of the label; a score is the expected label itself."""

    def loss(score: Array, label: Array, mask: Array) -> Array:
        return masked_mean(jnp.square(jnp.where(mask, score - label, 0)), mask)

    return Objective(loss, lambda score: score, lambda label: label, binary=False)


def mae() -> Objective:
    """Absolute error of the label; a score is the label's median, which is what MAE is least for."""

    def loss(score: Array, label: Array, mask: Array) -> Array:
        return masked_mean(jnp.abs(jnp.where(mask, score - label, 0)), mask)

    return Objective(loss, lambda score: score, lambda label: label, binary=False)


def bce() -> Objective:
    """Binary cross entropy; a score is the log-odds that the label is 1."""

    def loss(score: Array, label: Array, mask: Array) -> Array:
        return masked_mean(optax.sigmoid_binary_cross_entropy(score, label), mask)

    def link(label: Array) -> Array:
        # Closed-form learners can predict a probability of 0 or 1 or beyond; log-odds must stay finite.
        return jax.scipy.special.logit(jnp.clip(label, 1e-4, 1 - 1e-4))

    return Objective(loss, jax.nn.sigmoid, link, binary=True)
