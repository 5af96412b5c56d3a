"""Statistics of each item over meta-train: mean label and popularity."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from recmeta.types import Baseline, Problem


class ItemSums(NamedTuple):
    """Rows of each item id in meta-train (0 = unknown), and the sum of their labels less the mean label."""

    rows: Float[Array, "items"]
    total: Float[Array, "items"]
    mean: Float[Array, ""]


def item_sums(problem: Problem) -> ItemSums:
    """Count and sum the meta-train rows by item id; the unknown id, 0, has none."""
    train = problem.train
    ids = train.entities["id"][train.row]
    size = next(field.size for field in problem.spec.row if field.name == "id")
    mean = jnp.asarray(problem.spec.mean, jnp.float32)
    zeros = jnp.zeros(size)
    return ItemSums(zeros.at[ids].add(1.0), zeros.at[ids].add(train.label - mean), mean)


def _mean(sums: ItemSums, settings, key, context, support, query) -> Array:
    ids = query.x["id"]
    return sums.mean + sums.total[ids] / jnp.maximum(sums.rows[ids], 1)


def _count(sums: ItemSums, settings, key, context, support, query) -> Array:
    return sums.rows[query.x["id"]]


item_mean = Baseline(item_sums, _mean, rates=True)
"""The item's mean meta-train label; an unknown item has the global mean."""

popularity = Baseline(item_sums, _count, rates=False)
"""The item's number of meta-train rows; it ranks, and predicts no label."""
