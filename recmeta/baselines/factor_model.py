"""A biased Bayesian factor model, fitted by EM; a new user is folded in by the closed form of its posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse import csr_array, hstack

from recmeta.baselines.gaussian_factors import Design, Factors, Side, fit, groups
from recmeta.baselines.levels import fit_levels, residuals
from recmeta.baselines.rows import by_task_and_item, catalogue, item_ids, nearest
from recmeta.baselines.threads import side_by_side
from recmeta.features.kinds import arrays_of
from recmeta.numerics import solve_positive
from recmeta.types import Baseline, Features, Field, Problem, Support

RANKS = (2.0, 5.0, 10.0, 20.0)
"""Lengths of the vectors tried; each is a fit."""

LEAST = 5
"""Entities that a feature's column must be non-zero for, to have a weight."""

MOST_COLUMNS = 500
"""Most columns of a field that have a weight: those that are non-zero for the most entities."""

Slopes = dict[Field, Float[Array, "size d"]]
"""Per field, the weight of each column of its design row."""


class Folding(NamedTuple):
    """One fit, in coordinates in which users vary by the identity about their prior mean, and noise has variance 1.

    A user is ``z ~ normal(prior(features), 1)``, and ``label - mean - level_i = noise * (z . loading_i + normal)``.

    Attributes:
        noise: standard deviation of a label.
        intercept, slopes: a user's prior mean, given features.
        number: item id -> row of the tables below; 0: no meta-train row.
        level, loading: means of each item, in labels and without unit.
        cov, cross: covariance of an item's loading, and with its level.
        about, about_slopes: level and loading of an item without rows, given its features.
        about_cov, about_cross: their covariances.
    """

    noise: Float[Array, ""]
    intercept: Float[Array, "d"]
    slopes: Slopes
    number: Int[Array, "items"]
    level: Float[Array, "C"]
    loading: Float[Array, "C d"]
    cov: Float[Array, "C d d"]
    cross: Float[Array, "C d"]
    about: Float[Array, "1+d"]
    about_slopes: Slopes
    about_cov: Float[Array, "d d"]
    about_cross: Float[Array, "d"]


class Model(NamedTuple):
    """The mean label, and a fit for each of `RANKS`."""

    mean: Float[Array, ""]
    fits: tuple[Folding, ...]


# --- the fit ------------------------------------------------------------------------------------------------------


class Known(NamedTuple):
    """A side's fields, which columns of each have a weight, and the design of its entities."""

    fields: Sequence[Field]
    columns: Sequence[Int[np.ndarray, "k"]]
    design: Design


def known(fields: Sequence[Field], tables: Features, entity: Int[np.ndarray, "N"]) -> Known:
    """Lay out the features of a side's entities as columns; the id is none.

    Args:
        fields: of the side.
        tables: its feature tables.
        entity: the row of each entity in them.
    """
    fields = [field for field in fields if field.name != "id"]
    parts: list = [csr_array(np.ones((len(entity), 1)))]
    chosen = []
    for field in fields:
        values = csr_array(arrays_of(field).columns(np.asarray(tables[field.name])[entity], field.size))
        there = np.bincount(values.nonzero()[1], minlength=field.size)
        # stable: of columns with as many entities, the first are kept.
        most = np.sort(np.argsort(-there, kind="stable")[:MOST_COLUMNS])
        chosen.append(most[there[most] >= LEAST])
        parts.append(values[:, chosen[-1]])
    rows = csr_array(hstack(parts, format="csr"), dtype=np.float64)
    return Known(fields, chosen, Design(rows, np.concatenate([*groups([len(each) for each in chosen])])))


def _fit(problem: Problem) -> Model:
    from scipy.sparse.linalg import svds

    items = catalogue(problem)
    label = np.asarray(problem.train.label, np.float64) - problem.spec.mean
    labels = by_task_and_item(problem, items, label)[:, 1:]
    ids, first = np.unique(item_ids(problem.train), return_index=True)
    users = known(problem.spec.context, problem.train.contexts, np.asarray(problem.train.entity))
    rows = known(problem.spec.row, problem.train.entities, np.asarray(problem.train.row)[first[ids > 0]])
    levels = fit_levels(problem)
    left = residuals(problem, levels)
    scattered = by_task_and_item(problem, items, left)[:, 1:]
    least = min(scattered.shape)
    # A fixed start: without one it is drawn from numpy's global generator, and no two fits are equal.
    found = svds(scattered, k=min(int(max(RANKS)), least - 1), v0=np.ones(least))
    vectors = (found[2] * found[1][:, None])[::-1].T / np.sqrt(scattered.shape[0])
    noise = max(float((left**2).mean()), 1e-6)

    def one(rank: float) -> Folding:
        start = vectors[:, : int(rank)]
        fitted = fit(labels, (users.design, rows.design), start, noise)
        return fold(fitted, users, rows, items.number)

    # The longest first: the others are done beside it.
    fits = side_by_side(one, sorted(RANKS, reverse=True))
    return Model(jnp.float32(problem.spec.mean), tuple(reversed(fits)))


