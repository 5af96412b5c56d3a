"""Add rows of label 0 about items without an interaction to data of likes, once (negative sampling of the data)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool, Int

from recmeta.types import Interactions, UserError

Pool = Literal["by_then", "all"]


def negatives(
    interactions: Interactions,
    *,
    per_positive: Annotated[int, Ge(1)],
    pool: Pool = "by_then",
    seed: Annotated[int, Ge(0)] = 0,
) -> Interactions:
    """Draw rows of label 0 for each liked row, about items that its user has in no row.

    Each item is drawn at most once per user.

    A drawn row has the time and the part of the row it belongs to, and the weight 1 where rows have weights. What is
    drawn for a user depends on that user's own rows, on the seed, and on which items there are, so not on the order of
    rows, nor on other users. Where a user has had nearly everything there may be too few; the lack is counted.

    Args:
        interactions: the data set; 0 is within its label range and is not liked.
        per_positive: how many to draw for each row that is liked.
        pool: what to draw from, evenly: "by_then": the items that anyone has had up to the time of the row, so that no
            item is known before it appeared; "all": all items.
        seed: of the draws.

    Raises:
        UserError: label 0 is outside the label range or liked; "by_then" without times; rows have propensities.
    """
    data = interactions
    low, _ = data.label_range
    if not low <= 0 < data.like:
        raise UserError(
            f"a drawn row has label 0, which must be in the label range and not be liked; here labels begin at {low:g} "
            f"and are liked from {data.like:g} on: put binarise before it"
        )
    if data.propensity is not None:
        raise UserError("rows have propensities, and drawn rows would have none: leave dataset.columns.propensity null")
    positive = data.label >= np.float32(data.like)
    order, reach = _pool(data, pool)
    belongs, place = _draws(data, positive, order, reach, per_positive, seed)
    drawn = {
        "user": data.user[belongs],
        "item": order[place].astype(np.int32),
        "label": np.zeros(len(belongs), np.float32),
    }
    if data.time is not None:
        drawn["time"] = data.time[belongs]
    if data.part is not None:
        drawn["part"] = data.part[belongs]
    if data.weight is not None:
        drawn["weight"] = np.ones(len(belongs), np.float32)
    joined = {name: np.concatenate([getattr(data, name), more]) for name, more in drawn.items()}
    by = np.lexsort([joined[name] for name in ("item", "time", "user") if name in joined])
    asked = per_positive * int(positive.sum())
    counts = {"positives": int(positive.sum()), "negatives that could not be drawn": asked - len(belongs)}
    return replace(data, **{name: values[by] for name, values in joined.items()}, counts=dict(data.counts) | counts)


def _pool(data: Interactions, pool: Pool) -> tuple[Int[np.ndarray, "I"], Int[np.ndarray, "n"]]:
    """Order the items so that each row's pool comes first, and count each pool."""
    count = len(data.items.ids)
    if pool == "all":
        return np.arange(count), np.full(len(data.item), count)
    if data.time is None:
        raise UserError(f"pool=by_then: {data.name} has no times; set pool=all")
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, data.item, data.time)
    order = np.argsort(first, kind="stable")
    return order, np.searchsorted(first[order], data.time, side="right")


def _draws(
    data: Interactions,
    positive: Bool[np.ndarray, "n"],
    order: Int[np.ndarray, "I"],
    reach: Int[np.ndarray, "n"],
    number: int,
    seed: int,
) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m"]]:
    """Draw items for all rows: the row that each belongs to, and the place of its item in the order."""
    place = np.argsort(order)
    rows, items = [], []
    for mine in _histories(data):
        liked = mine[positive[mine]]
        # Its sequence is the same in every version of Python, and one number of it costs least.
        generator = random.Random(_entropy(seed, str(data.users.ids[data.user[mine[0]]])))
        drawn = _drawn(generator, reach[liked], np.sort(place[data.item[mine]]), number)
        rows.append(np.repeat(liked, [len(places) for places in drawn]))
        items += [found for places in drawn for found in places]
    return np.concatenate(rows), np.array(items, int)


def _histories(data: Interactions) -> Iterator[Int[np.ndarray, "m"]]:
    """The rows of each user, oldest first."""
    keys = (data.item, data.user) if data.time is None else (data.item, data.time, data.user)
    rows = np.lexsort(keys)
    yield from np.split(rows, np.flatnonzero(np.diff(data.user[rows])) + 1)


def _entropy(seed: int, user: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\x1fnegatives\x1f{user}".encode()).digest()[:8], "little")


def _drawn(
    generator: random.Random, reach: Int[np.ndarray, "p"], seen: Int[np.ndarray, "m"], number: int
) -> Sequence[Sequence[int]]:
    """Draw places of items for each of a user's positives.

    Args:
        generator: the user's own.
        reach: how many places are in each one's pool; ascending, so that what was drawn before is in the pool.
        seen: the places of all the user's items, ascending.
        number: how many to draw.
    """
    taken, had = set(seen.tolist()), np.searchsorted(seen, reach)
    drawn: list[list[int]] = []
    for size, own in zip(reach.tolist(), had.tolist(), strict=True):
        free = size - own - (len(taken) - len(seen))
        places: list[int] = []
        for _ in range(min(number, free)):
            while (found := int(generator.random() * size)) in taken:
                pass
            taken.add(found)
            places.append(found)
        drawn.append(places)
    return drawn
