"""The support read as a set: one network for each row, and another over the mean of its outputs."""

from __future__ import annotations

from typing import Annotated

import jax
from annotated_types import Ge
from flax import nnx
from jaxtyping import Array, Bool, Float

from recmeta.encoders.history import History
from recmeta.encoders.mean import running_mean
from recmeta.models.layers import Linear
from recmeta.types import DataSpec


class DeepSet(nnx.Module):
    """``after(mean of each(row))``, both with one hidden layer of ReLUs.

    Args:
        ins: width of a row.
        state: of what is read, and of the hidden layers.
        rngs: randomness.
    """

    def __init__(self, ins: int, *, state: int, rngs: nnx.Rngs):
        self.each = nnx.List([Linear(ins, state, rngs=rngs), Linear(state, state, rngs=rngs)])
        self.after = nnx.List([Linear(state, state, rngs=rngs), Linear(state, state, rngs=rngs)])
        self.state = state

    def __call__(self, rows: Float[Array, "K d"], there: Bool[Array, "K"]) -> Float[Array, "K+1 h"]:
        """Read rows."""
        value = self.each[1](jax.nn.relu(self.each[0](rows)))
        return self.after[1](jax.nn.relu(self.after[0](running_mean(value, there))))


def deep_set(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the support as a set of rows with their labels.

    Args:
        spec, rngs, width, prompt: as of `recmeta.encoders.gru`.
        state: of what is read, and of the hidden layers.

    Reference: Zaheer et al., Deep sets, NeurIPS 2017, theorem 2, with a mean in place of the sum.
    """

    def reader(ins: int, rngs: nnx.Rngs) -> DeepSet:
        return DeepSet(ins, state=state, rngs=rngs)

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
