"""Generalised binary cross entropy: against the overconfidence that comes of few negatives."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from annotated_types import Ge, Le
from jaxtyping import Array

from recmeta.objectives.pairs import contrast
from recmeta.objectives.pointwise import masked_mean
from recmeta.types import DataSpec, Objective, ScoredNegatives


def gbce(*, spec: DataSpec, calibration: Annotated[float, Ge(0), Le(1)]) -> Objective:
    """``-(beta log sigmoid(s) + sum log(1 - sigmoid(rival))) / (k + 1)`` of each liked row. Scores only rank.

    ``beta = a (t (1 - 1/a) + 1/a)``, ``t`` the calibration and ``a`` the number ``k`` of negatives that count over the
    number of items less one.

    Args:
        spec: given by recmeta; says from which label on a row is liked, and how many items there are.
        calibration: 0: binary cross entropy as it is. 1: sigmoids are probabilities, as if all items were negatives.

    Reference: Petrov and Macdonald, gSASRec, RecSys 2023, equations 10 and 14.
    """
    others = float(next(field.size for field in spec.row if field.name == "id") - 2)

    def loss(
        scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None,
        negatives: ScoredNegatives | None = None,
    ) -> Array:  # fmt: skip
        del key
        pairs = contrast(scores, labels, where, spec.like, negatives)
        number = pairs.mask.sum(1)
        share = jnp.ones(len(number)) if negatives is None else jnp.clip(number / max(others, 1.0), 1e-6, 1.0)
        beta = share * (calibration * (1 - 1 / share) + 1 / share)
        lost = beta * jax.nn.softplus(-scores) + jnp.where(pairs.mask, jax.nn.softplus(pairs.rival), 0).sum(1)
        return masked_mean(lost / (number + 1), pairs.liked, weights)

    return Objective(loss, rates=False, negatives=True)
