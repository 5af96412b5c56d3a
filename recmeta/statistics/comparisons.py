"""Paired tests of two methods on the same tasks, each with the interval that inverts it.

An interval holds exactly the differences that its test does not reject, so that a p-value below `LEVEL` and an interval
that excludes 0 are the same event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special

from recmeta.statistics.intervals import AT_ONCE, LEVEL
from recmeta.statistics.spread import NO_LUCK, Luck, spread

POWER = 0.8
"""The power at which a difference is called detectable."""

FLIPS = 9_999
"""Random sign patterns of the permutation test, where there are too many to enumerate."""

ENUMERATED = 13
"""Most units for which the permutation test enumerates all sign patterns."""

EXACT = 50
"""Most units, without ties, for which Wilcoxon's distribution is exact."""

BISECTIONS = 40
"""Halvings of a bracket: enough to reach the rounding of its numbers."""

SPREAD = 1e-12
"""Differences that vary by less than this share of their size are equal up to rounding."""


class Comparison(NamedTuple):
    """A paired comparison over units (tasks).

    Attributes:
        difference: the estimate, in the metric's units: the mean difference, or the pseudo-median for Wilcoxon's test;
            NaN without units.
        lo, hi: 95 % interval of the difference, the inverse of the test; NaN with fewer than two units, infinite where
            the test can reject nothing.
        p: two-sided p-value; 1 with fewer than two units, where no test is possible.
        n: number of units.
        effect_size: Cohen's dz, the mean over the standard deviation of the differences; NaN with fewer than two units.
        detectable: the smallest mean difference that a t-test finds with 80 % power; NaN with fewer than two units.
        trainings: number of trainings that the comparison is over besides the units; 1: there is one, and it is about
            that; 0: there are several, and the test takes them as given.
        lone: whether one of the methods has several trainings and the other a single one, which is taken as given.
    """

    difference: float
    lo: float
    hi: float
    p: float
    n: int
    effect_size: float
    detectable: float
    trainings: int = 1
    lone: bool = False


class Estimate(NamedTuple):
    """Result of a test: the estimate, its 95 % interval, and the two-sided p-value of no difference."""

    difference: float
    lo: float
    hi: float
    p: float


def paired(difference: Float[np.ndarray, "N"], test: str = "t", luck: Luck = NO_LUCK) -> Comparison:
    """Compute test, interval, effect size and detectable difference.

    Args:
        difference: one per unit (`differences`), in the metric's units; NaN units are left out.
        test: a key of `TESTS`.
        luck: what the units share of their trainings (`luck_of_difference`); only the t-test takes it into account.

    Returns:
        The comparison. Where all differences are 0, p is 1.
    """
    difference = difference[~np.isnan(difference)]
    n, nan = len(difference), float("nan")
    if n < 2:
        return Comparison(float(difference[0]) if n else nan, nan, nan, 1.0, n, nan, nan)
    if not difference.any():
        return Comparison(0.0, 0.0, 0.0, 1.0, n, 0.0, 0.0)
    mean, deviation = float(difference.mean()), _deviation(difference)
    effect = mean / deviation if deviation else float(np.copysign(np.inf, mean))
    error = spread(difference, luck)
    found = t_test(difference, luck) if test == "t" else TESTS[test](difference)
    trainings = luck.trainings if test == "t" or luck.trainings == 1 else 0
    detectable = error.half(LEVEL) + error.half(2 * (1 - POWER))
    return Comparison(*found, n, effect, detectable, trainings, luck.lone and trainings > 1)


def t_test(difference: Float[np.ndarray, "N"], luck: Luck = NO_LUCK) -> Estimate:
    """The paired t-test of the mean, where it is about normal (ten tasks or more, no extreme outliers).

    Args:
        difference: at least two, not all 0. Without any spread, p is 0.
        luck: what they share of their trainings.

    Returns:
        The mean and its t interval.
    """
    mean, error = float(difference.mean()), spread(difference, luck)
    if not _deviation(difference) and not luck.total:
        return Estimate(mean, mean, mean, 0.0)
    half = error.half()
    return Estimate(mean, mean - half, mean + half, error.p(abs(mean)))


def wilcoxon(difference: Float[np.ndarray, "N"]) -> Estimate:
    """Wilcoxon's signed-rank test of the pseudo-median, for differences symmetric about it; robust to outliers.

    Zeros, common for metrics of few rows, are kept: half of their ranks go to each side.

    Args:
        difference: at least two, not all 0.

    Returns:
        The pseudo-median (the median of the means of all pairs), its interval by inversion of the test, and p: exact
        with up to `EXACT` tasks where there are neither ties nor zeros, else of the normal approximation.

    Reference:
        Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1945; Hodges and Lehmann, Estimates of
        location based on rank tests, Annals of Mathematical Statistics 1963.
    """
    n, size = len(difference), np.abs(difference)
    plain = n <= EXACT and bool(size.all()) and len(np.unique(size)) == n
    below = _signed_rank_sums(n) if plain else None

    def p(shift: float) -> float:
        balance, scale = _balance(difference - shift)
        if below is None:
            return 2 * float(special.ndtr(-abs(balance) / scale))
        less = (n * (n + 1) / 2 - abs(balance)) / 2  # the smaller sum of ranks
        return min(1.0, 2 * float(below[int(less)]))

    span = np.ptp(difference) + size.max()
    least, most = float(difference.min() - span), float(difference.max() + span)
    middle = sum(
        _edge(lambda at, side=side: side * _balance(difference - at)[0] > 0, *ends)
        for side, ends in ((1, (least, most)), (-1, (most, least)))
    )
    middle, chance = middle / 2, p(0.0)
    likely = chance >= LEVEL

    def end(outside: float) -> float:
        """One end of the interval; 0 lies on the side of it that the test decides."""
        if p(outside) >= LEVEL:
            return float(np.copysign(np.inf, outside - middle))
        between = (0.0 - middle) * (outside - middle) > 0
        inside = 0.0 if between and likely else middle
        return _edge(lambda at: p(at) >= LEVEL, inside, 0.0 if between and not likely else outside)

    return Estimate(middle, end(least), end(most), chance)


