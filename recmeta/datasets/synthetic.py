"""A synthetic low-rank world without network access, whose best attainable error is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from pydantic import FiniteFloat

from recmeta.datasets.interactions import make_interactions
from recmeta.datasets.optimum import bayes_error, known_error
from recmeta.datasets.world import World, draw_items, draw_labels, draw_world
from recmeta.types import Interactions, UserError

SHOTS = (0, 1, 3, 5, 10, 20)
"""The support sizes at which the attainable error is reported."""

_DAY = 86_400
_START = 946_684_800  # 2000-01-01


# Long: a line for each setting, and its meaning.
def synthetic(
    *,
    users: int = 1000,
    items: int = 200,
    rank: int = 3,
    mean: FiniteFloat = 8.0,
    user_bias: FiniteFloat = 0.5,
    item_bias: FiniteFloat = 0.5,
    signal: FiniteFloat = 0.8,
    noise: FiniteFloat = 0.5,
    explained: FiniteFloat = 0.5,
    per_user: Sequence[int] = (40, 60),
    levels: Sequence[FiniteFloat] = (),
    skew: FiniteFloat = 0.0,
    tail: FiniteFloat = 0.0,
    uneven: FiniteFloat = 0.0,
    brands: int = 0,
    branded: FiniteFloat = 0.5,
    times: bool = True,
    seed: int = 0,
) -> Interactions:
    """Draw interactions from a low-rank world with a known best error.

    As it comes, a user has a number of interactions drawn uniformly from ``per_user``, with items drawn uniformly and
    without replacement, at times unrelated to the items, and labels are real numbers, neither rounded nor clipped: the
    label range is symmetric around ``mean`` and as wide as the widest label needs. ``like`` is ``mean``. The settings
    from ``levels`` on make of it tables that are shaped like real ones.

    ``attainable`` holds "mae" and "rmse", which are those of the noise (the user is fully known), and "mae@K" and
    "rmse@K" for K support rows (`bayes_error`: the items are fully known, and the user is inferred).

    Args:
        users, items: how many.
        rank: number of factors, at least 1.
        mean: the mean label, before it is put on a level.
        user_bias, item_bias: standard deviation of the biases.
        signal: standard deviation of ``user_factors · item_factors``.
        noise: standard deviation of the noise, above 0.
        explained: share of the variance of biases and factors that the features account for, 0 to 1 (exclusive).
        per_user: the fewest and the most interactions of a user.
        levels: the possible labels, ascending; the nearest is the label. With ``mean`` near the highest, labels bunch
            there. Empty: labels are real numbers.
        skew: an item's chance to be drawn falls with its rank ``r`` in popularity as ``r ** -skew``; 0: all alike.
        tail: the share of users with ``n`` interactions falls as ``n ** -tail``; 0: all numbers alike.
        uneven: standard deviation of the logarithm of an item's noise: what is rated says more of the user where an
            item's noise is low. The mean variance of the noise stays ``noise ** 2``.
        brands: number of different values of a categorical feature of items, ``brand``, of which a few have many items;
            0: there is no such feature.
        branded: share of a brand in the variance of an item's bias that its year does not explain, 0 to 1 (exclusive).
        times: whether rows have times.
        seed: of the draw.

    Raises:
        UserError: a number is out of its range.
    """
    least, most = _bounds(per_user, items)
    if tail < 0:
        raise UserError(f"dataset.tail={tail:g}: must not be negative")
    world = draw_world(
        users=users, items=items, rank=rank, mean=mean, user_bias=user_bias, item_bias=item_bias,
        signal=signal, noise=noise, explained=explained, seed=seed, levels=levels, skew=skew, brands=brands,
        branded=branded, uneven=uneven,
    )  # fmt: skip
    rows = _draw_rows(world, (least, most, tail), np.random.default_rng([seed, 1]))
    half_width = math.ceil((rows["label"] - mean).abs().to_numpy().max())
    return make_interactions(
        "synthetic",
        rows if times else rows.drop("time"),
        users=world.users,
        items=world.items,
        label_range=(levels[0], levels[-1]) if levels else (mean - half_width, mean + half_width),
        like=mean,
        attainable=_attainable(world),
    )


def _draw_rows(world: World, per_user: tuple[int, int, float], rng: np.random.Generator) -> pl.DataFrame:
    """Draw the interactions of every user, as many as `_draw_counts` gives for ``per_user``: least, most, tail."""
    users = len(world.user_bias)
    counts = _draw_counts(users, *per_user, rng)
    user = np.repeat(np.arange(users), counts)
    if world.popularity is None:
        item = np.concatenate([rng.choice(world.items.height, size=count, replace=False) for count in counts])
    else:
        item = np.concatenate([draw_items(world.popularity, 1, count, rng)[0] for count in counts])
    label = draw_labels(world, user, item, rng)
    # A user arrives within a year and stays for a month.
    time = _START + rng.integers(365 * _DAY, size=users)[user] + rng.integers(30 * _DAY, size=len(user))
    return pl.DataFrame(
        {"user": world.users["id"].gather(user), "item": world.items["id"].gather(item), "label": label, "time": time}
    )


def _draw_counts(users: int, least: int, most: int, tail: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the number of interactions of each user."""
    if not tail:
        return rng.integers(least, most, size=users, endpoint=True)
    counts = np.arange(least, most + 1)
    weight = counts.astype(float) ** -tail
    return rng.choice(counts, size=users, p=weight / weight.sum())


def _attainable(world: World) -> dict[str, float]:
    """The error of the noise alone, and the best error at each of `SHOTS` that there are items for."""
    shots = [count for count in SHOTS if count < len(world.item_bias)]
    at = {f"{metric}@{count}": value for count in shots for metric, value in bayes_error(world, count).items()}
    return {**known_error(world), **at}


def _bounds(per_user: Sequence[int], items: int) -> tuple[int, int]:
    if len(per_user) != 2 or not 1 <= per_user[0] <= per_user[1] <= items:
        raise UserError(
            f"dataset.per_user={list(per_user)}: give the fewest and the most interactions of a user, "
            f"1 to dataset.items={items}"
        )
    return per_user[0], per_user[1]
