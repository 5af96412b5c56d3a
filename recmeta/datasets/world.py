"""Low-rank worlds: the parameters of users, items and labels that `recmeta.datasets.synthetic` draws rows from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recmeta.types import UserError

AT_ONCE = 20_000_000
"""Most numbers that are drawn at a time."""

GROUPS, GENRES = 8, 8
"""Number of groups of users, and of genres of items."""


@dataclass(frozen=True)
class World:
    """Parameters of the labels: ``mean + user_bias + item_bias + user_factors · item_factors + noise``.

    Attributes:
        mean: the mean label.
        user_bias, item_bias: ``[U]`` and ``[I]``.
        user_factors, item_factors: ``[U, rank]`` and ``[I, rank]``.
        noise: ``[I]``: standard deviation of the Gaussian noise of each item's labels.
        levels: ``[L]``, ascending: the label is the one nearest to that sum; None: the sum is the label.
        popularity: ``[I]``: to what each item's chance to be drawn is proportional; None: all alike.
        prior_mean: ``[U, 1 + rank]``: the mean of a user's (bias, factors) given its features.
        prior_variance: ``[1 + rank]``: their variances given the features; equal for all users, no covariance.
        users, items: feature tables, the id first.
    """

    mean: float
    user_bias: np.ndarray
    item_bias: np.ndarray
    user_factors: np.ndarray
    item_factors: np.ndarray
    noise: np.ndarray
    levels: np.ndarray | None
    popularity: np.ndarray | None
    prior_mean: np.ndarray
    prior_variance: np.ndarray
    users: pl.DataFrame
    items: pl.DataFrame

    @property
    def cuts(self) -> np.ndarray:
        """``[L - 1]``: the bounds between levels, halfway from each to the next; none without levels."""
        return np.array([]) if self.levels is None else (self.levels[:-1] + self.levels[1:]) / 2


def draw_world(
    *,
    users: int,
    items: int,
    rank: int,
    mean: float,
    user_bias: float,
    item_bias: float,
    signal: float,
    noise: float,
    explained: float,
    seed: int,
    levels: Sequence[float] = (),
    skew: float = 0.0,
    brands: int = 0,
    branded: float = 0.5,
    uneven: float = 0.0,
) -> World:
    """Draw the features, biases and factors of users and items; the arguments are those of `synthetic`.

    Part of each factor is the user's group's or the item's two genres', and part of each bias is a linear function of
    the user's age or the item's year; ``explained`` is that part's share of the variance.

    Raises:
        UserError: a number is out of its range.
    """
    counts = {"users": users, "items": items, "rank": rank, "seed": seed, "brands": brands}
    scales = {"user_bias": user_bias, "item_bias": item_bias, "signal": signal, "skew": skew, "uneven": uneven}
    _check(counts, scales, noise, {"explained": explained, "branded": branded})
    _check_levels(levels, mean)
    rng, more = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 2])
    shares = math.sqrt(explained), math.sqrt(1 - explained)
    user_table, prior_mean, prior_scale = _draw_users(rng, users, rank, user_bias, shares)
    user = prior_mean + prior_scale * rng.normal(size=(users, 1 + rank))
    item_table, item_factors, level = _draw_items(rng, items, rank, signal, shares)
    if brands:
        brand, of_brand = _draw_brands(more, items, brands)
        level = math.sqrt(branded) * of_brand + math.sqrt(1 - branded) * level
        item_table = item_table.with_columns(brand=pl.Series([f"brand {code}" for code in brand]))
    year = (item_table["year"].to_numpy() - 1990) / 10
    place = 1.0 + more.permutation(items)
    return World(
        mean=mean,
        user_bias=user[:, 0],
        item_bias=item_bias * (shares[0] * year + shares[1] * level),
        user_factors=user[:, 1:],
        item_factors=item_factors,
        # The mean over items of the variance is noise², whatever their spread.
        noise=noise * np.exp(uneven * more.normal(size=items) - uneven**2),
        levels=np.array(levels, dtype=float) if len(levels) else None,
        popularity=place**-skew if skew else None,
        prior_mean=prior_mean,
        prior_variance=prior_scale**2,
        users=user_table,
        items=item_table,
    )


def expected_label(world: World, user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """The label without its noise, before it is put on a level.

    Args:
        world: parameters of users and items.
        user, item: ``[n]`` positions in the world's tables.
    """
    interaction = (world.user_factors[user] * world.item_factors[item]).sum(axis=-1)
    return world.mean + world.user_bias[user] + world.item_bias[item] + interaction


def draw_labels(world: World, user: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a label for each pair of a user and an item.

    Args:
        world: parameters of users and items.
        user, item: ``[n]`` positions in the world's tables.
        rng: of the noise.
    """
    label = expected_label(world, user, item) + rng.normal(0.0, world.noise[item])
    return label if world.levels is None else world.levels[np.searchsorted(world.cuts, label)]


