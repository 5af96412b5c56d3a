"""Fit a biased Bayesian factor model to meta-train, and fold a new user in by the closed form of its posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse import csr_array, diags_array, hstack

from recmeta.features.kinds import arrays_of
from recmeta.fitted.gaussian_factors import Design, Factors, Side, fit, groups
from recmeta.fitted.rows import Catalogue, by_task_and_item
from recmeta.numerics import solve_positive
from recmeta.types import Features, Field, Problem, Support

LEAST = 5
"""Entities that a feature's column must be non-zero for, to have a weight."""

MOST_COLUMNS = 500
"""Most columns of a field that have a weight: those that are non-zero for the most entities."""

START = 0.3
"""Standard deviation of the items' vectors to begin with."""

Slopes = dict[Field, Float[Array, "size d"]]
"""Per field, the weight of each column of its design row."""


class Folding(NamedTuple):
    """One fit, in coordinates in which users vary by the identity about their prior mean, and noise has variance 1.

    A user is ``z ~ normal(prior(features), 1)``, and ``label - mean - level_i = noise * (z . loading_i + normal)``.

    Attributes:
        mean: mean label.
        noise: standard deviation of a label.
        intercept, slopes: a user's prior mean, given features.
        number: item id -> row of the tables below; 0: no meta-train row.
        level, loading: means of each item, in labels and without unit.
        unsure: variance of each item's level.
        cov, cross: covariance of an item's loading, and with its level.
        about, about_slopes: level and loading of an item without rows, given its features.
        about_unsure, about_cov, about_cross: their covariances.
        first: where the tables of this fit begin in those of several; see `fit_of`.
    """

    mean: Float[Array, ""]
    noise: Float[Array, ""]
    intercept: Float[Array, "d"]
    slopes: Slopes
    number: Int[Array, "items"]
    level: Float[Array, "C"]
    loading: Float[Array, "C d"]
    unsure: Float[Array, "C"]
    cov: Float[Array, "C d d"]
    cross: Float[Array, "C d"]
    about: Float[Array, "1+d"]
    about_slopes: Slopes
    about_unsure: Float[Array, ""]
    about_cov: Float[Array, "d d"]
    about_cross: Float[Array, "d"]
    first: Int[Array, ""]


TABLES = ("level", "loading", "unsure", "cov", "cross")
"""The fields of `Folding` that have a row per item."""


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


def sides(problem: Problem, items: Catalogue, *, features: bool = True) -> tuple[Known, Known]:
    """The designs of meta-train's tasks and of its items, in the order of their numbers.

    Args:
        problem: what is fitted to.
        items: the items that have a number.
        features: whether they are read; without, all entities of a side have one prior mean.
    """
    entity = np.zeros(len(items.number), int)
    ids = np.asarray(problem.train.entities["id"])
    entity[ids] = np.arange(len(ids))
    row = entity[items.number > 0]
    context, of_row = (problem.spec.context, problem.spec.row) if features else ((), ())
    users = known(context, problem.train.contexts, np.asarray(problem.train.entity))
    return users, known(of_row, problem.train.entities, row)


def start_without_labels(problem: Problem, items: Catalogue, rank: int) -> Float[np.ndarray, "I r"]:
    """The items' vectors to begin with, from who has rows about which items, whatever the labels.

    The right singular vectors of the matrix of tasks by items, rows and columns divided by the roots of their sums,
    after the first, which is the items' frequency. Fits to different users that begin there end in nearly the same
    axes, and no label has a part in it.

    Args:
        problem: whose meta-train tasks.
        items: with a number.
        rank: length of the vectors; where there are fewer singular vectors, the rest are zeros.
    """
    from scipy.sparse.linalg import svds

    ones = np.ones(len(problem.train.row))
    there = by_task_and_item(problem, items, ones)[:, 1:].astype(np.float64)
    there.data[:] = 1
    by_user, by_item = (1 / np.sqrt(np.maximum(there.sum(axis), 1)) for axis in (1, 0))
    scaled = diags_array(by_user) @ there @ diags_array(by_item)
    least, found = min(scaled.shape), np.zeros((there.shape[1], rank))
    number = min(rank, least - 2)
    if number < 1:
        return found
    # A fixed start: without one it is drawn from numpy's global generator, and no two fits are equal.
    found_values: Any = svds(scaled, k=number + 1, v0=np.ones(least))
    _, values, vectors = found_values
    vectors = vectors[np.argsort(-values)[1:]].T
    vectors = vectors * np.where((vectors**3).sum(0) < 0, -1, 1)
    found[:, :number] = START * vectors / np.maximum(vectors.std(0), 1e-12)
    return found


