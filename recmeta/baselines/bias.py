"""User+item bias: the shrunk level of the item and the shrunk level of the user, the floor that most papers lack."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recmeta.baselines.items import ItemSums, item_sums
from recmeta.objectives import masked_mean
from recmeta.types import Baseline, Problem

SHRINKAGES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0)
"""Pseudo-counts tried for the item's and for the user's level, all pairs, on meta-validation at the headline shots."""


class Bias(NamedTuple):
    """Item sums, and the two shrinkages in pseudo-rows."""

    sums: ItemSums
    item: Float[Array, ""]
    user: Float[Array, ""]


def predict(bias: Bias, key, context, support, query) -> Float[Array, "n"]:
    """``mean + b_item + b_user``, with ``b_user`` the shrunk mean of what is left of the support.

    Reference: Koren, Factorization meets the neighborhood, KDD 2008, section 2.1.
    """

    def item_level(x) -> Array:
        # max: with a shrinkage of 0, an item without rows has level 0, and not 0 / 0.
        return bias.sums.total[x["id"]] / jnp.maximum(bias.sums.rows[x["id"]] + bias.item, 1e-6)

    left = jnp.where(support.mask, support.y - bias.sums.mean - item_level(support.x), 0)
    user_level = left.sum() / jnp.maximum(support.mask.sum() + bias.user, 1e-6)
    return bias.sums.mean + item_level(query.x) + user_level


def fit(problem: Problem) -> Bias:
    """Choose both shrinkages by mean absolute error on meta-validation."""
    sums = item_sums(problem)
    spec, (task, label) = problem.spec, problem.validation
    shown = task.support._replace(mask=task.support.mask & (jnp.arange(spec.support) < problem.headline))

    def error(item: Array, user: Array) -> Array:
        bias = Bias(sums, item, user)
        score = jax.vmap(lambda *task: predict(bias, None, *task))(task.context, shown, task.query)
        return masked_mean(jnp.abs(jnp.clip(score, spec.low, spec.high) - label), task.query.mask)

    grid = jnp.array(SHRINKAGES)
    errors = jax.jit(jax.vmap(jax.vmap(error, (None, 0)), (0, None)))(grid, grid)
    item, user = jnp.unravel_index(jnp.argmin(errors), errors.shape)
    return Bias(sums, grid[item], grid[user])


user_item_bias = Baseline(fit, predict, rates=True)
"""Mean + item level + user level, both shrunk."""
