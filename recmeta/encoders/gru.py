"""The support read as a history: a recurrent state per row beside the context's own fields."""

from __future__ import annotations

import math
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from flax import nnx
from jaxtyping import Array, Float

from recmeta.models.fields import Fields
from recmeta.types import DataSpec, Encoding, Features, Support


class History(nnx.Module):
    """Fields on both sides, and on the context's side the state of a GRU that has read the support in its order.

    The state that a query row sees has read the whole support; the state that a support row sees has read the rows
    before it. A row that is not there leaves the state as it was. Before all of them the GRU reads the prompt: learned
    rows, the same for every task unless they adapt.

    Args:
        spec: the fields and the label range.
        width: of each field's embedding.
        state: of the GRU's state.
        prompt: how many rows the prompt has.
        rngs: randomness.
    """

    def __init__(self, spec: DataSpec, *, width: int, state: int, prompt: int, rngs: nnx.Rngs):
        self.context = Fields(spec.context, width=width, rngs=rngs)
        self.row = Fields(spec.row, width=width, rngs=rngs)
        self.cell = nnx.GRUCell(self.row.width + 1, state, rngs=rngs)
        self.prompts = prompt
        if prompt:
            # As large as embeddings are at the start.
            self.prompt = nnx.Param(0.5 / math.sqrt(width) * rngs.params.normal((prompt, self.row.width + 1)))
        self.state, self.mean, self.half_range = state, spec.mean, (spec.high - spec.low) / 2
        self.widths = (self.context.width + state, self.row.width)

    def __call__(self, context: Features, support: Support, x: Features | None) -> Encoding:
        """Encode the rows ``x``, or the support's."""
        read = self.row(support.x)
        states = self._read(read, support)
        rows, seen = (read, states[:-1]) if x is None else (self.row(x), states[-1:])
        static = jnp.broadcast_to(self.context(context), (len(seen), self.context.width))
        return Encoding(jnp.concatenate([static, seen], axis=-1), rows)

    def _read(self, rows: Float[Array, "K d"], support: Support) -> Float[Array, "K+1 h"]:
        """The state before the first support row, which has read the prompt, and after each."""
        labels = (support.y - self.mean) / self.half_range
        inputs, there = jnp.concatenate([rows, labels[:, None]], axis=-1), support.mask
        if self.prompts:
            inputs = jnp.concatenate([self.prompt[...], inputs])
            there = jnp.concatenate([jnp.ones(self.prompts, bool), there])

        def step(state: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
            value, there = row
            state = jnp.where(there, self.cell(state, value)[0], state)
            return state, state

        first = jnp.zeros(self.state)
        _, states = jax.lax.scan(step, first, (inputs, there))
        return jnp.concatenate([first[None], states])[self.prompts :]


def gru(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the support as a history.

    Args:
        spec: the fields and the label range.
        rngs: randomness.
        width: of each field's embedding.
        state: of the GRU's state.
        prompt: how many learned rows it reads before the support; they are what ``learner.adapts=prompt`` adapts.

    Reference: Hidasi et al., Session-based recommendations with recurrent neural networks, ICLR 2016; Lester et al.,
    The power of scale for parameter-efficient prompt tuning, EMNLP 2021 (learned rows before the input).
    """
    return History(spec, width=width, state=state, prompt=prompt, rngs=rngs)
