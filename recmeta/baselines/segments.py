"""Segments of users: ratings of meta-train users whose tastes resemble the new user's."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stderr
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from recmeta.features.kinds import arrays_of
from recmeta.fitted.levels import Levels, expected, fit_levels, residuals, split
from recmeta.fitted.rows import by_task_and_item, catalogue, item_count, item_ids, nearest, owners
from recmeta.fitted.threads import one_thread
from recmeta.types import Baseline, Features, Field, Problem, Support

SEGMENTS = (2.0, 4.0, 8.0, 16.0)
"""Numbers of segments tried; each is a fit."""

TASTES = 16
"""Singular vectors in which users are compared."""


class Segments(NamedTuple):
    """One fit per number of segments; with fewer than the most, the last have no users, and never any weight.

    Attributes:
        levels: where the methods start.
        rows, total: per segment and item id, the rows of the segment's users, and the sum of what the levels leave.
        users: how many users are in each segment.
        variance: of what the levels leave.
        intercept, slopes: log odds of the segments given a user's features (per field and value).
    """

    levels: Levels
    rows: Float[Array, "G s items"]
    total: Float[Array, "G s items"]
    users: Float[Array, "G s"]
    variance: Float[Array, ""]
    intercept: Float[Array, "G s"]
    slopes: dict[Field, Float[Array, "G d s"]]


def _fit(problem: Problem) -> Segments:
    levels = fit_levels(problem)
    left = residuals(problem, levels)
    user, item = owners(problem.train), item_ids(problem.train)
    most, size = int(max(SEGMENTS)), item_count(problem)
    taste = tastes(problem, left)
    fits = []
    for number in SEGMENTS:
        segment = cluster(taste, int(number))
        place = segment[user] * size + item
        rows, total = (np.bincount(place, each, most * size).reshape(most, size) for each in (np.ones(len(left)), left))
        rows[:, 0] = total[:, 0] = 0
        fits.append((rows, total, np.bincount(segment, minlength=most), *_prior(problem, segment, most)))
    *numbers, slopes = zip(*fits, strict=True)
    rows, total, users, intercept = (jnp.asarray(np.stack(each), jnp.float32) for each in numbers)
    stacked = {field: jnp.asarray(np.stack([fit[field] for fit in slopes]), jnp.float32) for field in slopes[0]}
    return Segments(levels, rows, total, users, jnp.float32(max((left**2).mean(), 1e-6)), intercept, stacked)


def tastes(problem: Problem, left: Float[np.ndarray, "n"]) -> Float[np.ndarray, "T d"]:
    """Represent meta-train users by the residuals of their labels, in few dimensions and of unit length.

    Unit length: a user who rates much is not of another taste.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    items = catalogue(problem)
    matrix = by_task_and_item(problem, items, left)
    number = min(TASTES, len(problem.train.size) - 1, items.size - 1)
    return np.asarray(normalize(TruncatedSVD(number, random_state=0).fit_transform(matrix)))


