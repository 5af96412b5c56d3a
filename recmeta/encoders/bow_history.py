"""The support read as a bag: which items it has, whatever their order and labels."""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
from annotated_types import Ge
from flax import nnx
from jaxtyping import Array, Bool, Float

from recmeta.encoders.history import History
from recmeta.models.layers import Linear
from recmeta.types import DataSpec


class Bag(nnx.Module):
    """A linear map of the sum of the rows so far without their labels, over the root of their number.

    Args:
        ins: width of a row, its label the last.
        state: of what is read.
        rngs: randomness.
    """

    def __init__(self, ins: int, *, state: int, rngs: nnx.Rngs):
        self.map, self.state = Linear(ins - 1, state, use_bias=False, rngs=rngs), state

    def __call__(self, rows: Float[Array, "K d"], there: Bool[Array, "K"]) -> Float[Array, "K+1 h"]:
        """Read rows."""
        total = jnp.cumsum(jnp.where(there[:, None], rows[:, :-1], 0), axis=0)
        bag = total / jnp.sqrt(jnp.maximum(jnp.cumsum(there), 1))[:, None]
        return self.map(jnp.concatenate([jnp.zeros_like(bag[:1]), bag]))


def bow_history(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the support as a bag of its rows.

    A count of each item or feature times a matrix is the sum of that matrix's rows: it is held as embeddings, which
    the rows themselves have too.

    Args:
        spec, rngs, width, prompt: as of `recmeta.encoders.gru`.
        state: of what is read.
    """

    def reader(ins: int, rngs: nnx.Rngs) -> Bag:
        return Bag(ins, state=state, rngs=rngs)

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
