"""Regression-based latent factors: priors from features, and a new user's posterior given its support.

A label is ``mean + b_i + u . v_i + noise``. A user's vector is Gaussian with covariance 1 around a mean predicted from
the user's features and from which items were rated, whatever the ratings; an item's bias and vector are Gaussian around
a mean predicted from the item's features, with one learned variance per number. These predictions are linear in the
features' representations, without ids. An item with much data may be far from its prediction, a new one is at it. The
user's posterior is exact, given the items', which are independent Gaussians: with w = [b, v] of an item, x the
representation of the user's features and s^2 the variance of the noise,

    prior mean = B x + C sum over support (E[w] - c) / (K + k)
    covariance = (1 + sum over support E[v v'] / s^2)^-1
    mean = covariance (prior mean + sum over support E[v (label - mean - b)] / s^2).

Trained by the negative evidence lower bound, per row: the user's posterior fixed at its optimum (expectation), then a
gradient step in items, priors and noise (maximisation). B, C, c and k are the parameters ``features``, ``rated``,
``centre`` and e to the ``log_doubt`` of ``params["users"]``; k is the number of rows at which the rated items count
half. No penalty has to be chosen: variances carry the uncertainty of each user and item. It is squared error of labels,
whatever the objective. A visit trains on the support and up to ``protocol.episodes.train_query`` more rows, of which
the prior reads the support alone; where histories are longer, rows of users with many ratings count for less.

Changed from the paper: it draws from the posterior of users and items in turn; here the posterior is a product of
Gaussians, updated by stochastic gradients. A user's bias is one of the factors. The dependence of the prior on the
rated items is from constrained matrix factorisation, where each item has a second vector for it: here it is the item's
own, under one map for all. There is no scorer. A user's id is not read.

Costs O(K rank^2 + rank^3) per task.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import pool, unless_shallow
from recmeta.learners.blocks.gaussian import Gaussian, divergence
from recmeta.learners.zero_shot import blind, unseen
from recmeta.numerics import solve_positive
from recmeta.types import Batch, DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Task, Traced


class ItemPosterior(NamedTuple):
    """Posterior of each row's item: its bias, then its factors; independent dimensions."""

    mean: Float[Array, "n r+1"]
    variance: Float[Array, "n r+1"]


class UserPrior(NamedTuple):
    """Prior mean of a user's vector, and the total variance of that mean due to uncertain items."""

    mean: Float[Array, "r"]
    spread: Float[Array, ""]


class UserPosterior(NamedTuple):
    """One user's vector, mean and covariance, with the parameters needed to score a query."""

    mean: Float[Array, "r"]
    covariance: Float[Array, "r r"]
    params: Params
    context: Features
    support: Support


def rlfm(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    rank: Annotated[int, Ge(1)],
    scale: Annotated[float, Gt(0), Traced],
) -> Learner:
    """Infer a new user's vector from the support, under priors learned from all users and all items.

    Args:
        spec, model, objective: given by recmeta.
        rank: number of factors.
        scale: initial standard deviation of items' factors around their prior mean, in units of a quarter of the label
            range, which is the initial one of the noise.

    Reference: Agarwal and Chen, Regression-based latent factor models, KDD 2009, equations 1 to 5; the bound is that of
    Lim and Teh, Variational Bayesian approach to movie rating prediction, KDD Cup 2007; the dependence on rated items,
    Salakhutdinov and Mnih, Probabilistic matrix factorization, NIPS 2007, section 4.
    """
    width, quarter = rank + 1, (spec.high - spec.low) / 4
    known = next(field.size for field in spec.row if field.name == "id")

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_item = jax.random.split(key)
        params = {name: part for name, part in model.init(key_model).items() if name != "scorer"}
        return params | init_factors(key_item, model.widths, rank, known, quarter, scale * quarter)

    items, given = partial(item_posterior, model), partial(bound_arguments, spec, model)

    def adapt(params, context, support, depth=None) -> UserPosterior:
        seen = unless_shallow(support, depth)
        prior, rows, target, mask, noise = given(params, context, seen, seen.mask)
        mean, covariance = infer(prior.mean, rows, target, mask, noise)
        return UserPosterior(mean, covariance, params, context, support)

    def predict(fast: UserPosterior, query: Query) -> Float[Array, "n"]:
        rows = items(fast.params, fast.context, fast.support, query.x).mean
        return objective.link(spec.mean + rows[:, 0] + rows[:, 1:] @ fast.mean)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def lost(params: Params, task: Task, label: Array) -> tuple[Array, Array]:
            seen = pool(task, label)
            rated = seen.mask & (jnp.arange(len(seen.y)) < len(task.support.y))  # the support comes first
            return bound(*given(params, task.context, seen, rated)), seen.mask.sum()

        def loss(params: Params) -> Array:
            all_lost, rows = jax.vmap(lost, (None, 0, 0))(params, batch.task, batch.label)
            own, log_prior = params["items"], 2 * params["items"]["log_scale"]
            posterior = Gaussian(own["mean"], own["log_share"] + log_prior)
            apart = divergence(posterior, Gaussian(jnp.zeros(width), log_prior))
            return all_lost.sum() / jnp.maximum(rows.sum(), 1) + apart / spec.rows

        value, gradient = jax.value_and_grad(loss)(params)
        return gradient, {"loss": value}

    return Learner(init, adapt, predict, meta_grad, 1, ignores=("objective",))


