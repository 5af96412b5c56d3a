"""The ranks of one task's judged rows among its candidates: everything a metric needs.

A row is *judged* if its label is known to the metric, and *liked* if that label is high enough. A candidate that is not
judged counts as not liked, and gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class View(NamedTuple):
    """One task: ``q`` judged rows among ``N`` candidates (the judged ones are candidates too).

    Attributes:
        prediction: expected labels of the judged rows, in label units, clipped to the label range.
        label: their labels.
        mask: which of them are present; the others are padding.
        above: number of candidates that score strictly higher than each.
        tied: number of candidates that score the same as each, itself included.
        there: which candidates are present; its length bounds a rank.
        numbers: whether every candidate's score is a number: comparisons with NaN are all false, so that ``above`` and
            ``tied`` alone would hide it.
        like: the label from which a row is liked.
        low, high: the label range.
        levels: the distinct labels, ascending.
        median: their predicted median, which absolute error reads; None: as ``prediction``.
        log_shares: of the levels, where a distribution is predicted; None: a number is.
    """

    prediction: Float[Array, "q"]
    label: Float[Array, "q"]
    mask: Bool[Array, "q"]
    above: Int[Array, "q"]
    tied: Int[Array, "q"]
    there: Bool[Array, "N"]
    numbers: Bool[Array, ""]
    like: float | Array
    low: float | Array
    high: float | Array
    levels: Sequence[float] | Float[Array, "L"]
    median: Float[Array, "q"] | None = None
    log_shares: Float[Array, "q L"] | None = None

    @property
    def liked(self) -> Bool[Array, "q"]:
        """Which judged rows are present and liked."""
        return self.mask & (self.label >= self.like)

    @property
    def candidates(self) -> Int[Array, ""]:
        """Number of candidates."""
        return self.there.sum()


def query_view(
    score: Float[Array, "q"],
    prediction: Float[Array, "q"],
    label: Float[Array, "q"],
    mask: Bool[Array, "q"],
    *,
    like: float | Array,
    low: float | Array = 0.0,
    high: float | Array = 1.0,
    levels: Sequence[float] | Float[Array, "L"] = (0.0, 1.0),
    median: Float[Array, "q"] | None = None,
    log_shares: Float[Array, "q L"] | None = None,
) -> View:
    """Rank the query rows among themselves.

    Args:
        score: of each row; only its order is read.
        prediction, label, mask, like, low, high, levels, median, log_shares: as in `View`; values in padding are not
            read.

    >>> view = query_view(*jnp.array([[3.0, 1, 1], [5, 2, 2], [5, 4, 1]]), jnp.ones(3, bool), like=4)
    >>> view.above.tolist(), view.tied.tolist(), int(view.candidates)
    ([0, 1, 1], [1, 2, 2], 3)
    """
    numbers = ~(mask & jnp.isnan(score)).any()
    standing = _above_and_tied(score, score, mask)
    return View(prediction, label, mask, *standing, mask, numbers, like, low, high, levels, median, log_shares)


def catalogue_view(
    score: Float[Array, "N"],
    there: Bool[Array, "N"],
    position: Int[Array, "q"],
    prediction: Float[Array, "q"],
    label: Float[Array, "q"],
    mask: Bool[Array, "q"],
    *,
    like: float | Array,
    low: float | Array = 0.0,
    high: float | Array = 1.0,
    levels: Sequence[float] | Float[Array, "L"] = (0.0, 1.0),
) -> View:
    """Rank the query rows among a whole catalogue, in ``2 q N`` comparisons: no sort.

    Args:
        score: of each item of the catalogue; only its order is read.
        there: which items are candidates: not the support's, nor others that the task's entity is known to have. A
            judged row is a candidate whatever its value here.
        position: index of each judged row in the catalogue, all distinct; any value for padding.
        prediction, label, mask, like, low, high, levels: as in `View`.
    """
    there = jnp.asarray(there).at[position].max(mask)
    numbers = ~(there & jnp.isnan(score)).any()
    standing = _above_and_tied(jnp.asarray(score)[position], score, there)
    return View(prediction, label, mask, *standing, there, numbers, like, low, high, levels)


def at_random(view: View) -> View:
    """The same task with a constant scorer: every candidate ties, which is a random order in expectation."""
    all_tied = jnp.full_like(view.tied, view.candidates)
    return view._replace(above=jnp.zeros_like(view.above), tied=all_tied, numbers=jnp.array(True))


def ideal(view: View) -> View:
    """The same task scored by its own labels, with the candidates without a label last."""
    above, tied = _above_and_tied(view.label, view.label, view.mask)
    own = jnp.abs(view.label[:, None] - jnp.asarray(view.levels)).argmin(axis=1)
    sure = jnp.where(jnp.arange(len(view.levels)) == own[:, None], 0.0, -jnp.inf)
    return view._replace(
        prediction=view.label, median=None, log_shares=sure, above=above, tied=tied, numbers=jnp.array(True)
    )


def _above_and_tied(
    score: Float[Array, "q"], among: Float[Array, "N"], there: Bool[Array, "N"]
) -> tuple[Int[Array, "q"], Int[Array, "q"]]:
    """Number of candidates present that score higher than each, and number that score the same."""
    above = (there & (among > score[:, None])).sum(axis=1)
    tied = (there & (among == score[:, None])).sum(axis=1)
    return above, tied
