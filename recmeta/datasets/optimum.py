"""The error of the best possible predictor in a low-rank world, after so many ratings of a new user."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from recmeta.datasets.world import World, draw_items
from recmeta.types import UserError

SAMPLES = 15
"""Iterations of the sampler that predictions are averaged over."""

FEWER = 16
"""Queries of a user are so many times fewer where labels are levels, and users four times as many: it is users, some of
whom give all items the highest level, by which the errors of levels differ."""


class Rows(NamedTuple):
    """Support and query rows of users, as the regression on a user's (bias, factors) sees them.

    Attributes:
        support, query: ``[T, K, d]`` and ``[T, Q, d]``: 1 and the item's factors, in standard deviations of the prior.
        support_noise, query_noise: ``[T, K]`` and ``[T, Q]``: standard deviations of the labels' noise.
        support_item, query_item: ``[T, K]`` and ``[T, Q]``: positions of the items.
    """

    support: np.ndarray
    query: np.ndarray
    support_noise: np.ndarray
    query_noise: np.ndarray
    support_item: np.ndarray
    query_item: np.ndarray


def bayes_error(world: World, shots: int, *, draws: int = 1000, queries: int = 64, seed: int = 0) -> dict[str, float]:
    """The expected error of the best possible predictor after ``shots`` support rows of a new user.

    The predictor knows the items, the noise and the prior of a user with these features, and infers the user's bias and
    factors from the support by Bayesian linear regression. Its predictive variance ``v`` depends on the items only, and
    is exact; the average is over random supports and queries of items, without replacement. For a Gaussian error the
    expected absolute error is ``sqrt(2 v / pi)``. "rmse" is that of all rows pooled: the mean over users of each user's
    own rmse is lower, the more so the fewer queries a user has.

    Where labels are levels, the support says of each rating only between which bounds it lies, the prediction is a
    distribution over the levels, and the errors are those of its median ("mae") and its mean ("rmse"): `levels_error`.
    By the draws they are uncertain by half a percent or so, and a little too low: the error is worked out under the
    drawn distribution itself, so that no method can quite reach it.

    Args:
        world: parameters of users and items.
        shots: number of support rows, below the number of items.
        draws: number of random supports; with levels four times as many.
        queries: the most query rows for each; with levels a sixteenth.
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
    if world.levels is not None:
        return levels_error(world, _rows(world, shots, 4 * draws, max(1, queries // FEWER), rng), rng)
    rows = _rows(world, shots, draws, queries, rng)
    variance = rows.query_noise**2 + _spread(rows.query, _covariance(rows))
    return {"mae": float(np.sqrt(2 * variance / math.pi).mean()), "rmse": math.sqrt(variance.mean())}


def levels_error(world: World, rows: Rows, rng: np.random.Generator) -> dict[str, float]:
    """The error of the best predictor of labels that are levels, of users drawn from the prior.

    The posterior of a user's bias and factors given the levels of its support has no closed form. A Gibbs sampler draws
    by turns the sums behind the support's labels, each between the bounds of its level, and the user's parameters given
    these; what is predicted of a query is averaged over its iterations given the sums alone, in closed form. It begins
    with the sums that the labels were made of, which are a draw from the posterior, so that it needs no burn-in. The
    error is the one expected under that prediction.

    Args:
        world: with levels.
        rows: of users.
        rng: of users, labels and the sampler.

    Returns:
        "mae", of the median of the predictive distribution, and "rmse", of its mean.

    Reference:
        Albert and Chib, Bayesian Analysis of Binary and Polychotomous Response Data, JASA 1993, section 4.
    """
    assert world.levels is not None
    users, width = len(rows.query), rows.query.shape[-1]
    # Of each user: what its features and the items' levels predict, without its own parameters.
    prior = world.prior_mean[rng.integers(len(world.prior_mean), size=users)]
    factors = np.column_stack([np.ones(len(world.item_bias)), world.item_factors])

    def given(items: np.ndarray) -> np.ndarray:
        return world.mean + world.item_bias[items] + np.einsum("tnd,td->tn", factors[items], prior)

    support_mean, query_mean = given(rows.support_item), given(rows.query_item)
    own = rng.normal(size=(users, width))
    latent = support_mean + np.einsum("tkd,td->tk", rows.support, own)
    latent += rows.support_noise * rng.normal(size=latent.shape)
    bounds = np.concatenate([[-np.inf], world.cuts, [np.inf]])
    level = np.searchsorted(world.cuts, latent)
    low, high = bounds[level], bounds[level + 1]

    covariance = _covariance(rows)
    root = np.linalg.cholesky(covariance)
    gain = np.einsum("tij,tkj->tik", covariance, rows.support / rows.support_noise[..., None] ** 2)
    deviation = np.sqrt(rows.query_noise**2 + _spread(rows.query, covariance))
    iterations = SAMPLES if rows.support.shape[1] else 1
    below = np.zeros((*query_mean.shape, len(world.cuts)))
    for _ in range(iterations):
        mean = np.einsum("tik,tk->ti", gain, latent - support_mean)
        centre = query_mean + np.einsum("tqd,td->tq", rows.query, mean)
        below += ndtr((world.cuts - centre[..., None]) / deviation[..., None]) / iterations
        own = mean + np.einsum("tij,tj->ti", root, rng.normal(size=mean.shape))
        latent = _between(support_mean + np.einsum("tkd,td->tk", rows.support, own), rows.support_noise, low, high, rng)
    return _risk(below, world.levels)


def known_error(world: World, *, draws: int = 1000, seed: int = 0) -> dict[str, float]:
    """The expected error of the best predictor that knows the user: of the noise, and of the levels.

    Args:
        world: parameters of users and items.
        draws: number of users, with ten items each, where labels are levels or items differ in noise.
        seed: of these.

    Returns:
        "mae" and "rmse".
    """
    if world.levels is None and (world.noise == world.noise[0]).all():
        return {"mae": float(world.noise[0]) * math.sqrt(2 / math.pi), "rmse": float(world.noise[0])}
    rng = np.random.default_rng(seed)
    rows = _rows(world, 0, draws, min(10, len(world.noise)), rng)
    user = rng.integers(len(world.user_bias), size=draws)
    noise = rows.query_noise
    if world.levels is None:
        return {"mae": float(noise.mean() * math.sqrt(2 / math.pi)), "rmse": math.sqrt((noise**2).mean())}
    factors = np.einsum("tqd,td->tq", world.item_factors[rows.query_item], world.user_factors[user])
    centre = world.mean + world.user_bias[user, None] + world.item_bias[rows.query_item] + factors
    return _risk(ndtr((world.cuts - centre[..., None]) / noise[..., None]), world.levels)


def _rows(world: World, shots: int, draws: int, queries: int, rng: np.random.Generator) -> Rows:
    """Draw supports and queries of items, as users do."""
    count = min(shots + queries, len(world.item_bias))
    if world.popularity is None:
        order = np.array([rng.permutation(len(world.item_bias))[:count] for _ in range(draws)])
    else:
        order = draw_items(world.popularity, draws, count, rng)
    # In units of the prior's standard deviation, so that a variance of zero does no harm.
    scaled = np.column_stack([np.ones(len(world.item_bias)), world.item_factors]) * np.sqrt(world.prior_variance)
    support, query = order[:, :shots], order[:, shots:]
    return Rows(scaled[support], scaled[query], world.noise[support], world.noise[query], support, query)


def _covariance(rows: Rows) -> np.ndarray:
    """``[T, d, d]``: the posterior covariance of a user's parameters, in units of the prior's."""
    weighted = rows.support / rows.support_noise[..., None]
    return np.linalg.inv(np.eye(rows.query.shape[-1]) + np.swapaxes(weighted, 1, 2) @ weighted)


def _spread(query: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """``[T, Q]``: the variance of the queries' expected labels."""
    return np.einsum("tqi,tij,tqj->tq", query, covariance, query)


def _between(
    mean: np.ndarray, deviation: np.ndarray, low: np.ndarray, high: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw Gaussian numbers between two bounds, by the inverse of the distribution function."""
    lower, upper = (low - mean) / deviation, (high - mean) / deviation
    # On the side where the distribution function is small, and precise.
    flipped = lower > 0
    lower, upper = np.where(flipped, -upper, lower), np.where(flipped, -lower, upper)
    least = ndtr(lower)
    share = least + rng.random(size=mean.shape) * (ndtr(upper) - least)
    drawn = np.clip(ndtri(np.maximum(share, np.finfo(float).tiny)), lower, upper)
    return mean + deviation * np.where(flipped, -drawn, drawn)


def _risk(below: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """The expected errors of the median and of the mean of distributions over levels.

    Args:
        below: ``[..., L - 1]``: probability of a level up to each but the highest.
        levels: ``[L]``.
    """
    chance = np.diff(below, axis=-1, prepend=0.0, append=1.0)
    median = levels[(below < 0.5).sum(axis=-1)]
    mean = chance @ levels
    absolute = (chance * np.abs(levels - median[..., None])).sum(axis=-1)
    squared = (chance * (levels - mean[..., None]) ** 2).sum(axis=-1)
    return {"mae": float(absolute.mean()), "rmse": math.sqrt(squared.mean())}
