"""Draw negatives for each task at each visit, on the device: uniformly or by popularity, of all items or of those then.

An item's share of the draws is a whole number, so that items are drawn exactly with the probability whose logarithm is
given: a random whole number below the sum of the shares is looked up in their running sum. Items stand in the order in
which they first appeared, so that those known at a time are a prefix, and so is their running sum.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from recmeta.protocols.episodes import NegativeSampling
from recmeta.protocols.plan import Histories, times
from recmeta.types import Catalogue, Interactions, Tasks

SHARES = 2**30
"""About what the shares sum to: an item of one row in two hundred million still has one of five; int32 holds it."""


def catalogue(data: Interactions, train: Histories, sampling: NegativeSampling, origin: int) -> Catalogue | None:
    """The items that negatives are drawn from: those that meta-train has rows of; None where no negatives are drawn.

    Args:
        data: the data set.
        train: meta-train; first appearances and popularity are counted on its rows alone.
        sampling: the settings.
        origin: the time, in seconds, that the tasks' times are counted from.
    """
    if not sampling.number:
        return None
    rows = train.row
    count = np.bincount(data.item[rows], minlength=len(data.items.ids))
    first = np.full(len(data.items.ids), np.iinfo(np.int64).max)
    np.minimum.at(first, data.item[rows], times(data)[rows])
    items = np.flatnonzero(count)
    items = items[np.argsort(first[items], kind="stable")]
    since = (first[items] - origin).astype(np.int32) if sampling.among == "then" else None
    task = np.repeat(np.arange(len(train.entity)), train.size)
    own = data.item[rows][np.lexsort((data.item[rows], task))]
    share = shares(count[items], sampling)
    entity, upto, share, own = (values.astype(np.int32) for values in (items, np.cumsum(share), share, own))
    return Catalogue(*jax.device_put((entity, upto, share, own, since)))


def shares(count: Int[np.ndarray, "N"], sampling: NegativeSampling) -> Int[np.ndarray, "N"]:
    """Each item's share of the draws, at least 1, in whole numbers.

    >>> shares(np.array([1, 16]), NegativeSampling(1, "uniform")).tolist()
    [1, 1]
    >>> (np.diff(np.log2(shares(np.array([1, 16]), NegativeSampling(1, "popularity", 0.5))))).round(6).tolist()
    [2.0]
    """
    if sampling.by == "uniform":
        return np.ones(len(count), np.int64)
    weight = count.astype(np.float64) ** sampling.power
    return np.maximum(np.round(weight / weight.sum() * SHARES), 1).astype(np.int64)


def known_then(catalogue: Catalogue, time: Int[Array, "T"]) -> Int[Array, "T"]:
    """Count the catalogue's first items that had appeared by a time; all, where the catalogue has no times."""
    if catalogue.since is None:
        return jnp.full(time.shape, len(catalogue.entity))
    return jnp.searchsorted(catalogue.since, time, side="right")


def draw_places(key: PRNGKeyArray, catalogue: Catalogue, many: Int[Array, "T"], number: int) -> Int[Array, "T m"]:
    """Draw places in the catalogue, among the first ``many`` of each task, with replacement; 0 where many is 0."""
    total = catalogue.upto[jnp.maximum(many, 1) - 1]
    chance = jax.random.randint(key, (len(many), number), 0, total[:, None])
    return jnp.searchsorted(catalogue.upto, chance, side="right")


def log_probability(catalogue: Catalogue, many: Int[Array, "T"], place: Int[Array, "T m"]) -> Float[Array, "T m"]:
    """The logarithm of the probability with which `draw_places` draws each place."""
    total = catalogue.upto[jnp.maximum(many, 1) - 1].astype(jnp.float32)
    return jnp.log(catalogue.share[place].astype(jnp.float32)) - jnp.log(total)[:, None]


def had(tasks: Tasks, catalogue: Catalogue, task: Int[Array, "T"], entity: Int[Array, "T m"]) -> Bool[Array, "T m"]:
    """Whether a task has a row about an entity in meta-train, drawn at this visit or not: by binary search."""
    low = jnp.broadcast_to(tasks.start[task][:, None], entity.shape)
    end = low + tasks.size[task][:, None]

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) // 2
        below = (low < high) & (catalogue.own[middle] < entity)
        return jnp.where(below, middle + 1, low), jnp.where(below | (low >= high), high, middle)

    low, _ = jax.lax.fori_loop(0, max(1, len(catalogue.own)).bit_length(), halve, (low, end))
    return (low < end) & (catalogue.own[jnp.minimum(low, end - 1)] == entity)
