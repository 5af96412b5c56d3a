"""Meta-SGD: MAML that also learns the size and sign of each parameter's inner rate."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import PRNGKeyArray

from recmeta.learners.adaptation import adapters
from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import Adapted, query_gradient, score_query
from recmeta.types import DataSpec, Learner, Model, Objective, Params, Traced


def meta_sgd(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    inner_steps: Annotated[int, Ge(0)],
    inner_rate: Annotated[float, Gt(0), Traced],
    first_order: bool,
    adapts: adapters.Adapts,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Learn the initialisation, and an inner rate for each adapted number.

    Rates may turn negative, as in the paper. They start equal, where the paper draws them at random from 0.005 to 0.1;
    and there may be more than the paper's one step, with the same rates. Embedding tables that adapt have a rate per
    entry: twice the memory.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps on the support.
        inner_rate: initial value of all rates.
        first_order: leave out the second derivatives; rates are learned all the same.
        adapts: which part; see `adapters.Adapts`.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Li et al., Meta-SGD: Learning to learn quickly for few-shot learning, 2017, equation 2 and algorithm 1.
    """
    del spec
    inner = inner_loop.settled(inner, first_order=first_order, unused=inner_loop.RATES)._replace(fast_weights="dense")
    model, adapting = adapters.fitted(model, adapts)

    def init(key: PRNGKeyArray) -> Params:
        params = model.init(key)
        rates = jax.tree.map(lambda value: jnp.full_like(value, inner_rate), inner_loop.chosen(params, adapting))
        return params | {"rates": rates}

    def adapt(params, context, support, depth=None) -> Adapted:
        start = {name: part for name, part in params.items() if name != "rates"}
        fast = inner_loop.adapt(
            model, objective, start, context, support, inner, adapts=adapting, steps=inner_steps,
            rate=lambda step: params["rates"], depth=depth,
        )  # fmt: skip
        return Adapted(inner_loop.with_fast(start, fast), context, support)

    predict = score_query(model)
    departs = adapters.departures(adapts, of="all")
    meta_grad = query_gradient(adapt, predict, objective)
    return Learner(init, adapt, predict, meta_grad, inner_steps, departs=departs)
