"""The episode that learners share: adapt on the support, score the query, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from recmeta.types import (
    Batch,
    Encoding,
    Features,
    Model,
    Negatives,
    Objective,
    Params,
    Query,
    ScoredNegatives,
    Support,
    Task,
)  # fmt: skip

OF_LOSS = 2**32 - 1
"""What the key of a step is folded with for the objective's own draws: no learner splits as many from it."""


class Adapted(NamedTuple):
    """A model's parameters, adapted or not, and the task they are for."""

    params: Params
    context: Features
    support: Support


def score_query(model: Model) -> Callable[[Adapted, Query], Float[Array, "n"]]:
    """Score a query with an adapted model."""

    def predict(fast: Adapted, query: Query) -> Float[Array, "n"]:
        return model.score(fast.params, model.encode(fast.params, fast.context, fast.support, query.x))

    return predict


class Visit(NamedTuple):
    """The arguments of a query loss beside scores and labels; with a leading axis ``T``, of a batch.

    Attributes:
        weight: how much each query row counts; None: all alike.
        negatives: drawn for this visit; None: none.
        key: for an objective that draws.
    """

    weight: Float[Array, "*T n"] | None
    negatives: Negatives | None
    key: PRNGKeyArray


def visits(batch: Batch, key: PRNGKeyArray) -> Visit:
    """The arguments of the query losses of a batch.

    Args:
        batch: T tasks.
        key: of the step.
    """
    keys = jax.random.split(jax.random.fold_in(key, OF_LOSS), len(batch.label))
    return Visit(batch.weight, batch.negatives, keys)


def query_loss(
    objective: Objective, predict: Callable[..., Array], fast: Any, query: Query, label: Array, visit: Visit
) -> Float[Array, ""]:
    """The loss of a query: its rows weighted and, where the objective wants that, contrasted with negatives.

    Args:
        objective: whose loss.
        predict: ``(fast, rows) -> scores``.
        fast: what the task was adapted to.
        query, label: the rows.
        visit: from `visits`, of this task.
    """
    keywords = loss_keywords(objective, predict, fast, visit)
    return objective.loss(predict(fast, query), label, query.mask, **keywords)


def loss_keywords(objective: Objective, predict: Callable[..., Array], fast: Any, visit: Visit) -> dict[str, Any]:
    """The keywords of a query's loss: row weights, a key, and the negatives, scored as the query's rows are."""
    keywords: dict[str, Any] = {"weights": visit.weight, "key": visit.key}
    if objective.negatives and visit.negatives is not None:
        drawn = visit.negatives
        scores = predict(fast, Query(drawn.x, drawn.mask))
        keywords["negatives"] = ScoredNegatives(scores, drawn.log_q, drawn.mask)
    return keywords


def query_gradient(adapt: Callable[..., Any], predict: Callable[..., Array], objective: Objective):
    """Build a ``meta_grad``: the gradient, through `adapt`, of the mean query loss over a batch of tasks."""

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        def episode(params: Params, task: Task, label: Array, visit: Visit) -> Array:
            fast = adapt(params, task.context, task.support)
            return query_loss(objective, predict, fast, task.query, label, visit)

        return mean_gradient(episode, params, batch, visits(batch, key))

    return meta_grad


def mean_gradient(
    loss: Callable[..., Array], params: Params, batch: Batch, *more: PyTree
) -> tuple[Params, dict[str, Array]]:
    """The gradient of the mean over a batch of tasks of ``loss(params, task, label, *more)``, and that mean.

    Args:
        loss: of one task.
        params: where.
        batch: T tasks and their labels.
        more: further arguments, with a leading axis of tasks.
    """

    def mean(params: Params) -> Array:
        return jax.vmap(partial(loss, params))(batch.task, batch.label, *more).mean()

    value, gradient = jax.value_and_grad(mean)(params)
    return gradient, {"loss": value}


def unless_shallow(support: Support, depth: int | Array | None) -> Support:
    """The support at depth 1, nothing at depth 0: adaptation steps of a learner that takes but one."""
    return support if depth is None else support._replace(mask=support.mask & (jnp.asarray(depth) > 0))


def with_vector(encoding: Encoding, vector: Float[Array, "d"], matrix: Float[Array, "d dc"]) -> Encoding:
    """Add a vector to the context's representation, through a map."""
    return encoding._replace(context=encoding.context + vector @ matrix)


def unadapted_loss(model: Model, objective: Objective, params: Params, context: Features, rows: Support) -> Array:
    """The loss on labelled rows of the parameters as they are."""
    return objective.loss(model.score(params, model.encode(params, context, rows, None)), rows.y, rows.mask)


def pool(task: Task, label: Float[Array, "n"]) -> Support:
    """All labelled rows of a meta-train task as one support, for learners that do not separate support and query."""
    support, query = task.support, task.query
    x = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), dict(support.x), dict(query.x))
    return support._replace(
        x=x, y=jnp.concatenate([support.y, label]), mask=jnp.concatenate([support.mask, query.mask])
    )


def pooled_gradient(model: Model, objective: Objective):
    """Build a ``meta_grad``: the gradient of the mean loss on all rows of a batch of tasks, nothing adapted."""

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def one(params: Params, task: Task, label: Array) -> Array:
            return unadapted_loss(model, objective, params, task.context, pool(task, label))

        return mean_gradient(one, params, batch)

    return meta_grad
