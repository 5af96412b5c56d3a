"""Normal distributions with independent dimensions, as posteriors and priors."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Gaussian(NamedTuple):
    """A normal distribution with independent dimensions."""

    mean: Float[Array, "*n z"]
    log_variance: Float[Array, "*n z"]


def divergence(posterior: Gaussian, prior: Gaussian) -> Float[Array, ""]:
    """KL(posterior || prior), summed over dimensions.

    >>> float(divergence(Gaussian(jnp.ones(3), jnp.zeros(3)), Gaussian(jnp.zeros(3), jnp.zeros(3))))
    1.5
    """
    ratio = posterior.log_variance - prior.log_variance
    apart = jnp.square(posterior.mean - prior.mean) * jnp.exp(-prior.log_variance)
    return 0.5 * (jnp.exp(ratio) + apart - 1 - ratio).sum()
