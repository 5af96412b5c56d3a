"""Inputs of networks that correct a closed form: the user, support rows and query rows as numbers.

All that is known of an item is cross-fitted (`recmeta.fitted.folds`). Labels are in half label ranges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recmeta.fitted import factor_model
from recmeta.fitted.factor_model import Folding, Predictive, User
from recmeta.fitted.folds import CrossFitted
from recmeta.fitted.label_counts import LabelCounts, count_labels
from recmeta.fitted.rows import catalogue
from recmeta.learners.zero_shot import blind, unseen
from recmeta.objectives import levels
from recmeta.objectives.pointwise import masked_mean
from recmeta.types import DataSpec, Features, Model, Params, Problem, Support

Base = Literal["factor_model", "user_item_bias", "none"]
"""What is corrected: the factor model, biases alone, or the labels' mean and variance."""

MOST_ROWS = 20
"""Support rows by which their number is measured."""


class Fits(NamedTuple):
    """The fits to meta-train: the base, and counts of the labels of each item."""

    base: Folding
    counts: LabelCounts


def prepare(problem: Problem, *, base: Base, rank: int) -> Callable[[Problem], Fits]:
    """Prepare fits to parts of meta-train: all begin at the same vectors, made without labels.

    Args:
        problem: all of meta-train.
        base: what is to be corrected.
        rank: of the factor model.
    """
    items = catalogue(problem)
    if base == "none":
        return lambda problem: Fits(factor_model.constant(problem, items), count_labels(problem, items))
    featured = base == "factor_model"
    start = factor_model.start_without_labels(problem, items, rank if featured else 0)

    def fit(problem: Problem) -> Fits:
        fitted = factor_model.fit_factor_model(problem, items, start, features=featured)
        return Fits(fitted, count_labels(problem, items))

    return fit


def own_fits(fitted: CrossFitted, which: Array) -> Fits:
    """The fits that a task reads. Tables are not copied: rows of all fits are joined, see `factor_model.item_row`."""
    return Fits(factor_model.fit_of(fitted.fits.base, which), jax.tree.map(factor_model.joined, fitted.fits.counts))


class Rows(NamedTuple):
    """Rows of items, as the transformer reads them.

    Attributes:
        tokens: all numbers about each.
        loading, features: in which two of them may be alike.
        predicted: by the base.
    """

    tokens: Float[Array, "n t"]
    loading: Float[Array, "n d"]
    features: Float[Array, "n e"]
    predicted: Predictive


def read_rows(
    spec: DataSpec,
    model: Model,
    params: Params,
    context: Features,
    support: Support,
    fit: Fits,
    user: User,
    x: Features,
) -> Rows:
    """Describe rows without their labels: the item, its features, and the prediction of the base."""
    item = factor_model.moments(fit.base, x)
    scale = jnp.sqrt(jnp.square(fit.base.loading[1:]).mean() + 1e-12)
    features = model.encode(params, blind(context), unseen(support), blind(x)).row
    predicted = factor_model.predict(fit.base, user, item)
    tokens = jnp.concatenate([item_numbers(fit, x, item, scale, spec), features], axis=1)
    return Rows(tokens, item.loading, features, predicted)


def item_numbers(fit: Fits, x: Features, item: factor_model.Items, scale: Array, spec: DataSpec) -> Float[Array, "n t"]:
    """Describe each row's item: vector, bias and their variance, and the labels that it has had."""
    row = factor_model.item_row(fit.base, x)
    counts = jax.tree.map(lambda values: values[row], fit.counts)
    half = (spec.high - spec.low) / 2
    doubt = jnp.trace(item.cov, axis1=1, axis2=2) / (scale**2 * item.loading.shape[1])
    numbers = [item.level / half, doubt, (counts.mean - fit.base.mean) / half, counts.spread / half]
    numbers += [jnp.log1p(counts.rows) / 4]
    return jnp.concatenate([item.loading / scale, jnp.stack(numbers, axis=1), counts.shares], axis=1)


def query_numbers(spec: DataSpec, fit: Fits, rows: Rows) -> Float[Array, "n t"]:
    """Describe query rows: their items, and the distribution that the base predicts."""
    mean, variance, doubt = rows.predicted
    shares = jnp.exp(levels.of_normal(mean, variance, spec.levels))
    numbers = [(mean - fit.base.mean) / ((spec.high - spec.low) / 2), jnp.log(variance) / 2, doubt]
    return jnp.concatenate([rows.tokens, shares, jnp.stack(numbers, axis=1)], axis=1)


def label_numbers(
    spec: DataSpec, support: Support, level: Array, predicted: Predictive, fit: Fits
) -> Float[Array, "K t"]:
    """Describe the labels of support rows: the level, the residuals of the base, and its variance."""
    half = (spec.high - spec.low) / 2
    left = support.y - predicted.mean
    # Of a linear model, what is left of a row when it is predicted from the others.
    others = left * (1 + predicted.doubt)
    above = support.y - fit.base.mean - level
    numbers = jnp.stack([left / half, others / half, above / half, predicted.doubt, jnp.log(predicted.variance) / 2], 1)
    return jnp.concatenate([levels.nearest_level(support.y, spec.levels), numbers], axis=1)


def user_numbers(
    spec: DataSpec, model: Model, params: Params, context: Features, support: Support, fit: Fits, user: User, rows: Rows
) -> Float[Array, "t"]:
    """Describe the user: prior and posterior under the base, features, and the labels of the support."""
    mask, half = support.mask, (spec.high - spec.low) / 2
    mean = partial(masked_mean, mask=mask)
    there = mask.sum()
    shares = jax.vmap(mean, 1)(levels.nearest_level(support.y, spec.levels))
    left = support.y - rows.predicted.mean
    numbers = [mean(support.y - fit.base.mean) / half, mean(left) / half, mean(jnp.square(left / half))]
    numbers += [there / MOST_ROWS, jnp.log1p(there) / 3]
    features = model.encode(params, blind(context), unseen(support), support.x).context[0]
    prior = factor_model.prior_mean(fit.base, context)
    return jnp.concatenate([user.mean, prior, shares, features, jnp.stack(numbers)])


def token_sizes(spec: DataSpec, widths: tuple[int, int], rank: int) -> dict[str, int]:
    """Count the numbers about the user, about a support row, and about a query row."""
    context, row = widths
    number = len(spec.levels)
    item = rank + 5 + number + row
    return {"user": 2 * rank + number + context + 5, "support": item + number + 5, "query": item + number + 3}
