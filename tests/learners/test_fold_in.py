"""The user's vector against numpy, and the two ways to train the items."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recmeta.learners.fold_in import fold_in
from recmeta.objectives import mae, mse
from recmeta.types import Batch, DataSpec, Encoding, Model, Query, Support, Task

SPEC = DataSpec(context=(), row=(), low=1, high=5, mean=3.4, like=4, levels=(), support=6, query=3, rows=100)
MODEL = Model(
    init=lambda key: {"tables": {}, "encoder": {"scale": jnp.ones(4)}, "scorer": {"w": jnp.ones(4)}},
    encode=lambda params, context, support, x: Encoding(
        context["c"][None], (support.x if x is None else x)["v"] * params["encoder"]["scale"]
    ),
    score=lambda params, encoding: encoding.row[:, 0],
    widths=(1, 4),
)
LEVEL, PENALTY, ITEM = 1.5, 2.5, 0.3


def made(trains, key, objective=mse()):  # noqa: B008
    learner = fold_in(
        spec=SPEC, model=MODEL, objective=objective, rank=2, trains=trains, level_penalty=LEVEL, penalty=PENALTY,
        item_penalty=ITEM,
    )  # fmt: skip
    params = jax.tree.map(lambda v: v.astype(np.float64), learner.init(key))
    rng = np.random.default_rng(4)
    item = params["item"] | {"context": jnp.array([0.4]), "bias": jnp.array(rng.normal(size=4))}
    return learner, params | {"item": item}


def drawn():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 4)), rng.normal(3, 1, 5), rng.normal(size=(3, 4)), rng.normal(3, 1, 3)


def batch_of(xs, ys, mask, xq, yq, there):
    support = Support({"v": jnp.array(xs)}, jnp.array(ys), jnp.array(mask))
    task = Task({"c": jnp.array([2.0])}, support, Query({"v": jnp.array(xq)}, jnp.array(there)))
    return Batch(*jax.tree.map(lambda values: values[None], (task, jnp.array(yq))))


def parts(params, x):
    """Priors and factors, the level's constant first."""
    item = jax.tree.map(np.asarray, params["item"])
    return 3.4 + 2 * 0.4 + x @ item["bias"], np.concatenate([np.ones((len(x), 1)), x @ item["factors"]], axis=1)


def vector(params, x, y):
    prior, q = parts(params, x)
    return np.linalg.solve(q.T @ q + np.diag([LEVEL, PENALTY, PENALTY]), q.T @ (y - prior))


def test_the_users_vector_is_the_ridge_solution(key):
    xs, ys, xq, yq = drawn()
    mask = np.array([True, True, False, True, True])
    with jax.enable_x64():
        learner, params = made("episodes", key)
        assert "scorer" not in params
        batch = batch_of(xs, np.where(mask, ys, np.nan), mask, xq, yq, np.ones(3, bool))
        task = jax.tree.map(lambda values: values[0], batch.task)
        scores = [
            learner.predict(learner.adapt(params, task.context, task.support, depth), task.query)
            for depth in (None, 1, 0)
        ]
    prior, q = parts(params, xq)
    expected = prior + q @ vector(params, xs[mask], ys[mask])
    np.testing.assert_allclose(scores[0], expected, rtol=1e-9)
    np.testing.assert_allclose(scores[1], expected, rtol=1e-9)
    np.testing.assert_allclose(scores[2], prior, rtol=1e-9)  # depth 0: mean, context and item bias


def test_by_rows_the_gradient_is_that_of_the_factorisations_own_loss(key):
    """Its loss with the vector at the minimum, by numpy; its gradient by finite differences through that minimum."""
    xs, ys, xq, yq = drawn()
    mask, there = np.arange(5) != 2, np.array([True, True, False])
    x, y = np.concatenate([xs[mask], xq[there]]), np.concatenate([ys[mask], yq[there]])
    with jax.enable_x64():
        learner, params = made("rows", key)
        gradient, reported = jax.jit(learner.meta_grad)(params, batch_of(xs, ys, mask, xq, yq, there), key)

    def loss(params):
        prior, q = parts(params, x)
        p = vector(params, x, y)
        total = ((y - prior - q @ p) ** 2).sum() + (p**2 * [LEVEL, PENALTY, PENALTY]).sum()
        return total / len(y) + ITEM * (q[:, 1:] ** 2).sum(1).mean()

    np.testing.assert_allclose(reported["loss"], loss(params), rtol=1e-9)
    for name in ("bias", "factors"):
        value = np.asarray(params["item"][name])
        slope = np.zeros_like(value)
        for at in np.ndindex(value.shape):
            step = np.zeros_like(value)
            step[at] = 1e-5
            up, down = ({"item": params["item"] | {name: value + sign * step}} for sign in (1, -1))
            slope[at] = (loss(up) - loss(down)) / 2e-5
        np.testing.assert_allclose(gradient["item"][name], slope, rtol=1e-6, atol=1e-9)


