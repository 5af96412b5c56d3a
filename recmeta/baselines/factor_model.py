"""A biased Bayesian factor model, fitted by EM; a new user is folded in by the closed form of its posterior."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recmeta.fitted.factor_model import Folding, Predictive, fit_factor_model, moments, posterior, predict
from recmeta.fitted.levels import fit_levels, residuals
from recmeta.fitted.rows import by_task_and_item, catalogue, nearest
from recmeta.fitted.threads import side_by_side
from recmeta.objectives.levels import of_normal
from recmeta.types import Baseline, Problem

RANKS = (2.0, 5.0, 10.0, 20.0)
"""Lengths of the vectors tried; each is a fit."""


class State(NamedTuple):
    """A fit for each of `RANKS`, and the levels of a label."""

    fits: tuple[Folding, ...]
    levels: Float[Array, "L"]


def _fit(problem: Problem) -> State:
    from scipy.sparse.linalg import svds

    items = catalogue(problem)
    left = residuals(problem, fit_levels(problem))
    scattered = by_task_and_item(problem, items, left)[:, 1:]
    least = min(scattered.shape)
    # A fixed start: without one it is drawn from numpy's global generator, and no two fits are equal.
    found = svds(scattered, k=min(int(max(RANKS)), least - 1), v0=np.ones(least))
    vectors = (found[2] * found[1][:, None])[::-1].T / np.sqrt(scattered.shape[0])
    noise = max(float((left**2).mean()), 1e-6)

    def one(rank: float) -> Folding:
        return fit_factor_model(problem, items, vectors[:, : int(rank)], noise)

    # The longest first: the others are done beside it.
    fits = side_by_side(one, sorted(RANKS, reverse=True))
    return State(tuple(reversed(fits)), jnp.asarray(problem.spec.levels, jnp.float32))


def _predictive(state: State, settings, context, support, query) -> Predictive:
    """Mean and variance of labels by the fit of the rank chosen."""

    def one(fit: Folding) -> Predictive:
        user = posterior(fit, context, support, moments(fit, support.x))
        return predict(fit, user, moments(fit, query.x))

    found, chosen = [one(fit) for fit in state.fits], nearest(jnp.array(RANKS), settings["rank"])
    return jax.tree.map(lambda *values: jnp.stack(values)[chosen], *found)


def _predict(state: State, settings, key, context, support, query) -> Float[Array, "n"]:
    """Predict ``mean + level + noise * z . loading`` by the fit of the rank chosen."""
    return _predictive(state, settings, context, support, query).mean


def _distribution(state: State, settings, key, context, support, query) -> Float[Array, "n L"]:
    """The normal label, rounded to the nearest level."""
    found = _predictive(state, settings, context, support, query)
    return of_normal(found.mean, found.variance, state.levels)


factor_model = Baseline(_fit, _predict, rates=True, grid={"rank": RANKS}, distribution=_distribution)
"""Biases and vectors of users and items, normal about means that are linear in their features.

Only the rank is chosen: the noise, both covariances and the weight of every field are estimated
(`recmeta.fitted.gaussian_factors`). A new user's bias and vector are the posterior mean given features and support, in
closed form.

Reference: Lim and Teh, Variational Bayesian approach to movie rating prediction, KDD Cup 2007 (the posterior of users
and items, each given the other); Agarwal and Chen, Regression-based latent factor models, KDD 2009 (prior means
linear in features).
"""
