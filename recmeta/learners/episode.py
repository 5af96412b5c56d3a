"""What learners share: an adapted model, the episode (adapt on the support, score the query), and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.types import Batch, Features, Model, Objective, Params, Query, Support, Task


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

        def loss(params: Params) -> Array:
            def episode(task: Task, label: Array) -> Array:
                fast = adapt(params, task.context, task.support)
                return objective.loss(predict(fast, task.query), label, task.query.mask)

            return jax.vmap(episode)(batch.task, batch.label).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        return gradient, {"loss": value}

    return meta_grad


def unless_shallow(support: Support, depth: int | Array | None) -> Support:
    """The support at depth 1, nothing at depth 0: what "adaptation steps" are to a learner that takes but one."""
    return support if depth is None else support._replace(mask=support.mask & (jnp.asarray(depth) > 0))


def unadapted_loss(model: Model, objective: Objective, params: Params, context: Features, rows: Support) -> Array:
    """The loss on labelled rows of the parameters as they are."""
    return objective.loss(model.score(params, model.encode(params, context, rows, None)), rows.y, rows.mask)


def pool(task: Task, label: Float[Array, "n"]) -> Support:
    """All labelled rows of a meta-train task as one support, for learners that do not tell support from query."""
    support, query = task.support, task.query
    x = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), dict(support.x), dict(query.x))
    return Support(x, jnp.concatenate([support.y, label]), jnp.concatenate([support.mask, query.mask]))


def pooled_gradient(model: Model, objective: Objective):
    """Build a ``meta_grad``: the gradient of the mean loss on all rows of a batch of tasks, nothing adapted."""

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def loss(params: Params) -> Array:
            def one(task: Task, label: Array) -> Array:
                return unadapted_loss(model, objective, params, task.context, pool(task, label))

            return jax.vmap(one)(batch.task, batch.label).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        return gradient, {"loss": value}

    return meta_grad