def fit_factor_model(
    problem: Problem,
    items: Catalogue,
    start: Float[np.ndarray, "I r"],
    noise: float | None = None,
    *,
    features: bool = True,
) -> Folding:
    """Fit the factor model to meta-train.

    Args:
        problem: what to fit to; of it nothing is read that was fitted to labels before.
        items: the items that have a number; one without a row is at its prior.
        start: their vectors to begin with.
        noise: variance of a label to begin with; None: that of all labels.
        features: whether the prior means are linear in features.
    """
    label = np.asarray(problem.train.label, np.float64)
    mean, variance = float(label.mean()), max(float(label.var()), 1e-6)
    users, rows = sides(problem, items, features=features)
    labels = by_task_and_item(problem, items, label - mean)[:, 1:]
    fitted = fit(labels, (users.design, rows.design), start, variance if noise is None else noise)
    return fold(fitted, users, rows, items.number, mean)


def constant(problem: Problem, items: Catalogue) -> Folding:
    """The model in which neither users nor items differ: mean and variance of all labels.

    Args:
        problem: what is fitted to.
        items: the items that have a number.
    """
    label = np.asarray(problem.train.label, np.float64)
    zeros = {name: jnp.zeros((items.size, *[1] * axes)) for name, axes in zip(TABLES, (0, 1, 0, 2, 1), strict=True)}
    return Folding(
        jnp.float32(label.mean()), jnp.float32(max(label.std(), 1e-3)), jnp.zeros(1), {}, jnp.asarray(items.number),
        **zeros, about=jnp.zeros(2), about_slopes={}, about_unsure=jnp.float32(0), about_cov=jnp.zeros((1, 1)),
        about_cross=jnp.zeros(1), first=jnp.array(0, jnp.int32),
    )  # fmt: skip


def fold(model: Factors, users: Known, items: Known, number: Int[np.ndarray, "items"], mean: float) -> Folding:
    """Change to coordinates in which users vary by the identity and noise has variance 1.

    A user ``(bias, vector) = L z``, ``L L'`` the users' covariance: an item's loading is then ``L' (1, vector) /
    noise``.

    Args:
        model: as fitted.
        users, items: what it was fitted to.
        number: item id -> 1 + its row in ``model.items``, 0 for none.
        mean: what labels were centred by.
    """
    root, noise = np.linalg.cholesky(model.users.spread), float(np.sqrt(model.noise))
    width = len(root)

    def changed(side: Side) -> tuple[np.ndarray, ...]:
        ones = np.concatenate([np.ones((len(side.mean), 1)), side.mean[:, 1:]], axis=1)
        cov, cross, unsure = side.cov.copy(), side.cov[:, :, 0].copy(), side.cov[:, 0, 0]
        cov[:, 0, :] = cov[:, :, 0] = 0
        cross[:, 0] = 0
        cov = np.einsum("ji,njk,kl->nil", root, cov, root, optimize=True)
        return side.mean[:, 0], ones @ root / noise, unsure, cov / noise**2, cross @ root / noise**2

    # Row 0 is never read.
    tables = (np.concatenate([np.zeros_like(values[:1]), values]) for values in changed(model.items))
    prior = np.linalg.solve(root, model.users.weights.T).T
    to_level = np.zeros((1 + width, width)).T  # (bias, vector) -> (level, loading), without the constant
    to_level[0, 0], to_level[1:, 1:] = 1, root[1:] / noise
    about = model.items.weights @ to_level
    about[0, 1:] += root[0] / noise
    unknown = model.items._replace(mean=np.zeros((1, width)), cov=model.items.spread[None])
    _, _, *about_cov = changed(unknown)
    constant, *covariances = (values[0] for values in (about, *about_cov))
    numbers = {
        **dict(zip(("mean", "noise", "intercept"), (mean, noise, prior[0]), strict=True)),
        **dict(zip(TABLES, tables, strict=True)),
        **dict(zip(("about", "about_unsure", "about_cov", "about_cross"), (constant, *covariances), strict=True)),
    }
    single = {name: jnp.asarray(value, jnp.float32) for name, value in numbers.items()}
    slopes: dict[str, Any] = {"slopes": _slopes(users, prior), "about_slopes": _slopes(items, about)}
    return Folding(**single, **slopes, number=jnp.asarray(number), first=jnp.array(0, jnp.int32))


def _slopes(side: Known, weights: Float[np.ndarray, "k d"]) -> Slopes:
    """The weights of each field's columns; 0 for those that have none."""
    found, begin = {}, 1
    for field, columns in zip(side.fields, side.columns, strict=True):
        values = np.zeros((field.size, weights.shape[1]))
        values[columns] = weights[begin : begin + len(columns)]
        begin += len(columns)
        found[field] = jnp.asarray(values, jnp.float32)
    return found


