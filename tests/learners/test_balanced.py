"""Learned weights of the support loss: their derivative, what they are at first, and one step by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.adaptation.inner import Inner
from recmeta.learners.balanced import balanced
from recmeta.learners.maml import maml
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.mlp import mlp
from recmeta.types import DataSpec, Encoding, Model, Support
from tests.learners.conftest import to_double

SETTINGS = {"inner_steps": 2, "inner_rate": 0.05, "first_order": False, "adapts": "all"}


@pytest.fixture(scope="module")
def parts(problem):
    model = make_model(partial(features, width=2), partial(mlp, hidden=(3,)), problem.spec, mse())
    return {"spec": problem.spec, "model": model, "objective": mse()}


@pytest.fixture(scope="module")
def batch(problem):
    """Four tasks of 5, 3, 1 and 0 support rows."""
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 4))
    mask = jnp.arange(5) < jnp.array([5, 3, 1, 0])[:, None]
    return batch._replace(task=batch.task._replace(support=batch.task.support._replace(mask=mask)))


def test_at_first_it_is_maml_exactly(parts, batch):
    learned, fixed = balanced(**parts, **SETTINGS), maml(**parts, **SETTINGS)
    params = learned.init(jax.random.key(0))
    start = {name: part for name, part in params.items() if name != "balance"}
    (got, said), (wanted, fixed_said) = (
        jax.jit(learner.meta_grad)(params, batch, jax.random.key(0)) for learner, params in
        ((learned, params), (fixed, start))
    )  # fmt: skip
    weights = jax.tree.leaves(got.pop("balance"))
    assert len(weights) == 2 * len(jax.tree.leaves(start))
    assert np.abs(weights).max() > 1e-4
    np.testing.assert_array_equal(said["loss"], fixed_said["loss"])
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), got, wanted)


@pytest.mark.parametrize("only", [None, "balance"])
@pytest.mark.parametrize("fast_weights", ["dense", "factored"])
def test_it_is_differentiated_in_the_weights_too(parts, batch, derivative_error, only, fast_weights):
    learner = balanced(**parts, **SETTINGS, inner=Inner(fast_weights=fast_weights))
    params = learner.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    off = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / 2, leaf.dtype), params["balance"])
    assert derivative_error(learner, params | {"balance": off}, batch, only) < 1e-6


def step_of(rows, level, growth):
    """One step of a constant on rows of label 1, at most four of them, by the number that are there: from 0, at 0.1."""
    model = Model(
        init=lambda key: {"tables": {}, "encoder": {}, "scorer": {"level": jnp.zeros(())}},
        encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
        score=lambda params, encoding: jnp.broadcast_to(params["scorer"]["level"], len(encoding.row)),
        widths=(1, 1),
    )
    spec = DataSpec(
        context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(1.0, 5.0), support=4, query=1, rows=100
    )
    learner = balanced(spec=spec, model=model, objective=mse(), **SETTINGS | {"inner_steps": 1, "inner_rate": 0.1})
    with jax.enable_x64():
        params = to_double(learner.init(jax.random.key(0)))
        params["balance"] = {
            "level": {"scorer": {"level": jnp.array(level)}}, "growth": {"scorer": {"level": jnp.array(growth)}}
        }  # fmt: skip
        support = Support({"v": jnp.zeros((4, 1))}, jnp.ones(4), jnp.arange(4) < rows)
        return float(learner.adapt(params, {}, support).params["scorer"]["level"])


def test_one_step_by_hand():
    """The gradient is -2 whatever the number of rows, which is what the weight is for."""
    assert step_of(4, 0.3, 0.7) == pytest.approx(0.2 * np.exp(0.3), rel=1e-12)
    assert step_of(1, 0.3, 0.7) == pytest.approx(0.2 * np.exp(0.3) * 0.25**0.7, rel=1e-12)
    assert step_of(3, 0.0, 1.0) == pytest.approx(0.2 * 3 / 4, rel=1e-12)  # a sum over rows
    assert step_of(0, 0.3, 0.7) == 0
