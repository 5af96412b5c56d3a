"""The inner loop of every gradient-based learner: what adapts, on which loss, by how many steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from recmeta.learners import tables
from recmeta.types import Encoding, Features, Model, Objective, Params, Support, UserError

Adapts = Literal["head", "body", "all", "bias"]
"""Which parameters the inner loop changes: the scorer; all that comes before it; everything; or every bias."""

CHOOSES: Mapping[str, Callable[[tuple[str, ...]], bool]] = MappingProxyType(
    {
        "head": lambda path: path[0] == "scorer",
        "body": lambda path: path[0] != "scorer",
        "all": lambda path: True,
        "bias": lambda path: path[-1] == "bias",
    }
)
"""For each choice, whether the parameter at a path adapts."""


class Descent(NamedTuple):
    """What an inner loop goes down, and from where.

    Attributes:
        loss: of what adapts, on the support; all else is closed over.
        start: what adapts as it is before the first step; of tables, the changes of the rows that are looked up.
        finish: what adapts to what `with_fast` takes: changes of rows with the rows they are of.
    """

    loss: Callable[[Params], Array]
    start: Params
    finish: Callable[[Params], Params]


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
    loss, start, finish = support_descent(model, objective, params, context, support, adapts)
    return finish(descend(loss, start, steps=steps, rate=rate, depth=depth, first_order=first_order))


def support_descent(
    model: Model, objective: Objective, params: Params, context: Features, support: Support, adapts: Adapts
) -> Descent:
    """One task's descent. For the arguments see `adapt`.

    Where nothing before the scorer adapts, the support is encoded once, outside the loop. Of tables, only the rows that
    the support looks up adapt; no other row has a gradient.
    """
    start = chosen(params, adapts)

    def loss(params: Params, encoding: Encoding) -> Array:
        return objective.loss(model.score(params, encoding), support.y, support.mask)

    if set(start) <= {"scorer"}:
        encoding = model.encode(params, context, support, None)
        return Descent(lambda fast: loss(with_fast(params, fast), encoding), start, lambda fast: fast)

    rows = tables.touched(model, params, context, support) if "tables" in start else {}

    def finish(fast: Params) -> Params:
        return fast | {"tables": jax.tree.map(tables.Changes, rows, fast["tables"])} if rows else fast

    def encoded_loss(fast: Params) -> Array:
        adapted = with_fast(params, finish(fast))
        return loss(adapted, model.encode(adapted, context, support, None))

    changes = {"tables": tables.no_change(params["tables"], rows)} if rows else {}
    return Descent(encoded_loss, start | changes, finish)


def chosen(params: Params, adapts: Adapts) -> Params:
    """The parameters that adapt, alone, each at its path.

    Raises:
        UserError: where there are none.
    """

    def within(part: Mapping[str, Any], path: tuple[str, ...]) -> Params:
        taken = {}
        for name, value in part.items():
            here = (*path, name)
            if isinstance(value, dict):
                # A part in which nothing adapts is left out, so that what is left says what adapts.
                taken |= {name: inside} if (inside := within(value, here)) else {}
            elif CHOOSES[adapts](here):
                taken[name] = value
        return taken

    found = within(params, ())
    if not found:
        raise UserError(f"learner.adapts={adapts}: this encoder and scorer have no such parameter")
    return found


def with_fast(params: Params, fast: Params) -> Params:
    """All parameters, those that adapted in the place of the others, changes of tables laid over them."""

    def merged(whole: Any, part: Any) -> Any:
        if isinstance(part, dict):
            return whole | {name: merged(whole[name], value) for name, value in part.items()}
        return tables.lay_over(whole, part) if isinstance(part, tables.Changes) else part

    return merged(params, fast)


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
