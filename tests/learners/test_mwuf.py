"""A cold embedding, scaled and shifted: against numpy, what it reads without support, and its derivative."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.mwuf import mwuf
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.mlp import mlp
from recmeta.types import DataSpec, Query, Support
from tests.learners.conftest import BILINEAR, network, off_start

SPEC = DataSpec(
    context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(1.0, 2.0, 3.0, 4.0, 5.0), support=5, query=3, rows=100
)
RATE = 0.3


def made(model=BILINEAR, spec=SPEC):
    settings = {"width": 3, "hidden": (4,), "inner_steps": 2, "inner_rate": RATE, "first_order": False}
    return mwuf(spec=spec, model=model, objective=mse(), **settings)


@pytest.fixture
def drawn():
    """Parameters off their start, a context, five support rows, three query rows."""
    rng = np.random.default_rng(0)
    params = off_start(made(), rng)
    return params, rng.normal(size=2), rng.normal(size=(5, 2)), rng.uniform(1, 5, 5), rng.normal(size=(3, 2))


def scores(params, c, x, y, query, mask, depth=None):
    with jax.enable_x64():
        learner = made()
        fast = learner.adapt(params, {"c": jnp.asarray(c)}, Support({"v": x}, y, np.asarray(mask)), depth)
        return np.asarray(learner.predict(fast, Query({"v": query}, np.ones(3, bool))))


def warmed(params, c, cold, interacted):
    scale, shift = (network(params["embedding"][name], value) for name, value in (("scale", c), ("shift", interacted)))
    return c + ((1 + scale) * cold + shift) @ params["embedding"]["map"]


def test_the_formula(drawn):
    params, c, x, y, query = drawn
    mask = [True, False, True, True, False]
    rows, label, level = x[mask], y[mask], params["scorer"]["level"]
    cold = params["embedding"]["start"]
    for _ in range(2):
        error = level + rows @ (c + cold @ params["embedding"]["map"]) - label
        cold = cold - RATE * 2 * params["embedding"]["map"] @ rows.T @ error / 3
    expected = level + query @ warmed(params, c, cold, rows.mean(0))
    np.testing.assert_allclose(scores(params, c, x, y, query, mask), expected, rtol=1e-10)


def test_who_interacted_counts_whatever_they_said(drawn):
    """With labels that are what is predicted cold, no step moves, and the shift still does."""
    params, c, x, _, query = drawn
    level, start = params["scorer"]["level"], params["embedding"]["start"]
    expected = level + x @ (c + start @ params["embedding"]["map"])
    got = scores(params, c, x, expected, query, [True] * 5)
    np.testing.assert_allclose(got, level + query @ warmed(params, c, start, x.mean(0)), rtol=1e-10)
    none = scores(params, c, x, expected, query, [True] * 5, depth=0)
    np.testing.assert_allclose(none, level + query @ warmed(params, c, start, np.zeros(2)), rtol=1e-10)
    assert np.abs(got - none).max() > 0.01


@pytest.mark.parametrize("only", [None, "embedding"])
def test_it_is_differentiated(problem, derivative_error, only):
    model = make_model(partial(features, width=2), partial(mlp, hidden=(4, 3)), problem.spec, mse())
    learner = made(model, problem.spec)
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))
    assert derivative_error(learner, learner.init(jax.random.key(0)), batch, only) < 1e-6
