"""The inner loop of every gradient-based learner: what adapts, on which loss, by how many steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from recmeta.types import Features, Model, Objective, Params, Support

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

    Where only the head adapts, the support is encoded once, outside the loop.

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
        All parameters, those that adapt after the descent.

    Reference: Finn et al., Model-agnostic meta-learning, ICML 2017, equation 1.
    """
    fast = dict(params) if adapts == "all" else {"scorer": params["scorer"]}
    encoding = None if adapts == "all" else model.encode(params, context, support, None)

    def loss(fast: Params) -> Array:
        adapted = {**params, **fast}
        rows = model.encode(adapted, context, support, None) if encoding is None else encoding
        return objective.loss(model.score(adapted, rows), support.y, support.mask)

    return {**params, **descend(loss, fast, steps=steps, rate=rate, depth=depth, first_order=first_order)}


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