def test_by_episodes_it_is_the_querys_loss_after_the_fold_in(key):
    xs, ys, xq, yq = drawn()
    there = np.array([True, False, True])
    with jax.enable_x64():
        learner, params = made("episodes", key)
        _, reported = jax.jit(learner.meta_grad)(params, batch_of(xs, ys, np.ones(5, bool), xq, yq, there), key)
    prior, q = parts(params, xq)
    error = (prior + q @ vector(params, xs, ys) - yq)[there]
    expected = (error**2).mean() + ITEM * (q[there, 1:] ** 2).sum(1).mean()
    np.testing.assert_allclose(reported["loss"], expected, rtol=1e-9)


@pytest.mark.parametrize("trains", ["episodes", "rows"])
def test_it_finds_the_factors_of_a_low_rank_world(trains, key):
    """Users of two factors, without noise: once the items' are known, eight rows tell all; no level tells anything."""

    rng = np.random.default_rng(7)
    items = rng.normal(size=(30, 2)).astype(np.float32)
    model = Model(
        init=lambda key: {"tables": 0.3 * jax.random.normal(key, (30, 4))},
        encode=lambda params, context, support, x: Encoding(
            context["c"][None], params["tables"][(support.x if x is None else x)["id"]]
        ),
        score=lambda params, encoding: encoding.row[:, 0],
        widths=(1, 4),
    )

    def world(tasks):
        rows = np.stack([rng.permutation(30)[:14] for _ in range(tasks)])
        users = rng.normal(size=(tasks, 2)).astype(np.float32)
        labels = SPEC.mean + np.einsum("td,tnd->tn", users, items[rows])
        ids = jnp.array(rows)
        support = Support({"id": ids[:, :8]}, jnp.array(labels[:, :8]), jnp.ones((tasks, 8), bool))
        query = Query({"id": ids[:, 8:]}, jnp.ones((tasks, 6), bool))
        return Batch(Task({"c": jnp.zeros((tasks, 1))}, support, query), jnp.array(labels[:, 8:]))

    learner = fold_in(
        spec=SPEC, model=model, objective=mse(), rank=3, trains=trains, level_penalty=1.0, penalty=0.1,
        item_penalty=0.01,
    )  # fmt: skip
    train, test = world(128), world(64)
    optimizer = optax.adam(0.03)

    def step(state, _):
        params, opt_state = state
        gradient, reported = learner.meta_grad(params, train, key)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return (optax.apply_updates(params, updates), opt_state), reported["loss"]

    params = learner.init(key)
    (params, _), _ = jax.jit(lambda state: jax.lax.scan(step, state, length=250))((params, optimizer.init(params)))
    score = jax.vmap(lambda task: learner.predict(learner.adapt(params, task.context, task.support), task.query))
    error = np.abs(score(test.task) - test.label).mean()
    spread = np.abs(test.label - SPEC.mean).mean()
    assert error < 0.2 * spread


def test_by_rows_it_ignores_the_objective(key):
    with jax.enable_x64():
        batch = batch_of(*drawn()[:2], np.ones(5, bool), *drawn()[2:], np.ones(3, bool))
        for trains, ignored in (("rows", ("objective",)), ("episodes", ())):
            squared, absolute = (made(trains, key, objective()) for objective in (mse, mae))
            assert squared[0].ignores == ignored
            one, other = (
                jax.tree.leaves(jax.jit(learner.meta_grad)(params, batch, key)[0])
                for learner, params in (squared, absolute)
            )
            same = all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
            assert same == bool(ignored)
