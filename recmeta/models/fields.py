"""Embed one side's fields into one vector: the first step of every encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from recmeta.features.kinds import arrays_of
from recmeta.types import Features, Field


class Table(nnx.Param):
    """An embedding table. By its type `recmeta.models.model` puts it under ``params["tables"]``."""


class Side(Protocol):
    """A module that encodes one side by itself, and its width."""

    width: int

    def __call__(self, x: Features) -> Float[Array, "*n d"]:
        """Encode rows with any leading axes."""
        ...


class Fields(nnx.Module):
    """Embed each field and lay the embeddings side by side.

    How a field is embedded is its kind's to say (`recmeta.features`): a category is its embedding, a set of them the
    mean of theirs, numbers a linear map of themselves and of whether they are missing. What is unknown (an item that
    meta-train has never seen) is the zero vector: an embedding of its own would never be trained. All vocabularies
    share one table, each at its own offset; all linear maps of one shape are one parameter. A side without fields is
    one learned vector.

    Args:
        fields: what there is.
        width: of each field's embedding.
        rngs: randomness.
    """

    def __init__(self, fields: Sequence[Field], *, width: int, rngs: nnx.Rngs):
        self.fields = tuple(fields)
        self.width = width * max(1, len(self.fields))
        rows = [arrays_of(field).rows(field.size) for field in self.fields]
        self.offsets = tuple(int(start) for start in np.cumsum([0, *rows])[:-1])
        # Embeddings start with rows of norm about one half: small enough that scores start near the mean label.
        scale = 0.5 / math.sqrt(width)
        if number := sum(rows) if self.fields else 1:
            self.table = Table(scale * rngs.params.normal((number, width)))
        inputs = [arrays_of(field).inputs(field.size) for field in self.fields]
        # Which of the maps with as many inputs a field's is.
        self.maps = tuple((each, inputs[:place].count(each)) for place, each in enumerate(inputs))
        if shapes := sorted({each for each in inputs if each}):
            self.linear = nnx.Dict(
                {str(each): nnx.Param(scale * rngs.params.normal((inputs.count(each), each, width))) for each in shapes}
            )

    def __call__(self, x: Features) -> Float[Array, "*n d"]:
        """Embed rows with any leading axes."""
        if not self.fields:
            return self.table[...][0]
        parts = []
        for field, offset, (inputs, place) in zip(self.fields, self.offsets, self.maps, strict=True):
            arrays, values = arrays_of(field), x[field.name]
            looked_up = self.table[...][arrays.codes(values) + offset] if arrays.rows(field.size) else None
            own = self.linear[str(inputs)][...][place] if inputs else None
            parts.append(arrays.embed(values, looked_up, own))
        return jnp.concatenate(parts, axis=-1)
