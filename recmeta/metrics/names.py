"""Find metrics by name, refuse those that do not fit, and compute the range that a task leaves to each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from recmeta.metrics import legacy, rankings, ratings
from recmeta.metrics.lists import Aggregate, Top, coverage, diversity, novelty
from recmeta.metrics.view import View, at_random, ideal, query_view
from recmeta.types import UserError

Goal = Literal["min", "max"]
Reads = Literal["prediction", "score"]
Shows = Literal["information", "vectors"]

SATURATED = 0.9
"""A random floor above this leaves a ranking metric too little room to tell methods apart."""


class Metric(NamedTuple):
    """A metric of one task.

    Attributes:
        name: as typed, "ndcg@5".
        goal: "min" or "max".
        reads: "prediction" (the expected label) or "score" (it only ranks).
        of: ``View -> scalar``; of one that looks at what is shown, ``(Top, what is known of each item) -> scalar``.
        cutoff: the k of "ndcg@k"; None where there is none.
        shows: what must be known of each item of the catalogue, if it looks at what is shown whatever the labels:
            "information" ``[N]`` or "vectors" ``[N, d]``; None for all metrics of a `View`.
        distribution: whether it is undefined of a method that predicts a number: nothing is chosen by it.
    """

    name: str
    goal: Goal
    reads: Reads
    of: Callable[..., Float[Array, ""]]
    cutoff: int | None = None
    shows: Shows | None = None
    distribution: bool = False

    def value(
        self, values: Float[Array, "q"], label: Float[Array, "q"], mask: Bool[Array, "q"], like: float | Array
    ) -> Float[Array, ""]:
        """The metric of query rows alone, ``values`` being scores or predictions; labels are from 0 to 1."""
        return self.of(query_view(values, values, label, mask, like=like))


@cache
def metric(name: str) -> Metric:
    """The metric of one task of that name.

    Args:
        name: one of `ALLOWED`, but for those of many tasks (`aggregate`), with a positive whole number for k.

    Returns:
        The metric; the same object for the same name, so that compiled programs are found again.

    Raises:
        UserError: no such metric.
    """
    kind, at, cutoff = name.partition("@")
    if not at and kind in _PLAIN:
        goal, reads, function = _PLAIN[kind]
        return sound(Metric(name, goal, reads, function, distribution=function is ratings.nll))
    if kind in _CUT and re.fullmatch(r"[1-9][0-9]*", cutoff):
        reads, function = _CUT[kind]
        return sound(Metric(name, "max", reads, partial(function, k=int(cutoff)), int(cutoff)))
    if kind in _SHOWN and re.fullmatch(r"[1-9][0-9]*", cutoff):
        shows, function = _SHOWN[kind]
        return Metric(name, "max", "score", function, int(cutoff), shows)
    raise UserError(f"metric={name}: no such metric; allowed are {', '.join(ALLOWED)} (k a positive whole number)")


@cache
def aggregate(name: str) -> Aggregate | None:
    """The metric of many tasks at once of that name; None where the name is no such one's."""
    kind, _, cutoff = name.partition("@")
    return _FOLDED[kind](int(cutoff)) if kind in _FOLDED and re.fullmatch(r"[1-9][0-9]*", cutoff) else None


def random_floor(metric: Metric, view: View) -> Float[Array, ""]:
    """The exact expected score of a random order of the candidates: the value of a constant scorer.

    Args:
        metric: one that reads scores.
        view: the task; its standings are not read.

    Returns:
        The expected value; NaN where the metric is undefined.

    Raises:
        ValueError: the metric reads predictions, for which "random" has no meaning without a distribution, or looks at
            what is shown, of which more is no merit.
    """
    if metric.reads != "score" or metric.shows:
        raise ValueError(
            f"{metric.name} reads predictions, or no labels: what a random ranking has of it tells nothing"
        )
    return metric.of(at_random(view))


def oracle(metric: Metric, view: View) -> Float[Array, ""]:
    """The score of the labels themselves as predictions and scores: the best value that there is.

    Args:
        metric: any.
        view: the task; its predictions and standings are not read.

    Returns:
        The value; NaN where the metric is undefined. It is below 1 for recall@k and map@k where more than k rows are
        liked, for precision@k where fewer are, and above 0 for logloss where a label is at neither end of the range.
    """
    return metric.of(ideal(view))


