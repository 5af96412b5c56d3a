"""Attention over the support against numpy."""

from dataclasses import replace

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.matching import around, attend, matching, unit
from recmeta.objectives import bce, mse
from recmeta.types import Batch, DataSpec, Encoding, Model, Query, Support, Task, UserError

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
        settings = {"width": 3, "temperature": 0.4, "loss": "objective"}
        learner = matching(spec=None, model=MODEL, objective=mse(), values=values, **settings)
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
    learner = matching(
        spec=None, model=MODEL, objective=mse(), values="label", width=8, temperature=1e-3, loss="objective"
    )
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


SPEC = DataSpec(
    context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(1.0, 2.0, 4.0, 5.0), support=4, query=3, rows=100
)


def classifier():
    return matching(spec=SPEC, model=MODEL, objective=mse(), values="label", width=3, temperature=0.4)


def drawn(number=3):
    """A batch of tasks of four support and three query rows; the last of each is missing in the first task."""
    rng = np.random.default_rng(1)
    real = lambda *shape: jnp.array(rng.normal(size=(number, *shape)))  # noqa: E731
    label = lambda rows: jnp.array(rng.choice(SPEC.levels, (number, rows)))  # noqa: E731
    mask = jnp.ones((number, 4), bool).at[0, -1].set(False)
    task = Task({}, Support({"v": real(4, 2)}, label(4), mask), Query({"v": real(3, 2)}, mask[:, 1:]))
    return Batch(task, label(3))


def test_as_a_classifier_a_class_has_the_weight_of_its_rows_and_its_share_of_the_prior(key):
    """Equation 1 of the paper, of one-hot labels, with the scorer's row as a normal density over the levels."""
    with jax.enable_x64():
        learner, batch = classifier(), drawn()
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), learner.init(key))
        params |= {"attention": params["attention"] | {"log_rows": jnp.array(0.7), "log_sharpness": jnp.array(-0.4)}}
        losses, levels, space = [], np.array(SPEC.levels), np.asarray(params["space"])
        for number in range(3):
            task = jax.tree.map(lambda leaf, number=number: leaf[number], batch.task)
            mask, x, y = (np.asarray(part) for part in (task.support.mask, task.support.x["v"], task.support.y))
            kq, ks = (
                rows / np.sqrt((rows**2).sum(1, keepdims=True) + 1e-6)
                for rows in (task.query.x["v"] @ space, x @ space)
            )
            raw = np.column_stack([np.exp(kq @ ks.T / 0.4) * mask, np.full(3, np.exp(0.7))])
            weight = raw / raw.sum(1, keepdims=True)
            far = (levels - (3 + np.asarray(task.query.x["v"]) @ W)[:, None]) / (4 / 3)
            prior = np.exp(-np.exp(-0.4) / 2 * far**2)
            chance = weight[:, :-1] @ (y[:, None] == levels) + weight[:, -1:] * prior / prior.sum(1, keepdims=True)
            score = learner.predict(learner.adapt(params, {}, task.support), task.query)
            np.testing.assert_allclose(score, chance @ levels, rtol=1e-9)
            own = chance[np.arange(3), np.searchsorted(levels, batch.label[number])]
            losses.append(-np.log(own)[np.asarray(task.query.mask)].mean())
        np.testing.assert_allclose(learner.meta_grad(params, batch, key)[1]["loss"], np.mean(losses), rtol=1e-9)


def test_the_gradient_of_the_likelihood_by_finite_differences(key):
    with jax.enable_x64():
        learner, batch = classifier(), drawn()
        flat, restore = jax.flatten_util.ravel_pytree(learner.init(key))
        meta_grad = jax.jit(lambda flat: learner.meta_grad(restore(flat), batch, key))
        gradient = np.asarray(jax.flatten_util.ravel_pytree(meta_grad(flat)[0])[0])
        for way in np.random.default_rng(0).normal(size=(5, len(flat))):
            step = 1e-5 * way / np.linalg.norm(way)
            numeric = meta_grad(flat + step)[1]["loss"] - meta_grad(flat - step)[1]["loss"]
            np.testing.assert_allclose(numeric, 2 * gradient @ step, rtol=1e-6, atol=1e-14)


def test_a_level_around_a_prior_mean_is_as_near_as_it_is_likely():
    chance = np.exp(around(jnp.array([3.0, 1.0]), jnp.array([1.0, 2.0, 3.0, 4.0, 5.0]), jnp.array(0.0)))
    np.testing.assert_allclose(chance.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(chance[0], chance[0, ::-1], rtol=1e-6)
    np.testing.assert_allclose(chance[1, 1] / chance[1, 0], np.exp(-0.5), rtol=1e-5)


def test_residuals_and_real_labels_are_no_classes():
    made = lambda spec=SPEC, **settings: matching(  # noqa: E731
        spec=spec, model=MODEL, objective=mse(), **{"values": "label", "width": 3, "temperature": 0.4} | settings
    )
    assert (made().ignores, made().departs) == (("objective",), ())
    real = made(replace(SPEC, discrete=False))
    assert (real.ignores, real.departs) == ((), (("learner.loss", "regression"),))
    assert "more than a few levels" in real.notes[0]
    assert made(values="residual").departs == (("learner.loss", "regression"), ("learner.values", "residuals"))
    with pytest.raises(UserError, match="a residual has no class"):
        made(values="residual", loss="class")
