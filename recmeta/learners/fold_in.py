"""Matrix factorisation with fold-in: solve a new user's vector by ridge regression on its support.

An item's bias ``b_i`` and factors ``q_i`` are linear in its representation, and ``c``, the effect of the user's
features, is linear in the context's. With ``encoder=ids``, wider than ``rank``, the first two are free numbers of each
item and ``c`` is one number: biased matrix factorisation. With features, an item without ratings has factors too. Level
and ``p`` minimise

    sum over support (label - prediction)^2 + level_penalty level^2 + penalty |p|^2.

``trains`` chooses the loss of the items' side. "rows", the classic: this same sum over all rows of a meta-train user
(over their number), with the user's vector fixed at its minimum — alternating least squares, with a gradient step in
place of the items' half. "episodes": the objective of the query rows, through the solution for the support: factors
from which a few ratings suffice. Both add ``item_penalty`` times the mean of ``|q_i|^2``.

Changed from the reference, which weights rows by confidence, for implicit feedback. There is no scorer.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import Visit, loss_keywords, mean_gradient, pool, unless_shallow, visits
from recmeta.learners.ridge import solve
from recmeta.types import Batch, DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Task, Traced


class Folded(NamedTuple):
    """One user's vector, its level first, with the parameters needed to score a query."""

    vector: Float[Array, "r+1"]
    params: Params
    context: Features
    support: Support


def fold_in(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    rank: Annotated[int, Ge(1)],
    trains: Literal["episodes", "rows"],
    level_penalty: Annotated[float, Gt(0), Traced],
    penalty: Annotated[float, Gt(0), Traced],
    item_penalty: Annotated[float, Ge(0), Traced],
) -> Learner:
    """Predict ``mean + c + b_i + user level + p . q_i``, solving the user's level and ``p`` from the support.

    Args:
        spec, model, objective: given by recmeta. "rows" is squared error of labels, whatever the objective.
        rank: number of factors.
        trains: the loss of the items' side; see the module.
        level_penalty: penalty of a user's level.
        penalty: penalty of a user's factors; under "episodes" the items' factors can grow to offset it.
        item_penalty: penalty of an item's factors.

    Reference: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008, equation 4
    (the user's solution), with the biases of Koren, Bell and Volinsky, Matrix factorization techniques for recommender
    systems, Computer 2009, equations 4 and 5.
    """
    variance = 1 / jnp.array([level_penalty, *[penalty] * rank])

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_factors = jax.random.split(key)
        params = {name: part for name, part in model.init(key_model).items() if name != "scorer"}
        return params | {"item": _init_item(key_factors, model.widths, rank)}

    represent = partial(_represent, spec, model)

    def adapt(params, context, support, depth=None) -> Folded:
        seen = unless_shallow(support, depth)
        rows, prior = represent(params, context, support, None)
        return Folded(solve(rows, seen.y - prior, seen.mask, variance), params, context, support)

    def predict(fast: Folded, query: Query) -> Float[Array, "n"]:
        rows, prior = represent(fast.params, fast.context, fast.support, query.x)
        return objective.link(prior + rows @ fast.vector)

    def episode(params: Params, task: Task, label: Array, visit: Visit) -> Array:
        fast = adapt(params, task.context, task.support)
        rows, prior = represent(params, task.context, task.support, task.query.x)
        score = objective.link(prior + rows @ fast.vector)
        keywords = loss_keywords(objective, predict, fast, visit)
        return objective.loss(score, label, task.query.mask, **keywords) + item_penalty * _size(rows, task.query.mask)

    def all_rows(params: Params, task: Task, label: Array, _: Visit) -> Array:
        seen = pool(task, label)
        rows, prior = represent(params, task.context, seen, None)
        total = _least_squares(rows, seen.y - prior, seen.mask, variance)
        return total / jnp.maximum(seen.mask.sum(), 1) + item_penalty * _size(rows, seen.mask)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        return mean_gradient(episode if trains == "episodes" else all_rows, params, batch, visits(batch, key))

    return Learner(init, adapt, predict, meta_grad, 1, ignores=("objective",) if trains == "rows" else ())


def _init_item(key: PRNGKeyArray, widths: tuple[int, int], rank: int) -> Params:
    context, row = widths
    factors = jax.random.normal(key, (row, rank)) / jnp.sqrt(row)
    return {"context": jnp.zeros(context), "bias": jnp.zeros(row), "factors": factors}


def _least_squares(
    rows: Float[Array, "n r+1"], target: Float[Array, "n"], mask: Array, variance: Float[Array, "r+1"]
) -> Float[Array, ""]:
    """The penalised sum of squares with the user's vector at its minimum."""
    # At its minimum a change of the vector does not change the sum: the gradient is the same with it fixed.
    vector = jax.lax.stop_gradient(solve(rows, target, mask, variance))
    error = jnp.where(mask, target - rows @ vector, 0)
    return jnp.square(error).sum() + (jnp.square(vector) / variance).sum()


def _represent(
    spec: DataSpec, model: Model, params: Params, context: Features, support: Support, x: Features | None
) -> tuple[Float[Array, "n r+1"], Float[Array, "n"]]:
    """Rows as a constant and their items' factors, and their labels expected without the user's vector."""
    encoding = model.encode(params, context, support, x)
    item = params["item"]
    prior = spec.mean + encoding.context @ item["context"] + encoding.row @ item["bias"]
    factors = encoding.row @ item["factors"]
    return jnp.concatenate([jnp.ones((len(factors), 1)), factors], axis=1), prior


def _size(rows: Float[Array, "n r+1"], mask: Array) -> Array:
    """The mean squared length of factors over the rows present."""
    squared = jnp.where(mask, jnp.square(rows[:, 1:]).sum(1), 0)
    return squared.sum() / jnp.maximum(mask.sum(), 1)
