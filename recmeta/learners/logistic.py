"""A logistic regression head, fitted to each task's support by Newton steps."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient
from recmeta.numerics import solve_positive
from recmeta.types import DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Traced

_TRIES = tuple(0.5**halvings for halvings in range(8))
"""Shares of a Newton step to try."""


SHARES = (
    "learner=logistic is meant for labels of 0 and 1 with objective=bce (protocol.labels=liked): here a label counts "
    "as its share of the range from {:g} to {:g}"
)


class LogisticHead(NamedTuple):
    """One task's head weights, less their prior mean, with the parameters needed to score a query."""

    weights: Float[Array, "d+1"]
    params: Params
    context: Features
    support: Support


def logistic(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    inner_steps: Annotated[int, Ge(1)],
    level_scale: Annotated[float, Gt(0), Traced],
    weight_scale: Annotated[float, Gt(0), Traced],
) -> Learner:
    """Regress the support labels' log-odds on the row representations, shrunk to a learned prior by learned penalties.

    A row's log-odds are ``prior(row) + w . [1, representation]``, where the prior is the scorer's, and ``w`` minimises

        sum over support crossentropy(label, sigmoid(log-odds)) + 1/2 sum over d (w_d / scale_d)^2

    by Newton's method, through whose steps scorer, representation and scales are trained. It is meant for
    ``objective=bce``. Under another objective a label counts as the share of the label range that is below it, the
    prior is the scorer's label through the tangent of the log-odds at the mean label, and predictions stay in the
    range: fractional regression. Changed from the paper, whose head has no prior mean, and one penalty for all
    dimensions but the intercept.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: Newton steps; 3 to 5 converge, since the prior is a good start.
        level_scale: initial scale of the constant's weight (a user's level): its prior standard deviation.
        weight_scale: initial scale of the other weights.

    Reference: Bertinetto et al., Meta-learning with differentiable closed-form solvers, ICLR 2019, section 3.3
    (logistic regression by iteratively reweighted least squares, LR-D2).
    """
    spread = spec.high - spec.low
    middle = min(max((spec.mean - spec.low) / spread, 0.01), 0.99)

    def init(key: PRNGKeyArray) -> Params:
        scales = jnp.full(1 + model.widths[1], weight_scale).at[0].set(level_scale)
        return model.init(key) | {"head": {"log_scale": jnp.log(scales)}}

    def represent(params: Params, context: Features, support: Support, x: Features | None):
        encoding = model.encode(params, context, support, x)
        score = model.score(params, encoding)
        if not objective.binary:
            share = (objective.predict(score) - spec.low) / spread
            score = jax.scipy.special.logit(middle) + (share - middle) / (middle * (1 - middle))
        return jnp.concatenate([jnp.ones((len(encoding.row), 1)), encoding.row], axis=1), score

    def adapt(params, context, support, depth=None) -> LogisticHead:
        rows, prior = represent(params, context, support, None)
        share = (support.y - spec.low) / spread
        variance = jnp.exp(2 * params["head"]["log_scale"])
        weights = newton(rows, prior, share, support.mask, variance, steps=inner_steps, depth=depth)
        return LogisticHead(weights, params, context, support)

    def predict(fast: LogisticHead, query: Query) -> Float[Array, "n"]:
        rows, prior = represent(fast.params, fast.context, fast.support, query.x)
        odds = prior + rows @ fast.weights
        return odds if objective.binary else objective.link(spec.low + spread * jax.nn.sigmoid(odds))

    notes = () if objective.binary else (SHARES.format(spec.low, spec.high),)
    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), inner_steps, notes=notes)


def newton(
    rows: Float[Array, "K d"],
    prior: Float[Array, "K"],
    target: Float[Array, "K"],
    mask: Bool[Array, "K"],
    variance: Float[Array, "d"],
    *,
    steps: int,
    depth: int | Array | None = None,
) -> Float[Array, "d"]:
    """Fit logistic regression weights by Newton steps from 0, in the rows' space: each solves a K x K system.

    The weights are ``V X' a`` with V = diag(variance); at the optimum ``a = target - sigmoid(log-odds)``. A padding row
    is a row of zeros with no curvature, and stays at ``a = 0``.

    Args:
        rows: X.
        prior: log-odds at weights 0.
        target: 0 to 1.
        mask: which rows are present.
        variance: prior variance of each weight: one over its penalty.
        steps: number of steps.
        depth: number of them to take; None for all.

    Reference: Rasmussen and Williams, Gaussian processes for machine learning, 2006, algorithm 3.1, which never divides
    by a curvature.
    """
    x = jnp.where(mask[:, None], rows, 0)
    prior, target = jnp.where(mask, prior, 0), jnp.where(mask, target, 0)
    gram = (x * variance) @ x.T
    tries = jnp.array(_TRIES, x.dtype)

    def loss(a: Array) -> Array:
        change = gram @ a
        entropy = jax.nn.softplus(prior + change) - target * (prior + change)
        return jnp.where(mask, entropy, 0).sum() + 0.5 * a @ change

    def step(a: Array, number: Array) -> tuple[Array, None]:
        change = gram @ a
        odds = prior + change
        # The root of p (1 - p) computed directly has an infinite derivative where p rounds to 0 or 1.
        root = jnp.where(mask, jnp.exp((jax.nn.log_sigmoid(odds) + jax.nn.log_sigmoid(-odds)) / 2), 0)
        b = root**2 * change + jnp.where(mask, target - jax.nn.sigmoid(odds), 0)
        system = jnp.eye(len(x), dtype=x.dtype) + root[:, None] * gram * root
        move = b - root * solve_positive(system, root * (gram @ b)) - a
        # Where a full step raises the loss (far from the optimum it may), the largest share that does not is taken.
        lower = jax.vmap(lambda part: loss(a + part * move))(tries) <= loss(a)
        part = jnp.where(number < (steps if depth is None else depth), tries[jnp.argmax(lower)], 0)
        return a + part * move, None

    a, _ = jax.lax.scan(step, jnp.zeros(len(x), x.dtype), jnp.arange(steps))
    return variance * (x.T @ a)
