"""A synthetic low-rank world without network access, whose best attainable error is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from pydantic import FiniteFloat

from recmeta.datasets.interactions import make_interactions
from recmeta.types import Interactions, UserError

SHOTS = (0, 1, 3, 5, 10, 20)
"""The support sizes at which the attainable error is reported."""

GROUPS, GENRES = 8, 8
"""Number of groups of users, and of genres of items."""

_DAY = 86_400
_START = 946_684_800  # 2000-01-01


@dataclass(frozen=True)
class World:
    """Parameters of the labels: ``mean + user_bias + item_bias + user_factors · item_factors + noise``.

    Attributes:
        mean: the mean label.
        user_bias, item_bias: ``[U]`` and ``[I]``.
        user_factors, item_factors: ``[U, rank]`` and ``[I, rank]``.
        noise: standard deviation of the Gaussian noise.
        prior_mean: ``[U, 1 + rank]``: the mean of a user's (bias, factors) given its features.
        prior_variance: ``[1 + rank]``: their variances given the features; equal for all users, no covariance.
        users, items: feature tables, the id first.
    """

    mean: float
    user_bias: np.ndarray
    item_bias: np.ndarray
    user_factors: np.ndarray
    item_factors: np.ndarray
    noise: float
    prior_mean: np.ndarray
    prior_variance: np.ndarray
    users: pl.DataFrame
    items: pl.DataFrame


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
    seed: int = 0,
) -> Interactions:
    """Draw interactions from a low-rank world with a known best error.

    A user has a number of interactions drawn uniformly from ``per_user``, with items drawn uniformly and without
    replacement, at times unrelated to the items. Labels are real numbers, neither rounded nor clipped: the label range
    is symmetric around ``mean`` and as wide as the widest label needs. ``like`` is ``mean``.

    ``attainable`` holds "mae" and "rmse", which are those of the noise (the user is fully known), and "mae@K" and
    "rmse@K" for K support rows (`bayes_error`: the items are fully known, and the user is inferred).

    Args:
        users, items: how many.
        rank: number of factors, at least 1.
        mean: the mean label.
        user_bias, item_bias: standard deviation of the biases.
        signal: standard deviation of ``user_factors · item_factors``.
        noise: standard deviation of the noise, above 0.
        explained: share of the variance of biases and factors that the features account for, 0 to 1 (exclusive).
        per_user: the fewest and the most interactions of a user.
        seed: of the draw.

    Raises:
        UserError: a number is out of its range.
    """
    least, most = _bounds(per_user, items)
    world = draw_world(
        users=users, items=items, rank=rank, mean=mean, user_bias=user_bias, item_bias=item_bias,
        signal=signal, noise=noise, explained=explained, seed=seed,
    )  # fmt: skip
    rows = _draw_rows(world, least, most, np.random.default_rng([seed, 1]))
    half_width = math.ceil((rows["label"] - mean).abs().to_numpy().max())
    return make_interactions(
        "synthetic",
        rows,
        users=world.users,
        items=world.items,
        label_range=(mean - half_width, mean + half_width),
        like=mean,
        attainable=_attainable(world),
    )


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
) -> World:
    """Draw the features, biases and factors of users and items; the arguments are those of `synthetic`.

    Part of each factor is the user's group's or the item's two genres', and part of each bias is a linear function of
    the user's age or the item's year; ``explained`` is that part's share of the variance.

    Raises:
        UserError: a number is out of its range.
    """
    counts = {"users": users, "items": items, "rank": rank, "seed": seed}
    _check(counts, {"user_bias": user_bias, "item_bias": item_bias, "signal": signal}, noise, explained)
    rng = np.random.default_rng([seed, 0])
    stated, hidden = math.sqrt(explained), math.sqrt(1 - explained)

    group, age = rng.integers(GROUPS, size=users), rng.normal(size=users)
    group_factors = rng.normal(size=(GROUPS, rank))
    prior_mean = stated * np.column_stack([user_bias * age, group_factors[group]])
    prior_scale = hidden * np.array([user_bias] + [1.0] * rank)
    user = prior_mean + prior_scale * rng.normal(size=(users, 1 + rank))

    genres = np.array([rng.choice(GENRES, size=2, replace=False) for _ in range(items)])
    year, genre_factors = rng.normal(size=items), rng.normal(size=(GENRES, rank))
    of_genres = genre_factors[genres].sum(axis=1) / math.sqrt(2)
    item_factors = (stated * of_genres + hidden * rng.normal(size=(items, rank))) * (signal / math.sqrt(rank))

    return World(
        mean=mean,
        user_bias=user[:, 0],
        item_bias=item_bias * (stated * year + hidden * rng.normal(size=items)),
        user_factors=user[:, 1:],
        item_factors=item_factors,
        noise=noise,
        prior_mean=prior_mean,
        prior_variance=prior_scale**2,
        users=pl.DataFrame(
            {"id": _ids("u", users), "age": 40 + 12 * age, "group": [f"group {code}" for code in group]}
        ),
        items=pl.DataFrame(
            {
                "id": _ids("i", items),
                "year": 1990 + 10 * year,
                "genres": [[f"genre {code}" for code in pair] for pair in genres],
            }
        ),
    )


def expected_label(world: World, user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """The label without its noise.

    Args:
        world: parameters of users and items.
        user, item: ``[n]`` positions in the world's tables.
    """
    interaction = (world.user_factors[user] * world.item_factors[item]).sum(axis=-1)
    return world.mean + world.user_bias[user] + world.item_bias[item] + interaction


def bayes_error(world: World, shots: int, *, draws: int = 1000, queries: int = 64, seed: int = 0) -> dict[str, float]:
    """The expected error of the best possible predictor after ``shots`` support rows of a new user.

    The predictor knows the items, the noise and the prior of a user with these features, and infers the user's bias and
    factors from the support by Bayesian linear regression. Its predictive variance ``v`` depends on the items only, and
    is exact; the average is over random supports and queries of items, without replacement. For a Gaussian error the
    expected absolute error is ``sqrt(2 v / pi)``. "rmse" is that of all rows pooled: the mean over users of each user's
    own rmse is lower, the more so the fewer queries a user has.

    Args:
        world: parameters of users and items.
        shots: number of support rows, below the number of items.
        draws: number of random supports.
        queries: the most query rows for each.
        seed: of the supports and queries.

    Returns:
        "mae" and "rmse".

    Reference:
        Bishop, Pattern Recognition and Machine Learning, 2006, equations 3.53, 3.54 and 3.59.
    """
    count = len(world.item_bias)
    if not 0 <= shots < count:
        raise UserError(f"shots={shots}: with {count} items there can be 0 to {count - 1} support rows")
    rng = np.random.default_rng(seed)
    order = np.array([rng.permutation(count)[: shots + queries] for _ in range(draws)])
    rows = np.column_stack([np.ones(count), world.item_factors])[order]
    support, query = rows[:, :shots], rows[:, shots:]
    # In units of the prior's standard deviation, so that a variance of zero does no harm.
    scale = np.sqrt(world.prior_variance)
    precision = np.eye(len(scale)) + np.swapaxes(support * scale, 1, 2) @ (support * scale) / world.noise**2
    covariance = np.linalg.inv(precision)
    variance = world.noise**2 + np.einsum("tqi,tij,tqj->tq", query * scale, covariance, query * scale)
    return {"mae": float(np.sqrt(2 * variance / math.pi).mean()), "rmse": math.sqrt(variance.mean())}


def _draw_rows(world: World, least: int, most: int, rng: np.random.Generator) -> pl.DataFrame:
    """Draw interactions of every user with ``least`` to ``most`` items."""
    users, items = len(world.user_bias), len(world.item_bias)
    counts = rng.integers(least, most, size=users, endpoint=True)
    user = np.repeat(np.arange(users), counts)
    item = np.concatenate([rng.choice(items, size=count, replace=False) for count in counts])
    label = expected_label(world, user, item) + rng.normal(0.0, world.noise, size=len(user))
    # A user arrives within a year and stays for a month.
    time = _START + rng.integers(365 * _DAY, size=users)[user] + rng.integers(30 * _DAY, size=len(user))
    return pl.DataFrame(
        {"user": world.users["id"].gather(user), "item": world.items["id"].gather(item), "label": label, "time": time}
    )


def _attainable(world: World) -> dict[str, float]:
    """The error of the noise alone, and the best error at each of `SHOTS` that there are items for."""
    shots = [count for count in SHOTS if count < len(world.item_bias)]
    at = {f"{metric}@{count}": value for count in shots for metric, value in bayes_error(world, count).items()}
    return {"mae": world.noise * math.sqrt(2 / math.pi), "rmse": world.noise, **at}


def _ids(prefix: str, count: int) -> list[str]:
    """Ids padded with zeros, so that text order is numeric order."""
    width = len(str(count - 1))
    return [f"{prefix}{position:0{width}d}" for position in range(count)]


def _bounds(per_user: Sequence[int], items: int) -> tuple[int, int]:
    if len(per_user) != 2 or not 1 <= per_user[0] <= per_user[1] <= items:
        raise UserError(
            f"dataset.per_user={list(per_user)}: give the fewest and the most interactions of a user, "
            f"1 to dataset.items={items}"
        )
    return per_user[0], per_user[1]


def _check(counts: Mapping[str, int], deviations: Mapping[str, float], noise: float, explained: float) -> None:
    for name, value in counts.items():
        least = 0 if name == "seed" else 1
        if value < least:
            raise UserError(f"dataset.{name}={value}: must be at least {least}")
    for name, value in deviations.items():
        if value < 0:
            raise UserError(f"dataset.{name}={value:g}: must not be negative")
    if noise <= 0:
        raise UserError(f"dataset.noise={noise:g}: must be above 0")
    if not 0 <= explained < 1:
        raise UserError(f"dataset.explained={explained:g}: must be at least 0 and below 1")
