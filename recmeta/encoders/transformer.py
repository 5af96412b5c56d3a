"""The support read by self-attention, each row over those before it."""

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
    """Causal attention, and two layers on each row; both normed before, dropped out and added after.

    Args:
        width: of a row, a multiple of ``heads``.
        heads: of the attention.
        dropout: share of numbers dropped.
        rngs: randomness.
    """

    def __init__(self, width: int, *, heads: int, dropout: float, rngs: nnx.Rngs):
        self.query, self.keys, self.value, self.out = (Linear(width, width, rngs=rngs) for _ in range(4))
        self.layers = nnx.List([Linear(width, width, rngs=rngs) for _ in range(2)])
        self.before, self.between = (nnx.LayerNorm(width, epsilon=1e-8, rngs=rngs) for _ in range(2))
        self.dropout = Dropout(dropout, rngs=rngs)
        self.heads = heads

    def __call__(self, rows: Float[Array, "K d"]) -> Float[Array, "K d"]:
        """Read rows; each sees itself and those before it."""
        rows = rows + self.dropout(self._attend(self.before(rows)))
        first, second = self.layers
        return rows + self.dropout(second(self.dropout(jax.nn.relu(first(self.between(rows))))))

    def _attend(self, rows: Array) -> Array:
        query, keys, value = (
            layer(rows).reshape(len(rows), self.heads, -1) for layer in (self.query, self.keys, self.value)
        )
        logits = jnp.einsum("qhd,khd->hqk", query, keys) / query.shape[-1] ** 0.5
        share = jax.nn.softmax(jnp.where(jnp.tri(len(rows), dtype=bool), logits, -jnp.inf), axis=-1)
        return self.out(jnp.einsum("hqk,khd->qhd", share, value).reshape(rows.shape))


class Attention(nnx.Module):
    """A linear map of each row, its place in the history added, blocks, and a norm.

    Args:
        ins: width of a row.
        state: of what is read.
        heads, blocks: of the attention.
        length: places that differ; all rows beyond have the last one.
        dropout: share of numbers dropped.
        rngs: randomness.
    """

    def __init__(self, ins: int, *, state: int, heads: int, blocks: int, length: int, dropout: float, rngs: nnx.Rngs):
        self.map = Linear(ins, state, rngs=rngs)
        self.place = nnx.Param(0.02 * rngs.params.normal((length, state)))
        self.blocks = nnx.List([Block(state, heads=heads, dropout=dropout, rngs=rngs) for _ in range(blocks)])
        self.dropout = Dropout(dropout, rngs=rngs)
        self.norm = nnx.LayerNorm(state, epsilon=1e-8, rngs=rngs)
        self.length, self.state = length, state

    def __call__(self, rows: Float[Array, "K d"], there: Bool[Array, "K"]) -> Float[Array, "K+1 h"]:
        """Read rows."""

        def read(rows: Array, there: Array) -> Array:
            # A list of places, known when the program is made.
            place = self.place[...][jnp.minimum(jnp.arange(len(rows)), self.length - 1)]
            value = self.dropout(self.map(rows) + place)
            for block in self.blocks:
                value = block(value)
            return self.norm(value)

        return of_prefixes(rows, there, read)


def transformer(
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
    """Embed ids and all declared features, and read the support by self-attention.

    Args:
        spec, rngs, width, prompt: as of `recmeta.encoders.gru`.
        state: of what is read, a multiple of ``heads``.
        heads, blocks, length, dropout: see `Attention`.

    Raises:
        UserError: where the state can't be dealt out to the heads.

    Reference: Kang and McAuley, Self-attentive sequential recommendation (SASRec), ICDM 2018, equations 2 to 6.
    Changed: labels are read beside the items, the rows' embeddings are mapped to the state, heads are joined by a layer
    of their own, and places are counted from the oldest row.
    """
    check_heads(state, heads)

    def reader(ins: int, rngs: nnx.Rngs) -> Attention:
        return Attention(ins, state=state, heads=heads, blocks=blocks, length=length, dropout=dropout, rngs=rngs)

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
