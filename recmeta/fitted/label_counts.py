"""Count the labels of each item."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recmeta.fitted.rows import Catalogue, item_ids
from recmeta.types import Problem

PRIOR = 5.0
"""Rows of everybody's labels that each item begins with."""


class LabelCounts(NamedTuple):
    """Counts and moments of the labels of each item; row 0 is an item without meta-train rows.

    Attributes:
        rows: how many there are.
        shares: of each level; of labels that are none of them, the nearest one's.
        mean, spread: mean and standard deviation of the labels. All three begin with `PRIOR` rows of everybody's.
    """

    rows: Float[Array, "C"]
    shares: Float[Array, "C L"]
    mean: Float[Array, "C"]
    spread: Float[Array, "C"]


def count_labels(problem: Problem, items: Catalogue) -> LabelCounts:
    """Count the labels of each item of a catalogue in meta-train."""
    levels, label = np.asarray(problem.spec.levels), np.asarray(problem.train.label, np.float64)
    number = items.number[item_ids(problem.train)]
    middle = (levels[1:] + levels[:-1]) / 2
    counts = np.zeros((items.size, len(levels)))
    np.add.at(counts, (number, np.searchsorted(middle, label)), 1)
    sums = np.stack([np.bincount(number, label**power, items.size) for power in (0, 1, 2)], axis=1)
    everybody = counts.sum(0), sums.sum(0)
    counts[0], sums[0] = 0, 0  # an unknown item's rows say nothing of the next unknown one
    rows = sums[:, 0].copy()
    counts, sums = (
        values + PRIOR * total / max(everybody[1][0], 1)
        for values, total in zip((counts, sums), everybody, strict=True)
    )
    mean = sums[:, 1] / sums[:, 0]
    spread = np.sqrt(np.maximum(sums[:, 2] / sums[:, 0] - mean**2, 0))
    found = (rows, counts / counts.sum(1, keepdims=True), mean, spread)
    return LabelCounts(*(jnp.asarray(values, jnp.float32) for values in found))
