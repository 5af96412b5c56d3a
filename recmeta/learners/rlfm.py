"""Regression-based latent factors: vectors around what features say, and a new user's given its support."""

from __future__ import annotations

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


class Rows(NamedTuple):
    """The posterior of the vectors of rows: of each its bias, then its factors; independent numbers."""

    mean: Float[Array, "n r+1"]
    variance: Float[Array, "n r+1"]


class Prior(NamedTuple):
    """Where a user's vector is expected: the mean of that, and the sum of its variances, items being uncertain."""

    mean: Float[Array, "r"]
    spread: Float[Array, ""]


class Posterior(NamedTuple):
    """One user's vector: its mean and covariance, and what is needed to score a query with it."""

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
    """Infer a new user's vector from the support, under priors that are learned from all users and all items.

    A label is ``mean + b_i + u . v_i + noise``. A user's vector is Gaussian around what the user's features say and
    what was rated, whatever the ratings, with covariance 1; an item's bias and vector are Gaussian around what the
    item's features say, with one learned variance per number. What features say is linear in their representations,
    ids left out. An item of which there is much data is far from that, a new one is there. The user's posterior is
    exact, given the items', which are independent Gaussians: with w = [b, v] of an item, x the representation of the
    user's features and s^2 the variance of the noise,

        prior mean = B x + C sum over support (E[w] - c) / (K + k)
        covariance = (1 + sum over support E[v v'] / s^2)^-1
        mean = covariance (prior mean + sum over support E[v (label - mean - b)] / s^2).

    Trained by the negative evidence lower bound, per row: the user's posterior at its best and held there
    (expectation), a gradient step in items, priors and noise (maximisation). Of the users', B, C, c and k are
    ``features``, ``rated``, ``centre`` and e to the ``log_doubt``: as many rows as make what was rated count half. No
    penalty has to be chosen: variances say what is known of whom. It is squared error of labels, whatever the
    objective. What is learned from at a visit is the support and up to ``protocol.train_query`` rows besides, of which
    the prior hears the support alone; where histories are longer, rows of those who rate much count for less.

    What is changed: the paper draws from the posterior of users and items in turn; here it is a product of Gaussians,
    updated by stochastic gradients. Its discount of a user's and an item's bias is one of the factors and a bias. That
    it matters what was rated is from constrained matrix factorisation, where each item has a second vector for that:
    here it is the item's own, under one map for all. There is no scorer. A user's id is not read.

    Costs O(K rank^2 + rank^3) per task.

    Args:
        spec, model, objective: given by recmeta.
        rank: the number of factors.
        scale: standard deviation that items' factors start with around their prior mean, in units of a quarter of the
            label range, which is where the noise's starts.

    Reference: Agarwal and Chen, Regression-based latent factor models, KDD 2009, equations 1 to 5; the bound is that of
    Lim and Teh, Variational Bayesian approach to movie rating prediction, KDD Cup 2007; what was rated, Salakhutdinov
    and Mnih, Probabilistic matrix factorization, NIPS 2007, section 4.
    """
    width, quarter = rank + 1, (spec.high - spec.low) / 4
    known = next(field.size for field in spec.row if field.name == "id")

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_item = jax.random.split(key)
        params = {name: part for name, part in model.init(key_model).items() if name != "scorer"}
        context, row = model.widths
        # At first all users differ in their level, which is the first factor, and in nothing else.
        level, start = jnp.zeros(width).at[1].set(0.4 * quarter), scale * quarter
        return params | {
            "users": {
                "features": jnp.zeros((context, rank)),
                "rated": jnp.zeros((width, rank)),
                "centre": level,
                "log_doubt": jnp.log(jnp.array(10.0)),
            },
            "items": {
                "mean": start * jax.random.normal(key_item, (known, width)).at[:, 0].set(0),
                "log_share": jnp.full((known, width), -2.0),
                "features": jnp.zeros((row, width)),
                "prior": level,
                "log_scale": jnp.full(width, jnp.log(start)),
            },
            "log_noise": jnp.log(jnp.array(quarter)),
        }

    def items(params: Params, context: Features, support: Support, x: Features) -> Rows:
        own, there = params["items"], (x["id"] > 0)[:, None]
        encoding = model.encode(params, blind(context), unseen(support), blind(x))
        prior, variance = own["prior"] + encoding.row @ own["features"], jnp.exp(2 * own["log_scale"])
        # Of an item that meta-train has not seen, the prior is all that is known.
        apart = jnp.where(there, own["mean"][x["id"]], 0)
        return Rows(prior + apart, variance * jnp.where(there, jnp.exp(own["log_share"][x["id"]]), 1))

    def given(params: Params, context: Features, seen: Support, shown: Bool[Array, "K"]):
        """What `bound` takes: of the rows whose labels are seen, the prior hears those that are shown."""
        own, encoding = params["users"], model.encode(params, blind(context), unseen(seen), None)
        rows, noise = items(params, context, seen, seen.x), jnp.exp(2 * params["log_noise"])
        rated = heard(rows, shown, own["centre"], own["rated"], jnp.exp(own["log_doubt"]))
        prior = rated._replace(mean=encoding.context[0] @ own["features"] + rated.mean)
        return prior, rows, seen.y - spec.mean, seen.mask, noise

    def adapt(params, context, support, depth=None) -> Posterior:
        seen = unless_shallow(support, depth)
        prior, rows, target, mask, noise = given(params, context, seen, seen.mask)
        mean, covariance = infer(prior.mean, rows, target, mask, noise)
        return Posterior(mean, covariance, params, context, support)

    def predict(fast: Posterior, query: Query) -> Float[Array, "n"]:
        rows = items(fast.params, fast.context, fast.support, query.x).mean
        return objective.link(spec.mean + rows[:, 0] + rows[:, 1:] @ fast.mean)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def lost(params: Params, task: Task, label: Array) -> tuple[Array, Array]:
            seen = pool(task, label)
            shown = seen.mask & (jnp.arange(len(seen.y)) < len(task.support.y))  # the support comes first
            return bound(*given(params, task.context, seen, shown)), seen.mask.sum()

        def loss(params: Params) -> Array:
            all_lost, rows = jax.vmap(lost, (None, 0, 0))(params, batch.task, batch.label)
            own, log_prior = params["items"], 2 * params["items"]["log_scale"]
            posterior = Gaussian(own["mean"], own["log_share"] + log_prior)
            apart = divergence(posterior, Gaussian(jnp.zeros(width), log_prior))
            return all_lost.sum() / jnp.maximum(rows.sum(), 1) + apart / spec.rows

        value, gradient = jax.value_and_grad(loss)(params)
        return gradient, {"loss": value}

    return Learner(init, adapt, predict, meta_grad, 1)


