"""The cosine of the two sides, and each row's own level."""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
from annotated_types import Ge, Gt
from flax import nnx
from jaxtyping import Array, Float

from recmeta.models.layers import Linear
from recmeta.types import Encoding

SMALLEST = 1e-12
"""Added to squared lengths: the gradient of the length of zeros is not finite."""


class Cosine(nnx.Module):
    """Project both sides to one width, take the cosine times a trained scale, and add a level linear in each side.

    Args:
        widths: of the two sides.
        width: of the space they meet in.
        scale: what the cosine is multiplied by at first, in the units of a score.
        rngs: randomness.
    """

    def __init__(self, widths: tuple[int, int], *, width: int, scale: float, rngs: nnx.Rngs):
        context, row = widths
        self.context = Linear(context, width, use_bias=False, rngs=rngs)
        self.row = Linear(row, width, use_bias=False, rngs=rngs)
        self.context_level = Linear(context, 1, rngs=rngs)
        self.row_level = Linear(row, 1, use_bias=False, rngs=rngs)
        self.scale = nnx.Param(jnp.asarray(scale, jnp.float32))

    def __call__(self, encoding: Encoding) -> Float[Array, "n"]:
        """Score rows."""
        meet = (_unit(self.context(encoding.context)) * _unit(self.row(encoding.row))).sum(-1)
        level = self.context_level(encoding.context) + self.row_level(encoding.row)
        return self.scale[...] * meet + level[:, 0]


def _unit(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    return rows / jnp.sqrt(jnp.square(rows).sum(-1, keepdims=True) + SMALLEST)


def cosine(
    *, widths: tuple[int, int], rngs: nnx.Rngs, width: Annotated[int, Ge(1)], scale: Annotated[float, Gt(0)]
) -> Cosine:
    """Build a `Cosine` of a width.

    Reference: Luo et al., Cosine normalization, 2017; Gidaris and Komodakis, Dynamic few-shot visual learning without
    forgetting, CVPR 2018 (a trained scale). Changed: a level is added, since ratings differ in level too.
    """
    return Cosine(widths, width=width, scale=scale, rngs=rngs)
