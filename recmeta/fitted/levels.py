"""Item and user levels (biases), on which most baselines build.

A method that can add nothing to them (no support, an unknown item, no features) equals user+item bias.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import cg

from recmeta.fitted.rows import item_count, item_ids, owners
from recmeta.types import Features, Problem, Support


class Levels(NamedTuple):
    """Mean, item levels and user shrinkage: the expected label given only who rates which item.

    Attributes:
        mean: expected label of the average user and the average item. Not the mean of all rows, in which users count
            by how much they rate: a new user is one of all users.
        item: per item id (0 = unknown) the shrunk mean of its labels above the mean; 0 for the unknown id.
        user_shrinkage: pseudo-rows of an average user, which shrink a new user's level.
    """

    mean: Float[Array, ""]
    item: Float[Array, "items"]
    user_shrinkage: Float[Array, ""]


class Variances(NamedTuple):
    """Variance components of labels: between users, between items, and residual."""

    user: float
    item: float
    rest: float


def fit_levels(problem: Problem) -> Levels:
    """Fit item levels, with nothing to tune: shrinkages are ratios of estimated variances.

    Mean, user and item levels are fitted jointly, so that generous users do not make an item look good. The mean is not
    shrunk.

    Reference: Robinson, That BLUP is a good thing, Statistical Science 1991, equation 1.2 (the mixed model equations);
    Koren, Factorization meets the neighborhood, KDD 2008, equation 1 (the two levels).
    """
    user, item = owners(problem.train), item_ids(problem.train)
    variances = variance_components(user, item, np.asarray(problem.train.label))
    user_shrinkage, item_shrinkage = variances.rest / variances.user, variances.rest / variances.item
    residual = np.asarray(problem.train.label, np.float64) - problem.spec.mean
    users, items, rows = len(problem.train.size), item_count(problem), np.arange(len(residual))
    # Each row belongs to its user, to its item, and to the mean.
    columns = np.concatenate([user, users + item, np.full(len(rows), users + items)])
    design = csr_array((np.ones(3 * len(rows)), (np.tile(rows, 3), columns)), shape=(len(rows), users + items + 1))
    shrinkage = np.repeat([user_shrinkage, item_shrinkage, 0.0], [users, items, 1])
    matrix = design.T @ design + diags_array(shrinkage)
    # Preconditioned, conjugate gradients need some tens of steps, whatever the size.
    levels, _ = cg(matrix, design.T @ residual, rtol=1e-8, maxiter=1000, M=diags_array(1 / matrix.diagonal()))
    item_level, mean = levels[users:-1], problem.spec.mean + levels[-1]
    # Rows under the unknown id, if any, carry no information about the next unknown item.
    item_level[0] = 0
    return Levels(*(jnp.asarray(value, jnp.float32) for value in (mean, item_level, user_shrinkage)))


def variance_components(user: np.ndarray, item: np.ndarray, label: np.ndarray) -> Variances:
    """Estimate the variances in ``label = mean + user effect + item effect + rest``.

    Four sums of squares (plain, by user, by item, of the total) are set equal to their expectations, which are linear
    in the variances. A negative estimate is replaced by a thousandth of the labels' mean square.

    Args:
        user, item: int ``[n]``, codes from 0; no pair occurs twice.
        label: ``[n]``.

    Reference: Henderson, Estimation of variance and covariance components, Biometrics 1953, method 1.
    """
    label = label.astype(np.float64) - label.mean(dtype=np.float64)
    n, users, items = len(label), np.bincount(user), np.bincount(item)

    def squares(code: np.ndarray, count: np.ndarray) -> float:
        return float((np.bincount(code, label) ** 2 / np.maximum(count, 1)).sum())

    some_users, some_items = np.count_nonzero(users), np.count_nonzero(items)
    # Unknowns: n mean^2, and the variances of user, item and rest.
    expected = [
        [1, n, n, n],
        [1, n, some_users, some_users],
        [1, some_items, n, some_items],
        [1, (users**2).sum() / n, (items**2).sum() / n, 1],
    ]
    observed = [(label**2).sum(), squares(user, users), squares(item, items), 0.0]
    # lstsq: with one user, or one item, the equations cannot separate it from the mean.
    _, *variances = np.linalg.lstsq(np.array(expected), np.array(observed), rcond=None)[0]
    least = 1e-3 * (label**2).mean() or 1.0
    return Variances(*(max(float(value), least) for value in variances))


def expected(levels: Levels, x: Features) -> Float[Array, "n"]:
    """Mean plus item level of rows."""
    return levels.mean + levels.item[x["id"]]


def split(levels: Levels, support: Support) -> tuple[Float[Array, ""], Float[Array, "K"]]:
    """Split the support's labels into the new user's level and residuals; residuals of padding are 0."""
    above = jnp.where(support.mask, support.y - expected(levels, support.x), 0)
    level = above.sum() / (support.mask.sum() + levels.user_shrinkage)
    return level, jnp.where(support.mask, above - level, 0)


def residuals(problem: Problem, levels: Levels) -> Float[np.ndarray, "n"]:
    """Residuals of the meta-train labels, each user's level fitted to all of the user's rows."""
    user = owners(problem.train)
    above = np.asarray(problem.train.label, np.float64) - np.asarray(levels.item)[item_ids(problem.train)]
    above -= float(levels.mean)
    level = np.bincount(user, above) / (np.bincount(user) + float(levels.user_shrinkage))
    return above - level[user]


def liked(problem: Problem) -> Problem:
    """The problem with meta-train labels 1 where a row is liked, else 0."""
    like = (problem.train.label >= problem.spec.like).astype(jnp.float32)
    spec = replace(problem.spec, mean=float(like.mean()))
    return problem._replace(spec=spec, train=problem.train._replace(label=like))
