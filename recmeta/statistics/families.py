"""Correct p-values for the number of tests in a family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

P = Sequence[float] | Float[np.ndarray, "m"]


class Correction(NamedTuple):
    """A correction of a family's p-values, and its name in text."""

    name: str
    correct: Callable[[P], Float[np.ndarray, "m"]]


def holm(p: P) -> Float[np.ndarray, "m"]:
    """Correct the p-values of a declared family by Holm's step-down procedure.

    >>> holm([0.02, 0.021, 0.04]).round(3).tolist()
    [0.06, 0.06, 0.06]

    Args:
        p: p-values of one family of tests, each in [0, 1].

    Returns:
        Corrected p-values in the same order: rejecting those below a level keeps the chance of ANY false rejection
        below it, whatever the dependence between the tests.

    Reference:
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def benjamini_hochberg(p: P) -> Float[np.ndarray, "m"]:
    """Correct p-values for exploration by the step-up procedure of Benjamini and Hochberg.

    >>> benjamini_hochberg([0.01, 0.04, 0.045]).round(3).tolist()
    [0.03, 0.045, 0.045]

    Args:
        p: p-values, each in [0, 1].

    Returns:
        Corrected p-values in the same order: rejecting those below a level keeps the expected SHARE of false ones among
        the rejected below it, where tests are independent or positively dependent.

    Reference:
        Benjamini and Hochberg, Controlling the false discovery rate, Journal of the Royal Statistical Society B 1995.
    """
    p = np.asarray(p, float)
    return np.asarray(stats.false_discovery_control(p)) if p.size else p


DRAWS = 20_000
"""Draws from the joint distribution of all comparisons."""


def all_pairs(p: P, values: Float[np.ndarray, "M N"]) -> Float[np.ndarray, "m"]:
    """Correct p-values of comparisons that were picked out of all pairs of methods, by their joint distribution.

    A comparison with the best of the table is picked after the fact: by chance alone, the best and the worst of many
    equal methods lie far apart. Its p is the probability that ANY pair of M equal methods is as far apart.

    Args:
        p: two-sided p-values of some pairs.
        values: of each method for each task, without NaN: how methods vary together decides how far apart the best and
            the worst come by chance.

    Returns:
        Corrected p-values in the same order.

    Reference:
        Hothorn, Bretz and Westfall, Simultaneous inference in general parametric models, Biometrical Journal 2008
        (all-pairs comparisons after Tukey, single step).
    """
    p = np.asarray(p, float)
    if values.shape[1] < 2:
        return p
    cov = np.cov(values)
    spread = np.sqrt(np.maximum(np.add.outer(np.diag(cov), np.diag(cov)) - 2 * cov, 0))
    left, right = np.nonzero(np.triu(spread > 1e-12 * max(float(spread.max()), 1e-300), 1))
    if not left.size:
        return p
    root = np.linalg.cholesky(cov + 1e-12 * np.trace(cov) * np.eye(len(cov)))
    drawn = np.random.default_rng(0).normal(size=(DRAWS, len(cov))) @ root.T
    apart = np.max(np.abs(drawn[:, left] - drawn[:, right]) / spread[left, right], axis=1)
    # Each p as the normal deviate it stands for, whatever its test.
    deviate = stats.norm.isf(p / 2)
    return np.maximum(p, (apart[None, :] >= deviate[:, None]).mean(axis=1))


def uncorrected(p: P) -> Float[np.ndarray, "m"]:
    """Leave p-values as they are, for one comparison that was declared beforehand."""
    return np.asarray(p, float)


CORRECTIONS = {
    "holm": Correction("Holm", holm),
    "bh": Correction("Benjamini-Hochberg", benjamini_hochberg),
    "none": Correction("no correction", uncorrected),
}
"""The choices of ``--correction``."""
