"""The inner product of the two sides, and each row's own level."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Ge
from flax import nnx
from jaxtyping import Array, Float

from recmeta.models.layers import Linear
from recmeta.types import Encoding


class Dot(nnx.Module):
    """Project both sides to one width, multiply, and add a level that is linear in each side.

    Args:
        widths: of the two sides.
        width: of the space they meet in.
        rngs: randomness.
    """

    def __init__(self, widths: tuple[int, int], *, width: int, rngs: nnx.Rngs):
        context, row = widths
        self.context = Linear(context, width, use_bias=False, rngs=rngs)
        self.row = Linear(row, width, use_bias=False, rngs=rngs)
        self.context_level = Linear(context, 1, rngs=rngs)
        self.row_level = Linear(row, 1, use_bias=False, rngs=rngs)
        self.scale = 1 / math.sqrt(width)

    def __call__(self, encoding: Encoding) -> Float[Array, "n"]:
        """Score rows."""
        meet = (self.context(encoding.context) * self.row(encoding.row)).sum(-1) * self.scale
        return meet + (self.context_level(encoding.context) + self.row_level(encoding.row))[:, 0]


def dot(*, widths: tuple[int, int], rngs: nnx.Rngs, width: Annotated[int, Ge(1)]) -> Dot:
    """Build a `Dot` of a width."""
    return Dot(widths, width=width, rngs=rngs)
