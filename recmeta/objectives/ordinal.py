"""Ordinal regression: a score is turned into a distribution over the levels of a label."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Lt
from jaxtyping import Array, Float

from recmeta.objectives.levels import mean_level, nearest_level
from recmeta.objectives.pointwise import masked_mean
from recmeta.types import DataSpec, Objective, UserError

SCORES = 30.0
"""Scores from minus to plus this much are told apart when a label is turned into a score."""

END = 0.02
"""The link is straight this near to the ends of the labels, in label units: scores would be infinite there."""


def ordinal(*, spec: DataSpec, explained: Annotated[float, Ge(0), Lt(1)]) -> Objective:
    """Cross entropy of the label's level, whose log-odds of being above a level fall with that level's threshold.

    ``P(label > level_l | score) = sigmoid(score - threshold_l)``. The thresholds are fixed: those that have the levels'
    shares in meta-train if scores explain a share ``explained`` of the variance, and 0 is their mean. The mean of the
    distribution is the expected label.

    Args:
        spec: given by recmeta.
        explained: share of the variance of labels, on the scale of scores, that scores are taken to explain.

    Raises:
        UserError: where labels have more than a few levels, or only one.

    Reference: McCullagh, Regression models for ordinal data, Journal of the Royal Statistical Society B 1980, the
    proportional odds model; for ratings, Koren and Sill, OrdRec, RecSys 2011.
    """
    if not spec.discrete or len(spec.levels) < 2:
        number = len(spec.levels) if spec.discrete else "many"
        raise UserError(f"objective=ordinal: it needs labels of a few levels, and these have {number}; choose mse")
    above = 1 - np.cumsum(spec.shares or np.full(len(spec.levels), 1 / len(spec.levels)))[:-1]
    thresholds = jnp.asarray(-np.log(above / (1 - above)) / (1 - explained) ** 0.5, jnp.float32)

    def distribution(scores: Float[Array, "*n"]) -> Float[Array, "*n L"]:
        odds = scores[..., None] - thresholds
        # log(sigmoid(a) - sigmoid(b)), a > b, without a difference of numbers that are nearly one.
        between = jax.nn.log_sigmoid(odds[..., :-1]) + jax.nn.log_sigmoid(-odds[..., 1:])
        between += jnp.log1p(-jnp.exp(thresholds[:-1] - thresholds[1:]))
        ends = jax.nn.log_sigmoid(-odds[..., :1]), jax.nn.log_sigmoid(odds[..., -1:])
        return jnp.concatenate([ends[0], between, ends[1]], axis=-1)

    def predict(scores: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return mean_level(distribution(scores), spec.levels)

    grid = np.linspace(-SCORES, SCORES, 1201).astype(np.float32)
    means = jax.device_get(jax.jit(predict)(grid))

    inside = np.flatnonzero((means > means[0] + END) & (means < means[-1] - END))
    means, grid = means[inside], grid[inside]
    slopes = [(grid[at + 1] - grid[at]) / (means[at + 1] - means[at]) for at in (0, len(grid) - 2)]

    def link(label: Float[Array, "*n"]) -> Float[Array, "*n"]:
        # A closed form may predict an end of the range, or beyond it: there the curve goes on straight.
        below, above = jnp.minimum(label - means[0], 0), jnp.maximum(label - means[-1], 0)
        return jnp.interp(label, means, grid) + slopes[0] * below + slopes[1] * above

    def loss(scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None) -> Array:
        del key
        likely = (distribution(scores) * nearest_level(labels, spec.levels)).sum(-1)
        return masked_mean(-likely, where, weights)

    return Objective(loss, predict, link, distribution=distribution)