def fit_of(fits: Folding, which: Int[Array, ""]) -> Folding:
    """One of several fits ``[F, ...]`` to the same items; their tables are not copied, for each task has its own."""
    shared = {name: joined(getattr(fits, name)) for name in TABLES}
    shared["number"] = fits.number[0]  # all fits number the items alike
    small = {name: values for name, values in fits._asdict().items() if name not in shared}
    own = jax.tree.map(lambda values: values[which], small) | {"first": which * fits.level.shape[1]}
    return Folding(**shared, **own)


def joined(tables: Float[Array, "F C ..."]) -> Float[Array, "F*C ..."]:
    """Join the tables of several fits; `item_row` finds the row of an item in it."""
    return tables.reshape(-1, *tables.shape[2:])


# --- a new user ---------------------------------------------------------------------------------------------------


class Items(NamedTuple):
    """The moments of some rows' items, as in `Folding`."""

    level: Float[Array, "n"]
    loading: Float[Array, "n d"]
    unsure: Float[Array, "n"]
    cov: Float[Array, "n d d"]
    cross: Float[Array, "n d"]


class User(NamedTuple):
    """The posterior of a new user's ``z``."""

    mean: Float[Array, "d"]
    cov: Float[Array, "d d"]


class Predictive(NamedTuple):
    """Mean and variance of labels, and how much of it is not known of the user, in units of the noise's variance."""

    mean: Float[Array, "n"]
    variance: Float[Array, "n"]
    doubt: Float[Array, "n"]


def item_row(fit: Folding, x: Features) -> Int[Array, "n"]:
    """The row of each item in the tables of the fit; 0 for one without meta-train rows."""
    number = fit.number[x["id"]]
    return jnp.where(number > 0, number + fit.first, 0)


def moments(fit: Folding, x: Features) -> Items:
    """Moments of rows' items: a posteriori of those with meta-train rows, of the others given their features."""
    row = item_row(fit, x)
    known = (row > 0)[:, None]
    about = _linear(fit.about, fit.about_slopes, x)
    return Items(
        jnp.where(known[:, 0], fit.level[row], about[..., 0]),
        jnp.where(known, fit.loading[row], about[..., 1:]),
        jnp.where(known[:, 0], fit.unsure[row], fit.about_unsure),
        jnp.where(known[..., None], fit.cov[row], fit.about_cov),
        jnp.where(known, fit.cross[row], fit.about_cross),
    )


def _linear(constant: Array, slopes: Slopes, x: Features) -> Array:
    """A constant plus the effect of each feature."""
    effects = (arrays_of(field).linear(x[field.name], weights) for field, weights in slopes.items())
    return constant + sum(effects, jnp.zeros_like(constant))


def prior_mean(fit: Folding, context: Features) -> Float[Array, "d"]:
    """The mean of a new user's ``z``, given features."""
    return _linear(fit.intercept, fit.slopes, context)


def posterior(fit: Folding, context: Features, support: Support, item: Items) -> User:
    """The posterior of a new user's ``z``, given features and support.

    Precision ``1 + sum E[loading loading']``; the uncertainty of an item counts as variation of its loading.

    Args:
        fit: the model.
        context, support: of the user.
        item: moments of the support's items.
    """
    there = support.mask.astype(jnp.float32)
    above = jnp.where(support.mask, support.y - fit.mean - item.level, 0) / fit.noise
    one = jnp.eye(item.loading.shape[1])
    precision = one + jnp.einsum("k,kij->ij", there, item.cov)
    precision += (item.loading * there[:, None]).T @ item.loading
    target = prior_mean(fit, context) + above @ item.loading - there @ item.cross
    solved = solve_positive(precision, jnp.column_stack([target, one]))
    return User(solved[:, 0], solved[:, 1:])


def predict(fit: Folding, user: User, item: Items) -> Predictive:
    """Mean and variance of the labels of some items, given the user's posterior.

    The user is taken to be independent of the items. ``doubt`` is the share of the variance that comes from the user's
    covariance, in units of the noise.
    """
    doubt = jnp.einsum("ni,ij,nj->n", item.loading, user.cov, item.loading)
    second = user.cov + jnp.outer(user.mean, user.mean)
    of_item = jnp.einsum("nij,ij->n", item.cov, second) + 2 * item.cross @ user.mean
    variance = fit.noise**2 * jnp.maximum(1 + doubt + of_item, 1e-3) + item.unsure
    return Predictive(fit.mean + item.level + fit.noise * (item.loading @ user.mean), variance, doubt)