def draw_items(popularity: np.ndarray, users: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw different items of each user, one after the other by popularity, and put them in random order.

    Args:
        popularity: ``[I]``: to what each item's chance is proportional, above 0.
        users: how many draw.
        count: number of items of each.
        rng: of the draw.

    Returns:
        ``[users, count]`` positions.

    Reference:
        Efraimidis and Spirakis, Weighted random sampling with a reservoir, Information Processing Letters 2006: of
        numbers that are exponential with the items' popularities as rates, the lowest are such a draw.
    """
    step = max(1, AT_ONCE // len(popularity))  # as many numbers are drawn, and so the same ones, some at a time
    blocks = [min(step, users - first) for first in range(0, users, step)]
    found = [
        np.argpartition(rng.exponential(size=(block, len(popularity))) / popularity, count - 1, axis=1)[:, :count]
        for block in blocks
    ]
    return rng.permuted(np.concatenate(found), axis=1)


def _draw_users(
    rng: np.random.Generator, users: int, rank: int, user_bias: float, shares: tuple[float, float]
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Users' features, and the mean and standard deviation of their biases and factors given these."""
    group, age = rng.integers(GROUPS, size=users), rng.normal(size=users)
    group_factors = rng.normal(size=(GROUPS, rank))
    prior_mean = shares[0] * np.column_stack([user_bias * age, group_factors[group]])
    table = pl.DataFrame({"id": _ids("u", users), "age": 40 + 12 * age, "group": [f"group {code}" for code in group]})
    return table, prior_mean, shares[1] * np.array([user_bias] + [1.0] * rank)


def _draw_items(
    rng: np.random.Generator, items: int, rank: int, signal: float, shares: tuple[float, float]
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Items' features, their factors, and the part of their level that the year does not explain."""
    genres = np.array([rng.choice(GENRES, size=2, replace=False) for _ in range(items)])
    year, genre_factors = rng.normal(size=items), rng.normal(size=(GENRES, rank))
    of_genres = genre_factors[genres].sum(axis=1) / math.sqrt(2)
    factors = (shares[0] * of_genres + shares[1] * rng.normal(size=(items, rank))) * (signal / math.sqrt(rank))
    table = pl.DataFrame(
        {
            "id": _ids("i", items),
            "year": 1990 + 10 * year,
            "genres": [[f"genre {code}" for code in pair] for pair in genres],
        }
    )
    return table, factors, rng.normal(size=items)


def _draw_brands(rng: np.random.Generator, items: int, brands: int) -> tuple[np.ndarray, np.ndarray]:
    """The brand of each item, a few brands having many, and its effect."""
    weight = 1.0 / (1.0 + np.arange(brands))
    brand = rng.choice(brands, size=items, p=weight / weight.sum())
    return brand, rng.normal(size=brands)[brand]


def _ids(prefix: str, count: int) -> list[str]:
    """Ids padded with zeros, so that text order is numeric order."""
    width = len(str(count - 1))
    return [f"{prefix}{position:0{width}d}" for position in range(count)]


def _check(counts: Mapping[str, int], scales: Mapping[str, float], noise: float, shares: Mapping[str, float]) -> None:
    for name, value in counts.items():
        least = 0 if name in ("seed", "brands") else 1
        if value < least:
            raise UserError(f"dataset.{name}={value}: must be at least {least}")
    for name, value in scales.items():
        if value < 0:
            raise UserError(f"dataset.{name}={value:g}: must not be negative")
    if noise <= 0:
        raise UserError(f"dataset.noise={noise:g}: must be above 0")
    for name, value in shares.items():
        if not 0 <= value < 1:
            raise UserError(f"dataset.{name}={value:g}: must be at least 0 and below 1")


def _check_levels(levels: Sequence[float], mean: float) -> None:
    if len(levels) and (len(levels) < 2 or (np.diff(levels) <= 0).any()):
        raise UserError(f"dataset.levels={list(levels)}: give two numbers or more, in ascending order; []: no levels")
    if len(levels) and not levels[0] <= mean <= levels[-1]:
        raise UserError(f"dataset.mean={mean:g}: must be from dataset.levels' lowest, {levels[0]:g}, to {levels[-1]:g}")
