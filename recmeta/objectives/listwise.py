"""Listwise losses: the rows of a query as one list, ranked by their labels."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from annotated_types import Gt
from jaxtyping import Array

from recmeta.types import DataSpec, Objective


def listnet(*, spec: DataSpec, temperature: Annotated[float, Gt(0)]) -> Objective:
    """Cross entropy of the softmax of scores against the softmax of labels, over the rows of a task. Scores only rank.

    Args:
        spec: given by recmeta; its label range is the unit of the temperature.
        temperature: of the labels' softmax, in half label ranges; the lower, the more the best alone counts.

    Reference: Cao et al., Learning to rank: from pairwise approach to listwise approach, ICML 2007, the top-one case.
    """
    unit = temperature * (spec.high - spec.low) / 2

    def loss(scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None) -> Array:
        del key
        where = where if weights is None else where & (weights > 0)
        row = jnp.ones_like(scores) if weights is None else weights
        target = row * _softmax(labels / unit, where)
        target = target / jnp.maximum(target.sum(), 1e-12)
        likely = jnp.where(where, jax.nn.log_softmax(jnp.where(where, scores, -jnp.inf)), 0)
        # A list of one row, or of none, has no order.
        return jnp.where(where.sum() > 1, -(target * likely).sum(), 0.0)

    return Objective(_apart(loss), rates=False)


def approx_ndcg(*, spec: DataSpec, temperature: Annotated[float, Gt(0)]) -> Objective:
    """One minus the NDCG of a task's rows, each rank a sum of sigmoids. Scores only rank.

    Gains are ``2^label - 1``, as of the metric ``ndcg``.

    Args:
        spec: given by recmeta; says the highest label.
        temperature: what differences of scores are divided by in the sigmoids; the lower, the nearer is it to NDCG.

    Reference: Qin, Liu and Li, A general approximation framework for direct optimization of information retrieval
    measures, Information Retrieval 2010, equations 12 and 13.
    """

    def loss(scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None) -> Array:
        del key
        row = jnp.ones_like(scores) if weights is None else weights
        # In units of the highest label's: those of labels to 100 would have no finite sum.
        gain = jnp.where(where, row * (jnp.exp2(labels - spec.high) - 2.0**-spec.high), 0)
        above = jax.nn.sigmoid((scores[None] - scores[:, None]) / temperature)
        # Each row is half above itself, which is no rank.
        rank = 0.5 + jnp.where(where[None], above, 0).sum(1)
        best = jnp.sort(gain, descending=True) / jnp.log2(2 + jnp.arange(len(gain)))
        found = (gain / jnp.log2(1 + rank)).sum()
        total = best.sum()
        return jnp.where(total > 0, 1 - found / jnp.where(total > 0, total, 1), 0.0)

    return Objective(_apart(loss), rates=False)


def _softmax(values: Array, where: Array) -> Array:
    return jnp.where(where, jax.nn.softmax(jnp.where(where, values, -jnp.inf)), 0)


def _apart(loss: Any) -> Any:
    """The loss with scores that are not there set to 0: their gradient would be no number where they are infinite."""

    def guarded(scores: Array, labels: Array, where: Array, weights: Array | None = None, key: Any = None) -> Array:
        there = jnp.where(where, scores, 0), jnp.where(where, labels, 0)
        return jnp.where(where.any(), loss(*there, where, weights, key), 0.0)

    return guarded