def fold(model: Factors, users: Known, items: Known, number: Int[np.ndarray, "items"]) -> Folding:
    """Change to coordinates in which users vary by the identity and noise has variance 1.

    A user ``(bias, vector) = L z``, ``L L'`` the users' covariance: an item's loading is then ``L' (1, vector) /
    noise``.

    Args:
        model: as fitted.
        users, items: what it was fitted to.
        number: item id -> 1 + its row in ``model.items``, 0 for none.
    """
    root, noise = np.linalg.cholesky(model.users.spread), float(np.sqrt(model.noise))
    width = len(root)

    def changed(side: Side) -> tuple[np.ndarray, ...]:
        ones = np.concatenate([np.ones((len(side.mean), 1)), side.mean[:, 1:]], axis=1)
        cov, cross = side.cov.copy(), side.cov[:, :, 0].copy()
        cov[:, 0, :] = cov[:, :, 0] = 0
        cross[:, 0] = 0
        cov = np.einsum("ji,njk,kl->nil", root, cov, root, optimize=True)
        return side.mean[:, 0], ones @ root / noise, cov / noise**2, cross @ root / noise**2

    # Row 0 is never read.
    tables = (np.concatenate([np.zeros_like(values[:1]), values]) for values in changed(model.items))
    prior = np.linalg.solve(root, model.users.weights.T).T
    to_level = np.zeros((1 + width, width)).T  # (bias, vector) -> (level, loading), without the constant
    to_level[0, 0], to_level[1:, 1:] = 1, root[1:] / noise
    about = model.items.weights @ to_level
    about[0, 1:] += root[0] / noise
    unknown = model.items._replace(mean=np.zeros((1, width)), cov=model.items.spread[None])
    _, _, about_cov, about_cross = changed(unknown)
    numbers = (noise, prior[0], *tables, about[0], about_cov[0], about_cross[0])
    noise_, intercept, *tabled, constant, cov, cross = (jnp.asarray(value, jnp.float32) for value in numbers)
    parts = [noise_, intercept, _slopes(users, prior), jnp.asarray(number), *tabled]
    return Folding(*parts, *[constant, _slopes(items, about), cov, cross])


def _slopes(side: Known, weights: Float[np.ndarray, "k d"]) -> Slopes:
    """The weights of each field's columns; 0 for those that have none."""
    found, begin = {}, 1
    for field, columns in zip(side.fields, side.columns, strict=True):
        values = np.zeros((field.size, weights.shape[1]))
        values[columns] = weights[begin : begin + len(columns)]
        begin += len(columns)
        found[field] = jnp.asarray(values, jnp.float32)
    return found


# --- a new user ---------------------------------------------------------------------------------------------------


class Items(NamedTuple):
    """The moments of some rows' items, as in `Folding`."""

    level: Float[Array, "n"]
    loading: Float[Array, "n d"]
    cov: Float[Array, "n d d"]
    cross: Float[Array, "n d"]


def moments(fit: Folding, x: Features) -> Items:
    """Moments of rows' items: a posteriori of those with meta-train rows, of the others given their features."""
    row = fit.number[x["id"]]
    known = (row > 0)[:, None]
    about = _linear(fit.about, fit.about_slopes, x)
    return Items(
        jnp.where(known[:, 0], fit.level[row], about[..., 0]),
        jnp.where(known, fit.loading[row], about[..., 1:]),
        jnp.where(known[..., None], fit.cov[row], fit.about_cov),
        jnp.where(known, fit.cross[row], fit.about_cross),
    )


def _linear(constant: Array, slopes: Slopes, x: Features) -> Array:
    """A constant plus the effect of each feature."""
    effects = (arrays_of(field).linear(x[field.name], weights) for field, weights in slopes.items())
    return constant + sum(effects, jnp.zeros_like(constant))


def posterior(fit: Folding, mean: Array, context: Features, support: Support) -> Float[Array, "d"]:
    """The mean of a new user's ``z``, given features and support.

    Precision ``1 + sum E[loading loading']``; the uncertainty of an item counts as variation of its loading.
    """
    there = support.mask.astype(jnp.float32)
    item = moments(fit, support.x)
    above = jnp.where(support.mask, support.y - mean - item.level, 0) / fit.noise
    precision = jnp.eye(item.loading.shape[1]) + jnp.einsum("k,kij->ij", there, item.cov)
    precision += (item.loading * there[:, None]).T @ item.loading
    target = _linear(fit.intercept, fit.slopes, context) + above @ item.loading - there @ item.cross
    return solve_positive(precision, target)


def _predict(state: Model, settings, key, context, support, query) -> Float[Array, "n"]:
    """Predict ``mean + level + noise * z . loading`` by the fit of the rank chosen."""

    def one(fit: Folding) -> Array:
        item = moments(fit, query.x)
        return state.mean + item.level + fit.noise * (item.loading @ posterior(fit, state.mean, context, support))

    return jnp.stack([one(fit) for fit in state.fits])[nearest(jnp.array(RANKS), settings["rank"])]


factor_model = Baseline(_fit, _predict, rates=True, grid={"rank": RANKS})
"""Biases and vectors of users and items, normal about means that are linear in their features.

Only the rank is chosen: the noise, both covariances and the weight of every field are estimated (`gaussian_factors`). A
new user's bias and vector are the posterior mean given features and support, in closed form.

Reference: Lim and Teh, Variational Bayesian approach to movie rating prediction, KDD Cup 2007 (the posterior of users
and items, each given the other); Agarwal and Chen, Regression-based latent factor models, KDD 2009 (prior means
linear in features).
"""
