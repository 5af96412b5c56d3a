"""ALPaCA: Bayesian linear regression on learned representations, with predictive variances."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Gt
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import mean_gradient, unless_shallow
from recmeta.objectives import masked_mean
from recmeta.types import Batch, DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Task, Traced


class HeadPosterior(NamedTuple):
    """One task's posterior of the head weights: mean less the prior's, and covariance over the noise variance."""

    mean: Float[Array, "d+1"]
    covariance: Float[Array, "d+1 d+1"]
    params: Params
    context: Features
    support: Support


class Predictive(NamedTuple):
    """Mean and variance of each row's label, the noise included, in units of labels."""

    mean: Float[Array, "n"]
    variance: Float[Array, "n"]


def bayes(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    level_scale: Annotated[float, Gt(0), Traced],
    weight_scale: Annotated[float, Gt(0), Traced],
) -> Learner:
    """Regress labels on representations with a learned Gaussian prior; train the predictive likelihood.

    A label is ``prior(row) + w . [1, representation] + noise`` with ``w ~ N(0, noise variance * F F')``: the prior mean
    is the scorer's own prediction, and F, a full matrix, and the noise variance are learned. The loss is the negative
    log-likelihood of the query labels under the predictive distribution (the mean per row), whatever the objective;
    under ``bce`` labels of 0 and 1 are regressed as they are, and predictions become log-odds. `ridge` is the same
    posterior mean with F diagonal, trained by the objective. `predictive` gives the variance.

    Changed from the paper, whose prior is a mean matrix and a precision: here they are the scorer (which may depend on
    the context) and a factor of the covariance, so that nothing has to be inverted.

    Costs O(K d^2) per task, d the row representation's width: a posterior covariance is made per task.

    Args:
        spec, model, objective: given by recmeta. The noise's standard deviation starts at a quarter of the label range.
        level_scale: initial value of F's diagonal at the constant; prior standard deviation over that of the noise.
        weight_scale: initial value of the other diagonal entries; off the diagonal it is 0.

    Reference: Harrison, Sharma and Pavone, Meta-learning priors for efficient online Bayesian regression, WAFR 2018,
    algorithms 1 and 2 (the recursion is the online one).
    """

    def init(key: PRNGKeyArray) -> Params:
        scales = jnp.full(1 + model.widths[1], weight_scale).at[0].set(level_scale)
        log_noise = jnp.log(jnp.array((spec.high - spec.low) / 4))
        return model.init(key) | {"head": {"factor": jnp.diag(scales), "log_noise": log_noise}}

    def adapt(params, context, support, depth=None) -> HeadPosterior:
        seen = unless_shallow(support, depth)
        rows, prior = _represent(model, objective, params, context, support, None)
        factor = params["head"]["factor"]
        mean, covariance = condition(rows, seen.y - prior, seen.mask, factor @ factor.T)
        return HeadPosterior(mean, covariance, params, context, support)

    def predict(fast: HeadPosterior, query: Query) -> Float[Array, "n"]:
        rows, prior = _represent(model, objective, fast.params, fast.context, fast.support, query.x)
        return objective.link(prior + rows @ fast.mean)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def episode(params: Params, task: Task, label: Array) -> Array:
            expected = predictive(model, objective, adapt(params, task.context, task.support), task.query)
            return masked_mean(negative_log_likelihood(expected, jnp.where(task.query.mask, label, 0)), task.query.mask)

        return mean_gradient(episode, params, batch)

    return Learner(init, adapt, predict, meta_grad, 1, ignores=("objective",))


def predictive(model: Model, objective: Objective, fast: HeadPosterior, query: Query) -> Predictive:
    """The predictive distribution of the query's labels by an adapted `bayes`.

    Args:
        model, objective: the learner's own.
        fast: result of its ``adapt``.
        query: the rows.

    Returns:
        Means and variances; each label is Gaussian with these.
    """
    rows, prior = _represent(model, objective, fast.params, fast.context, fast.support, query.x)
    # Rounding may turn a tiny variance negative.
    doubt = jnp.maximum(jnp.einsum("nd,de,ne->n", rows, fast.covariance, rows), 0)
    noise = jnp.exp(2 * fast.params["head"]["log_noise"])
    return Predictive(prior + rows @ fast.mean, noise * (1 + doubt))


def negative_log_likelihood(expected: Predictive, label: Float[Array, "n"]) -> Float[Array, "n"]:
    """Negative log-likelihood of each label.

    >>> f"{negative_log_likelihood(Predictive(jnp.zeros(1), jnp.ones(1)), jnp.zeros(1))[0]:.4f}"
    '0.9189'
    """
    squared = jnp.square(label - expected.mean) / expected.variance
    return (squared + jnp.log(2 * jnp.pi * expected.variance)) / 2


def condition(
    rows: Float[Array, "K d"], target: Float[Array, "K"], mask: Bool[Array, "K"], covariance: Float[Array, "d d"]
) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
    """Posterior mean and covariance of linear regression weights with prior mean 0, over the noise variance.

    One row after the other, by the recursion of the paper's algorithm 2 (recursive least squares): all divisors are
    scalars, and the order of the rows matters by rounding only. A padding row is a row of zeros.

    Args:
        rows: X.
        target: y, less its prior mean.
        mask: which rows are present.
        covariance: of the prior, over the noise variance.
    """

    def observe(state: tuple[Array, Array], row: tuple[Array, Array]):
        (mean, covariance), (x, y) = state, row
        gain = covariance @ x
        total = 1 + x @ gain
        return (mean + gain * (y - x @ mean) / total, covariance - jnp.outer(gain, gain) / total), None

    seen = jnp.where(mask[:, None], rows, 0), jnp.where(mask, target, 0)
    start = jnp.zeros_like(covariance[0]), covariance
    return jax.lax.scan(observe, start, seen)[0]


def _represent(
    model: Model, objective: Objective, params: Params, context: Features, support: Support, x: Features | None
):
    """Rows with a constant before them, and their prior mean labels."""
    encoding = model.encode(params, context, support, x)
    constant = jnp.ones((len(encoding.row), 1))
    return jnp.concatenate([constant, encoding.row], axis=1), objective.predict(model.score(params, encoding))
