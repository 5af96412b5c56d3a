"""Reptile's minibatches, and the way to where descent on them ends."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.adaptation.inner import Inner
from recmeta.learners.reptile import minibatches, reptile
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot
from recmeta.types import Batch, Encoding, Model, Query, Support, Task

RATE = 0.1


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64():
        yield


def drawn(there, size, steps, seed=0):
    return np.asarray(minibatches(jax.random.key(seed), jnp.array(there, bool), size, steps))


def test_an_epoch_takes_every_row_once_and_the_next_one_other_minibatches():
    there = np.array([1, 1, 1, 0, 1, 1, 1, 0], bool)
    rows = drawn(there, 2, 6)
    assert (rows.sum(1) == 2).all()
    for epoch in (rows[:3], rows[3:]):
        np.testing.assert_array_equal(epoch.sum(0), there)
    assert not np.array_equal(rows[:3], rows[3:])
    assert not np.array_equal(rows, drawn(there, 2, 6, seed=1))


def test_rows_too_few_for_a_minibatch_are_left_out_of_an_epoch_or_all_taken():
    rows = drawn(np.ones(5), 2, 4)  # epochs of two minibatches
    assert (rows.sum(1) == 2).all()
    assert (rows[:2].sum(0) <= 1).all()
    assert (rows[2:].sum(0) <= 1).all()
    few = np.array([1, 0, 1, 0, 0], bool)
    np.testing.assert_array_equal(drawn(few, 3, 4), np.tile(few, (4, 1)))
    assert not drawn(np.zeros(5), 3, 4).any()


def test_in_expectation_a_minibatch_is_all_rows():
    there = jnp.array([1, 1, 0, 1, 1, 1], bool)
    share = jax.vmap(lambda key: minibatches(key, there, 2, 3))(jax.random.split(jax.random.key(0), 4000)).mean(0)
    np.testing.assert_allclose(share, np.tile(0.4 * there, (3, 1)), atol=5 * np.sqrt(0.4 * 0.6 / 4000))


def linear():
    return Model(
        init=lambda key: {"tables": {}, "encoder": {}, "scorer": {"w": jax.random.normal(key, (3,))}},
        encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
        score=lambda params, encoding: encoding.row @ params["scorer"]["w"],
        widths=(1, 3),
    )


def test_each_step_descends_on_its_own_minibatch():
    rng = np.random.default_rng(0)
    xs, ys, xq, yq = (jnp.array(rng.normal(size=shape)) for shape in ((2, 4, 3), (2, 4), (2, 3, 3), (2, 3)))
    mask = jnp.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool)
    batch = Batch(Task({}, Support({"v": xs}, ys, mask), Query({"v": xq}, jnp.ones((2, 3), bool))), yq)
    learner = reptile(
        spec=None, model=linear(), objective=mse(), inner_steps=4, inner_rate=RATE, adapts="all", inner_batch=2
    )
    w, key = rng.normal(size=3), jax.random.key(3)
    x, y = np.concatenate([xs, xq], 1), np.concatenate([ys, yq], 1)
    moves, takes = [], []
    for task, own in enumerate(jax.random.split(key, 2)):
        end, there = w, np.concatenate([mask[task], np.ones(3, bool)])
        takes.append(np.asarray(minibatches(own, jnp.array(there), 2, 4)))
        for rows in takes[-1]:
            a, b = x[task][rows], y[task][rows]
            end = end - RATE * 2 * a.T @ (a @ end - b) / 2
        moves.append(w - end)
    assert not np.array_equal(*takes)  # tasks draw apart
    gradient, _ = learner.meta_grad({"tables": {}, "encoder": {}, "scorer": {"w": jnp.array(w)}}, batch, key)
    np.testing.assert_allclose(gradient["scorer"]["w"], np.mean(moves, 0), rtol=1e-10)


@pytest.mark.parametrize(("adapts", "clip"), [("all", 0.5), ("head", None)])
def test_a_minibatch_of_all_rows_is_all_rows_in_every_step(problem, adapts, clip):
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))
    double = lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf  # noqa: E731
    params, batch = jax.tree.map(double, jax.tree.map(jnp.asarray, (model.init(jax.random.key(0)), batch)))

    def gradient(size):
        learner = reptile(
            spec=problem.spec, model=model, objective=mse(), inner_steps=3, inner_rate=RATE, adapts=adapts,
            inner_batch=size, inner=Inner(clip=clip),
        )  # fmt: skip
        return jax.tree.leaves(jax.jit(learner.meta_grad)(params, batch, jax.random.key(2))[0])

    rows = problem.spec.support + problem.spec.query
    for all_rows, every, some in zip(gradient(None), gradient(rows), gradient(2), strict=True):
        np.testing.assert_allclose(every, all_rows, rtol=1e-12, atol=1e-15)
        assert not all_rows.any() or np.abs(some - all_rows).max() > 1e-6
