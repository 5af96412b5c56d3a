"""The support read as a mean of its rows and labels."""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
from annotated_types import Ge
from flax import nnx
from jaxtyping import Array, Bool, Float

from recmeta.encoders.history import History
from recmeta.models.layers import Linear
from recmeta.types import DataSpec


class Mean(nnx.Module):
    """A linear map of the mean of the rows so far; zeros before the first.

    Args:
        ins: width of a row.
        state: of what is read.
        rngs: randomness.
    """

    def __init__(self, ins: int, *, state: int, rngs: nnx.Rngs):
        self.map, self.state = Linear(ins, state, use_bias=False, rngs=rngs), state

    def __call__(self, rows: Float[Array, "K d"], there: Bool[Array, "K"]) -> Float[Array, "K+1 h"]:
        """Read rows."""
        return self.map(running_mean(rows, there))


def running_mean(rows: Float[Array, "K d"], there: Bool[Array, "K"]) -> Float[Array, "K+1 d"]:
    """The mean of the rows that are there up to each, and zeros before the first of them."""
    total = jnp.cumsum(jnp.where(there[:, None], rows, 0), axis=0)
    mean = total / jnp.maximum(jnp.cumsum(there), 1)[:, None]
    return jnp.concatenate([jnp.zeros_like(mean[:1]), mean])


def mean(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the support by the mean of its rows, each with its label.

    Args:
        spec, rngs, width, prompt: as of `recmeta.encoders.gru`.
        state: of what is read.

    Reference: Covington et al., Deep neural networks for YouTube recommendations, RecSys 2016 (averaged history).
    """

    def reader(ins: int, rngs: nnx.Rngs) -> Mean:
        return Mean(ins, state=state, rngs=rngs)

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
