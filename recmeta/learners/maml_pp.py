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

from recmeta.learners.adaptation import adapters, inner, kernels
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
    clip: Annotated[float, Gt(0), Traced] | None = None,
    fast_weights: kernels.FastWeights = "auto",
    truncate: Annotated[int, Ge(0)] | None = None,
    remat: bool = False,
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
        clip: the norm above which a step's gradient is made shorter.
        fast_weights: how a task holds the matrices that adapt; see `kernels.FastWeights`.
        truncate: where the gradient is of second order, in so many of the last steps alone, so that the losses after
            those before are of first order; see `inner.Loop`.
        remat: trade time for memory; see `inner.Loop`.

    Reference: Antoniou et al., How to train your MAML, ICLR 2019, section 4 (multi-step loss optimization, equation 4;
    derivative-order annealing; learned per-layer per-step rates).
    """
    del spec
    model, adapting = adapters.fitted(model, adapts)
    inner.check(fast_weights, None, clip)

    def init(key: PRNGKeyArray) -> Params:
        params = model.init(key)
        rates = jax.tree.map(
            lambda value: jnp.full(inner_steps, inner_rate, value.dtype), inner.chosen(params, adapting)
        )
        return params | {"rates": rates}

    def descend(params, context, support, depth=None, **how) -> tuple[Params, Params]:
        start = {name: part for name, part in params.items() if name != "rates"}
        fast = inner.adapt(
            model, objective, start, context, support, adapts=adapting, steps=inner_steps,
            rate=lambda step: jax.tree.map(lambda rates: rates[step], params["rates"]),
            clip=clip, remat=remat, fast_weights=fast_weights, depth=depth, **how,
        )  # fmt: skip
        return start, fast

    def adapt(params, context, support, depth=None) -> Adapted:
        return Adapted(inner.with_fast(*descend(params, context, support, depth)), context, support)

    def adapt_each(truncate: int | None, params, context, support):
        return *descend(params, context, support, truncate=truncate, path=True), context, support

    def predict_each(walked, query: Query) -> Float[Array, "steps n"]:
        start, path, context, support = walked
        # Over the path alone: parameters that do not adapt have no copy per step.
        return jax.vmap(lambda fast: predict(Adapted(inner.with_fast(start, fast), context, support), query))(path)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        weights = step_weights(inner_steps, batch.progress, multi_step_until)

        def weighted(score: Float[Array, "steps n"], *rows: Array, negatives=None, **more: Any) -> Array:
            def loss(score: Array, contrast: Array | None) -> Array:
                drawn = {} if negatives is None else {"negatives": negatives._replace(score=contrast)}
                return objective.loss(score, *rows, **more, **drawn)

            after_each = jax.vmap(loss, (0, None if negatives is None else 0))
            return weights.astype(score.dtype) @ after_each(score, negatives and negatives.score)

        def through(last: int | None):
            gradient = query_gradient(partial(adapt_each, last), predict_each, objective._replace(loss=weighted))
            return lambda params: gradient(params, batch, key)

        return jax.lax.cond(batch.progress < first_order_until, through(0), through(truncate), params)

    predict = score_query(model)
    return Learner(init, adapt, predict, meta_grad, inner_steps)


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
