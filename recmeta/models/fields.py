"""One side's fields to one vector: what every encoder begins with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from recmeta.types import Features, Field


class Table(nnx.Param):
    """An embedding table. By its type `recmeta.models.model` puts it under ``params["tables"]``."""


class Side(Protocol):
    """What encodes one side by itself, and how wide that is."""

    width: int

    def __call__(self, x: Features) -> Float[Array, "*n d"]:
        """Encode rows with any leading axes."""
        ...


class Fields(nnx.Module):
    """Embed each field and lay the embeddings side by side.

    A categorical field is its embedding, a multi-valued one the mean of the embeddings of the values that are there, a
    numeric one a linear map of its value and of whether it is missing. What is unknown (an item that meta-train has
    never seen) is the zero vector: an embedding of its own would never be trained. All vocabularies share one table,
    each at its own offset: one gather instead of one per field. A side without fields is one learned vector.

    Args:
        fields: what there is.
        width: of each field's embedding.
        rngs: randomness.
    """

    def __init__(self, fields: Sequence[Field], *, width: int, rngs: nnx.Rngs):
        self.fields = tuple(fields)
        self.width = width * max(1, len(self.fields))
        looked_up = [field.size for field in self.fields if field.kind != "numeric"]
        self.offsets = tuple(int(start) for start in np.cumsum([0, *looked_up])[:-1])
        rows = sum(looked_up) if self.fields else 1
        # Embeddings start with rows of norm about one half: small enough that scores start near the mean label.
        scale = 0.5 / math.sqrt(width)
        if rows:
            self.table = Table(scale * rngs.params.normal((rows, width)))
        numeric = len(self.fields) - len(looked_up)
        if numeric:
            self.numeric = nnx.Param(scale * rngs.params.normal((numeric, 2, width)))

    def __call__(self, x: Features) -> Float[Array, "*n d"]:
        """Embed rows with any leading axes."""
        if not self.fields:
            return self.table[...][0]
        offsets, numeric = iter(self.offsets), iter(range(len(self.fields)))
        parts = []
        for field in self.fields:
            values = x[field.name]
            if field.kind == "numeric":
                parts.append(values @ self.numeric[...][next(numeric)])
                continue
            there = values > 0
            embedded = self.table[...][values + next(offsets)] * there[..., None]
            if field.kind == "multi":
                embedded = embedded.sum(-2) / jnp.maximum(there.sum(-1), 1)[..., None]
            parts.append(embedded)
        return jnp.concatenate(parts, axis=-1)
