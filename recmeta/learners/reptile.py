"""Reptile: move the initialisation towards each task's adapted parameters.

In meta-training a task's support and query are pooled: its inner loop descends on all drawn rows.

The paper does not cover models of which only a part adapts. Here a task's training ends with one step on the rest, with
the adapted part fixed: ``params - adapted`` then moves both. So the shared parameters are trained, by first order, for
the adapted part. This last step is plain descent of size ``inner_rate`` on the same rows, whatever the inner optimizer
and ``clip`` are: the mean of such steps over tasks is one step on the mean loss, and no task needs its own gradient of
the shared parameters. Where all parameters adapt, there is no such step.
"""

from __future__ import annotations

from typing import Annotated

import jax
from annotated_types import Ge, Gt
from jaxtyping import Array, PRNGKeyArray

from recmeta.learners.adaptation import adapters, tables
from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import Adapted, mean_gradient, pool, score_query, unadapted_loss
from recmeta.types import Batch, DataSpec, Learner, Model, Objective, Params, Task, Traced


def reptile(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    inner_steps: Annotated[int, Ge(1)],
    inner_rate: Annotated[float, Gt(0), Traced],
    adapts: adapters.Adapts,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Learn the initialisation by its mean distance to the adapted parameters, which needs no second derivative.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps, each on all rows of the draw.
        inner_rate: their size, and that of the last step on the rest.
        adapts: which part; see `adapters.Adapts`.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Nichol et al., On first-order meta-learning algorithms, 2018, algorithm 2 (the batched version); the
    outer optimizer receives ``params - adapted`` as the gradient. Collins et al., Exploiting shared representations for
    personalized federated learning, ICML 2021, algorithm 1 (many steps on a client's head, then one on the shared
    part).
    """
    del spec
    inner = inner_loop.settled(inner, unused=inner_loop.NO_DERIVATIVE)
    model, adapting = adapters.fitted(model, adapts)

    def descend(params, context, support, depth=None) -> Params:
        return inner_loop.adapt(
            model, objective, params, context, support, inner, adapts=adapting, steps=inner_steps, rate=inner_rate,
            depth=depth,
        )  # fmt: skip

    def adapt(params, context, support, depth=None) -> Adapted:
        return Adapted(inner_loop.with_fast(params, descend(params, context, support, depth)), context, support)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def end(task: Task, label):
            rows = pool(task, label)
            return descend(params, task.context, rows), unadapted_loss(model, objective, params, task.context, rows)

        adapted, losses = jax.vmap(end)(batch.task, batch.label)
        moves = tables.mean_difference(inner_loop.chosen(params, adapting), adapted)

        def ended(params: Params, task: Task, label: Array, fast: Params) -> Array:
            return unadapted_loss(model, objective, inner_loop.with_fast(params, fast), task.context, pool(task, label))

        # The gradient of the adapted part is unused, and so not computed.
        shared, _ = mean_gradient(ended, params, batch, adapted)
        last = jax.tree.map(lambda slope: inner_rate * slope, shared)
        return inner_loop.with_fast(last, moves), {"loss": losses.mean()}

    return Learner(model.init, adapt, score_query(model), meta_grad, inner_steps)
