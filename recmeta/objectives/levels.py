"""Distributions over the levels of a label: log-shares ``[n, L]``, their mean and exceedances."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SMALLEST = 1e-6
"""No level has a smaller share in a normal's: beyond it, differences of its distribution function are rounding."""

Levels = Sequence[float] | Float[Array, "L"]


def of_normal(mean: Float[Array, "n"], variance: Float[Array, "n"], levels: Levels) -> Float[Array, "n L"]:
    """Log-shares of a normal label that is rounded to the nearest level; the outer levels have the tails.

    >>> shares = jnp.exp(of_normal(jnp.array([3.0]), jnp.array([1.0]), (1.0, 2.0, 3.0, 4.0, 5.0)))
    >>> [round(float(share), 3) for share in shares[0]]
    [0.067, 0.242, 0.383, 0.242, 0.067]
    """
    level = jnp.asarray(levels)
    middle = (level[1:] + level[:-1]) / 2
    below = jax.scipy.stats.norm.cdf((middle - mean[:, None]) / jnp.sqrt(variance)[:, None])
    ends = jnp.zeros_like(below[:, :1])
    shares = jnp.diff(jnp.concatenate([ends, below, ends + 1], axis=1), axis=1)
    return jax.nn.log_softmax(jnp.log(jnp.maximum(shares, SMALLEST)))


def mean_level(log_shares: Float[Array, "*n L"], levels: Levels) -> Float[Array, "*n"]:
    """The expected label."""
    return jnp.exp(log_shares) @ jnp.asarray(levels)


def exceedance(log_shares: Float[Array, "*n L"]) -> Float[Array, "*n L-1"]:
    """The probability that the label is above each level but the last.

    >>> exceedance(jnp.log(jnp.array([[0.5, 0.25, 0.25]]))).tolist()
    [[0.5, 0.25]]
    """
    return jnp.flip(jnp.cumsum(jnp.flip(jnp.exp(log_shares), -1), -1), -1)[..., 1:]


def nearest_level(label: Float[Array, "*n"], levels: Levels) -> Float[Array, "*n L"]:
    """Ones at each label's nearest level."""
    level = jnp.asarray(levels)
    return jax.nn.one_hot(jnp.searchsorted((level[1:] + level[:-1]) / 2, label), len(level))


def log_likelihood(log_shares: Float[Array, "n L"], label: Float[Array, "n"], levels: Levels) -> Float[Array, "n"]:
    """The log-share of each label's level."""
    return (log_shares * nearest_level(label, levels)).sum(-1)
