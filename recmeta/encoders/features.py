"""Embed ids and all declared features, one row at a time; the support is not read."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from flax import nnx

from recmeta.models.fields import Fields, Side
from recmeta.types import DataSpec, Encoding, Features, Support


class Static(nnx.Module):
    """Context and rows embedded each by itself; the support is not read.

    Args:
        context, row: the two sides.
    """

    def __init__(self, context: Side, row: Side):
        self.context, self.row = context, row
        self.widths = (context.width, row.width)

    def __call__(self, context: Features, support: Support, x: Features | None) -> Encoding:
        """Encode the rows ``x``, or the support's."""
        return Encoding(self.context(context)[None], self.row(support.x if x is None else x))


def features(*, spec: DataSpec, rngs: nnx.Rngs, width: Annotated[int, Ge(1)]) -> Static:
    """Embed ids and all declared features, side by side.

    Args:
        spec: the fields.
        rngs: randomness.
        width: of each field's embedding.
    """
    return Static(Fields(spec.context, width=width, rngs=rngs), Fields(spec.row, width=width, rngs=rngs))
