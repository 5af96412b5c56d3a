"""Ridge and logistic regression on item features, fitted to each new user's support alone."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recmeta.baselines.kernel import even_weights, kernel
from recmeta.fitted.levels import Levels, expected, fit_levels, liked
from recmeta.numerics import solve_positive
from recmeta.types import Baseline, Field, Problem

NEWTON_STEPS = 12
"""Newton steps of the logistic regression: each doubles the digits, and 12 exceed float32."""


# --- ridge --------------------------------------------------------------------------------------------------------


class Ridge(NamedTuple):
    """Levels, and the weight of each feature."""

    levels: Levels
    weights: dict[Field, Float[Array, "d"]]


def _fit_ridge(problem: Problem) -> Ridge:
    return Ridge(fit_levels(problem), even_weights(problem))


def _predict_ridge(state: Ridge, settings, key, context, support, query) -> Float[Array, "n"]:
    """Predict in dual form: ``k(query, support) (k(support, support) + 1)^-1 residuals``.

    The constant is a feature too.
    """
    there = support.mask.astype(jnp.float32)

    def products(x) -> Array:
        return kernel(support.x, x, state.weights) / settings["penalty"] + 1 / state.levels.user_shrinkage

    above = jnp.where(support.mask, support.y - expected(state.levels, support.x), 0)
    matrix = jnp.where(there[:, None] * there > 0, products(support.x), 0) + jnp.eye(len(above))
    across = jnp.where(there[:, None] > 0, products(query.x), 0)
    return expected(state.levels, query.x) + solve_positive(matrix, above) @ across


PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Ridge and logistic penalties tried."""

content_ridge = Baseline(_fit_ridge, _predict_ridge, rates=True, grid={"penalty": PENALTIES})
"""Ridge regression of the new user's residual labels on the items' features and a constant.

The residuals are from mean and item level. The constant's penalty is the levels' user shrinkage: as the penalty of the
features grows, this is user+item bias.

The constant's penalty is the levels' user shrinkage: as the penalty of the features grows, this is user+item bias.

Reference: Hoerl and Kennard, Ridge regression, Technometrics 1970, equation 2.1; in dual form, Saunders, Gammerman and
Vovk, Ridge regression learning algorithm in dual variables, ICML 1998, equation 6.
"""


# --- logistic -----------------------------------------------------------------------------------------------------


class Logistic(NamedTuple):
    """Offsets, prior variances and label means of the logistic regression.

    Attributes:
        logit: per item id, the log odds that it is liked, from the shrunk share of its likes.
        constant: prior variance of the user's constant.
        weights: prior variances of the features' weights.
        like: the label from which a row is liked.
        means: mean meta-train label of the rows that are not liked, and of the liked rows.
    """

    logit: Float[Array, "items"]
    constant: Float[Array, ""]
    weights: dict[Field, Float[Array, "d"]]
    like: Float[Array, ""]
    means: Float[Array, "2"]


def _fit_logistic(problem: Problem) -> Logistic:
    levels = fit_levels(liked(problem))
    share = jnp.clip(levels.mean + levels.item, 0.01, 0.99)
    label = np.asarray(problem.train.label)
    like = label >= problem.spec.like
    means = [float(label[rows].mean()) if rows.any() else problem.spec.mean for rows in (~like, like)]
    # From shares to log odds, whose slope is 1 / (p (1 - p)): the user's variance over the residual's, p (1 - p).
    spread = jnp.clip(levels.mean * (1 - levels.mean), 0.01)
    constant = 1 / (levels.user_shrinkage * spread)
    return Logistic(
        jnp.log(share) - jnp.log1p(-share), constant, even_weights(problem), jnp.float32(problem.spec.like),
        jnp.asarray(means, jnp.float32),
    )  # fmt: skip


def _predict_logistic(state: Logistic, settings, key, context, support, query) -> Float[Array, "n"]:
    def products(x) -> Array:
        return kernel(support.x, x, state.weights) / settings["penalty"] + state.constant

    like = (support.y >= state.like).astype(jnp.float32)
    dual = logistic(products(support.x), state.logit[support.x["id"]], like, support.mask)
    chance = jax.nn.sigmoid(state.logit[query.x["id"]] + dual @ products(query.x))
    return state.means[0] + chance * (state.means[1] - state.means[0])


def logistic(
    products: Float[Array, "K K"], offset: Float[Array, "K"], like: Float[Array, "K"], mask: Array
) -> Float[Array, "K"]:
    """Dual weights of a penalised logistic regression, whose weights are their sum times the rows.

    The solution is ``a`` with ``a = like - sigmoid(offset + products a)``, found by Newton's method.

    Args:
        products: inner products of the rows over the penalties.
        offset: log odds before the regression.
        like: 0 or 1.
        mask: which rows are present; padding has weight 0.

    Reference: Rasmussen and Williams, Gaussian processes for machine learning, 2006, algorithm 3.1 (the mode that it
    finds is the penalised maximum likelihood).
    """

    def newton(dual: Array, _) -> tuple[Array, None]:
        effect = products @ dual
        chance = jax.nn.sigmoid(offset + effect)
        curvature = jnp.where(mask, chance * (1 - chance), 0)
        root = jnp.sqrt(curvature)
        target = curvature * effect + jnp.where(mask, like - chance, 0)
        matrix = jnp.eye(len(offset)) + root[:, None] * products * root
        return target - root * solve_positive(matrix, root * (products @ target)), None

    return jax.lax.scan(newton, jnp.zeros_like(offset), None, length=NEWTON_STEPS)[0]


content_logistic = Baseline(_fit_logistic, _predict_logistic, rates=True, grid={"penalty": PENALTIES})
"""Logistic regression of the new user's likes on the items' features and a constant.

The item's log odds of being liked are the offset. The probability becomes a label by the mean labels of liked and other
meta-train rows.

Reference: Pazzani and Billsus, Content-based recommendation systems, The Adaptive Web 2007, section 10.6 (linear
classifiers of one user's likes).
"""
