"""iMAML: the meta-gradient by implicit differentiation at the end of the inner loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array

from recmeta.learners.adaptation import adapters
from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import Adapted, query_gradient, score_query
from recmeta.types import DataSpec, Learner, Model, Objective, Params, Traced


def imaml(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    inner_steps: Annotated[int, Ge(0)],
    inner_rate: Annotated[float, Gt(0), Traced],
    pull: Annotated[float, Gt(0), Traced],
    cg_steps: Annotated[int, Ge(1)],
    adapts: adapters.Adapts,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Learn the initialisation as the centre that adapted parameters are pulled to, by implicit differentiation.

    The inner loop minimises the support loss plus ``pull / 2`` times the squared distance to the initialisation. At its
    minimum, with H the loss's second derivative there, the minimum moves with the initialisation by ``(I + H /
    pull)^-1``, which conjugate gradient applies without any matrix. The inner loop is not stored: memory does not grow
    with its steps. The gradient is exact at the minimum only, and needs ``pull`` above minus the least eigenvalue of H.
    Parameters that do not adapt are trained through the minimum too (in the paper all adapt).

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps on the support.
        inner_rate: their size; below ``2 / (pull + the largest eigenvalue of H)``.
        pull: the strength of the proximal term (the paper's lambda).
        cg_steps: most conjugate gradient steps.
        adapts: which part; see `adapters.Adapts`.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Rajeswaran et al., Meta-learning with implicit gradients, NeurIPS 2019, equations 3 and 6, algorithms 1
    and 2.
    """
    del spec
    inner = inner_loop.settled(inner, unused={**inner_loop.NO_DERIVATIVE, **inner_loop.VECTOR})
    model, adapting = adapters.fitted(model, adapts)

    def pulled(params, context, support):
        """One task's support loss with the proximal term, its start, and `inner.Descent.finish`."""
        loss, start, finish, _ = inner_loop.support_descent(model, objective, params, context, support, adapting)
        return lambda fast: loss(fast) + pull / 2 * square_distance(fast, start), start, finish

    def adapt(params, context, support, depth=None) -> Adapted:
        loss, _, finish = pulled(params, context, support)
        # The descent itself is not differentiated.
        fixed, start, _ = pulled(jax.lax.stop_gradient(params), context, support)
        end, _ = inner_loop.descend(jax.grad(fixed), start, inner, steps=inner_steps, rate=inner_rate, depth=depth)
        end = moves_with(jax.grad(loss)(end), end, jax.grad(fixed), cg_steps)
        return Adapted(inner_loop.with_fast(params, finish(end)), context, support)

    predict = score_query(model)
    departs = adapters.departures(adapts, of="all")
    meta_grad = query_gradient(adapt, predict, objective)
    return Learner(model.init, adapt, predict, meta_grad, inner_steps, departs=departs)


def moves_with(slope: Params, root: Params, equation: Callable[[Params], Params], steps: int) -> Params:
    """Give the root of an equation the derivative of the implicit function theorem.

    Args:
        slope: the equation at the root, as a function of the parameters to differentiate in.
        root: as a constant.
        equation: a gradient, so that its derivative is symmetric; constant in the parameters that slope depends on.
        steps: most conjugate gradient steps.
    """

    def curvature(way: Params) -> Params:
        return jax.jvp(equation, (root,), (way,))[1]

    # Zero in value, so that the value is the root, and conjugate gradient runs on cotangents alone, to the last digit.
    left = jax.tree.map(lambda value: value - jax.lax.stop_gradient(value), slope)
    digit = float(jnp.finfo(jnp.result_type(*jax.tree.leaves(root))).eps)
    return jax.tree.map(jnp.subtract, root, cg(curvature, left, tol=digit, maxiter=steps)[0])


def square_distance(a: Params, b: Params) -> Array:
    """The squared Euclidean distance of two trees."""
    return sum((jnp.sum(jnp.square(x - y)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)), jnp.zeros(()))