def init_factors(
    key: PRNGKeyArray, widths: tuple[int, int], rank: int, known: int, quarter: float, start: float | Array
) -> Params:
    """Initialise priors, item posteriors and noise; users differ at first only in their level, the first factor.

    Args:
        key: randomness.
        widths: of the representations of context and row.
        rank: number of factors.
        known: number of item ids.
        quarter: initial standard deviation of the noise, a quarter of the label range.
        start: initial standard deviation of items' factors, in units of labels.
    """
    (context, row), width = widths, rank + 1
    level = jnp.zeros(width).at[1].set(0.4 * quarter)
    return {
        "users": {
            "features": jnp.zeros((context, rank)),
            "rated": jnp.zeros((width, rank)),
            "centre": level,
            "log_doubt": jnp.log(jnp.array(10.0)),
        },
        "items": {
            "mean": start * jax.random.normal(key, (known, width)).at[:, 0].set(0),
            "log_share": jnp.full((known, width), -2.0),
            "features": jnp.zeros((row, width)),
            "prior": level,
            "log_scale": jnp.full(width, jnp.log(start)),
        },
        "log_noise": jnp.log(jnp.array(quarter)),
    }


def item_posterior(model: Model, params: Params, context: Features, support: Support, x: Features) -> ItemPosterior:
    """Posterior of the items of rows ``x``; an item that meta-train has not seen has only its prior."""
    own, there = params["items"], (x["id"] > 0)[:, None]
    encoding = model.encode(params, blind(context), unseen(support), blind(x))
    prior, variance = own["prior"] + encoding.row @ own["features"], jnp.exp(2 * own["log_scale"])
    apart = jnp.where(there, own["mean"][x["id"]], 0)
    return ItemPosterior(prior + apart, variance * jnp.where(there, jnp.exp(own["log_share"][x["id"]]), 1))


def bound_arguments(
    spec: DataSpec, model: Model, params: Params, context: Features, seen: Support, rated: Bool[Array, "K"]
) -> tuple[UserPrior, ItemPosterior, Float[Array, "K"], Bool[Array, "K"], Float[Array, ""]]:
    """Arguments of `bound`: the labels of the rows ``seen``, and a prior that reads which items are ``rated``."""
    own, encoding = params["users"], model.encode(params, blind(context), unseen(seen), None)
    rows, noise = item_posterior(model, params, context, seen, seen.x), jnp.exp(2 * params["log_noise"])
    prior = prior_given_rated(rows, rated, own["centre"], own["rated"], jnp.exp(own["log_doubt"]))
    prior = prior._replace(mean=encoding.context[0] @ own["features"] + prior.mean)
    return prior, rows, seen.y - spec.mean, seen.mask, noise


def prior_given_rated(
    rows: ItemPosterior, mask: Bool[Array, "K"], centre: Float[Array, "r+1"], weight: Float[Array, "r+1 r"],
    doubt: Float[Array, ""],
) -> UserPrior:  # fmt: skip
    """Prior of a user's vector given which items were rated.

    Args:
        rows: posteriors of the rows' items.
        mask: which rows are present.
        centre: the item that carries no information.
        weight: map from an item's distance to the centre to the prior mean.
        doubt: number of rows at which they count half.
    """
    share = mask / (mask.sum() + doubt)
    away, variance = (jnp.where(mask[:, None], values, 0) for values in (rows.mean - centre, rows.variance))
    return UserPrior(share @ away @ weight, jnp.square(share) @ variance @ jnp.square(weight).sum(1))


def infer(
    prior: Float[Array, "r"],
    rows: ItemPosterior,
    target: Float[Array, "K"],
    mask: Bool[Array, "K"],
    noise: Float[Array, ""],
) -> tuple[Float[Array, "r"], Float[Array, "r r"]]:
    """Posterior mean and covariance of a user's vector.

    Args:
        prior: its prior mean; its prior covariance is 1.
        rows: posteriors of the rows' items.
        target: labels, less their mean.
        mask: which rows are present.
        noise: variance of a label.
    """
    mean, variance = (jnp.where(mask[:, None], values, 0) for values in rows)
    bias, factors, one = mean[:, 0], mean[:, 1:], jnp.eye(len(prior))
    precision = one + (factors.T @ factors + jnp.diag(variance[:, 1:].sum(0))) / noise
    covariance = solve_positive(precision, one)
    return covariance @ (prior + factors.T @ jnp.where(mask, target - bias, 0) / noise), covariance


def bound(
    prior: UserPrior, rows: ItemPosterior, target: Float[Array, "K"], mask: Bool[Array, "K"], noise: Float[Array, ""]
) -> Float[Array, ""]:
    """A user's negative evidence lower bound, given the items' posteriors, without the entropy of the user's own.

    The user's posterior minimises the bound, so that to first order its change has no effect: with it fixed, the
    gradient is that of the complete bound.
    """
    user, covariance = jax.lax.stop_gradient(infer(prior.mean, rows, target, mask, noise))
    (bias, factors), variance = (rows.mean[:, 0], rows.mean[:, 1:]), rows.variance
    error = target - bias - factors @ user
    spread = jnp.einsum("nr,rs,ns->n", factors, covariance, factors) + variance[:, 0]
    spread += variance[:, 1:] @ (jnp.square(user) + jnp.diag(covariance))
    lost = (jnp.log(2 * jnp.pi * noise) + (jnp.square(error) + spread) / noise) / 2
    apart = jnp.square(user - prior.mean).sum() + prior.spread + jnp.trace(covariance)
    return jnp.where(mask, lost, 0).sum() + (apart + len(user) * jnp.log(2 * jnp.pi)) / 2
