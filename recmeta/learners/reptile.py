"""Reptile: move the initialisation towards each task's adapted parameters.

In meta-training a task's support and query are pooled, and each inner step descends on another minibatch of them, drawn
without replacement within an epoch (`minibatches`): that the gradients of different minibatches come to agree is what
the paper's analysis says the updates do beyond joint training. At test, each step is on the whole support, which the
protocol keeps small; the paper's code takes minibatches there too, so that two tests of one model differ.

The paper does not cover models of which only a part adapts. Here a task's training ends with one step on the rest, with
the adapted part fixed: ``params - adapted`` then moves both. So the shared parameters are trained, by first order, for
the adapted part. This last step is plain descent of size ``inner_rate`` on the same rows, whatever the inner optimizer
and ``clip`` are: the mean of such steps over tasks is one step on the mean loss, and no task needs its own gradient of
the shared parameters. Where all parameters adapt, there is no such step.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Bool, PRNGKeyArray

from recmeta.learners.adaptation import adapters, tables
from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import Adapted, mean_gradient, pool, score_query, unadapted_loss
from recmeta.types import Batch, DataSpec, Learner, Model, Objective, Params, Task, Traced


# Long: two gradients, of the adapted part and of the rest, share the descent and its settings.
def reptile(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    inner_steps: Annotated[int, Ge(1)],
    inner_rate: Annotated[float, Gt(0), Traced],
    adapts: adapters.Adapts,
    inner_batch: Annotated[int, Ge(1)] | None = None,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Learn the initialisation by its mean distance to the adapted parameters, which needs no second derivative.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps.
        inner_rate: their size, and that of the last step on the rest.
        adapts: which part; see `adapters.Adapts`.
        inner_batch: rows of each step's minibatch in training; all, where a task has no more. None: all rows of the
            draw in every step.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Nichol et al., On first-order meta-learning algorithms, 2018, algorithm 2 (the batched version); the
    outer optimizer receives ``params - adapted`` as the gradient: plain descent in the paper's experiments. Collins et
    al., Exploiting shared representations for personalized federated learning, ICML 2021, algorithm 1 (many steps on a
    client's head, then one on the shared part).
    """
    del spec
    inner = inner_loop.settled(inner, unused=inner_loop.NO_DERIVATIVE)
    model, adapting = adapters.fitted(model, adapts)

    def descend(params, context, support, depth=None, rows=None) -> Params:
        return inner_loop.adapt(
            model, objective, params, context, support, inner, adapts=adapting, steps=inner_steps, rate=inner_rate,
            depth=depth, rows=rows,
        )  # fmt: skip

    def adapt(params, context, support, depth=None) -> Adapted:
        return Adapted(inner_loop.with_fast(params, descend(params, context, support, depth)), context, support)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        def end(task: Task, label: Array, key: PRNGKeyArray):
            rows = pool(task, label)
            drawn = None if inner_batch is None else minibatches(key, rows.mask, inner_batch, inner_steps)
            fast = descend(params, task.context, rows, rows=drawn)
            return fast, unadapted_loss(model, objective, params, task.context, rows)

        adapted, losses = jax.vmap(end)(batch.task, batch.label, jax.random.split(key, len(batch.label)))
        moves = tables.mean_difference(inner_loop.chosen(params, adapting), adapted)

        def ended(params: Params, task: Task, label: Array, fast: Params) -> Array:
            return unadapted_loss(model, objective, inner_loop.with_fast(params, fast), task.context, pool(task, label))

        # The gradient of the adapted part is unused, and so not computed.
        shared, _ = mean_gradient(ended, params, batch, adapted)
        last = jax.tree.map(lambda slope: inner_rate * slope, shared)
        return inner_loop.with_fast(last, moves), {"loss": losses.mean()}

    departs = adapters.departures(adapts, of="all")
    if inner_batch is None:
        departs += (("learner.inner_batch", "all rows a step"),)
    return Learner(model.init, adapt, score_query(model), meta_grad, inner_steps, departs=departs, outer="sgd")


def minibatches(key: PRNGKeyArray, there: Bool[Array, "K"], size: int, steps: int) -> Bool[Array, "steps K"]:
    """Draw the rows of each step's minibatch, without replacement within an epoch; each epoch is shuffled anew.

    An epoch's last rows, where they are too few for a minibatch, are left out of it.

    Args:
        key: randomness.
        there: which rows there are, n of them.
        size: rows of a minibatch; with fewer than that, all are taken in every step.
        steps: how many minibatches.

    Returns:
        Of each step, which rows it takes.
    """
    number = there.sum()
    per_epoch = jnp.maximum(number // size, 1)

    def one(step: Array) -> Array:
        epoch, place = step // per_epoch, step % per_epoch
        noise = jax.random.uniform(jax.random.fold_in(key, epoch), there.shape)
        rank = jnp.argsort(jnp.argsort(jnp.where(there, noise, jnp.inf)))
        return there & (rank >= place * size) & (rank < (place + 1) * size)

    return jax.vmap(one)(jnp.arange(steps))
