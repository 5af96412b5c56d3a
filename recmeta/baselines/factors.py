"""Latent factors of items into which a new user is folded: PureSVD, and implicit-feedback ALS."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recmeta.fitted.levels import Levels, expected, fit_levels, residuals, split
from recmeta.fitted.rows import by_task_and_item, catalogue, nearest
from recmeta.numerics import solve_positive
from recmeta.types import Baseline, Problem, UserError

# --- PureSVD ------------------------------------------------------------------------------------------------------

FACTORS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Numbers of singular vectors tried."""


class Svd(NamedTuple):
    """Levels, and per item id the right singular vectors of the residuals, the largest first; 0 for unknown ids."""

    levels: Levels
    vectors: Float[Array, "items r"]


def _fit_svd(problem: Problem) -> Svd:
    from scipy.sparse.linalg import svds

    levels, items = fit_levels(problem), catalogue(problem)
    residual = by_task_and_item(problem, items, residuals(problem, levels))
    least = min(len(problem.train.size), items.size)
    number = min(int(max(FACTORS)), least - 1)
    # A fixed start: without one it is drawn from numpy's global generator, and no two fits are equal.
    solution: Any = svds(residual, k=number, v0=np.ones(least))
    vectors = solution[2][::-1].T
    return Svd(levels, jnp.asarray(vectors[items.number], jnp.float32))


def _predict_svd(state: Svd, settings, key, context, support, query) -> Float[Array, "n"]:
    """Predict ``level + gain * (residual V_support) V_query'``."""
    level, residual = split(state.levels, support)
    first = jnp.arange(state.vectors.shape[1]) < settings["factors"]
    user = residual @ state.vectors[support.x["id"]]
    return expected(state.levels, query.x) + level + settings["gain"] * (state.vectors[query.x["id"]] @ (user * first))


svd = Baseline(_fit_svd, _predict_svd, rates=True, grid={"factors": FACTORS, "gain": (0.0, 2.0, 4.0, 8.0, 16.0, 32.0)})
"""Levels plus the projection of the support's residuals on the leading singular vectors.

Reference: Cremonesi, Koren and Turrin, Performance of recommender algorithms on top-N recommendation tasks, RecSys
2010, equation 12 (a user folded in by the item factors), on centred labels. Unrated items count as 0, so that
predictions are small, which `gain` corrects.
"""


# --- implicit ALS -------------------------------------------------------------------------------------------------

GRID: Mapping[str, tuple[float, ...]] = {
    "factors": (16.0, 32.0), "penalty": (10.0, 30.0, 100.0), "confidence": (2.0, 5.0)
}  # fmt: skip
"""Settings of ALS tried; each combination is a fit."""

SWEEPS = 8
"""Alternations of each fit."""


class Als(NamedTuple):
    """One fit per combination of `GRID`; with fewer factors than the most, the last are 0.

    Attributes:
        item: item factors, 0 for the unknown id.
        inverse: ``(Y'Y + penalty)^-1``, Y the item factors.
        user: the mean user's factors.
        like: the label from which a row is liked.
    """

    item: Float[Array, "G items d"]
    inverse: Float[Array, "G d d"]
    user: Float[Array, "G d"]
    like: Float[Array, ""]


def _fit_als(problem: Problem) -> Als:
    items = catalogue(problem)
    liked = np.asarray(problem.train.label) >= problem.spec.like
    rows = by_task_and_item(problem, items, liked.astype(np.float32))
    rows.eliminate_zeros()
    width = int(max(GRID["factors"]))

    def one(factors: float, penalty: float, confidence: float) -> tuple[np.ndarray, ...]:
        item, user = fit_als(rows, int(factors), penalty, confidence)
        item, user = (np.pad(values, ((0, 0), (0, width - values.shape[1]))) for values in (item, user))
        inverse = np.linalg.inv(item.T.astype(np.float64) @ item + penalty * np.eye(width))
        return item[items.number], inverse, user.mean(0)

    fits = [one(*values) for values in product(*GRID.values())]
    item, inverse, user = (jnp.asarray(np.stack(each), jnp.float32) for each in zip(*fits, strict=True))
    return Als(item, inverse, user, jnp.float32(problem.spec.like))


def fit_als(rows: Any, factors: int, penalty: float, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Fit item and user factors by weighted least squares on likes.

    Minimises ``sum over liked (u, i) of confidence (1 - x_u y_i)^2 + sum over the others of (x_u y_i)^2 + penalty
    (sum |x_u|^2 + sum |y_i|^2)``.

    Args:
        rows: sparse ``[users, items]``, 1 where liked.
        factors: d.
        penalty, confidence: as above; confidence is at least 1.

    Returns:
        Item factors ``[items, d]`` and user factors ``[users, d]``, the latter solved for the former.

    Raises:
        UserError: implicit is not installed, or can't be loaded.

    Reference: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008, equation 3.
    """
    library = _implicit()
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    # One BLAS thread: implicit runs a thread per core, each of which calls BLAS.
    with threadpool_limits(1, "blas"):
        model: Any = library.AlternatingLeastSquares(
            factors=factors, regularization=penalty, alpha=confidence, iterations=SWEEPS, use_cg=False, random_state=0
        )
        likes: Any = csr_matrix(rows)
        model.fit(likes, show_progress=False)
        users = model.recalculate_user(np.arange(rows.shape[0]), likes)
    return model.item_factors, users


def _implicit() -> Any:
    """Import the library.

    Raises:
        UserError: it is not installed, or can't be loaded.
    """
    try:
        from implicit import als
    except ModuleNotFoundError:
        raise UserError("baselines=ials needs the package implicit: pip install 'recmeta[baselines]'") from None
    except ImportError as error:
        remedy = "apt-get install libgomp1" if "libgomp" in str(error) else "pip install --force-reinstall implicit"
        raise UserError(f"baselines=ials: implicit is installed but can't be loaded ({error}): {remedy}") from error
    return als


def _predict_als(state: Als, settings, key, context, support, query) -> Float[Array, "n"]:
    """Predict ``y_query . x``, the new user's factors ``x`` solved from its likes like a meta-train user's.

    ``x = (Y'Y + penalty + (confidence - 1) Y_S' Y_S)^-1 confidence Y_S' 1``, S the liked support rows, as a system of
    the support's size. Where none is liked, x is the mean user's, and not 0.
    """
    places = [nearest(jnp.array(values), settings[name]) for name, values in GRID.items()]
    fit = jnp.ravel_multi_index(places, [len(values) for values in GRID.values()], mode="clip")
    confidence = jnp.array(GRID["confidence"])[places[-1]]
    item, inverse = state.item[fit], state.inverse[fit]
    liked = support.mask & (support.y >= state.like)
    own = jnp.where(liked[:, None], item[support.x["id"]], 0)
    across = own @ inverse
    dual = solve_positive(jnp.eye(len(own)) + (confidence - 1) * (across @ own.T), liked.astype(jnp.float32))
    user = jnp.where(liked.any(), confidence * (dual @ across), state.user[fit])
    return item[query.x["id"]] @ user


ials = Baseline(_fit_als, _predict_als, rates=False, grid=GRID, check=_implicit)
"""Weighted factorisation of likes, the new user folded in; it ranks, and predicts no label.

Reference: Hu, Koren and Volinsky, ICDM 2008, equations 3 and 4; Rendle et al., Revisiting the performance of iALS on
item recommendation benchmarks, RecSys 2022 (on tuning it). Fitted by the library implicit.
"""
