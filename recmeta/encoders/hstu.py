"""The support read by pointwise attention, without a softmax, and with a gate."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Lt
from flax import nnx
from jaxtyping import Array, Bool, Float

from recmeta.encoders.history import History, check_heads, of_prefixes
from recmeta.models.layers import Dropout, Linear
from recmeta.types import DataSpec


class Block(nnx.Module):
    """``rows + out(norm(A V) * U)``, with ``A = silu(Q K' + bias) / rows so far``.

    Q, K, U and V are ``silu(linear(norm(rows)))``; the bias is of how far back a row is.

    Args:
        width: of a row, a multiple of ``heads``.
        heads: of the attention.
        length: distances that differ; all beyond have the last one's bias.
        dropout: share of numbers dropped before the last layer.
        rngs: randomness.
    """

    def __init__(self, width: int, *, heads: int, length: int, dropout: float, rngs: nnx.Rngs):
        self.maps = nnx.List([Linear(width, width, rngs=rngs) for _ in range(4)])
        self.out = Linear(width, width, rngs=rngs)
        self.back = nnx.Param(jnp.zeros((heads, length)))
        self.before, self.within = (nnx.LayerNorm(width, rngs=rngs) for _ in range(2))
        self.dropout = Dropout(dropout, rngs=rngs)
        self.heads, self.length = heads, length

    def __call__(self, rows: Float[Array, "K d"]) -> Float[Array, "K d"]:
        """Read rows; each sees itself and those before it."""
        normed = self.before(rows)
        query, keys, gate, value = (jax.nn.silu(layer(normed)) for layer in self.maps)
        split = (len(rows), self.heads, -1)
        logits = jnp.einsum("qhd,khd->hqk", query.reshape(split), keys.reshape(split))
        place = jnp.arange(len(rows))
        distance = jnp.clip(place[:, None] - place[None], 0, self.length - 1)
        weight = jax.nn.silu(logits + self.back[...][:, distance]) / (1 + place)[:, None]
        weight = jnp.where(jnp.tri(len(rows), dtype=bool), weight, 0)
        read = self.within(jnp.einsum("hqk,khd->qhd", weight, value.reshape(split)).reshape(rows.shape)) * gate
        return rows + self.out(self.dropout(read))


class Pointwise(nnx.Module):
    """A linear map of each row, and blocks.

    Args:
        ins: width of a row.
        state: of what is read.
        heads, blocks, length, dropout: see `Block`.
        rngs: randomness.
    """

    def __init__(self, ins: int, *, state: int, heads: int, blocks: int, length: int, dropout: float, rngs: nnx.Rngs):
        self.map = Linear(ins, state, rngs=rngs)
        self.blocks = nnx.List(
            [Block(state, heads=heads, length=length, dropout=dropout, rngs=rngs) for _ in range(blocks)]
        )
        self.state = state

    def __call__(self, rows: Float[Array, "K d"], there: Bool[Array, "K"]) -> Float[Array, "K+1 h"]:
        """Read rows."""

        def read(rows: Array, there: Array) -> Array:
            value = self.map(rows)
            for block in self.blocks:
                value = block(value)
            return value

        return of_prefixes(rows, there, read)


def hstu(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    heads: Annotated[int, Ge(1)],
    blocks: Annotated[int, Ge(1)],
    length: Annotated[int, Ge(1)],
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the support by pointwise attention.

    Args:
        spec, rngs, width, prompt: as of `recmeta.encoders.gru`.
        state: of what is read, a multiple of ``heads``.
        heads, blocks, length, dropout: see `Block`.

    Raises:
        UserError: where the state can't be dealt out to the heads.

    Reference: Zhai et al., Actions speak louder than words (HSTU), ICML 2024, equations 1 to 3. Changed: the bias is of
    places alone, and not of times, which a support has not; labels are read beside the items; divided by the rows so
    far in place of the longest history.
    """
    check_heads(state, heads)

    def reader(ins: int, rngs: nnx.Rngs) -> Pointwise:
        return Pointwise(ins, state=state, heads=heads, blocks=blocks, length=length, dropout=dropout, rngs=rngs)

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
