"""A generated embedding that takes steps: against numpy, its two losses, and its derivative."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.meta_embedding import meta_embedding
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.mlp import mlp
from recmeta.types import Batch, DataSpec, Query, Support, Task
from tests.learners.conftest import BILINEAR, network, off_start

SPEC = DataSpec(
    context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(1.0, 2.0, 3.0, 4.0, 5.0), support=5, query=3, rows=100
)
RATE = 0.3


def made(model=BILINEAR, spec=SPEC, **changed):
    settings = {"width": 3, "hidden": (4,), "cold_weight": 0.25, "inner_steps": 1, "inner_rate": RATE}
    return meta_embedding(spec=spec, model=model, objective=mse(), first_order=False, **settings | changed)


@pytest.fixture
def drawn():
    """Parameters off their start, a context, five support rows of which three are there, three query rows."""
    rng = np.random.default_rng(0)
    params = off_start(made(), rng)
    support = Support({"v": rng.normal(size=(5, 2))}, rng.uniform(1, 5, 5), np.array([True, True, False, True, False]))
    query = Query({"v": rng.normal(size=(3, 2))}, np.ones(3, bool))
    return params, Task({"c": rng.normal(size=2)}, support, query), rng.uniform(1, 5, 3)


def by_hand(params, task, label):
    """Query scores after one step, the cold loss, and the warm one."""
    embedding, level = params["embedding"], params["scorer"]["level"]
    c, support = task.context["c"], task.support
    rows, y = support.x["v"][support.mask], support.y[support.mask]
    e = network(embedding["generator"], c)
    error = level + rows @ (c + e @ embedding["map"]) - y
    e = e - RATE * 2 * embedding["map"] @ rows.T @ error / len(y)
    score = level + task.query.x["v"] @ (c + e @ embedding["map"])
    return score, np.square(error).mean(), np.square(score - label).mean()


def test_the_formula(drawn):
    params, task, label = drawn
    expected, cold, warm = by_hand(params, task, label)
    with jax.enable_x64():
        learner = made()
        fast = learner.adapt(params, task.context, task.support)
        np.testing.assert_allclose(learner.predict(fast, task.query), expected, rtol=1e-10)
        batch = Batch(*jax.tree.map(lambda values: jnp.asarray(values)[None], (task, label)))
        _, reported = learner.meta_grad(params, batch, jax.random.key(0))
        np.testing.assert_allclose(reported["loss"], 0.25 * cold + 0.75 * warm, rtol=1e-10)
    assert abs(cold - warm) > 0.1


def test_the_gradient_is_that_of_both_losses_and_cold_alone_no_step_matters(drawn):
    params, task, label = drawn

    with jax.enable_x64():
        batch = Batch(*jax.tree.map(lambda values: jnp.asarray(values)[None], (task, label)))
        params = jax.tree.map(jnp.asarray, params)
        both, cold, warm = (
            made(cold_weight=w).meta_grad(params, batch, jax.random.key(0))[0] for w in (0.25, 1.0, 0.0)
        )
        same = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
        jax.tree.map(lambda got, a, b: same(got, 0.25 * a + 0.75 * b), both, cold, warm)
        jax.tree.map(same, made(cold_weight=1.0, inner_steps=4).meta_grad(params, batch, jax.random.key(0))[0], cold)
        way = jax.tree.map(lambda leaf: np.random.default_rng(1).normal(size=leaf.shape), params)
        along = sum(jax.tree.leaves(jax.tree.map(lambda a, b: (a * b).sum(), way, cold)))
        moved = [
            by_hand(jax.tree.map(lambda p, w, s=s: np.asarray(p + s * w), params, way), task, label)[1]
            for s in (1e-5, -1e-5)
        ]
        np.testing.assert_allclose(along, (moved[0] - moved[1]) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize("only", [None, "embedding"])
def test_it_is_differentiated(problem, derivative_error, only):
    model = make_model(partial(features, width=2), partial(mlp, hidden=(4, 3)), problem.spec, mse())
    learner = made(model, problem.spec, cold_weight=0.0, inner_steps=2)
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))
    assert derivative_error(learner, learner.init(jax.random.key(0)), batch, only) < 1e-6
