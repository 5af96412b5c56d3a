"""Stacked: a ridge regression of the residuals of a closed form, on the inputs of `in_context`.

Each label is the base's prediction plus a linear function of what is known of the row, its item and its user. No row of
the support is read but through the base and through means over the support: it is the control that tells what attention
between rows is for. What is read of an item is cross-fitted, as for `in_context`.

The weights are trained by gradient descent on the squared error with a penalty on their squares, whatever the
objective: a ridge regression over all tasks and support sizes that are drawn, on features whose embeddings are learned
with it. Without support the prediction is the base's.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.fitted import factor_model
from recmeta.fitted.factor_model import User
from recmeta.fitted.folds import CrossFit, own_fold
from recmeta.learners.adaptation.episode import mean_gradient, unless_shallow, visits
from recmeta.learners.blocks.inputs import (
    Base,
    Fits,
    own_fits,
    prepare,
    query_numbers,
    read_rows,
    token_sizes,
    user_numbers,
)
from recmeta.objectives.pointwise import masked_mean
from recmeta.types import Batch, DataSpec, Features, Learner, Model, Objective, Params, Query, Support


class Seen(NamedTuple):
    """A user folded into the base and described, with the parameters needed to score a query."""

    fit: Fits
    user: User
    known: Float[Array, "t"]
    params: Params
    context: Features
    support: Support


def stacked(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    cross_fit: CrossFit,
    base: Base,
    rank: Annotated[int, Ge(1)],
    penalty: Annotated[float, Gt(0)],
) -> Learner:
    """Add a linear function of the inputs to a closed form's prediction.

    Args:
        spec, model, objective, cross_fit: given by recmeta.
        base: what is corrected: the factor model, or user and item biases.
        rank: length of the factor model's vectors.
        penalty: of the weights' squares, per weight, in units of the squared error.

    Reference: Breiman, Stacked regressions, Machine Learning 1996; Sill et al., Feature-weighted linear stacking, 2009.
    """
    fitted = cross_fit(partial(prepare, base=base, rank=rank))
    half = (spec.high - spec.low) / 2

    def init(key: PRNGKeyArray) -> Params:
        sizes = token_sizes(spec, model.widths, fitted.fits.base.loading.shape[-1])
        encoder = {name: part for name, part in model.init(key).items() if name != "scorer"}
        return encoder | {"weights": jnp.zeros(sizes["query"] + sizes["user"] + 1)}

    def adapt(params, context, support, depth=None) -> Seen:
        support = unless_shallow(support, depth)
        fit = own_fits(fitted, own_fold(fitted, context))
        user = factor_model.posterior(fit.base, context, support, factor_model.moments(fit.base, support.x))
        rows = read_rows(spec, model, params, context, support, fit, user, support.x)
        known = user_numbers(spec, model, params, context, support, fit, user, rows)
        return Seen(fit, user, known, params, context, support)

    def expected(fast: Seen, query: Query) -> Float[Array, "n"]:
        rows = read_rows(spec, model, fast.params, fast.context, fast.support, fast.fit, fast.user, query.x)
        tokens = query_numbers(spec, fast.fit, rows)
        known = jnp.broadcast_to(fast.known, (len(tokens), len(fast.known)))
        numbers = jnp.concatenate([tokens, known, jnp.ones((len(tokens), 1))], axis=1)
        correction = half * (numbers @ fast.params["weights"])
        return rows.predicted.mean + jnp.where(fast.support.mask.any(), correction, 0)

    def predict(fast: Seen, query: Query) -> Float[Array, "n"]:
        return objective.link(expected(fast, query))

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        def one(params: Params, task, label: Array, visit) -> Array:
            error = jnp.square(expected(adapt(params, task.context, task.support), task.query) - label)
            lost = masked_mean(error, task.query.mask, visit.weight)
            return lost + penalty * jnp.square(params["weights"]).sum()

        return mean_gradient(one, params, batch, visits(batch, key))

    def shrink(params: Params, share: Array) -> Params:
        return params | {"weights": share * params["weights"]}

    return Learner(init, adapt, predict, meta_grad, 1, ignores=("objective",), shrink=shrink)
