"""Metrics published as nDCG, reproduced with their mistakes, to read published tables. Not for evaluation.

Functions of one `View`, NaN where it has no rows. Both read predictions and judged rows alone, and depend on the order
of the rows.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from recmeta.metrics.view import View


def metahin_ndcg(view: View, k: int) -> Float[Array, ""]:
    """The "nDCG" of MetaHIN and PAML, which ranks nothing and mostly measures the level of the predictions.

    The rows with the k highest labels are taken, whatever the predictions; their PREDICTIONS, in the order of the rows,
    are discounted and summed as if they were gains, and divided by the same sum of the labels in falling order. A
    constant 100 scores 20 times a constant 5; the perfect prediction scores below 1 on average.

    Args:
        view: the task; of rows with equal labels the later ones are taken. The published code clips no prediction.
        k: cut-off, 5 as published.

    Returns:
        0 or more, with no upper bound; 0 where the labels in the denominator sum to 0 or less.

    Reference:
        Lu, Fang and Shi, Meta-learning on heterogeneous information networks for cold-start recommendation, KDD 2020;
        its evaluation code.
    """
    rank = _rank(view.label[::-1], view.mask[::-1])[::-1]
    chosen = view.mask & (rank < k)
    place = jnp.cumsum(chosen) - 1
    got = jnp.where(chosen, view.prediction * _discount(place), 0).sum()
    best = jnp.where(chosen, view.label * _discount(rank), 0).sum()
    return _unless_empty(view, jnp.where(best > 0, got / jnp.where(best > 0, best, 1), 0))


def mamo_ndcg(view: View, k: int) -> Float[Array, ""]:
    """The "nDCG" of MAMO, which sorts the retrieved rows into the ideal order first.

    The k rows with the highest predictions are retrieved; their labels are SORTED before they are discounted, so that
    the order within the first k, which nDCG is about, has no influence. At k = the number of rows it is always 1.

    Args:
        view: the task; of rows with equal predictions the earlier ones are retrieved (the published code predicts whole
            stars, which tie often, and leaves their order to its sort).
        k: cut-off, 3 as published.

    Returns:
        0 to 1, never below the nDCG at the same cut-off of the same order.

    Reference:
        Dong et al., MAMO: memory-augmented meta-optimization for cold-start recommendation, KDD 2020; its utilities.
    """
    chosen = view.mask & (_rank(view.prediction, view.mask) < k)
    gain = (jnp.exp2(view.label) - 1) * 2.0**-64  # as in `rankings.ndcg`
    got = jnp.where(chosen, gain * _discount(_rank(view.label, chosen)), 0).sum()
    ideal = _rank(view.label, view.mask)
    best = jnp.where(view.mask & (ideal < k), gain * _discount(ideal), 0).sum()
    return _unless_empty(view, got / best)


def _rank(values: Float[Array, "q"], mask: Bool[Array, "q"]) -> Int[Array, "q"]:
    """Number of rows present that rank before each, the highest first, and of equals the earlier."""
    earlier = np.arange(len(values)) < np.arange(len(values))[:, None]
    before = (values > values[:, None]) | ((values == values[:, None]) & earlier)
    return (mask & before).sum(1)


def _discount(place: Int[Array, "q"]) -> Float[Array, "q"]:
    return 1 / jnp.log2(place + 2.0)


def _unless_empty(view: View, value: Array) -> Array:
    """NaN without rows, and where a prediction is NaN, which a ranking would otherwise treat as a number."""
    sound = view.mask.any() & ~(view.mask & jnp.isnan(view.prediction)).any()
    return jnp.where(sound, value, jnp.nan)