def cluster(taste: Float[np.ndarray, "T d"], number: int) -> Int[np.ndarray, "T"]:
    """Divide users into segments by k-means; into fewer where they would have less than three users on average."""
    from sklearn.cluster import KMeans

    _count_cores()
    number = max(min(number, len(np.unique(taste, axis=0)) // 3), 1)
    means: Any = KMeans(number, random_state=0, n_init=4)  # pyright: ignore[reportArgumentType]
    with one_thread():
        return means.fit_predict(taste)


@cache
def _count_cores() -> None:
    """Have joblib count the cores, which k-means asks for, in silence.

    Without lscpu, as in slim images, it takes the logical ones, and the first time warns, with a traceback.
    """
    from joblib import cpu_count

    with warnings.catch_warnings(action="ignore"), redirect_stderr(io.StringIO()):
        cpu_count(only_physical_cores=True)


def _prior(problem: Problem, segment: np.ndarray, most: int) -> tuple[np.ndarray, dict[Field, np.ndarray]]:
    """Regress the segments on the users' features: intercepts, and per field the log odds of each value."""
    from scipy.sparse import hstack
    from sklearn.linear_model import LogisticRegression

    there = np.unique(segment)
    intercept = np.full(most, -np.inf)
    fields = [field for field in problem.spec.context if field.name != "id"]
    slopes = {field: np.zeros((field.size, most)) for field in fields}
    if not fields or len(there) < 2:
        intercept[there] = np.log(np.bincount(segment)[there] / len(segment))
        return intercept, slopes
    entity = np.asarray(problem.train.entity)
    contexts = {field: np.asarray(problem.train.contexts[field.name])[entity] for field in fields}
    columns = [arrays_of(field).columns(values, field.size) for field, values in contexts.items()]
    design: Any = hstack(columns, format="csr")
    model: Any = LogisticRegression(C=1.0, max_iter=300).fit(design, segment)
    # Of two classes scikit-learn gives the log odds of the second against the first.
    coefficients, constants = (
        (values if len(there) > 2 else np.concatenate([np.zeros_like(values), values]))
        for values in (model.coef_, model.intercept_)
    )
    intercept[there] = constants
    cuts = np.cumsum([field.size for field in fields])[:-1]
    for field, values in zip(fields, np.split(coefficients, cuts, axis=1), strict=True):
        slopes[field][:, there] = values.T
    return intercept, slopes


def _log_odds(state: Segments, fit: Array, context: Features) -> Float[Array, "s"]:
    """Compute the log odds of the segments from the user's features."""
    effects = (arrays_of(field).linear(context[field.name], slopes[fit]) for field, slopes in state.slopes.items())
    return state.intercept[fit] + sum(effects)


def _of_items(table: Float[Array, "G s items"], fit: Array, ids: Array) -> Float[Array, "s n"]:
    """Look up some items of one fit: of a task's rows alone, as a catalogue has many times as many items."""
    return table[fit, :, ids].T


def _taste(state: Segments, fit: Array, shrinkage: Array, ids: Array) -> Float[Array, "s n"]:
    """Shrunk ratings of items above the levels, by segment."""
    return _of_items(state.total, fit, ids) / (_of_items(state.rows, fit, ids) + shrinkage)


def _belonging(
    state: Segments, fit: Array, shrinkage: Array, context: Features, left: Array, support: Support
) -> Array:
    """The chance of each segment: prior from the features, times the normal likelihood of the support's labels."""
    taste = _taste(state, fit, shrinkage, support.x["id"])
    distance = jnp.where(support.mask, (left - taste) ** 2, 0).sum(-1)
    return jax.nn.softmax(_log_odds(state, fit, context) - distance / (2 * state.variance))


def _parts(state: Segments, settings, context, support):
    fit = nearest(jnp.array(SEGMENTS), settings["segments"])
    level, left = split(state.levels, support)
    return fit, level, _belonging(state, fit, settings["shrinkage"], context, left, support)


def _predict_mean(state: Segments, settings, key, context, support, query) -> Float[Array, "n"]:
    """``level + sum over segments of chance * total / (rows + shrinkage)``."""
    fit, level, chance = _parts(state, settings, context, support)
    taste = _taste(state, fit, settings["shrinkage"], query.x["id"])
    return expected(state.levels, query.x) + level + chance @ taste


def _predict_count(state: Segments, settings, key, context, support, query) -> Float[Array, "n"]:
    """``sum over segments of chance * rows / users``."""
    fit, _, chance = _parts(state, settings, context, support)
    return chance @ (_of_items(state.rows, fit, query.x["id"]) / jnp.maximum(state.users[fit], 1)[:, None])


GRID = {"segments": SEGMENTS, "shrinkage": (1.0, 3.0, 10.0, 30.0)}

cluster_mean = Baseline(_fit, _predict_mean, rates=True, grid=GRID)
"""Levels, plus how far above them the new user's segment rates the item.

Reference: Breese, Heckerman and Kadie, Empirical analysis of predictive algorithms for collaborative filtering, UAI
1998, section 2.2 (cluster models), with k-means for EM, normal labels, and a prior that reads the user's features.
"""

cluster_popularity = Baseline(_fit, _predict_count, rates=False, grid=GRID)
"""The share of the new user's segment that rated the item; it ranks, and predicts no label.

Reference: as `cluster_mean`.
"""
