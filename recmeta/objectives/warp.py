"""Weighted approximate-rank pairwise loss: a liked row costs the more, the lower it is ranked."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from annotated_types import Gt
from jaxtyping import Array

from recmeta.objectives.pairs import contrast
from recmeta.objectives.pointwise import masked_mean
from recmeta.types import DataSpec, Objective, ScoredNegatives


def warp(*, spec: DataSpec, margin: Annotated[float, Gt(0)]) -> Objective:
    """``log(1 + rank)`` of each liked row, the rank by the rivals that come within a margin of it. Scores only rank.

    The rank is estimated from all drawn rivals: the catalogue's size times the mean of how far each is within the
    margin. It is differentiable, so that no rank has to be held fixed.

    Args:
        spec: given by recmeta; says from which label on a row is liked, and how many items there are.
        margin: in the units of a score.

    Reference: Weston et al., WSABIE, IJCAI 2011, by a batch of negatives in place of drawing until one is within the
    margin, as in Liu and Natarajan, WMRB, 2017, equations 4 and 6.
    """
    items = float(next(field.size for field in spec.row if field.name == "id") - 1)

    def loss(
        scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None,
        negatives: ScoredNegatives | None = None,
    ) -> Array:  # fmt: skip
        del key
        pairs = contrast(scores, labels, where, spec.like, negatives)
        within = jnp.where(pairs.mask, jax.nn.relu(margin + pairs.rival - scores[:, None]), 0)
        number = pairs.mask.sum(1)
        # A support's rivals are all there are: its rank is among them.
        rank = within.sum(1) * (1.0 if negatives is None else items / jnp.maximum(number, 1))
        return masked_mean(jnp.log1p(rank), pairs.liked & (number > 0), weights)

    return Objective(loss, rates=False, negatives=True)
