"""A bilinear form of the two sides, and each side's own level."""

from __future__ import annotations

import math

from flax import nnx
from jaxtyping import Array, Float

from recmeta.models.layers import Linear
from recmeta.types import Encoding


class Bilinear(nnx.Module):
    """A full matrix between the two sides, and a level that is linear in each.

    Args:
        widths: of the two sides.
        rngs: randomness.
    """

    def __init__(self, widths: tuple[int, int], *, rngs: nnx.Rngs):
        context, row = widths
        self.between = Linear(context, row, use_bias=False, rngs=rngs)
        self.context_level = Linear(context, 1, rngs=rngs)
        self.row_level = Linear(row, 1, use_bias=False, rngs=rngs)
        self.scale = 1 / math.sqrt(row)

    def __call__(self, encoding: Encoding) -> Float[Array, "n"]:
        """Score rows."""
        meet = (self.between(encoding.context) * encoding.row).sum(-1) * self.scale
        return meet + (self.context_level(encoding.context) + self.row_level(encoding.row))[:, 0]


def bilinear(*, widths: tuple[int, int], rngs: nnx.Rngs) -> Bilinear:
    """Build a `Bilinear`.

    Reference: Tenenbaum and Freeman, Separating style and content with bilinear models, Neural Computation 2000; Chu
    and Park, Personalized recommendation on dynamic content using predictive bilinear models, WWW 2009.
    """
    return Bilinear(widths, rngs=rngs)
