"""A deep and cross network: products of features of bounded degree, beside a multi-layer perceptron."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from flax import nnx
from jaxtyping import Array, Float

from recmeta.models.layers import Linear
from recmeta.types import Encoding


class Dcn(nnx.Module):
    """Cross layers ``x_0 * (W x_l + b) + x_l`` over both sides laid end to end, ReLU layers beside them, one output.

    Args:
        widths: of the two sides.
        cross: number of cross layers.
        hidden: widths of the ReLU layers; none: cross layers alone.
        rngs: randomness.
    """

    def __init__(self, widths: tuple[int, int], *, cross: int, hidden: tuple[int, ...], rngs: nnx.Rngs):
        width = sum(widths)
        self.cross = nnx.List([Linear(width, width, rngs=rngs) for _ in range(cross)])
        ins = (width, *hidden[:-1])
        self.deep = nnx.List([Linear(a, b, rngs=rngs) for a, b in zip(ins, hidden, strict=False)])
        self.output = Linear(width + (hidden[-1] if hidden else 0), 1, rngs=rngs)

    def __call__(self, encoding: Encoding) -> Float[Array, "n"]:
        """Score rows."""
        rows = (len(encoding.row), encoding.context.shape[-1])
        start = jnp.concatenate([jnp.broadcast_to(encoding.context, rows), encoding.row], axis=1)
        crossed = deep = start
        for layer in self.cross:
            crossed = start * layer(crossed) + crossed
        for layer in self.deep:
            deep = jax.nn.relu(layer(deep))
        return self.output(jnp.concatenate([crossed, deep], axis=1) if self.deep else crossed)[:, 0]


def dcn(
    *,
    widths: tuple[int, int],
    rngs: nnx.Rngs,
    cross: Annotated[int, Ge(1)],
    hidden: tuple[Annotated[int, Ge(1)], ...],
) -> Dcn:
    """Build a `Dcn` of so many cross layers and hidden layers.

    Reference: Wang et al., DCN V2, WWW 2021, equation 1, the parallel structure.
    """
    return Dcn(widths, cross=cross, hidden=tuple(hidden), rngs=rngs)
