"""A ridge regression head, solved in closed form on each task's support."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from annotated_types import Gt
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient, unless_shallow
from recmeta.numerics import solve_positive
from recmeta.types import DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Traced


class RidgeHead(NamedTuple):
    """One task's head weights, less their prior mean, with the parameters needed to score a query."""

    weights: Float[Array, "d+1"]
    params: Params
    context: Features
    support: Support


def ridge(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    level_scale: Annotated[float, Gt(0), Traced],
    weight_scale: Annotated[float, Gt(0), Traced],
) -> Learner:
    """Regress the support labels on the row representations, shrunk towards a learned prior by learned penalties.

    A row's predicted label is ``prior(row) + w . [1, representation]``. The prior mean is the scorer's own prediction:
    under ``scorer=dot`` that is itself linear in the representation, with weights that depend on the context, so the
    head's weights have a learned prior mean per context. ``w`` minimises

        sum over support (label - prior - w . [1, row])^2 + sum over d (w_d / scale_d)^2,

    whose penalties ``1 / scale_d^2``, one per dimension, are learned through the solution. The constant's weight is the
    new user's level: user+item bias is the special case in which all other scales are 0.

    Args:
        spec, model, objective: given by recmeta.
        level_scale: initial scale of the constant; prior standard deviation over that of the noise.
        weight_scale: initial scale of the other weights.

    Reference: Bertinetto et al., Meta-learning with differentiable closed-form solvers, ICLR 2019, equation 4 (the
    Woodbury form, K x K) — with a prior mean and per-dimension penalties.
    """
    del spec

    def init(key: PRNGKeyArray) -> Params:
        scales = jnp.full(1 + model.widths[1], weight_scale).at[0].set(level_scale)
        return model.init(key) | {"head": {"log_scale": jnp.log(scales)}}

    def represent(params: Params, context: Features, support: Support, x: Features | None):
        encoding = model.encode(params, context, support, x)
        constant = jnp.ones((len(encoding.row), 1))
        prior = objective.predict(model.score(params, encoding))
        return jnp.concatenate([constant, encoding.row], axis=1), prior

    def adapt(params, context, support, depth=None) -> RidgeHead:
        seen = unless_shallow(support, depth)
        rows, prior = represent(params, context, support, None)
        variance = jnp.exp(2 * params["head"]["log_scale"])
        return RidgeHead(solve(rows, seen.y - prior, seen.mask, variance), params, context, support)

    def predict(fast: RidgeHead, query: Query) -> Float[Array, "n"]:
        rows, prior = represent(fast.params, fast.context, fast.support, query.x)
        return objective.link(prior + rows @ fast.weights)

    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1)


def solve(
    rows: Float[Array, "K d"], target: Float[Array, "K"], mask: Array, variance: Float[Array, "d"]
) -> Float[Array, "d"]:
    """Ridge weights: minimise the squared error over the rows present plus ``sum w^2 / variance``.

    Solved as a K x K system: with V = diag(variance), ``w = V X' (X V X' + I)^-1 y``. A padding row is a row of zeros
    with target 0, which adds nothing.

    Args:
        rows: X.
        target: y.
        mask: which rows are present.
        variance: prior variance of each weight over the noise variance: one over its penalty.
    """
    x = jnp.where(mask[:, None], rows, 0)
    y = jnp.where(mask, target, 0)
    gram = (x * variance) @ x.T + jnp.eye(len(x), dtype=x.dtype)
    return variance * (x.T @ solve_positive(gram, y))
