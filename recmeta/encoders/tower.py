"""Two towers: each side's fields through dense layers of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from annotated_types import Ge, MinLen
from flax import nnx
from jaxtyping import Array, Float

from recmeta.encoders.features import Static
from recmeta.models.fields import Fields
from recmeta.models.layers import Linear, Rectifier
from recmeta.types import DataSpec, Features, Field


class Tower(nnx.Module):
    """One side: its fields embedded, then dense layers, each followed by ReLU.

    Args:
        fields: what there is.
        width: of each field's embedding.
        hidden: widths of the layers; the last is that of the representation.
        norm: whether what goes into each ReLU is normalised over its layer.
        rngs: randomness.
    """

    def __init__(self, fields: Sequence[Field], *, width: int, hidden: tuple[int, ...], norm: bool, rngs: nnx.Rngs):
        self.fields = Fields(fields, width=width, rngs=rngs)
        widths = (self.fields.width, *hidden)
        self.layers = nnx.List([Linear(a, b, rngs=rngs) for a, b in pairwise(widths)])
        self.rectifiers = nnx.List([Rectifier(b, norm=norm, rngs=rngs) for b in hidden])
        self.width = hidden[-1]

    def __call__(self, x: Features) -> Float[Array, "*n d"]:
        """Encode rows with any leading axes."""
        value = self.fields(x)
        for layer, rectifier in zip(self.layers, self.rectifiers, strict=True):
            value = rectifier(layer(value))
        return value


def tower(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    hidden: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)],
    norm: bool,
) -> Static:
    """Embed ids and all declared features, and put each side through a tower of dense layers.

    Where most of the parameters are in the encoder, this is where parameter-efficient adaptation has something to save:
    ``learner.adapts=lora`` adapts every layer of it.

    Args:
        spec: the fields.
        rngs: randomness.
        width: of each field's embedding.
        hidden: widths of each tower's layers; the last is that of the representation.
        norm: whether what goes into each ReLU is normalised over its layer.

    Reference: Covington et al., Deep neural networks for YouTube recommendations, RecSys 2016 (a tower of ReLU layers
    over embeddings); Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys
    2019 (one for each side).
    """
    sides = (
        Tower(fields, width=width, hidden=tuple(hidden), norm=norm, rngs=rngs) for fields in (spec.context, spec.row)
    )
    return Static(*sides)
