"""What a task's scores are worth: pure, jittable functions of ONE task, to be vmapped over tasks.

Rankings are of the task's own candidates, the rows that the mask says are there. Where scores tie, a ranking metric is
its exact expectation over the orders of the tied rows, so that it depends neither on the order of the rows nor on a
random number, and a constant scorer scores exactly the random floor.

A metric is NaN where it is undefined, and where a score that it reads is NaN.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from recmeta.types import UserError

ALLOWED = ("mae", "rmse", "ndcg@k", "recall@k", "mrr", "auc")
"""The names that `metric` understands; k stands for any positive whole number."""


class Metric(NamedTuple):
    """A metric of one task.

    Attributes:
        name: as typed, "ndcg@5".
        goal: "min" or "max".
        reads: "prediction" (the expected label, in label units, clipped by the caller) or "score" (it only ranks).
        value: ``(values [n], label [n], mask [n], like) -> scalar``; ``like`` is the label from which a row is liked.
    """

    name: str
    goal: Literal["min", "max"]
    reads: Literal["prediction", "score"]
    value: Callable[[Array, Array, Array, float | Array], Array]


@cache
def metric(name: str) -> Metric:
    """The metric of that name.

    Args:
        name: one of `ALLOWED`, with a positive whole number for k.

    Returns:
        The metric; the same object for the same name, so that compiled programs are found again.

    Raises:
        UserError: no such metric.
    """
    kind, at, cutoff = name.partition("@")
    if not at and kind in _PLAIN:
        return Metric(name, *_PLAIN[kind])
    if kind in _CUT and re.fullmatch(r"[1-9][0-9]*", cutoff):
        return Metric(name, "max", "score", partial(_CUT[kind], k=int(cutoff)))
    raise UserError(f"metric={name}: no such metric; allowed are {', '.join(ALLOWED)} (k a positive whole number)")


def random_floor(metric: Metric, label: Float[Array, "n"], mask: Bool[Array, "n"], like: float) -> Float[Array, ""]:
    """What a random ranking scores in expectation: the value of a constant scorer.

    Args:
        metric: one that reads scores.
        label: labels of the rows, in label units.
        mask: which rows are there.
        like: the label from which a row is liked.

    Returns:
        The expected value; NaN where the metric is undefined.

    Raises:
        ValueError: the metric reads predictions, for which "random" has no meaning without a distribution.
    """
    if metric.reads != "score":
        raise ValueError(f"{metric.name} reads predictions: a random ranking has none")
    return metric.value(jnp.zeros_like(label), label, mask, like)


def oracle(metric: Metric, label: Float[Array, "n"], mask: Bool[Array, "n"], like: float) -> Float[Array, ""]:
    """The best attainable value: the labels themselves are the scores.

    Args:
        metric: any.
        label: labels of the rows, in label units.
        mask: which rows are there.
        like: the label from which a row is liked.

    Returns:
        The value; NaN where the metric is undefined. Of recall@k it is below 1 where more than k rows are liked.
    """
    return metric.value(label, label, mask, like)


# --- predictions --------------------------------------------------------------------------------------------------


def _mae(
    prediction: Float[Array, "n"], label: Float[Array, "n"], mask: Bool[Array, "n"], like: float
) -> Float[Array, ""]:
    """Mean absolute error over the task's rows."""
    return _ratio(_total(jnp.abs(prediction - label), mask), mask.sum())


def _rmse(
    prediction: Float[Array, "n"], label: Float[Array, "n"], mask: Bool[Array, "n"], like: float
) -> Float[Array, ""]:
    """Root of the mean squared error over the task's rows. (Its mean over tasks is not the RMSE over all rows.)"""
    return jnp.sqrt(_ratio(_total((prediction - label) ** 2, mask), mask.sum()))


# --- rankings -----------------------------------------------------------------------------------------------------


