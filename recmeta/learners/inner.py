"""The inner loop of every gradient-based learner: what adapts, on which loss, by how many steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from recmeta.learners import tables
from recmeta.types import Encoding, Features, Model, Objective, Params, Support

Adapts = Literal["head", "all"]
"""Which parameters the inner loop changes: the scorer, or everything."""


def adapt(
    model: Model,
    objective: Objective,
    params: Params,
    context: Features,
    support: Support,
    *,
    adapts: Adapts,
    steps: int,
    rate: float,
    depth: int | Array | None = None,
    first_order: bool = False,
) -> Params:
    """Descend the support loss from the meta-parameters.

    Where only the head adapts, the support is encoded once, outside the loop. Of tables, only the rows that the support
    looks up adapt; no other row has a gradient.

    Args:
        model, objective: what is adapted, and on which loss.
        params: where from.
        context, support: one task.
        adapts: see `Adapts`.
        steps: of plain gradient descent.
        rate: step size.
        depth: how many of the steps to take; None for all.
        first_order: treat each step's gradient as a constant, so that no second derivative is taken.

    Returns:
        The parts that adapt, after the descent, with `tables.Changes` in the place of tables; `with_fast` puts them
        into the others' midst.

    Reference: Finn et al., Model-agnostic meta-learning, ICML 2017, equation 1.
    """
    walk = partial(descend, steps=steps, rate=rate, depth=depth, first_order=first_order)

    def loss(params: Params, encoding: Encoding) -> Array:
        return objective.loss(model.score(params, encoding), support.y, support.mask)

    if adapts == "head":
        encoding = model.encode(params, context, support, None)
        return walk(lambda fast: loss({**params, **fast}, encoding), {"scorer": params["scorer"]})

    rows = tables.touched(model, params, context, support)

    def with_rows(fast: Params) -> Params:
        return {**fast, "tables": jax.tree.map(tables.Changes, rows, fast["tables"])}

    def encoded_loss(fast: Params) -> Array:
        adapted = with_fast(params, with_rows(fast))
        return loss(adapted, model.encode(adapted, context, support, None))

    return with_rows(walk(encoded_loss, {**params, "tables": tables.no_change(params["tables"], rows)}))


def with_fast(params: Params, fast: Params) -> Params:
    """All parameters, those that adapted in the place of the others."""
    if "tables" not in fast:
        return {**params, **fast}
    return {**params, **fast, "tables": tables.lay_over(params["tables"], fast["tables"])}


def descend(
    loss: Callable[[Params], Array],
    start: Params,
    *,
    steps: int,
    rate: float,
    depth: int | Array | None = None,
    first_order: bool = False,
) -> Params:
    """Plain gradient descent on a loss; differentiable. For the arguments see `adapt`."""

    def step(fast: Params, number: Array) -> tuple[Params, None]:
        gradient = jax.grad(loss)(fast)
        if first_order:
            gradient = jax.lax.stop_gradient(gradient)
        size = rate if depth is None else jnp.where(number < depth, rate, 0.0)
        return jax.tree.map(lambda value, slope: value - size * slope, fast, gradient), None

    fast, _ = jax.lax.scan(step, start, jnp.arange(steps))
    return fast
