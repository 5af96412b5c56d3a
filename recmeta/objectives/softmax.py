"""Softmax of each liked row over itself and the drawn negatives, as they are or corrected for how they are drawn."""

from __future__ import annotations

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Lt
from jaxtyping import Array

from recmeta.objectives.pairs import Contrast, contrast
from recmeta.objectives.pointwise import masked_mean
from recmeta.types import DataSpec, Objective, ScoredNegatives

Temperature = Annotated[float, Gt(0)]
Smoothing = Annotated[float, Ge(0), Lt(1)]


def softmax(*, spec: DataSpec, temperature: Temperature, smoothing: Smoothing) -> Objective:
    """Cross entropy of each liked row among itself and the negatives. Scores only rank.

    Args:
        spec: given by recmeta; says from which label on a row is liked.
        temperature: what scores are divided by.
        smoothing: the share of the target that is dealt out evenly to the row and its rivals.

    Reference: Covington et al., Deep neural networks for YouTube recommendations, RecSys 2016; smoothing: Szegedy et
    al., CVPR 2016.
    """
    return _objective(spec, temperature, smoothing, lambda pairs: jnp.zeros_like(pairs.rival))


def sampled_softmax(*, spec: DataSpec, temperature: Temperature, smoothing: Smoothing) -> Objective:
    """The softmax over all items, estimated from drawn ones. Scores only rank.

    The logit of a drawn item is less the log of how often it is expected among the draws, so that the sum over them has
    the expectation of the sum over the catalogue, the task's own rows apart: these are masked where they are drawn.

    Args:
        spec, temperature, smoothing: as of `softmax`.

    Reference: Bengio and Senécal, Adaptive importance sampling to accelerate training of a neural probabilistic
    language model, IEEE Transactions on Neural Networks 2008; Yi et al., Sampling-bias-corrected neural modeling, 2019.
    """

    def expected(pairs: Contrast) -> Array:
        if pairs.log_q is None:
            return jnp.zeros_like(pairs.rival)
        # Of all draws: those that do not count had their share of the probability.
        return jnp.broadcast_to(pairs.log_q + math.log(len(pairs.log_q)), pairs.rival.shape)

    return _objective(spec, temperature, smoothing, expected)


def _objective(spec: DataSpec, temperature: float, smoothing: float, expected: Any) -> Objective:
    """The objective whose rivals' logits are less ``expected(contrast)``."""

    def loss(
        scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None,
        negatives: ScoredNegatives | None = None,
    ) -> Array:  # fmt: skip
        del key
        pairs = contrast(scores, labels, where, spec.like, negatives)
        rivals = jnp.where(pairs.mask, pairs.rival / temperature - expected(pairs), -jnp.inf)
        logits = jnp.concatenate([scores[:, None] / temperature, rivals], axis=1)
        there = jnp.isfinite(logits)
        likely = jnp.where(there, jax.nn.log_softmax(logits), 0)
        evenly = likely.sum(1) / there.sum(1)
        lost = -(1 - smoothing) * likely[:, 0] - smoothing * evenly
        return masked_mean(lost, pairs.mask.any(1), weights)

    return Objective(loss, rates=False, negatives=True)
