"""Embed ids alone, one row at a time; the support is not read."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from flax import nnx

from recmeta.encoders.features import Static
from recmeta.models.fields import Fields
from recmeta.types import DataSpec


def ids(*, spec: DataSpec, rngs: nnx.Rngs, width: Annotated[int, Ge(1)]) -> Static:
    """Embed ids alone. Where a side's ids are always new (a cold user), it is one learned vector.

    Args:
        spec: the fields.
        rngs: randomness.
        width: of each embedding.
    """
    context, row = ([field for field in fields if field.name == "id"] for fields in (spec.context, spec.row))
    return Static(Fields(context, width=width, rngs=rngs), Fields(row, width=width, rngs=rngs))
