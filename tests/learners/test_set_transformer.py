"""Attention blocks against loops in numpy, and what a support may and may not do to a prediction."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.set_transformer import init_isab, init_mab, isab, mab, set_transformer
from recmeta.objectives import mse
from recmeta.types import DataSpec, Encoding, Model, Query, Support

SPEC = DataSpec(
    context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(1.0, 2.0, 3.0, 4.0, 5.0), support=5, query=3, rows=100
)
MODEL = Model(
    init=lambda key: {"encoder": {}, "tables": {}, "scorer": {"w": jnp.array([0.5, -1.0])}},
    encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
    score=lambda params, encoding: 3 + encoding.row @ params["scorer"]["w"],
    widths=(1, 2),
)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64():
        yield


def off(params, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda v: v + 0.2 * rng.normal(size=v.shape), params)


def normed(norm, x):
    return norm["scale"] * (x - x.mean()) / np.sqrt(x.var() + 1e-5) + norm["shift"]


def block(params, x, y, heads):
    """One row, one head at a time."""
    params, rows = jax.tree.map(np.asarray, params), []
    for row in x:
        found = []
        for part in np.split(np.arange(x.shape[1]), heads):
            logit = np.array([row @ params["query"][:, part] @ (other @ params["key"][:, part]) for other in y])
            weight = np.exp(logit / np.sqrt(len(part)))
            found.append(weight / weight.sum() @ (y @ params["value"][:, part]))
        attended = normed(params["norm_attended"], row + np.concatenate(found) @ params["out"])
        first, second = params["feed"]["layer_0"], params["feed"]["layer_1"]
        fed = np.maximum(attended @ first["kernel"] + first["bias"], 0) @ second["kernel"] + second["bias"]
        rows.append(normed(params["norm_fed"], attended + fed))
    return np.array(rows)


@pytest.mark.parametrize("heads", [1, 3])
def test_blocks_are_the_equations_over_the_rows_that_are_there(key, heads):
    rng = np.random.default_rng(1)
    x, y, mask = rng.normal(size=(4, 6)), rng.normal(size=(5, 6)), np.array([True, False, True, True, False])
    params = off(init_mab(key, 6))
    spoilt = np.where(mask[:, None], y, 1e6)
    got = mab(params, jnp.array(x), jnp.array(spoilt), jnp.array(mask), heads)
    np.testing.assert_allclose(got, block(params, x, y[mask], heads), rtol=1e-9, atol=1e-12)

    params = off(init_isab(key, 6, 2))
    got = isab(params, jnp.array(y), jnp.array(mask), heads)[mask]
    points = block(params["in"], np.asarray(params["points"]), y[mask], heads)
    np.testing.assert_allclose(got, block(params["out"], y[mask], points, heads), rtol=1e-9, atol=1e-12)


def made(blocks=2):
    learner = set_transformer(
        spec=SPEC, model=MODEL, objective=mse(), heads=2, head_width=2, inducing=3, blocks=blocks, hidden=(5,)
    )
    return learner, off(learner.init(jax.random.key(0)))


def drawn():
    rng = np.random.default_rng(2)
    mask = jnp.array([True, True, True, True, False])
    support = Support({"v": jnp.array(rng.normal(size=(5, 2)))}, jnp.array(rng.uniform(1, 5, 5)), mask)
    return support, Query({"v": jnp.array(rng.normal(size=(3, 2)))}, jnp.ones(3, bool))


@partial(jax.jit, static_argnums=0)
def scores(learner, params, support, query, depth=None):
    return learner.predict(learner.adapt(params, {}, support, depth), query)


def test_without_self_attention_the_whole_is_written_out():
    learner, params = made(blocks=0)
    support, query = drawn()
    part, w = jax.tree.map(np.asarray, params["attention"]), np.asarray(params["scorer"]["w"])
    xs, ys, xq = np.asarray(support.x["v"])[:4], np.asarray(support.y)[:4], np.asarray(query.x["v"])

    def layers(network, x):
        for i in range(len(network)):
            layer = network[f"layer_{i}"]
            x = (np.maximum(x, 0) if i else x) @ layer["kernel"] + layer["bias"]
        return x

    rows = layers(part["support"], np.column_stack([np.zeros(4), xs, (ys - 3 - xs @ w) / 2]))
    asked = layers(part["query"], np.column_stack([np.zeros(3), xq]))

    def read(rows):
        rows = np.concatenate([part["nothing"], rows])
        pooled = block(part["pooling"], part["seed"], layers(part["before_pooling"], rows), 2)
        found = block(part["reading"], asked, rows, 2)
        return layers(part["decoder"], np.concatenate([found, np.tile(pooled, (3, 1))], axis=1))[:, 0]

    expected = 3 + xq @ w + read(rows) - read(rows[:0])
    np.testing.assert_allclose(scores(learner, params, support, query), expected, rtol=1e-8)


def test_without_support_the_scorer_alone_and_in_any_order_the_same():
    learner, params = made()
    support, query = drawn()
    prior = 3 + query.x["v"] @ params["scorer"]["w"]
    none = Support({"v": jnp.full((5, 2), jnp.inf)}, jnp.full(5, jnp.nan), jnp.zeros(5, bool))
    np.testing.assert_allclose(scores(learner, params, none, query), prior, rtol=1e-12)
    np.testing.assert_allclose(scores(learner, params, support, query, 0), prior, rtol=1e-12)
    base = scores(learner, params, support, query)
    assert np.abs(base - prior).max() > 1e-2
    moved = jax.tree.map(lambda values: values[np.array([2, 4, 0, 3, 1])], support)
    np.testing.assert_allclose(scores(learner, params, moved, query), base, rtol=1e-10)


def test_query_rows_are_read_each_by_itself():
    learner, params = made()
    support, query = drawn()
    alone = [scores(learner, params, support, jax.tree.map(lambda v, i=i: v[i : i + 1], query))[0] for i in range(3)]
    np.testing.assert_allclose(scores(learner, params, support, query), alone, rtol=1e-10)
