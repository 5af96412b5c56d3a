"""What memories give, and what no user leaves behind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.mamo import attention, mamo
from recmeta.objectives import mse
from recmeta.types import Encoding, Model, Query, Support

MODEL = Model(
    init=lambda key: {"encoder": {}, "tables": {}, "scorer": {"w": jnp.array([0.5, -1.0]), "b": jnp.array(3.0)}},
    encode=lambda params, context, support, x: Encoding(context["c"][None], (support.x if x is None else x)["v"]),
    score=lambda params, encoding: encoding.row @ params["scorer"]["w"] + params["scorer"]["b"],
    widths=(3, 2),
)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64():
        yield


def made(steps=3, sharpness=0.5):
    learner = mamo(
        spec=None, model=MODEL, objective=mse(), slots=4, inner_steps=steps, inner_rate=0.1, first_order=False
    )
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda v: v + 0.3 * rng.normal(size=v.shape), learner.init(jax.random.key(0)))
    return learner, params | {"memory": params["memory"] | {"log_sharpness": jnp.array(sharpness)}}


def drawn(seed=1):
    rng = np.random.default_rng(seed)
    support = Support({"v": jnp.array(rng.normal(size=(4, 2)))}, jnp.array(rng.uniform(1, 5, 4)), jnp.arange(4) < 3)
    return {"c": jnp.array(rng.normal(size=3))}, support, Query({"v": jnp.array(rng.normal(size=(3, 2)))}, None)


def test_the_formula_by_hand_written_steps():
    learner, params = made()
    context, support, query = drawn()
    memory, p = jax.tree.map(np.asarray, params["memory"]), np.asarray(context["c"])
    cosine = memory["key"] @ p / np.linalg.norm(memory["key"], axis=1) / np.linalg.norm(p)
    a = np.exp(np.exp(0.5) * cosine)
    a /= a.sum()
    w, b = (np.asarray(params["scorer"][n]) - np.tensordot(a, memory["head"][n], 1) for n in ("w", "b"))
    m = np.tensordot(a, memory["matrix"], 1)
    x, y, xq = np.asarray(support.x["v"])[:3], np.asarray(support.y)[:3], np.asarray(query.x["v"])
    for step in range(4):
        got = learner.predict(learner.adapt(params, context, support, step), query)
        np.testing.assert_allclose(got, (xq + xq @ m) @ w + b, rtol=1e-9)
        slope = 2 * ((x + x @ m) @ w + b - y) / 3
        w, b, m = w - 0.1 * slope @ (x + x @ m), b - 0.1 * slope.sum(), m - 0.1 * np.outer(slope @ x, w)


def test_attention_is_even_without_a_profile_and_certain_when_sharp():
    key = jnp.array(np.random.default_rng(0).normal(size=(4, 3)))
    np.testing.assert_allclose(attention(key, jnp.array(2.0), jnp.zeros(3)), np.full(4, 0.25), rtol=1e-9)
    for slot in range(4):
        np.testing.assert_allclose(attention(key, jnp.array(8.0), 5 * key[slot]), np.eye(4)[slot], atol=1e-6)
    slope = jax.grad(lambda profile: attention(key, jnp.array(0.0), profile)[0])(jnp.zeros(3))
    assert np.isfinite(slope).all()


def test_profiles_matter_unless_all_slots_hold_the_same():
    learner, params = made()
    (context, support, query), (other, _, _) = drawn(), drawn(2)
    held = {name: params["memory"][name] for name in ("head", "matrix")}
    same = jax.tree.map(lambda v: jnp.broadcast_to(v[:1], v.shape), held)

    def scores(memory, context):
        changed = params | {"memory": params["memory"] | memory}
        return learner.predict(learner.adapt(changed, context, support), query)

    np.testing.assert_allclose(scores(same, context), scores(same, other), rtol=1e-10)
    assert np.abs(scores(held, context) - scores(held, other)).max() > 1e-3


def test_memories_are_read_at_test_and_each_kind_of_user_reads_its_own():
    """Without support, and with it after the inner loop: a slot's change moves those who attend to it, and no other."""
    learner, params = made(sharpness=8.0)
    _, support, query = drawn()
    key = params["memory"]["key"]
    contexts = [{"c": 2 * key[0]}, {"c": 2 * key[1]}]

    def scores(params, depth):
        return np.stack([learner.predict(learner.adapt(params, c, support, depth), query) for c in contexts])

    matrix = params["memory"]["matrix"].at[0].add(0.5)
    changed = params | {"memory": params["memory"] | {"matrix": matrix}}
    for depth in (0, 3):
        moved = np.abs(scores(changed, depth) - scores(params, depth)).max(1)
        assert moved[0] > 1e-2
        assert moved[1] < 1e-5


def test_memories_learn_through_the_inner_loop():
    """The gradient in the memories against finite differences of the query loss after adaptation."""
    learner, params = made()
    context, support, query = drawn()
    label, there = jnp.array([2.0, 4.0, 3.0]), jnp.ones(3, bool)

    @jax.jit
    def loss(memory):
        fast = learner.adapt(params | {"memory": memory}, context, support)
        return mse().loss(learner.predict(fast, query), label, there)

    gradient = jax.grad(loss)(params["memory"])
    rng = np.random.default_rng(3)
    way = jax.tree.map(lambda v: rng.normal(size=v.shape), params["memory"])
    ahead, behind = (
        loss(jax.tree.map(lambda v, d, size=size: v + size * d, params["memory"], way)) for size in (1e-5, -1e-5)
    )
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), gradient, way)))
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-6)
    assert all(np.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(gradient))
