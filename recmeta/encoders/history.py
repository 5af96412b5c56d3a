"""The support read as a history: a reader's output is put beside the context's own fields."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from recmeta.models.fields import Fields
from recmeta.types import DataSpec, Encoding, Features, Support, UserError


class History(nnx.Module):
    """Fields on both sides, and on the context's side the state of a reader of the support, in its order.

    What a query row sees has read the whole support; what a support row sees has read the rows before it. A row that is
    not there changes nothing. Before all of them stands the prompt: learned rows, the same for every task unless they
    adapt.

    Args:
        spec: the fields and the label range.
        reader: ``(ins, rngs) -> module`` called as ``reader(rows [K, ins], there [K]) -> [K + 1, state]``: what was
            read before the first row, and after each; with ``state``, its width.
        width: of each field's embedding.
        prompt: how many rows the prompt has.
        rngs: randomness.
    """

    def __init__(
        self, spec: DataSpec, reader: Callable[[int, nnx.Rngs], Any], *, width: int, prompt: int = 0, rngs: nnx.Rngs
    ):
        self.context = Fields(spec.context, width=width, rngs=rngs)
        self.row = Fields(spec.row, width=width, rngs=rngs)
        self.reader = reader(self.row.width + 1, rngs)
        self.prompts = prompt
        if prompt:
            # As large as embeddings are at the start.
            self.prompt = nnx.Param(0.5 / math.sqrt(width) * rngs.params.normal((prompt, self.row.width + 1)))
        self.mean, self.half_range = spec.mean, (spec.high - spec.low) / 2
        self.widths = (self.context.width + self.reader.state, self.row.width)

    def __call__(self, context: Features, support: Support, x: Features | None) -> Encoding:
        """Encode the rows ``x``, or the support's."""
        read = self.row(support.x)
        states = self._read(read, support)
        rows, seen = (read, states[:-1]) if x is None else (self.row(x), states[-1:])
        static = jnp.broadcast_to(self.context(context), (len(seen), self.context.width))
        return Encoding(jnp.concatenate([static, seen], axis=-1), rows)

    def _read(self, rows: Float[Array, "K d"], support: Support) -> Float[Array, "K+1 h"]:
        """Read the support: the state before its first row, which has seen the prompt alone, and after each."""
        labels = (support.y - self.mean) / self.half_range
        inputs, there = jnp.concatenate([rows, labels[:, None]], axis=-1), support.mask
        if self.prompts:
            inputs = jnp.concatenate([self.prompt[...], inputs])
            there = jnp.concatenate([jnp.ones(self.prompts, bool), there])
        return self.reader(inputs, there)[self.prompts :]


class Recurrent(nnx.Module):
    """Read rows by a recurrent cell, one after the other; a row that is not there leaves the state as it was.

    Args:
        cell: of `flax.nnx`, ``(carry, row) -> (carry, state)``.
        state: width of the state.
        carried: how many arrays of that width a carry is.
    """

    def __init__(self, cell: nnx.Module, *, state: int, carried: int = 1):
        self.cell, self.state, self.carried = cell, state, carried

    def __call__(self, rows: Float[Array, "K d"], there: Bool[Array, "K"]) -> Float[Array, "K+1 h"]:
        """The state before the first row, zeros, and after each."""
        cell: Any = self.cell

        def step(carry: tuple[Array, ...], row: tuple[Array, Array]) -> tuple[tuple[Array, ...], Array]:
            value, here = row
            made, _ = cell(carry if self.carried > 1 else carry[0], value)
            made = made if self.carried > 1 else (made,)
            carry = tuple(jnp.where(here, new, old) for new, old in zip(made, carry, strict=True))
            return carry, carry[-1]

        first = jnp.zeros(self.state)
        _, states = jax.lax.scan(step, (first,) * self.carried, (rows, there))
        return jnp.concatenate([first[None], states])


def of_prefixes(
    rows: Float[Array, "K d"], there: Bool[Array, "K"], read: Callable[[Array, Array], Float[Array, "K h"]]
) -> Float[Array, "K+1 h"]:
    """Read rows without gaps: the state before the first, zeros, and after each.

    Args:
        rows: of which some may not be there.
        there: which are.
        read: ``(rows, there) -> [K, h]`` of rows that begin with those that are there: after each, from it and those
            before it.
    """
    order = jnp.argsort(~there, stable=True)
    count = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(there, dtype=jnp.int32)])
    after = read(jnp.where(there[order, None], rows[order], 0), jnp.arange(len(there)) < count[-1])
    return jnp.concatenate([jnp.zeros((1, after.shape[1])), after])[count]


def check_heads(state: int, heads: int) -> None:
    """Refuse a state that can't be dealt out to the heads of an attention.

    Raises:
        UserError: so.
    """
    if state % heads:
        raise UserError(f"encoder.state={state} must be a multiple of encoder.heads={heads}")


def earlier(rows: Float[Array, "K d"], back: int) -> Float[Array, "K d"]:
    """The row so many places before each; zeros where there is none."""
    return jnp.pad(rows, ((back, 0), (0, 0)))[: len(rows)]
