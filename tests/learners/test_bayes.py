"""The Bayesian last layer against closed-form Bayesian linear regression."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from recmeta.learners.bayes import bayes, condition, negative_log_likelihood, predictive
from recmeta.learners.ridge import ridge
from recmeta.objectives import mse
from recmeta.types import Batch, DataSpec, Encoding, Model, Query, Support, Task

W = np.array([0.5, -1.0])
SPEC = DataSpec(context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(), support=6, query=3, rows=100)
MODEL = Model(
    init=lambda key: {"scorer": {"w": jnp.array(W)}},
    encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
    score=lambda params, encoding: 3 + encoding.row @ params["scorer"]["w"],
    widths=(1, 2),
)


def design(x):
    return np.concatenate([np.ones((len(x), 1)), x], axis=1)


@pytest.mark.parametrize(("rows", "there"), [(8, 8), (8, 5), (2, 2), (4, 0)])
def test_condition_is_the_posterior_of_the_rows_that_are_there(rows, there):
    rng = np.random.default_rng(rows + there)
    x, y, factor = rng.normal(size=(rows, 4)), rng.normal(size=rows), rng.normal(size=(4, 4))
    mask = rng.permutation(rows) < there
    spoilt = np.where(mask[:, None], x, np.inf), np.where(mask, y, np.nan)
    with jax.enable_x64():
        got = condition(*map(jnp.array, (*spoilt, mask, factor @ factor.T)))
    precision = x[mask].T @ x[mask] + np.linalg.inv(factor @ factor.T)
    np.testing.assert_allclose(got[1], np.linalg.inv(precision), rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(got[0], np.linalg.solve(precision, x[mask].T @ y[mask]), rtol=1e-7, atol=1e-10)


def adapted(key, xs, ys, mask, depth=None):
    """A learner with a full prior covariance and a noise of 0.8, its parameters, and what it makes of a support."""
    learner = bayes(spec=SPEC, model=MODEL, objective=mse(), level_scale=0.7, weight_scale=0.4)
    params = jax.tree.map(lambda v: v.astype(np.float64), learner.init(key))
    factor = jnp.array(np.random.default_rng(9).normal(size=(3, 3)))
    params |= {"head": {"factor": factor, "log_noise": jnp.log(0.8)}}
    support = Support({"v": jnp.array(xs)}, jnp.array(ys), jnp.array(mask))
    return learner, params, learner.adapt(params, {}, support, depth)


def test_predictions_and_their_variance_are_those_of_the_joint_gaussian(key):
    rng = np.random.default_rng(0)
    xs, xq, ys = rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), rng.normal(3, 1, size=4)
    mask = np.array([True, True, False, True])
    with jax.enable_x64():
        query = Query({"v": jnp.array(xq)}, None)
        learner, params, fast = adapted(key, xs, ys, mask)
        mean, variance = predictive(MODEL, mse(), fast, query)
        score = learner.predict(fast, query)
        prior = predictive(MODEL, mse(), adapted(key, xs, ys, mask, 0)[2], query)

    # Labels of support and query are jointly Gaussian: condition the ones on the others.
    every = design(np.concatenate([xs[mask], xq]))
    factor = np.asarray(params["head"]["factor"])
    joint = 0.64 * (every @ factor @ factor.T @ every.T + np.eye(6))
    seen, new = slice(0, 3), slice(3, 6)
    gain = joint[new, seen] @ np.linalg.inv(joint[seen, seen])
    expected = 3 + xq @ W + gain @ (ys - 3 - xs @ W)[mask]
    np.testing.assert_allclose(mean, expected, rtol=1e-7)
    np.testing.assert_allclose(score, expected, rtol=1e-7)
    np.testing.assert_allclose(variance, np.diag(joint[new, new] - gain @ joint[seen, new]), rtol=1e-7)
    np.testing.assert_allclose(prior.mean, 3 + xq @ W, rtol=1e-7)  # depth 0: the scorer, and the prior's doubt
    np.testing.assert_allclose(prior.variance, np.diag(joint)[new], rtol=1e-7)
    assert (np.asarray(variance) < np.asarray(prior.variance)).all()


def test_one_after_the_other_its_likelihoods_multiply_to_that_of_all(key):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(5, 2)), rng.normal(3, 1, size=5)
    total = 0.0
    with jax.enable_x64():
        for number in range(5):
            _, params, fast = adapted(key, x, y, np.arange(5) < number)
            one = predictive(MODEL, mse(), fast, Query({"v": jnp.array(x[number : number + 1])}, None))
            total += float(negative_log_likelihood(one, jnp.array(y[number : number + 1]))[0])
    factor = np.asarray(params["head"]["factor"])
    covariance = 0.64 * (design(x) @ factor @ factor.T @ design(x).T + np.eye(5))
    np.testing.assert_allclose(-total, multivariate_normal.logpdf(y, 3 + x @ W, covariance), rtol=1e-7)


def test_with_a_diagonal_prior_the_mean_is_the_ridge_heads(key):
    rng = np.random.default_rng(2)
    support = Support({"v": jnp.array(rng.normal(size=(4, 2)))}, jnp.array(rng.normal(size=4)), jnp.ones(4, bool))
    query = Query({"v": jnp.array(rng.normal(size=(3, 2)))}, None)
    scores = []
    for learner in (bayes, ridge):
        made = learner(spec=SPEC, model=MODEL, objective=mse(), level_scale=0.7, weight_scale=0.4)
        scores.append(made.predict(made.adapt(made.init(key), {}, support), query))
    np.testing.assert_allclose(*scores, rtol=1e-5)


def test_what_is_trained_is_the_mean_predictive_log_likelihood(key):
    rng = np.random.default_rng(3)
    xs, ys, xq, yq = rng.normal(size=(4, 2)), rng.normal(size=4), rng.normal(size=(3, 2)), rng.normal(size=3)
    there = np.array([True, False, True])
    with jax.enable_x64():
        learner, params, fast = adapted(key, xs, ys, np.ones(4, bool))
        mean, variance = predictive(MODEL, mse(), fast, Query({"v": jnp.array(xq)}, None))
        task = Task(
            {},
            Support({"v": jnp.array(xs)}, jnp.array(ys), jnp.ones(4, bool)),
            Query({"v": jnp.array(xq)}, jnp.array(there)),
        )
        label = jnp.array(np.where(there, yq, np.nan))
        batch = Batch(*jax.tree.map(lambda values: values[None], (task, label)))
        gradient, reported = jax.jit(learner.meta_grad)(params, batch, key)
    expected = -norm.logpdf(yq, mean, np.sqrt(variance))[there].mean()
    np.testing.assert_allclose(reported["loss"], expected, rtol=1e-7)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
