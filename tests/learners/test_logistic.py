"""The Newton steps against scikit-learn and scipy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.optimize import brentq, minimize
from sklearn.linear_model import LogisticRegression

from recmeta.learners.logistic import logistic, newton
from recmeta.objectives import bce, mse
from recmeta.types import DataSpec, Encoding, Model, Query, Support

W = np.array([0.5, -1.0])
MODEL = Model(
    init=lambda key: {"scorer": {"w": jnp.array(W)}},
    encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
    score=lambda params, encoding: 0.3 + encoding.row @ params["scorer"]["w"],
    widths=(1, 2),
)


def drawn(rows=12, there=9, seed=0):
    rng = np.random.default_rng(seed)
    x, variance = rng.normal(size=(rows, 3)), rng.uniform(0.2, 3, 3)
    y = (rng.uniform(size=rows) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(float)
    return x, y, rng.permutation(rows) < there, variance


def solved(x, prior, target, mask, variance, steps=30, depth=None):
    with jax.enable_x64():
        spoilt = jnp.array(np.where(mask[:, None], x, np.nan)), jnp.array(np.where(mask, prior, np.nan))
        given = jnp.array(np.where(mask, target, np.nan)), jnp.array(mask), jnp.array(variance)
        run = jax.jit(partial(newton, steps=steps, depth=depth))
        return np.asarray(run(*spoilt, *given))


def sigmoid(odds):
    return 1 / (1 + np.exp(-odds))


def oracle(x, y, variance, weight=None):
    """scikit-learn penalises all weights alike: the scales go into the columns."""
    fitted = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=100)
    return fitted.fit(x * np.sqrt(variance), y, sample_weight=weight).coef_[0] * np.sqrt(variance)


@pytest.mark.parametrize("seed", range(3))
def test_at_convergence_it_is_scikit_learns(seed):
    x, y, mask, variance = drawn(seed=seed)
    expected = oracle(x[mask], y[mask], variance)
    np.testing.assert_allclose(solved(x, np.zeros(12), y, mask, variance), expected, rtol=1e-7, atol=1e-9)
    # Four steps are as good as convergence, in predictions.
    few = solved(x, np.zeros(12), y, mask, variance, steps=4)
    np.testing.assert_allclose(sigmoid(x @ few), sigmoid(x @ expected), atol=2e-3)


def test_labels_between_0_and_1_are_rows_of_both_labels():
    x, _, mask, variance = drawn()
    share = np.random.default_rng(3).uniform(size=12)
    both = np.concatenate([x[mask], x[mask]])
    weight = np.concatenate([share[mask], 1 - share[mask]])
    expected = oracle(both, np.repeat([1, 0], mask.sum()), variance, weight)
    np.testing.assert_allclose(solved(x, np.zeros(12), share, mask, variance), expected, rtol=1e-7, atol=1e-9)


def test_with_a_prior_it_is_the_minimum():
    x, y, mask, variance = drawn()
    prior = np.random.default_rng(5).normal(size=12)

    def loss(w):
        odds = (prior + x @ w)[mask]
        return (np.logaddexp(0, odds) - y[mask] * odds).sum() + (w**2 / variance).sum() / 2

    expected = minimize(loss, np.zeros(3), tol=1e-12, options={"gtol": 1e-9}).x
    np.testing.assert_allclose(solved(x, prior, y, mask, variance), expected, atol=1e-6)


@pytest.mark.parametrize("prior", [-10.0, -30.0, 8.0])
def test_a_prior_that_is_sure_and_wrong_does_not_make_it_run_away(prior):
    """Whole Newton steps go back and forth for ever here; what is known is where they should end."""
    label = float(prior < 0)
    got = solved(np.ones((1, 1)), np.array([prior]), np.array([label]), np.array([True]), np.array([100.0]), steps=60)
    root = brentq(lambda w: w - 100 * (label - sigmoid(prior + w)), -101, 101, xtol=1e-13)
    np.testing.assert_allclose(got, [root], rtol=1e-6)


def test_no_rows_no_weights_and_fewer_steps_are_those_of_a_shorter_run():
    x, y, mask, variance = drawn()
    np.testing.assert_array_equal(solved(x, np.zeros(12), y, np.zeros(12, bool), variance), 0)
    for depth in (0, 1, 2):
        short = solved(x, np.zeros(12), y, mask, variance, steps=max(depth, 1)) * (depth > 0)
        np.testing.assert_allclose(solved(x, np.zeros(12), y, mask, variance, steps=4, depth=depth), short, rtol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    x, y, mask, variance = drawn(rows=5, there=4)
    with jax.enable_x64():

        def loss(x, variance):
            return jnp.square(newton(x, x[:, 0], jnp.array(y), jnp.array(mask), variance, steps=3)).sum()

        check_grads(loss, (jnp.array(x), jnp.array(variance)), order=1, modes=["rev"], rtol=1e-5)


@pytest.mark.parametrize(("objective", "low", "high"), [(bce(), 0.0, 1.0), (mse(), 1.0, 5.0)], ids=["bce", "mse"])
def test_the_learner_fits_what_the_scorer_leaves(key, objective, low, high):
    xs, y, mask, _ = drawn(rows=6, there=5)
    xs, xq = xs[:, :2], np.array([[0.4, 1.0], [-2.0, 0.3]])
    spec = DataSpec(
        context=(),
        row=(),
        low=low,
        high=high,
        mean=low + 0.6 * (high - low),
        like=4,
        levels=(),
        support=6,
        query=2,
        rows=100,
    )
    with jax.enable_x64():
        learner = logistic(
            spec=spec, model=MODEL, objective=objective, inner_steps=20, level_scale=0.7, weight_scale=0.4
        )
        assert bool(learner.notes) == (high == 5.0)  # stars count as shares of their range, which is said
        params = jax.tree.map(lambda v: v.astype(np.float64), learner.init(key))
        support = Support({"v": jnp.array(xs)}, jnp.array(low + (high - low) * y), jnp.array(mask))
        query = Query({"v": jnp.array(xq)}, None)
        full, unadapted = (
            np.asarray(learner.predict(learner.adapt(params, {}, support, depth), query)) for depth in (None, 0)
        )

    def prior(x):
        score = 0.3 + x @ W
        return score if objective.binary else np.log(0.6 / 0.4) + ((score - 1) / 4 - 0.6) / 0.24

    def design(x):
        return np.concatenate([np.ones((len(x), 1)), x], axis=1)

    weights = solved(design(xs), prior(xs), y, mask, np.array([0.7, 0.4, 0.4]) ** 2)
    odds = prior(xq) + design(xq) @ weights
    np.testing.assert_allclose(full, odds if objective.binary else 1 + 4 * sigmoid(odds), rtol=1e-5)
    odds = prior(xq)
    np.testing.assert_allclose(unadapted, odds if objective.binary else 1 + 4 * sigmoid(odds), rtol=1e-6)