def permutation(difference: Float[np.ndarray, "N"]) -> Estimate:
    """The sign-flip permutation test of the mean, for differences symmetric about it; no other assumption.

    A sign pattern counts against a difference of ``shift`` where its statistic, ``|mean of signs * (difference -
    shift)|``, is below the observed one. Solved for ``shift``, that bound is the mean of the differences that the
    pattern leaves, or of those that it flips, whichever is further out: the interval needs no search.

    Args:
        difference: at least two, not all 0.

    Returns:
        The mean, its interval by inversion of the test, and p: exact with up to `ENUMERATED` tasks, else of `FLIPS`
        random patterns, counting the observed one.

    Reference:
        Fisher, The Design of Experiments, 1935; for the interval Hartigan, Using subsample values as typical values,
        Journal of the American Statistical Association 1969.
    """
    # Sorted, so that with random patterns p does not depend on the order of tasks.
    difference = difference[np.lexsort((difference, np.abs(difference)))]
    mean = float(difference.mean())
    below, above = (np.sort(bounds) for bounds in _typical(difference))
    outside = int(np.ceil(LEVEL * len(below))) - 1
    p = (below <= 0).mean() if mean > 0 else (above >= 0).mean() if mean < 0 else 1.0
    return Estimate(mean, float(below[outside]), float(above[-1 - outside]), float(p))


TESTS: dict[str, Callable[[Float[np.ndarray, "N"]], Estimate]] = {
    "t": t_test,
    "wilcoxon": wilcoxon,
    "permutation": permutation,
}
"""The choices of ``--test``."""


def _deviation(difference: Float[np.ndarray, "N"]) -> float:
    """The standard deviation; 0 where it is nothing but rounding, by which a t-test would divide."""
    flat = np.ptp(difference) <= SPREAD * np.abs(difference).max()
    return 0.0 if flat else float(difference.std(ddof=1))


def _balance(difference: Float[np.ndarray, "N"]) -> tuple[float, float]:
    """Rank sum of positive minus negative differences, and its standard deviation under random signs."""
    # scipy's rankdata does the same, ten times as slowly for few values; an interval calls it hundreds of times.
    _, place, times = np.unique(np.abs(difference), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]
    return float((np.sign(difference) * ranks).sum()), float(np.sqrt((ranks**2).sum()))


def _signed_rank_sums(n: int) -> Float[np.ndarray, "s"]:
    """The chance that the ranks 1 to n with random signs have a positive sum of at most 0, 1, 2 and so on.

    >>> (_signed_rank_sums(2) * 4).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    density = np.ones(1)
    for rank in range(1, n + 1):
        density = (np.pad(density, (0, rank)) + np.pad(density, (rank, 0))) / 2
    return density.cumsum()


def _edge(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """Bisect for the last value from ``inside`` towards ``outside`` at which a condition holds."""
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside


def _typical(difference: Float[np.ndarray, "N"]) -> tuple[Float[np.ndarray, "R"], Float[np.ndarray, "R"]]:
    """The lower and the upper bound, for every sign pattern, of the shifts that it does not count against."""
    n, total = len(difference), difference.sum()
    rounding = SPREAD * np.abs(difference).max()
    below, above = [], []
    for kept in _patterns(n):
        count, left = kept.sum(axis=1), kept @ difference
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.stack([left / count, (total - left) / (n - count)])
        means[np.abs(means) <= rounding] = 0.0
        # A pattern that flips all or none has the observed statistic at any shift.
        bare = (count == 0) | (count == n)
        below.append(np.where(bare, -np.inf, means.min(axis=0)))
        above.append(np.where(bare, np.inf, means.max(axis=0)))
    return np.concatenate(below), np.concatenate(above)


def _patterns(n: int):
    """Yield sign patterns in chunks ``[.., n]``, 1 for kept signs: all, or the identity and random ones."""
    if n <= ENUMERATED:
        yield (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
        return
    yield np.ones((1, n))
    rng, chunk = np.random.default_rng(0), max(1, AT_ONCE // n)
    for start in range(0, FLIPS, chunk):
        yield rng.integers(0, 2, (min(chunk, FLIPS - start), n), dtype=np.int8).astype(float)
