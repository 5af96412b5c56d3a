"""What learners share: an adapted model, the episode (adapt on the support, score the query), and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.types import Batch, Encoding, Features, Model, Objective, Params, Query, Support, Task


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


def query_gradient(adapt: Callable[..., Any], predict: Callable[..., Array], objective: Objective):
    """Build a ``meta_grad``: the gradient, through `adapt`, of the mean query loss over a batch of tasks."""

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def episode(params: Params, task: Task, label: Array) -> Array:
            fast = adapt(params, task.context, task.support)
            return objective.loss(predict(fast, task.query), label, task.query.mask)

        return mean_gradient(episode, params, batch)

    return meta_grad


def mean_gradient(
    loss: Callable[..., Array], params: Params, batch: Batch, *more: Array
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
    """The support at depth 1, nothing at depth 0: what "adaptation steps" are to a learner that takes but one."""
    return support if depth is None else support._replace(mask=support.mask & (jnp.asarray(depth) > 0))


def with_vector(encoding: Encoding, vector: Float[Array, "d"], matrix: Float[Array, "d dc"]) -> Encoding:
    """Add a vector to the context's representation, through a map."""
    return encoding._replace(context=encoding.context + vector @ matrix)


def unadapted_loss(model: Model, objective: Objective, params: Params, context: Features, rows: Support) -> Array:
    """The loss on labelled rows of the parameters as they are."""
    return objective.loss(model.score(params, model.encode(params, context, rows, None)), rows.y, rows.mask)


def pool(task: Task, label: Float[Array, "n"]) -> Support:
    """All labelled rows of a meta-train task as one support, for learners that do not tell support from query."""
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