def check(metric: Metric, low: float, high: float, *, few: bool = True) -> None:
    """Refuse a metric that labels of a range give no meaning to.

    Args:
        metric: any.
        low, high: the label range.
        few: whether labels are of few levels, as stars are.

    Raises:
        UserError: a gain that is negative, or that is no finite number; labels of too many values.
    """
    kind = metric.name.partition("@")[0]
    if kind == "mae_rounded" and not few:
        raise UserError(f"metrics={metric.name}: these labels have too many values to round to; choose mae")
    if metric.distribution and not few:
        raise UserError(f"metrics={metric.name}: these labels have too many values for a share of each; choose rmse")
    if kind in _GAINS and low < 0:
        raise UserError(
            f"metrics={metric.name}: labels from {low:g} to {high:g} can't be gains, which are 0 or more; "
            f"choose recall@{metric.cutoff}, mrr or auc, which ask only what is liked"
        )
    if kind in _GAINS and _GAINS[kind] <= high:
        raise UserError(
            f"metrics={metric.name}: its gain is 2^label - 1, too much for labels up to {high:g} (below "
            f"{_GAINS[kind]:g} it can be computed); choose ndcg_linear@{metric.cutoff}, whose gain is the label"
        )


def check_cutoff(metric: Metric | Aggregate, candidates: Int[np.ndarray, "T"]) -> None:
    """Refuse a metric whose cut-off is no smaller than any task's number of candidates, so that it cuts nothing off.

    Args:
        metric: any.
        candidates: how many each task has.

    Raises:
        UserError: so.
    """
    most = int(np.max(candidates, initial=0))
    if metric.cutoff is not None and metric.cutoff >= most:
        raise UserError(
            f"metrics={metric.name}: no task has more than {most} candidates, so that this cut-off cuts nothing off; "
            f"choose one below {most}, or rank more candidates"
        )


def check_floor(metric: Metric, floor: Float[np.ndarray, "T"]) -> None:
    """Refuse a metric that barely separates methods, since the candidates are so few or so often liked.

    Args:
        metric: one that reads scores.
        floor: what a random order scores for each task; NaN where undefined.

    Raises:
        UserError: a random order scores more than `SATURATED` on average.
    """
    known = np.asarray(floor, float)[~np.isnan(floor)]
    if metric.shows is None and known.size and known.mean() > SATURATED:
        raise UserError(
            f"metrics={metric.name}: a random order already scores {known.mean():.3f} (above {SATURATED:g}), which "
            "leaves no room to tell methods apart; choose a smaller cut-off, a higher like, or more candidates"
        )


@cache
def sound(metric: Metric) -> Metric:
    """Make a ranking metric NaN where a candidate's score is; one that reads predictions is so by itself."""
    if metric.reads == "prediction" or metric.shows:
        return metric
    of = metric.of
    return metric._replace(of=lambda view: jnp.where(view.numbers, of(view), jnp.nan))


def is_name(name: str) -> bool:
    """Whether a name is one of recmeta's metrics, of a task or of many.

    >>> is_name("ndcg@5"), is_name("mine@5")
    (True, False)
    """
    kind, at, cutoff = name.partition("@")
    whole = re.fullmatch(r"[1-9][0-9]*", cutoff) is not None
    return kind in _PLAIN if not at else whole and any(kind in names for names in (_CUT, _SHOWN, _FOLDED))


_PLAIN: Mapping[str, tuple[Goal, Reads, Callable[[View], Array]]] = {
    "mae": ("min", "prediction", ratings.mae),
    "mae_rounded": ("min", "prediction", ratings.mae_rounded),
    "rmse": ("min", "prediction", ratings.rmse),
    "logloss": ("min", "prediction", ratings.logloss),
    "nll": ("min", "prediction", ratings.nll),
    "bias": ("min", "prediction", ratings.bias),
    "auc": ("max", "score", rankings.auc),
    "mrr": ("max", "score", rankings.mrr),
}
_CUT: Mapping[str, tuple[Reads, Callable[..., Array]]] = {
    "ndcg": ("score", rankings.ndcg),
    "ndcg_linear": ("score", rankings.ndcg_linear),
    "hr": ("score", rankings.hr),
    "recall": ("score", rankings.recall),
    "precision": ("score", rankings.precision),
    "map": ("score", rankings.average_precision),
    "mrr": ("score", rankings.mrr),
    "legacy.metahin_ndcg": ("prediction", legacy.metahin_ndcg),
    "legacy.mamo_ndcg": ("prediction", legacy.mamo_ndcg),
}
_GAINS: Mapping[str, float] = {"ndcg": 128, "legacy.mamo_ndcg": 128, "ndcg_linear": np.inf}
"""What takes labels as gains, and the label from which the gain is no finite float32."""

_SHOWN: Mapping[str, tuple[Shows, Callable[[Top, Array], Array]]] = {
    "novelty": ("information", novelty),
    "ild": ("vectors", diversity),
}
"""What looks at the first k of a catalogue. More of it counts as better, but is no merit by itself."""

_FOLDED: Mapping[str, Callable[[int], Aggregate]] = {"coverage": coverage}
"""What is said of many tasks at once. More of it is no merit by itself either."""

ALLOWED = (*_PLAIN, *(f"{kind}@k" for kind in (*_CUT, *_SHOWN, *_FOLDED)))
"""The names that `metric` or `aggregate` understands; k stands for any positive whole number."""