def _ndcg(
    score: Float[Array, "n"], label: Float[Array, "n"], mask: Bool[Array, "n"], like: float, k: int
) -> Float[Array, ""]:
    """Normalised discounted cumulative gain of the first k, with gain ``2^label - 1``; labels from 0 to below 128.

    Undefined where the ideal order gains nothing (no rows; all labels 0).

    Reference:
        McSherry and Najork, Computing information retrieval performance measures efficiently in the presence of tied
        scores, ECIR 2008.
    """
    places = np.arange(len(score))
    discount = np.where(places < k, 1 / np.log2(places + 2), 0)
    until = jnp.asarray(np.concatenate([[0], np.cumsum(discount)]), score.dtype)

    def gained(order: Array) -> Array:
        above, tied = _standing(order, mask)
        expected = (until[above + tied] - until[above]) / jnp.maximum(tied, 1)
        return _total((jnp.exp2(label) - 1) * expected, mask)

    # Equal labels gain alike, so that the ideal order may tie them too.
    return _unless_nan(score, mask, _ratio(gained(score), gained(label)))


def _recall(
    score: Float[Array, "n"], label: Float[Array, "n"], mask: Bool[Array, "n"], like: float, k: int
) -> Float[Array, ""]:
    """Share of the liked rows that stand among the first k; undefined where none is liked."""
    liked = mask & (label >= like)
    above, tied = _standing(score, mask)
    chance = jnp.clip(k - above, 0, tied) / jnp.maximum(tied, 1)
    return _unless_nan(score, mask, _ratio(_total(chance, liked), liked.sum()))


def _mrr(score: Float[Array, "n"], label: Float[Array, "n"], mask: Bool[Array, "n"], like: float) -> Float[Array, ""]:
    """Reciprocal rank of the first liked row; undefined where none is liked.

    The first liked row is in the best tie group that has one. Its place there is negative hypergeometric: the first
    of ``hits`` liked rows among ``size`` rows in random order.
    """
    liked = mask & (label >= like)
    best = jnp.max(score, where=liked, initial=-jnp.inf)
    above, tied = (mask & (score > best)).sum(), mask & (score == best)
    size, hits = tied.sum(), (tied & liked).sum()
    place = jnp.arange(len(score))
    left = jnp.maximum(size - place, 1)
    none_here = (jnp.maximum(left - hits, 0) / left).astype(score.dtype)
    none_before = jnp.concatenate([jnp.ones(1, score.dtype), jnp.cumprod(none_here)[:-1]])
    expected = (none_before * (1 - none_here) / (above + 1 + place)).sum()
    return _unless_nan(score, mask, jnp.where(liked.any(), expected, jnp.nan))


def _auc(score: Float[Array, "n"], label: Float[Array, "n"], mask: Bool[Array, "n"], like: float) -> Float[Array, ""]:
    """Share of the pairs of a liked and another row that are in order, a tie being half; undefined without pairs."""
    liked = mask & (label >= like)
    pair = liked[:, None] & (mask & ~liked)[None, :]
    won = (pair & (score[:, None] > score[None, :])).sum()
    even = (pair & (score[:, None] == score[None, :])).sum()
    # In halves, as whole numbers: exact.
    return _unless_nan(score, mask, _ratio((2 * won + even).astype(score.dtype), 2 * pair.sum()))


# --- their parts --------------------------------------------------------------------------------------------------


def _standing(score: Float[Array, "n"], mask: Bool[Array, "n"]) -> tuple[Array, Array]:
    """For each row, how many rows stand above it, and how many (itself among them) share its score."""
    above = (mask[None, :] & (score[None, :] > score[:, None])).sum(axis=1)
    tied = (mask[None, :] & (score[None, :] == score[:, None])).sum(axis=1)
    return above, tied


def _total(values: Float[Array, "n"], mask: Bool[Array, "n"]) -> Float[Array, ""]:
    """The sum over the rows that are there, whatever stands in the others."""
    return jnp.where(mask, values, 0).sum()


def _ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, NaN unless the whole is positive."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1).astype(part.dtype), jnp.nan)


def _unless_nan(score: Float[Array, "n"], mask: Bool[Array, "n"], value: Array) -> Array:
    """NaN where a score is: comparisons with NaN are all false, so that a ranking alone would hide it."""
    return jnp.where((mask & jnp.isnan(score)).any(), jnp.nan, value)


_PLAIN: dict[str, tuple[Literal["min", "max"], Literal["prediction", "score"], Callable[..., Array]]] = {
    "mae": ("min", "prediction", _mae),
    "rmse": ("min", "prediction", _rmse),
    "mrr": ("max", "score", _mrr),
    "auc": ("max", "score", _auc),
}
_CUT: dict[str, Callable[..., Array]] = {"ndcg": _ndcg, "recall": _recall}
