"""Popularity with exponential decay over time."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recmeta.fitted.rows import item_count, item_ids, nearest
from recmeta.types import Baseline, Problem, UserError

DAY = 86_400
"""A day in seconds."""

HALF_LIVES = (1.0, 3.0, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0, 365.0, 1000.0)
"""Half-lives tried, in days."""


class Recent(NamedTuple):
    """Decayed number of rows per half-life and item id."""

    rows: Float[Array, "H items"]


def _fit(problem: Problem) -> Recent:
    if problem.train.time is None:
        raise UserError("baselines=recent_popularity: the data has no time; take it out, or name the time column")
    time = np.asarray(problem.train.time, np.float64)
    age = (time.max() - time) / DAY
    item, size = item_ids(problem.train), item_count(problem)
    rows = [np.bincount(item, 0.5 ** (age / half_life), minlength=size) for half_life in HALF_LIVES]
    # Rows under the unknown id belong to many items.
    return Recent(jnp.asarray(np.stack(rows), jnp.float32).at[:, 0].set(0))


def _predict(state: Recent, settings, key, context, support, query) -> Float[Array, "n"]:
    return state.rows[nearest(jnp.array(HALF_LIVES), settings["half_life"])][query.x["id"]]


recent_popularity = Baseline(_fit, _predict, rates=False, grid={"half_life": HALF_LIVES})
"""The item's meta-train rows, each weighted by ``0.5^(age / half-life)``.

The age counts back from the last meta-train row.

A query row has no time, so that "now" is the end of meta-train for all: it means most where the split is by time.

Reference: Ji et al., A re-visit of the popularity baseline in recommender systems, SIGIR 2020, section 3 (popularity
must refer to a time); the exponential weight is that of Ding and Li, Time weight collaborative filtering, CIKM 2005,
equation 6.
"""
