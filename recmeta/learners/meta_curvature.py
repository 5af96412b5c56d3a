"""Meta-curvature: MAML whose inner gradients are multiplied by learned matrices, one per axis of each parameter.

The gradient G of a matrix becomes ``A G B'``, that of a vector ``A g``: square matrices that are learned in the outer
loop and start as the identity, where this is `maml`. It is a preconditioner with Kronecker structure, the same at all
steps; `meta_sgd` has the diagonal counterpart, a rate per entry. In embedding tables that adapt, each row's gradient is
multiplied in the same way.

A layer of ``a x b`` has ``a^2 + b^2`` more numbers to learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation import adapters
from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import Adapted, query_gradient, score_query
from recmeta.types import DataSpec, Learner, Model, Objective, Params, Traced


def meta_curvature(
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
    """Learn the initialisation, and a preconditioner of the inner gradients.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps on the support.
        inner_rate: their size.
        first_order: leave out the second derivatives; the matrices are learned all the same.
        adapts: which part; see `adapters.Adapts`.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`. Gradients are turned after
            ``clip`` and before ``optimizer``.

    Reference: Park and Oliva, Meta-curvature, NeurIPS 2019, section 3.
    """
    del spec
    inner = inner_loop.settled(inner, first_order=first_order, unused=inner_loop.RATES)
    model, adapting = adapters.fitted(model, adapts)

    def init(key: PRNGKeyArray) -> Params:
        params = model.init(key)
        chosen = inner_loop.chosen(params, adapting)
        curvature = jax.tree.map(lambda value: identities(value, range(value.ndim)), chosen)
        if "tables" in chosen:
            # A task holds the table rows that its support looks up: their number varies, their width does not.
            curvature["tables"] = jax.tree.map(lambda table: identities(table, [1]), chosen["tables"])
        return params | {"curvature": curvature}

    def adapt(params, context, support, depth=None) -> Adapted:
        start = {name: part for name, part in params.items() if name != "curvature"}

        def turn(gradient: Params, _: Params | None) -> Params:
            return jax.tree.map(preconditioned, gradient, params["curvature"])

        def follow(rate: float) -> optax.GradientTransformation:
            return optax.chain(optax.stateless(turn), (inner.optimizer or optax.sgd)(rate))

        fast = inner_loop.adapt(
            model, objective, start, context, support, inner._replace(optimizer=follow), adapts=adapting,
            steps=inner_steps, rate=inner_rate, depth=depth,
        )  # fmt: skip
        return Adapted(inner_loop.with_fast(start, fast), context, support)

    predict = score_query(model)
    departs = adapters.departures(adapts, of="all")
    meta_grad = query_gradient(adapt, predict, objective)
    return Learner(init, adapt, predict, meta_grad, inner_steps, departs=departs)


def identities(value: Array, axes: range | list[int]) -> dict[str, Array]:
    """An identity matrix for each given axis of an array."""
    return {f"axis_{axis}": jnp.eye(value.shape[axis], dtype=value.dtype) for axis in axes}


def preconditioned(gradient: Float[Array, "*d"], matrices: Mapping[str, Float[Array, "d d"]]) -> Float[Array, "*d"]:
    """Multiply a gradient along each axis by the matrix named after that axis.

    >>> swap = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    >>> preconditioned(jnp.array([[1.0, 2.0]]), {"axis_0": jnp.array([[3.0]]), "axis_1": swap})
    Array([[6., 3.]], dtype=float32)
    """
    for name, matrix in matrices.items():
        axis = int(name.removeprefix("axis_"))
        gradient = jnp.moveaxis(jnp.tensordot(matrix, gradient, (1, axis)), 0, axis)
    return gradient
