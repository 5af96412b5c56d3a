"""Huber's loss: squared near 0, absolute beyond, so that a few labels that are far off pull less."""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp
import optax
from annotated_types import Gt
from jaxtyping import Array

from recmeta.objectives.pointwise import masked_mean
from recmeta.types import Objective


def huber(*, delta: Annotated[float, Gt(0)]) -> Objective:
    """Half the squared error up to ``delta``, and linear beyond.

    Args:
        delta: in label units; the smaller, the nearer is a score to a median than to a mean.

    Reference: Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 1964.
    """

    def loss(scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None) -> Array:
        del key
        error = jnp.where(where, scores - labels, 0)
        return masked_mean(optax.huber_loss(error, delta=delta), where, weights)

    return Objective(loss)
