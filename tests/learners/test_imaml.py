"""Implicit meta-gradients: the closed form on a quadratic, finite differences, the unrolled loop, and memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.adaptation import inner
from recmeta.learners.imaml import imaml, square_distance
from recmeta.learners.maml import maml
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot
from recmeta.scorers.mlp import mlp
from recmeta.types import Batch, DataSpec, Encoding, Field, Model, Query, Support, Task

PULL = 0.7
LINEAR = Model(
    init=lambda key: {"tables": {}, "encoder": {"v": jnp.zeros(2)}, "scorer": {"w": jnp.zeros(3)}},
    encode=lambda params, context, support, x: Encoding(
        ((support.x if x is None else x)["v"][:, 3:] @ params["encoder"]["v"])[:, None],
        (support.x if x is None else x)["v"][:, :3],
    ),
    score=lambda params, encoding: encoding.context[:, 0] + encoding.row @ params["scorer"]["w"],
    widths=(1, 3),
)
"""Linear in three weights of the scorer, then two of the encoder."""


@pytest.mark.parametrize("adapts", ["head", "body", "all"])
def test_the_minimum_and_its_derivative_in_closed_form(adapts):
    rng = np.random.default_rng(0)
    xs, xq, ys, yq, point = (rng.normal(size=size) for size in ((4, 5), (3, 5), 4, 3, 5))
    hs, bs, hq, bq = 2 / 4 * xs.T @ xs, 2 / 4 * xs.T @ ys, 2 / 3 * xq.T @ xq, 2 / 3 * xq.T @ yq
    inside = np.array({"head": [1, 1, 1, 0, 0], "body": [0, 0, 0, 1, 1], "all": [1] * 5}[adapts], bool)
    # Where the gradient of what adapts is zero: (H + pull) end = b - H rest + pull start; what does not adapt stays.
    part, keep = np.eye(5)[inside], np.eye(5)[~inside]
    inverse = np.linalg.inv(part @ hs @ part.T + PULL * np.eye(len(part)))
    jacobian = part.T @ inverse @ (PULL * part - part @ hs @ keep.T @ keep) + keep.T @ keep
    end = jacobian @ point + part.T @ inverse @ part @ bs
    with jax.enable_x64():
        params = {"tables": {}, "encoder": {"v": jnp.array(point[3:])}, "scorer": {"w": jnp.array(point[:3])}}
        learner = imaml(
            spec=None, model=LINEAR, objective=mse(), inner_steps=400, inner_rate=0.2, pull=PULL, cg_steps=10,
            adapts=adapts,
        )  # fmt: skip
        support = Support({"v": jnp.array(xs)[None]}, jnp.array(ys)[None], jnp.ones((1, 4), bool))
        batch = Batch(Task({}, support, Query({"v": jnp.array(xq)[None]}, jnp.ones((1, 3), bool))), jnp.array(yq)[None])
        fast = learner.adapt(params, {}, jax.tree.map(lambda values: values[0], support)).params
        gradient, _ = learner.meta_grad(params, batch, jax.random.key(0))
    together = lambda tree: np.concatenate([tree["scorer"]["w"], tree["encoder"]["v"]])  # noqa: E731
    np.testing.assert_allclose(together(fast), end, rtol=1e-9)
    np.testing.assert_allclose(together(gradient), jacobian.T @ (hq @ end - bq), rtol=1e-9)


@pytest.fixture(scope="module")
def setting(problem):
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))
    return {"spec": problem.spec, "model": model, "objective": mse()}, model.init(jax.random.key(0)), batch


def test_at_convergence_it_is_the_derivative_of_the_query_loss(setting, derivative_error):
    parts, params, batch = setting
    learner = imaml(**parts, inner_steps=600, inner_rate=0.1, pull=PULL, cg_steps=100, adapts="all")
    assert derivative_error(learner, params, batch) < 1e-6


def test_at_convergence_it_is_the_unrolled_loop(setting):
    """The same descent, differentiated step by step."""
    parts, params, batch = setting
    model = parts["model"]
    learner = imaml(**parts, inner_steps=300, inner_rate=0.1, pull=PULL, cg_steps=100, adapts="head")

    def unrolled(params):
        def one(task, label):
            loss, start, finish, _ = inner.support_descent(model, mse(), params, task.context, task.support, "head")
            pulled = lambda fast: loss(fast) + PULL / 2 * square_distance(fast, start)  # noqa: E731
            fast = inner.with_fast(params, finish(inner.descend(jax.grad(pulled), start, steps=300, rate=0.1)[0]))
            score = model.score(fast, model.encode(fast, task.context, task.support, task.query.x))
            return mse().loss(score, label, task.query.mask)

        return jax.vmap(one)(batch.task, batch.label).mean()

    wanted = jax.jit(jax.grad(unrolled))(params)
    got = jax.jit(learner.meta_grad)(params, batch, jax.random.key(0))[0]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), got, wanted)


def melu_shaped():
    """Model and batch of MeLU's sizes: 32 tasks of 20 support rows, embeddings of 32, two layers of 64."""
    context, row = Field("user", "categorical", 1000), Field("id", "categorical", 1700)
    spec = DataSpec(
        context=(context,),
        row=(row,),
        low=1,
        high=5,
        mean=3.5,
        like=4,
        levels=(1.0, 2.0, 3.0, 4.0, 5.0),
        support=20,
        query=10,
        rows=100,
    )
    model = make_model(partial(features, width=32), partial(mlp, hidden=(64, 64)), spec, mse())
    support = Support({"id": jnp.zeros((32, 20), int)}, jnp.zeros((32, 20)), jnp.ones((32, 20), bool))
    query = Query({"id": jnp.zeros((32, 10), int)}, jnp.ones((32, 10), bool))
    batch = Batch(Task({"user": jnp.zeros(32, int)}, support, query), jnp.zeros((32, 10)))
    return {"spec": spec, "model": model, "objective": mse(), "inner_rate": 0.05, "adapts": "head"}, batch


@pytest.mark.slow
def test_memory_does_not_grow_with_the_steps_where_that_of_an_unrolled_loop_does():
    parts, batch = melu_shaped()

    def temporary(learner):
        shapes, key = jax.eval_shape(learner.init, jax.random.key(0)), jax.random.key(0)
        compiled = jax.jit(learner.meta_grad).lower(shapes, batch, key).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    implicit, unrolled = (
        [temporary(make(**parts, inner_steps=steps)) for steps in (5, 50)]
        for make in (partial(imaml, pull=PULL, cg_steps=10), partial(maml, first_order=False))
    )
    assert implicit[1] < 1.01 * implicit[0], implicit
    assert unrolled[1] > 5 * unrolled[0], unrolled
