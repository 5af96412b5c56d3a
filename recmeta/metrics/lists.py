"""Novelty, diversity and coverage of the first k candidates, regardless of labels, over a whole catalogue.

A candidate that ties for the last places is among the first k with some probability, and each value is the exact
expectation. `novelty` and `diversity` are of one task. `coverage` is of many at once: an `Aggregate`, folded over
batches of tasks, and no task's score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from recmeta.features.kinds import arrays_of
from recmeta.types import Features, Field


class Top(NamedTuple):
    """The first k candidates of one task.

    Attributes:
        sure: the candidates among them however ties break.
        tied: the candidates that share the last score among them.
        left: number of tied candidates among them.
        numbers: whether every candidate's score is a number.
    """

    sure: Bool[Array, "N"]
    tied: Bool[Array, "N"]
    left: Int[Array, ""]
    numbers: Bool[Array, ""]

    @property
    def chance(self) -> Float[Array, "N"]:
        """The probability of each candidate to be among them; NaN where a score is."""
        chance = jnp.where(self.sure, 1, jnp.where(self.tied, self.left / jnp.maximum(self.tied.sum(), 1), 0))
        return jnp.where(self.numbers, chance, jnp.nan)


def top(score: Float[Array, "N"], there: Bool[Array, "N"], k: int) -> Top:
    """The first k candidates; all, where there are fewer. In ``2 k N`` comparisons.

    Args:
        score: of each item of the catalogue; only its order is read.
        there: which items are candidates.
        k: number of candidates.

    >>> top(jnp.array([3.0, 1, 1, 0]), jnp.ones(4, bool), 2).chance.tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    score = jnp.where(there, score, -jnp.inf)

    def lower(_: int, last: Array) -> Array:
        """The next lower score, unless enough candidates have the last or a higher one."""
        enough = (there & (score >= last)).sum() >= k
        return jnp.where(enough, last, jnp.max(score, where=score < last, initial=-jnp.inf))

    # lax.top_k, one task after the other on a CPU, takes many times as long.
    last = jax.lax.fori_loop(0, k - 1, lower, score.max())
    sure, tied = there & (score > last), there & (score == last)
    return Top(sure, tied, jnp.minimum(k - sure.sum(), tied.sum()), ~(there & jnp.isnan(score)).any())


# --- of one task --------------------------------------------------------------------------------------------------


def novelty(top: Top, information: Float[Array, "N"]) -> Float[Array, ""]:
    """Mean self-information of the first k, in bits; undefined where there is no candidate.

    Args:
        top: of one task.
        information: of each item (`recmeta.types.Candidates`).
    """
    chance = top.chance
    return (chance * information).sum() / chance.sum()


def diversity(top: Top, vectors: Float[Array, "N d"]) -> Float[Array, ""]:
    """Intra-list diversity: the mean of ``1 - cosine`` over the pairs of the first k, 0 to 2; undefined below two.

    In ``N d`` operations: the cosines of all pairs of a list sum to the squared length of the sum of its unit vectors,
    less one for each. A vector of zeros, of an item without features, is at distance 1 from every other.

    Args:
        top: of one task.
        vectors: of each item: features, or factors.

    Reference:
        Smyth and McClave, Similarity vs. diversity, ICCBR 2001; Ziegler et al., WWW 2005.
    """
    length = jnp.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / jnp.where(length > 0, length, 1)
    itself = (unit**2).sum(1)
    sure, tied = top.sure.astype(unit.dtype), top.tied.astype(unit.dtype)
    many, left = tied.sum(), top.left.astype(unit.dtype)
    first, last = jnp.matmul(jnp.stack([sure, tied]), unit, precision="highest")
    # Both of a pair are sure; or one is, the other drawn from the tied; or both are drawn from the tied.
    one = left / jnp.maximum(many, 1)
    both = one * (left - 1) / jnp.maximum(many - 1, 1)
    cosines = first @ first - sure @ itself + 2 * one * (first @ last) + both * (last @ last - tied @ itself)
    size = sure.sum() + left
    pairs = size * (size - 1)
    defined = (pairs > 0) & top.numbers
    return jnp.where(defined, 1 - cosines / jnp.where(defined, pairs, 1), jnp.nan)


def feature_vectors(x: Features, fields: Sequence[Field]) -> Float[Array, "N d"]:
    """Vectors of items' features, for `diversity` to compare.

    One-hot for a vocabulary, of unit length for a vector, side by side. Single numbers are left out, since a cosine
    between standardised numbers means nothing, and so is the id, which no two items share. Bucket a number (`cleaning`)
    to include it.

    Args:
        x: features of N items.
        fields: their kinds and sizes.

    Returns:
        Vectors; ``[N, 0]`` where no feature is of these kinds.
    """
    found = [jnp.zeros((len(x["id"]), 0))]
    for field in fields:
        if field.name != "id" and (vectors := arrays_of(field).vectors):
            found.append(vectors(x[field.name], field.size))
    return jnp.concatenate(found, axis=1)


# --- of many tasks ------------------------------------------------------------------------------------------------


class Aggregate(NamedTuple):
    """A metric of many tasks that is no mean over them, as a fold.

    Attributes:
        name: as typed, "coverage@10".
        goal: "min" or "max".
        cutoff: its k.
        start: ``N -> state``, before any task.
        add: ``(state, Top of [T, N], there [T, N]) -> state``: adds T tasks; in any order and any batches.
        value: ``state -> scalar``.
    """

    name: str
    goal: Literal["min", "max"]
    cutoff: int
    start: Callable[[int], PyTree]
    add: Callable[[PyTree, Top, Array], PyTree]
    value: Callable[[PyTree], Array]


def coverage(k: int) -> Aggregate:
    """Share of the items, among those that are a candidate of any task, in the first k of any task.

    Ties of different tasks break independently. Undefined where no item is a candidate. It grows with the number of
    tasks: compare it over the same ones only.

    Reference:
        Herlocker et al., Evaluating collaborative filtering recommender systems, TOIS 2004; Ge et al., RecSys 2010.
    """

    def start(items: int) -> tuple[Array, Array]:
        return jnp.ones(items), jnp.zeros(items, bool)

    def add(state: tuple[Array, Array], top: Top, there: Bool[Array, "T N"]) -> tuple[Array, Array]:
        missed, offered = state
        return missed * (1 - jax.vmap(lambda each: each.chance)(top)).prod(0), offered | there.any(0)

    def value(state: tuple[Array, Array]) -> Array:
        missed, offered = state
        shown = jnp.where(offered, 1 - missed, 0).sum()
        return jnp.where(offered.any(), shown / jnp.maximum(offered.sum(), 1), jnp.nan)

    return Aggregate(f"coverage@{k}", "max", k, start, add, value)
