"""Nearest-neighbour baselines: item kNN by rating correlation, and by TF-IDF content."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from recmeta.baselines.kernel import inverse_document_frequency, kernel, square_length
from recmeta.fitted.levels import Levels, expected, fit_levels, residuals, split
from recmeta.fitted.rows import MOST_ITEMS, by_task_and_item, catalogue, gram
from recmeta.types import Baseline, Field, Problem


def neighbour_mean(
    similarity: Float[Array, "K n"],
    residual: Float[Array, "K"],
    mask: Bool[Array, "K"],
    neighbours: Float[Array, ""],
    damping: Float[Array, ""],
) -> Float[Array, "n"]:
    """Weighted mean ``sum s residual / (sum |s| + damping)`` over the support rows most similar to each query row.

    Args:
        similarity: of support rows with query rows, -1 to 1.
        residual: residuals of the support's labels.
        mask: which support rows are present.
        neighbours: number of rows that count. All that tie with the last count, so that their order does not matter.
        damping: pulls towards 0 where all neighbours are far. 0 is the mean as published.
    """
    there = jnp.where(mask[:, None], similarity, -jnp.inf)
    last = jnp.clip(neighbours, 1, len(residual)).astype(int) - 1
    farthest = jnp.sort(there, axis=0, descending=True)[last]
    weight = jnp.where(mask[:, None] & (there >= farthest), similarity, 0)
    # max: without neighbours, 0 instead of 0 / 0.
    return residual @ weight / jnp.maximum(jnp.abs(weight).sum(0) + damping, 1e-6)


# --- by rating correlation ----------------------------------------------------------------------------------------


class Likeness(NamedTuple):
    """Correlation of items' ratings.

    Attributes:
        levels: the item and user levels that predictions start from.
        number: item id -> row of the matrices; row 0 is for items without one.
        correlation: of the residuals, over the users who rated both; 0 with fewer than two.
        both: number of those users.
    """

    levels: Levels
    number: Int[Array, "items"]
    correlation: Float[Array, "C C"]
    both: Float[Array, "C C"]


def _fit_likeness(problem: Problem) -> Likeness:
    levels, items = fit_levels(problem), catalogue(problem, MOST_ITEMS)
    residual = by_task_and_item(problem, items, residuals(problem, levels))
    rated = by_task_and_item(problem, items, np.ones(len(problem.train.row)))
    both = gram(rated, rated)
    squares = gram(residual**2, rated)
    length = np.sqrt(np.maximum(squares * squares.T, 1e-12))
    correlation = np.where(both > 1, gram(residual, residual) / length, 0)
    np.fill_diagonal(both, 0)
    return Likeness(levels, *map(jnp.asarray, (items.number, correlation.astype(np.float32), both)))


def _predict_likeness(state: Likeness, settings, key, context, support, query) -> Float[Array, "n"]:
    """Predict ``level + sum s residual / (sum |s| + damping)``, ``s = correlation * both / (both + shrinkage)``."""
    level, residual = split(state.levels, support)
    pairs = state.number[support.x["id"]][:, None], state.number[query.x["id"]][None, :]
    both = state.both[pairs]
    similarity = state.correlation[pairs] * both / (both + settings["shrinkage"])
    near = neighbour_mean(similarity, residual, support.mask, settings["neighbours"], settings["damping"])
    return expected(state.levels, query.x) + level + near


item_knn = Baseline(
    _fit_likeness,
    _predict_likeness,
    rates=True,
    grid={"shrinkage": (50.0, 200.0, 800.0, 3000.0), "neighbours": (5.0, 20.0), "damping": (0.0, 0.1, 0.3, 1.0, 3.0)},
)
"""Levels plus the residuals of the support's most correlated items.

Reference: Koren, Factorization meets the neighborhood, KDD 2008, equations 2 (shrunk correlation) and 3 (prediction),
with a damping in the denominator: with few support rows, the nearest may still be far. The correlation is of residuals
from the levels, not from the means over the users who rated both.
"""


# --- by content ---------------------------------------------------------------------------------------------------


class Terms(NamedTuple):
    """Levels, and per field of terms the weight of each term, idf^2."""

    levels: Levels
    weight: dict[Field, Float[Array, "terms"]]


def _fit_terms(problem: Problem) -> Terms:
    return Terms(fit_levels(problem), inverse_document_frequency(problem))


def _predict_terms(state: Terms, settings, key, context, support, query) -> Float[Array, "n"]:
    level, residual = split(state.levels, support)
    own, other = (square_length(x, state.weight) for x in (support.x, query.x))
    length = jnp.sqrt(jnp.maximum(own[:, None] * other[None, :], 1e-12))
    cosine = kernel(support.x, query.x, state.weight) / length
    near = neighbour_mean(cosine, residual, support.mask, settings["neighbours"], settings["damping"])
    return expected(state.levels, query.x) + level + near


tfidf_knn = Baseline(
    _fit_terms,
    _predict_terms,
    rates=True,
    grid={"neighbours": (3.0, 5.0, 10.0, 20.0), "damping": (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)},
)
"""Levels plus the residuals of the support rows with the most similar content.

An item is a document, the values of its categorical and multi-valued fields are its terms, and similarity is the cosine
of TF-IDF weights.

Reference: Lops, de Gemmis and Semeraro, Content-based recommender systems, Recommender Systems Handbook 2011, equations
3.1 to 3.4 (tf is 0 or 1: an item has a term or not), with the idf of scikit-learn and the prediction of `item_knn`.
"""
