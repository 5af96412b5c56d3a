"""User+item bias: the shrunk level of the item plus the shrunk level of the user, the floor missing in most papers."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from recmeta.baselines.items import ItemSums, item_sums
from recmeta.types import Baseline

SHRINKAGES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0)
"""Pseudo-rows tried for the item's and for the user's level, all pairs."""


def predict(sums: ItemSums, settings, key, context, support, query) -> Float[Array, "n"]:
    """Predict ``mean + b_item + b_user``, with ``b_user`` the shrunk mean residual of the support.

    Reference: Koren, Factorization meets the neighborhood, KDD 2008, section 2.1.
    """

    def item_level(x) -> Array:
        # max: with a shrinkage of 0, an item without rows has level 0 instead of 0 / 0.
        return sums.total[x["id"]] / jnp.maximum(sums.rows[x["id"]] + settings["item_shrinkage"], 1e-6)

    residual = jnp.where(support.mask, support.y - sums.mean - item_level(support.x), 0)
    user_level = residual.sum() / jnp.maximum(support.mask.sum() + settings["user_shrinkage"], 1e-6)
    return sums.mean + item_level(query.x) + user_level


user_item_bias = Baseline(
    item_sums, predict, rates=True, grid={"item_shrinkage": SHRINKAGES, "user_shrinkage": SHRINKAGES}
)
"""Mean + item level + user level, both shrunk."""
