"""Bayesian personalised ranking: each liked row above each row that nobody rated."""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import Array

from recmeta.objectives.pairs import contrast
from recmeta.objectives.pointwise import masked_mean
from recmeta.types import DataSpec, Objective, ScoredNegatives


def bpr(*, spec: DataSpec) -> Objective:
    """Logistic loss of the difference of scores, mean over all pairs. Scores only rank.

    Args:
        spec: given by recmeta; says from which label on a row is liked.

    Reference: Rendle et al., BPR, UAI 2009. Changed: all drawn negatives count for all liked rows of a task;
    the penalty on parameters is the optimizer's (``optimizer=adamw``).
    """

    def loss(
        scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None,
        negatives: ScoredNegatives | None = None,
    ) -> Array:  # fmt: skip
        del key
        pairs = contrast(scores, labels, where, spec.like, negatives)
        lost = jax.nn.softplus(pairs.rival - scores[:, None])
        return masked_mean(lost, pairs.mask, None if weights is None else weights[:, None])

    return Objective(loss, rates=False, negatives=True)
