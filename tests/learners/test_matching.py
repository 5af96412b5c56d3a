"""Attention over the support against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.matching import attend, matching, unit
from recmeta.objectives import bce, mse
from recmeta.types import Encoding, Model, Query, Support

W = np.array([0.5, -1.0])
MODEL = Model(
    init=lambda key: {"scorer": {"w": jnp.array(W)}},
    encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
    score=lambda params, encoding: 3 + encoding.row @ params["scorer"]["w"],
    widths=(1, 2),
)


@pytest.mark.parametrize("values", ["residual", "label"])
def test_predictions_are_weighted_means_and_the_prior_is_one_more_row(key, values):
    rng = np.random.default_rng(0)
    xs, xq, ys = rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), rng.normal(3, 1, size=4)
    mask = np.array([True, True, False, True])
    with jax.enable_x64():
        learner = matching(spec=None, model=MODEL, objective=mse(), values=values, width=3, temperature=0.4)
        params = jax.tree.map(lambda v: v.astype(np.float64), learner.init(key))
        params |= {"attention": params["attention"] | {"log_rows": jnp.array(0.7)}}
        support = Support({"v": jnp.array(xs)}, jnp.array(np.where(mask, ys, np.nan)), jnp.array(mask))
        query = Query({"v": jnp.array(xq)}, None)
        scores = [learner.predict(learner.adapt(params, {}, support, depth), query) for depth in (None, 1, 0)]

    space = np.asarray(params["space"])
    kq, ks = xq @ space, (xs @ space)[mask]
    cosine = (kq @ ks.T) / np.linalg.norm(kq, axis=1)[:, None] / np.linalg.norm(ks, axis=1)
    raw = np.column_stack([np.exp(cosine / 0.4), np.full(3, np.exp(0.7))])
    weight = raw / raw.sum(1, keepdims=True)
    prior = 3 + xq @ W
    if values == "label":
        expected = (weight * np.column_stack([np.tile(ys[mask], (3, 1)), prior])).sum(1)
    else:
        expected = prior + weight[:, :-1] @ (ys - 3 - xs @ W)[mask]
    np.testing.assert_allclose(scores[0], expected, rtol=1e-5)  # lengths are off by the 1e-6 of `unit`
    np.testing.assert_allclose(scores[1], expected, rtol=1e-5)
    np.testing.assert_allclose(scores[2], prior, rtol=1e-6)  # depth 0: the scorer


def test_the_weights_are_a_distribution_and_prefer_what_is_alike():
    similarity = jnp.array([[5.0, 1.0, 9.0], [0.0, 0.0, 0.0]])
    weight, rest = attend(similarity, jnp.array([True, True, False]), jnp.array(0.0))
    np.testing.assert_allclose(weight.sum(1) + rest, 1, rtol=1e-6)
    assert weight[0, 0] > weight[0, 1] > rest[0]
    assert np.abs(weight[:, 2]).max() == 0
    np.testing.assert_allclose(weight[1, :2], 1 / 3, rtol=1e-6)  # a prior of weight one row among two of similarity 0


def test_a_low_temperature_copies_the_most_similar_row(key):
    learner = matching(spec=None, model=MODEL, objective=mse(), values="label", width=8, temperature=1e-3)
    x = np.eye(2)
    support = Support({"v": jnp.array(x)}, jnp.array([1.0, 5.0]), jnp.ones(2, bool))
    fast = learner.adapt(learner.init(key), {}, support)
    np.testing.assert_allclose(learner.predict(fast, Query({"v": 3 * jnp.array(x)}, None)), [1, 5], rtol=1e-4)


def test_rows_of_which_nothing_is_known_have_gradients():
    gradient = jax.grad(lambda x: unit(x).sum())(jnp.zeros((2, 3)))
    assert np.isfinite(gradient).all()


def test_log_odds_come_back_where_they_are_the_objectives_units(key):
    learner = matching(spec=None, model=MODEL, objective=bce(), values="residual", width=3, temperature=0.4)
    support = Support({"v": jnp.ones((1, 2))}, jnp.ones(1), jnp.zeros(1, bool))
    query = Query({"v": jnp.array([[0.3, 0.2]])}, None)
    score = learner.predict(learner.adapt(learner.init(key), {}, support), query)
    np.testing.assert_allclose(score, 3 + 0.15 - 0.2, rtol=1e-4)
