"""Nearest neighbours among a new user's support rows, in a learned representation."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient, unless_shallow
from recmeta.types import DataSpec, Features, Learner, Model, Objective, Params, Query, Support


class Neighbours(NamedTuple):
    """One task's support rows and residuals, with the parameters needed to place a query among them."""

    row: Float[Array, "K d"]
    residual: Float[Array, "K"]
    there: Bool[Array, "K"]
    params: Params
    context: Features
    support: Support


def knn(*, spec: DataSpec, model: Model, objective: Objective, k: Annotated[int, Ge(1)]) -> Learner:
    """Correct the prior mean of a row by the mean residual of the k support rows with the nearest representations.

    The prior mean is the scorer's own prediction. The correction is ``sum of residuals / (number + shrink)`` over the
    neighbours: with ``shrink`` (learned, in rows) 0 it is their mean, with no support it is 0. All neighbours have
    equal weight, without attention: episodes train only the scorer and a representation in which the neighbours'
    residuals transfer. Changed from the reference: similarity is the squared distance of learned representations, where
    the paper's is a correlation of ratings, which an unrated item lacks; neighbours are not weighted by it; and the
    correction is shrunk.

    All rows that tie with the kth are taken, so that the order of the support does not matter; there may be many rows
    with unknown features. Selection is not differentiable: the gradient takes the neighbours as given.

    Args:
        spec, model, objective: given by recmeta.
        k: number of neighbours; all rows present, where they are fewer.

    Reference: Koren, Factorization meets the neighborhood, KDD 2008, equation 3.
    """
    del spec

    def init(key: PRNGKeyArray) -> Params:
        return model.init(key) | {"log_shrink": jnp.zeros(())}

    def represent(params: Params, context: Features, support: Support, x: Features | None):
        encoding = model.encode(params, context, support, x)
        return encoding.row, objective.predict(model.score(params, encoding))

    def adapt(params, context, support, depth=None) -> Neighbours:
        seen = unless_shallow(support, depth)
        rows, prior = represent(params, context, support, None)
        residual = jnp.where(seen.mask, seen.y - prior, 0)
        return Neighbours(rows, residual, seen.mask, params, context, support)

    def predict(fast: Neighbours, query: Query) -> Float[Array, "n"]:
        rows, prior = represent(fast.params, fast.context, fast.support, query.x)
        near = nearest(rows, fast.row, fast.there, k)
        number = near.sum(1) + jnp.exp(fast.params["log_shrink"])
        return objective.link(prior + near @ fast.residual / number)

    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1)


def nearest(
    query: Float[Array, "n d"], support: Float[Array, "K d"], there: Bool[Array, "K"], k: int
) -> Bool[Array, "n K"]:
    """Which support rows are among each query row's k nearest, all that tie with the kth included.

    >>> nearest(jnp.zeros((1, 1)), jnp.array([[3.0], [1.0], [2.0]]), jnp.array([True, False, True]), 1).tolist()
    [[False, False, True]]

    Args:
        query, support: representations.
        there: which support rows are present; padding is never a neighbour.
        k: number of neighbours.
    """
    between = jax.lax.stop_gradient(query[:, None] - support)
    distance = jnp.where(there, jnp.square(between).sum(-1), jnp.inf)
    kth = jnp.sort(distance, axis=1)[:, min(k, len(support)) - 1]
    return there & (distance <= kth[:, None])
