"""Neighbours: what a user thought of the items most like this one, by who rated them alike or by what they are."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from recmeta.baselines.kernel import inverse_document_frequency, kernel, square_length
from recmeta.baselines.levels import Levels, expected, fit_levels, residuals, split
from recmeta.baselines.rows import MOST_ITEMS, by_task_and_item, catalogue, gram
from recmeta.types import Baseline, Problem


def neighbour_mean(
    similarity: Float[Array, "K n"],
    left: Float[Array, "K"],
    mask: Bool[Array, "K"],
    neighbours: Float[Array, ""],
    damping: Float[Array, ""],
) -> Float[Array, "n"]:
    """``sum s left / (sum |s| + damping)`` over the support rows most similar to each query row.

    Args:
        similarity: of support rows with query rows, -1 to 1.
        left: what the levels leave of the support's labels.
        mask: which support rows are there.
        neighbours: how many of them count. Where the last of them tie, all of these count: the order has no say.
        damping: pulls towards 0 where all neighbours are far. 0 leaves the mean as published.
    """
    there = jnp.where(mask[:, None], similarity, -jnp.inf)
    last = jnp.clip(neighbours, 1, len(left)).astype(int) - 1
    farthest = jnp.sort(there, axis=0, descending=True)[last]
    weight = jnp.where(mask[:, None] & (there >= farthest), similarity, 0)
    # max: with nobody near, 0 and not 0 / 0.
    return left @ weight / jnp.maximum(jnp.abs(weight).sum(0) + damping, 1e-6)


# --- by who rated them --------------------------------------------------------------------------------------------


class Likeness(NamedTuple):
    """How alike items were rated.

    Attributes:
        levels: where the method starts.
        number: item id -> row of the matrices; row 0 is of the items that are not in them.
        correlation: of what the levels leave, over the users who rated both; 0 with fewer than two.
        both: how many users those are.
    """

    levels: Levels
    number: Int[Array, "items"]
    correlation: Float[Array, "C C"]
    both: Float[Array, "C C"]


def _fit_likeness(problem: Problem) -> Likeness:
    levels, items = fit_levels(problem), catalogue(problem, MOST_ITEMS)
    left = by_task_and_item(problem, items, residuals(problem, levels))
    rated = by_task_and_item(problem, items, np.ones(len(problem.train.row)))
    both = gram(rated, rated)
    squares = gram(left**2, rated)
    length = np.sqrt(np.maximum(squares * squares.T, 1e-12))
    correlation = np.where(both > 1, gram(left, left) / length, 0)
    np.fill_diagonal(both, 0)
    return Likeness(levels, *map(jnp.asarray, (items.number, correlation.astype(np.float32), both)))


def _predict_likeness(state: Likeness, settings, key, context, support, query) -> Float[Array, "n"]:
    """``level + sum s left / (sum |s| + damping)`` with ``s = correlation * both / (both + shrinkage)``."""
    level, left = split(state.levels, support)
    pairs = state.number[support.x["id"]][:, None], state.number[query.x["id"]][None, :]
    both = state.both[pairs]
    similarity = state.correlation[pairs] * both / (both + settings["shrinkage"])
    near = neighbour_mean(similarity, left, support.mask, settings["neighbours"], settings["damping"])
    return expected(state.levels, query.x) + level + near


item_knn = Baseline(
    _fit_likeness,
    _predict_likeness,
    rates=True,
    grid={"shrinkage": (10.0, 50.0, 200.0), "neighbours": (5.0, 20.0), "damping": (0.0, 0.1, 0.3, 1.0, 3.0)},
)
"""Levels, plus what the support's most correlated items had above theirs.

Reference: Koren, Factorization meets the neighborhood, KDD 2008, equations 2 (shrunk correlation) and 3 (prediction),
with a damping in the denominator: with few support rows, the nearest may still be far. The correlation is about the
levels, not about the means over the users who rated both.
"""


# --- by what they are ---------------------------------------------------------------------------------------------


class Terms(NamedTuple):
    """Levels, and per field of terms the weight of each term, idf^2."""

    levels: Levels
    weight: dict[str, Float[Array, "terms"]]


def _fit_terms(problem: Problem) -> Terms:
    return Terms(fit_levels(problem), inverse_document_frequency(problem))


def _predict_terms(state: Terms, settings, key, context, support, query) -> Float[Array, "n"]:
    level, left = split(state.levels, support)
    own, other = (square_length(x, state.weight) for x in (support.x, query.x))
    length = jnp.sqrt(jnp.maximum(own[:, None] * other[None, :], 1e-12))
    cosine = kernel(support.x, query.x, state.weight) / length
    near = neighbour_mean(cosine, left, support.mask, settings["neighbours"], settings["damping"])
    return expected(state.levels, query.x) + level + near


tfidf_knn = Baseline(
    _fit_terms,
    _predict_terms,
    rates=True,
    grid={"neighbours": (3.0, 5.0, 10.0, 20.0), "damping": (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)},
)
"""Levels, plus what the support's rows of the most similar content had above theirs; the values of the categorical
and multi-valued fields are the terms, an item is a document, likeness is the cosine of TF-IDF weights.

Reference: Lops, de Gemmis and Semeraro, Content-based recommender systems, Recommender Systems Handbook 2011,
equations 3.1 to 3.4 (tf = 1: an item has a term or has it not), with the idf of scikit-learn and the prediction of
`item_knn`.
"""
