"""Joint training without adaptation: the control that every meta-learner must beat."""

from __future__ import annotations

import jax
from jaxtyping import Array, PRNGKeyArray

from recmeta.learners.episode import Adapted, pool, score_query, unadapted_loss
from recmeta.types import Batch, DataSpec, Learner, Model, Objective, Params, Task


def joint(*, spec: DataSpec, model: Model, objective: Objective) -> Learner:
    """Train on all rows of all tasks at once; at test, use the parameters as they are.

    Only an encoder that itself reads the support makes any use of it.

    Args:
        spec, model, objective: given by `recmeta.build`.
    """
    del spec

    def adapt(params, context, support, depth=None) -> Adapted:
        del depth
        return Adapted(params, context, support)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def loss(params: Params) -> Array:
            def one(task: Task, label: Array) -> Array:
                rows = pool(task, label)
                return unadapted_loss(model, objective, params, task.context, rows)

            return jax.vmap(one)(batch.task, batch.label).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        return gradient, {"loss": value}

    return Learner(model.init, adapt, score_query(model), meta_grad, 0)
