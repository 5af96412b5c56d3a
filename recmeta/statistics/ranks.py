"""Rank several methods over several data sets, and test which ranks differ."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from recmeta.statistics.intervals import LEVEL


class Ranking(NamedTuple):
    """Mean ranks of methods over data sets, and the tests of them.

    Attributes:
        ranks: mean rank of each method, 1 the best; ties share the mean of theirs.
        p: of Friedman's test that all methods are alike; NaN with fewer than three methods.
        distance: Nemenyi's critical distance: mean ranks at least so far apart differ, at the 5 % level over all pairs.
        pairs: Nemenyi's p for every pair of methods, corrected for their number.
    """

    ranks: Float[np.ndarray, "k"]
    p: float
    distance: float
    pairs: Float[np.ndarray, "k k"]


def rank(values: Float[np.ndarray, "N k"], goal: str) -> Ranking:
    """Rank methods within each data set, and test the mean ranks by Friedman's test and Nemenyi's.

    Data sets are the sample: they must be independent, and with few of them only large differences show. Splits or
    seeds of one data set are no sample of data sets.

    Args:
        values: a row per data set (at least two), a column per method (at least two), without NaN.
        goal: "min" or "max".

    Returns:
        The ranking.

    Reference:
        Demšar, Statistical comparisons of classifiers over multiple data sets, Journal of Machine Learning Research
        2006.
    """
    sets, methods = values.shape
    in_set = stats.rankdata(values if goal == "min" else -values, axis=1)
    alike = bool((in_set == in_set[0, 0]).all())  # Friedman's statistic is then 0 / 0
    test: Any = stats.friedmanchisquare(*in_set.T) if methods > 2 and not alike else None
    ranks, unit = in_set.mean(axis=0), np.sqrt(methods * (methods + 1) / (6 * sets))
    # The studentised range is of a difference of means over the deviation of ONE of them: hence the root of two.
    apart = np.abs(ranks[:, None] - ranks) / unit * np.sqrt(2)
    return Ranking(
        ranks,
        float(test.pvalue) if test else 1.0 if alike else float("nan"),
        float(stats.studentized_range.ppf(1 - LEVEL, methods, np.inf) / np.sqrt(2) * unit),
        np.asarray(stats.studentized_range.sf(apart, methods, np.inf)),
    )
