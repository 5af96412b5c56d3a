"""MAML that learns how strongly to adapt, from the number of support rows.

Each adapted array of parameters has two more numbers, level a and growth b, and descends the support loss, a mean over
its rows, times

    exp(a) (K / K_max)^b,    K_max being the largest support that the protocol has.

Both start at 0, where this is `maml`. With b = 1 the loss is the rows' sum, and with b = 0 their mean: one row then
moves a task as far as twenty do, with larger noise. The weight is defined at every size, also at those that training
never draws; where it draws K_max alone, b has no gradient, and all sizes have one learned weight.

Changed from the paper: its multiplier of a layer's inner rate is the output of a network over all support rows, with a
variational distribution. Here it is a number that depends only on the size of the support, which is known to matter
without any network. The paper's class weights and task-dependent initialisation are left out: ratings have no classes
to balance, and for the latter there is `mamo`.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Bool, PRNGKeyArray

from recmeta.learners.adaptation import adapters
from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import Adapted, query_gradient, score_query
from recmeta.types import DataSpec, Learner, Model, Objective, Params, Traced


def balanced(
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
    """Learn the initialisation, and a weight of the support loss that depends on the support size K.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps on the support.
        inner_rate: their size, where all weights are 1.
        first_order: leave out the second derivatives; weights are learned all the same.
        adapts: which part; see `adapters.Adapts`.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`. Directions are weighted last, after
            ``clip`` and ``optimizer``.

    Reference: Lee et al., Learning to balance: Bayesian meta-learning for imbalanced and out-of-distribution tasks,
    ICLR 2020 (its task-dependent multipliers of the learning rate).
    """
    inner = inner_loop.settled(inner, first_order=first_order)
    model, adapting = adapters.fitted(model, adapts)

    def init(key: PRNGKeyArray) -> Params:
        params = model.init(key)
        zeros = jax.tree.map(lambda value: jnp.zeros((), value.dtype), inner_loop.chosen(params, adapting))
        return params | {"balance": {"level": zeros, "growth": zeros}}

    def adapt(params, context, support, depth=None) -> Adapted:
        start = {name: part for name, part in params.items() if name != "balance"}
        rates = jax.tree.map(lambda times: inner_rate * times, weights(params["balance"], support.mask, spec.support))
        fast = inner_loop.adapt(
            model, objective, start, context, support, inner, adapts=adapting, steps=inner_steps,
            rate=lambda step: rates, depth=depth,
        )  # fmt: skip
        return Adapted(inner_loop.with_fast(start, fast), context, support)

    predict = score_query(model)
    departs = (("paper", "by support size alone"), *adapters.departures(adapts, of="all"))
    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), inner_steps, departs=departs)


def weights(balance: Params, mask: Bool[Array, "K"], largest: int) -> Params:
    """Compute ``exp(level) (K / largest)^growth`` for each level and growth, K being the number of rows, at least 1.

    ``exp(level) (K / largest)^growth``, K being the number of rows, at least 1.

    >>> float(weights({"level": jnp.array(0.0), "growth": jnp.array(0.5)}, jnp.arange(20) < 5, 20))
    0.5
    """

    def weight(level: Array, growth: Array) -> Array:
        size = jnp.maximum(mask.sum(), 1).astype(level.dtype)
        return jnp.exp(level + growth * jnp.log(size / largest))

    return jax.tree.map(weight, balance["level"], balance["growth"])
