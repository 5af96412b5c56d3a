"""MAML++: MAML with a learned rate for each layer and step, and a query loss after every step."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners import inner
from recmeta.learners.episode import Adapted, query_gradient, score_query
from recmeta.types import DataSpec, Learner, Model, Objective, Params, Query


def maml_pp(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    inner_steps: Annotated[int, Ge(1)],
    inner_rate: Annotated[float, Gt(0)],
    earlier: Annotated[float, Ge(0), Le(1)],
    first_order: bool,
    adapts: inner.Adapts,
    clip: Annotated[float, Gt(0)] | None = None,
    remat: bool = False,
) -> Learner:
    """Learn the initialisation and a rate per array of parameters and step, on the query losses after all steps.

    What is changed: the paper anneals the weights of the steps' losses, from all alike to the last alone, and first
    order to second, over the course of training. A learner has no clock here: the weights are geometric and fixed
    (``earlier`` 1 is where the paper starts, 0 where it ends), and the order is one setting. Its batch normalisation
    per step and its cosine schedule of the outer rate are no part of it: no scorer normalises batches, and the outer
    optimizer is a component of its own.

    Args:
        spec, model, objective: given by `recmeta.build`.
        inner_steps: gradient steps on the support.
        inner_rate: where all rates start.
        earlier: the weight of the loss after one step, relative to that after the next.
        first_order: leave out the second derivatives.
        adapts: which part; see `inner.Adapts`.
        clip: the norm above which a step's gradient is made shorter.
        remat: trade time for memory; see `inner.Loop`.

    Reference: Antoniou et al., How to train your MAML, ICLR 2019, section 4 (multi-step loss optimization, equation 4;
    learned per-layer per-step rates).
    """
    del spec
    weights = earlier ** np.arange(inner_steps - 1, -1, -1.0)
    weights = weights / weights.sum()

    def init(key: PRNGKeyArray) -> Params:
        params = model.init(key)
        rates = jax.tree.map(lambda value: jnp.full(inner_steps, inner_rate, value.dtype), inner.chosen(params, adapts))
        return params | {"rates": rates}

    def descend(params, context, support, depth=None, path=False) -> tuple[Params, Params]:
        start = {name: part for name, part in params.items() if name != "rates"}
        fast = inner.adapt(
            model, objective, start, context, support, adapts=adapts, steps=inner_steps,
            rate=lambda step: jax.tree.map(lambda rates: rates[step], params["rates"]),
            clip=clip, remat=remat, depth=depth, first_order=first_order, path=path,
        )  # fmt: skip
        return start, fast

    def adapt(params, context, support, depth=None) -> Adapted:
        return Adapted(inner.with_fast(*descend(params, context, support, depth)), context, support)

    def adapt_each(params, context, support):
        return *descend(params, context, support, path=True), context, support

    def predict_each(walked, query: Query) -> Float[Array, "steps n"]:
        start, path, context, support = walked
        # Over the path alone: what does not adapt has no copy per step.
        return jax.vmap(lambda fast: predict(Adapted(inner.with_fast(start, fast), context, support), query))(path)

    def weighted(score: Float[Array, "steps n"], label: Array, mask: Array) -> Array:
        return jnp.asarray(weights, score.dtype) @ jax.vmap(objective.loss, (0, None, None))(score, label, mask)

    predict = score_query(model)
    meta_grad = query_gradient(adapt_each, predict_each, objective._replace(loss=weighted))
    return Learner(init, adapt, predict, meta_grad, inner_steps)