def heard(
    rows: Rows, mask: Bool[Array, "K"], centre: Float[Array, "r+1"], weight: Float[Array, "r+1 r"],
    doubt: Float[Array, ""],
) -> Prior:  # fmt: skip
    """What it says of a user that these items were rated.

    Args:
        rows: the items'.
        mask: which rows are there.
        centre: an item that says nothing.
        weight: what the others say by being away from that.
        doubt: how many rows make what they say count half.
    """
    share = mask / (mask.sum() + doubt)
    away, variance = (jnp.where(mask[:, None], values, 0) for values in (rows.mean - centre, rows.variance))
    return Prior(share @ away @ weight, jnp.square(share) @ variance @ jnp.square(weight).sum(1))


def infer(
    prior: Float[Array, "r"], rows: Rows, target: Float[Array, "K"], mask: Bool[Array, "K"], noise: Float[Array, ""]
) -> tuple[Float[Array, "r"], Float[Array, "r r"]]:
    """Posterior mean and covariance of a user's vector.

    Args:
        prior: its prior mean; its prior covariance is 1.
        rows: the items'.
        target: labels, less their mean.
        mask: which rows are there.
        noise: variance of a label.
    """
    mean, variance = (jnp.where(mask[:, None], values, 0) for values in rows)
    bias, factors, one = mean[:, 0], mean[:, 1:], jnp.eye(len(prior))
    precision = one + (factors.T @ factors + jnp.diag(variance[:, 1:].sum(0))) / noise
    covariance = solve_positive(precision, one)
    return covariance @ (prior + factors.T @ jnp.where(mask, target - bias, 0) / noise), covariance


def bound(
    prior: Prior, rows: Rows, target: Float[Array, "K"], mask: Bool[Array, "K"], noise: Float[Array, ""]
) -> Float[Array, ""]:
    """A user's negative evidence lower bound, given the items' posteriors, without the entropy of the user's own.

    That posterior is the bound's minimum, so that to first order its change changes nothing: it is held, and the
    gradient is that of the whole bound.
    """
    user, covariance = jax.lax.stop_gradient(infer(prior.mean, rows, target, mask, noise))
    (bias, factors), variance = (rows.mean[:, 0], rows.mean[:, 1:]), rows.variance
    error = target - bias - factors @ user
    spread = jnp.einsum("nr,rs,ns->n", factors, covariance, factors) + variance[:, 0]
    spread += variance[:, 1:] @ (jnp.square(user) + jnp.diag(covariance))
    lost = (jnp.log(2 * jnp.pi * noise) + (jnp.square(error) + spread) / noise) / 2
    apart = jnp.square(user - prior.mean).sum() + prior.spread + jnp.trace(covariance)
    return jnp.where(mask, lost, 0).sum() + (apart + len(user) * jnp.log(2 * jnp.pi)) / 2
