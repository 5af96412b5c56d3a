"""A factorisation machine over both sides."""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
from annotated_types import Ge
from flax import nnx
from jaxtyping import Array, Float

from recmeta.models.layers import Linear
from recmeta.types import Encoding


class Fm(nnx.Module):
    """Linear effects of all numbers of both sides, and of each two of them: ``sum over i<j of <v_i, v_j> x_i x_j``.

    Args:
        widths: of the two sides.
        width: of the vectors ``v``.
        rngs: randomness.
    """

    def __init__(self, widths: tuple[int, int], *, width: int, rngs: nnx.Rngs):
        context, row = widths
        self.context_level = Linear(context, 1, rngs=rngs)
        self.row_level = Linear(row, 1, use_bias=False, rngs=rngs)
        # Plain parameters: their squares are needed, which nothing that stands in a `Kernel`'s place has.
        draw = nnx.initializers.normal((context + row) ** -0.5)
        self.context = nnx.Param(draw(rngs.params(), (context, width)))
        self.row = nnx.Param(draw(rngs.params(), (row, width)))

    def __call__(self, encoding: Encoding) -> Float[Array, "n"]:
        """Score rows."""
        sides = ((encoding.context, self.context[...]), (encoding.row, self.row[...]))
        square_of_sum = jnp.square(sum(x @ vectors for x, vectors in sides))
        sum_of_squares = sum(jnp.square(x) @ jnp.square(vectors) for x, vectors in sides)
        level = self.context_level(encoding.context) + self.row_level(encoding.row)
        return (square_of_sum - sum_of_squares).sum(-1) / 2 + level[:, 0]


def fm(*, widths: tuple[int, int], rngs: nnx.Rngs, width: Annotated[int, Ge(1)]) -> Fm:
    """Build an `Fm` of a width.

    Reference: Rendle, Factorization machines, ICDM 2010, equation 1 and lemma 3.1. Changed: its inputs are the numbers
    of both representations, embeddings included, and not one-hot features.
    """
    return Fm(widths, width=width, rngs=rngs)
