"""MAML++: MAML with a learned rate per layer and step, and, early in training, a query loss after every step.

Two things change over training. The weights of the losses after each step go from all equal to the last alone
(`step_weights`). And the gradient is first order before it becomes second order: the program has a branch for each, so
that a first-order step costs no more than one (multiplying the second-order terms by 0 would cost as much as second
order).

Changed from the paper: its batch normalisation per step and its cosine schedule of the outer rate are left out, since
no scorer normalises batches and the outer optimizer is a component of its own. The published code keeps some weight on
the earlier losses while it anneals; here they go to 0.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation import adapters
from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import Adapted, query_gradient, score_query
from recmeta.types import Batch, DataSpec, Learner, Model, Objective, Params, Query, Traced


# Long: thirteen settings, and an inner loop of its own that is differentiated in two orders.
def maml_pp(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    inner_steps: Annotated[int, Ge(1)],
    inner_rate: Annotated[float, Gt(0), Traced],
    multi_step_until: Annotated[float, Ge(0), Le(1)],
    first_order_until: Annotated[float, Ge(0), Le(1)],
    adapts: adapters.Adapts,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Learn the initialisation and a rate per array of parameters and step, from the query losses after all steps.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps on the support.
        inner_rate: initial value of all rates.
        multi_step_until: the share of training over which the losses after all steps but the last lose their weight; 0:
            the last alone counts from the start.
        first_order_until: the share of training in which second derivatives are left out; 1: all of it.
        adapts: which part; see `adapters.Adapts`.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`. ``truncate`` is of the gradient
            of second order: the losses after the steps before are then of first order.

    Reference: Antoniou et al., How to train your MAML, ICLR 2019, section 4 (multi-step loss optimization, equation 4;
    derivative-order annealing; learned per-layer per-step rates).
    """
    del spec
    inner = inner_loop.settled(inner)
    model, adapting = adapters.fitted(model, adapts)

    def init(key: PRNGKeyArray) -> Params:
        params = model.init(key)
        rates = jax.tree.map(
            lambda value: jnp.full(inner_steps, inner_rate, value.dtype), inner_loop.chosen(params, adapting)
        )
        return params | {"rates": rates}

    def descend(params, context, support, settings, depth=None, *, path=False) -> tuple[Params, Params]:
        start = {name: part for name, part in params.items() if name != "rates"}
        fast = inner_loop.adapt(
            model, objective, start, context, support, settings, adapts=adapting, steps=inner_steps,
            rate=lambda step: jax.tree.map(lambda rates: rates[step], params["rates"]), depth=depth, path=path,
        )  # fmt: skip
        return start, fast

    def adapt(params, context, support, depth=None) -> Adapted:
        return Adapted(inner_loop.with_fast(*descend(params, context, support, inner, depth)), context, support)

    def adapt_each(settings: inner_loop.Inner, params, context, support):
        return *descend(params, context, support, settings, path=True), context, support

    def predict_each(walked, query: Query) -> Float[Array, "steps n"]:
        start, path, context, support = walked
        # Over the path alone: parameters that do not adapt have no copy per step.
        return jax.vmap(lambda fast: predict(Adapted(inner_loop.with_fast(start, fast), context, support), query))(path)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        weights = step_weights(inner_steps, batch.progress, multi_step_until)

        def weighted(score: Float[Array, "steps n"], *rows: Array, negatives=None, **more: Any) -> Array:
            def loss(score: Array, contrast: Array | None) -> Array:
                drawn = {} if negatives is None else {"negatives": negatives._replace(score=contrast)}
                return objective.loss(score, *rows, **more, **drawn)

            after_each = jax.vmap(loss, (0, None if negatives is None else 0))
            return weights.astype(score.dtype) @ after_each(score, negatives and negatives.score)

        def through(settings: inner_loop.Inner):
            gradient = query_gradient(partial(adapt_each, settings), predict_each, objective._replace(loss=weighted))
            return lambda params: gradient(params, batch, key)

        return jax.lax.cond(
            batch.progress < first_order_until, through(inner._replace(truncate=0)), through(inner), params
        )

    predict = score_query(model)
    departs = adapters.departures(adapts, of="all")
    return Learner(init, adapt, predict, meta_grad, inner_steps, departs=departs)


def step_weights(steps: int, progress: Float[Array, ""] | float, until: float) -> Float[Array, "steps"]:
    """The weight of the loss after each step: at first all equal; those of all but the last fall to 0 linearly.

    Args:
        steps: number of inner steps.
        progress: share of training done.
        until: share at which only the last step has weight.

    Returns:
        Weights whose sum is 1.

    >>> step_weights(4, 0.25, 0.5).tolist()
    [0.125, 0.125, 0.125, 0.625]
    """
    left = jnp.clip((until - progress) / jnp.maximum(until, jnp.finfo(jnp.float32).tiny), 0, 1)
    earlier = jnp.full(steps, left / steps)
    return earlier.at[-1].set(1 - (steps - 1) * left / steps)
