"""The support read by convolutions that look back further in each layer."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Lt
from flax import nnx
from jaxtyping import Array, Bool, Float

from recmeta.encoders.history import History, earlier, of_prefixes
from recmeta.models.layers import Dropout, Linear
from recmeta.types import DataSpec


class Block(nnx.Module):
    """Two causal convolutions, the second looking twice as far back, each normalised and rectified, added to the input.

    Args:
        state: width of rows.
        size: rows that a filter sees.
        dilation: places between them in the first convolution.
        rngs: randomness.
    """

    def __init__(self, state: int, *, size: int, dilation: int, rngs: nnx.Rngs):
        self.convolutions = nnx.List([Linear(size * state, state, rngs=rngs) for _ in range(2)])
        self.norms = nnx.List([nnx.LayerNorm(state, rngs=rngs) for _ in range(2)])
        self.size, self.dilation = size, dilation

    def __call__(self, rows: Float[Array, "K d"]) -> Float[Array, "K d"]:
        """Read rows; each sees those before it alone."""
        value = rows
        for times, (layer, norm) in enumerate(zip(self.convolutions, self.norms, strict=True), start=1):
            seen = [earlier(value, times * self.dilation * back) for back in reversed(range(self.size))]
            value = jax.nn.relu(norm(layer(jnp.concatenate(seen, axis=1))))
        return rows + value


class Dilated(nnx.Module):
    """A linear map of each row, and blocks whose dilations double.

    Args:
        ins: width of a row.
        state: of what is read.
        size: rows that a filter sees.
        blocks: how many.
        dropout: share of numbers of the mapped rows that are dropped.
        rngs: randomness.
    """

    def __init__(self, ins: int, *, state: int, size: int, blocks: int, dropout: float, rngs: nnx.Rngs):
        self.map = Linear(ins, state, rngs=rngs)
        self.dropout = Dropout(dropout, rngs=rngs)
        self.blocks = nnx.List([Block(state, size=size, dilation=4**at, rngs=rngs) for at in range(blocks)])
        self.state = state

    def __call__(self, rows: Float[Array, "K d"], there: Bool[Array, "K"]) -> Float[Array, "K+1 h"]:
        """Read rows."""

        def read(rows: Array, there: Array) -> Array:
            value = jnp.where(there[:, None], self.dropout(self.map(rows)), 0)
            for block in self.blocks:
                value = block(value)
            return value

        return of_prefixes(rows, there, read)


def dilated_cnn(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    size: Annotated[int, Ge(2)],
    blocks: Annotated[int, Ge(1)],
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the support by dilated convolutions.

    Args:
        spec, rngs, width, prompt: as of `recmeta.encoders.gru`.
        state, size, blocks, dropout: see `Dilated`.

    Reference: Yuan et al., A simple convolutional generative network for next item recommendation (NextItNet), WSDM
    2019, residual block (b), dilations 1, 2, 4, 8 and so on. Changed: labels are read beside the items.
    """

    def reader(ins: int, rngs: nnx.Rngs) -> Dilated:
        return Dilated(ins, state=state, size=size, blocks=blocks, dropout=dropout, rngs=rngs)

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
