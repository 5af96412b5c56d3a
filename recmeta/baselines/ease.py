"""EASE: the linear item-item model that has a closed form."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from recmeta.fitted.levels import Levels, expected, fit_levels, residuals, split
from recmeta.fitted.rows import MOST_ITEMS, by_task_and_item, catalogue, gram
from recmeta.types import Baseline, Problem


class Ease(NamedTuple):
    """The item-item Gram matrix of the residuals, in its eigenvectors.

    Attributes:
        levels: the item and user levels that predictions start from.
        number: item id -> row of the vectors; row 0, all 0, is for items without one.
        vectors: eigenvectors, as columns.
        values: eigenvalues.
        scale: mean diagonal of the Gram matrix over rows, the unit of penalties.
    """

    levels: Levels
    number: Int[Array, "items"]
    vectors: Float[Array, "C r"]
    values: Float[Array, "r"]
    scale: Float[Array, ""]


def _fit(problem: Problem) -> Ease:
    from scipy.linalg import eigh

    levels, items = fit_levels(problem), catalogue(problem, MOST_ITEMS)
    residual = by_task_and_item(problem, items, residuals(problem, levels))
    products = gram(residual, residual)[1:, 1:]
    diagonal = np.diag(products).copy()
    # By divide and conquer, in place: of a symmetric matrix, its transpose is the layout that LAPACK has.
    values, vectors = eigh(products.T, driver="evd", overwrite_a=True, check_finite=False)
    vectors = np.concatenate([np.zeros((1, len(values)), np.float32), vectors])
    scale = np.float32((diagonal**2).sum() / max(diagonal.sum(), 1e-6))
    return Ease(levels, *map(jnp.asarray, (items.number, vectors, np.maximum(values, 0), scale)))


def _predict(state: Ease, settings, key, context, support, query) -> Float[Array, "n"]:
    """Predict ``level + gain * (1 + penalty) * sum over the support of residual_i B_ij``.

    ``B = 1 - P / diag(P)`` with ``P = (G + penalty * scale)^-1``. From ``G = Q diag(e) Q'``, ``P = Q diag(1 / (e +
    penalty * scale)) Q'``: a new penalty needs no new fit.
    """
    level, residual = split(state.levels, support)
    own, other = state.number[support.x["id"]], state.number[query.x["id"]]
    inverse = 1 / (state.values + settings["penalty"] * state.scale)
    # Of query rows there may be a whole catalogue: nothing of theirs is as wide as the vectors for each penalty.
    diagonal = state.vectors[other] ** 2 @ inverse
    across = (state.vectors[own] * inverse) @ state.vectors[other].T
    weight = jnp.where(own[:, None] == other, 0, -across / jnp.maximum(diagonal, 1e-12))
    gain = settings["gain"] * (1 + settings["penalty"])
    return expected(state.levels, query.x) + level + gain * (residual @ weight)


ease = Baseline(
    _fit,
    _predict,
    rates=True,
    grid={"penalty": (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0), "gain": (0.0, 1.0, 2.0, 4.0, 8.0)},
)
"""Levels plus a linear item-item model of the support's residuals, each item regressed on all others.

Reference: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019, equation 8, on centred labels and not
on ones. There, unrated items count as 0, so that predictions are small: the more so the fewer rows the support has,
which `gain` corrects, and the higher the penalty, which ``1 + penalty`` corrects (for an item with a typical number of
rows, a penalty keeps the share 1 / (1 + penalty)). Penalties are in units of `Ease.scale`, so that one grid suits any
data set.
"""
