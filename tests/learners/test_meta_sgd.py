"""Learned rates: their derivative, and what they are when all alike."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.maml import maml
from recmeta.learners.meta_sgd import meta_sgd
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot

SETTINGS = {"inner_steps": 2, "inner_rate": 0.05, "first_order": False, "adapts": "all"}


@pytest.fixture(scope="module")
def parts(problem):
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    return {"spec": problem.spec, "model": model, "objective": mse()}


@pytest.fixture(scope="module")
def batch(problem):
    return problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))


@pytest.mark.parametrize("only", [None, "rates"])
def test_it_is_differentiated_in_the_rates_too(parts, batch, derivative_error, only):
    """Rates of all kinds, those of the rows of tables among them, away from where they start alike."""
    learner = meta_sgd(**parts, **SETTINGS)
    params = learner.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    noisy = lambda rate: rate * jnp.asarray(rng.uniform(-1, 2, rate.shape), rate.dtype)  # noqa: E731
    assert derivative_error(learner, params | {"rates": jax.tree.map(noisy, params["rates"])}, batch, only) < 1e-6


def test_with_rates_alike_it_is_maml(parts, batch):
    learned, fixed = meta_sgd(**parts, **SETTINGS), maml(**parts, **SETTINGS)
    params = learned.init(jax.random.key(0))
    start = {name: part for name, part in params.items() if name != "rates"}
    (got, said), (wanted, fixed_said) = (
        jax.jit(learner.meta_grad)(params, batch, jax.random.key(0)) for learner, params in
        ((learned, params), (fixed, start))
    )  # fmt: skip
    assert got.pop("rates")
    np.testing.assert_allclose(said["loss"], fixed_said["loss"], rtol=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), got, wanted)


def test_there_is_a_rate_for_each_number_that_adapts(parts):
    learner = meta_sgd(**parts, **SETTINGS | {"adapts": "bias"})
    params = learner.init(jax.random.key(0))
    assert jax.tree.map(jnp.shape, params["rates"]) == {"scorer": {"context_level": {"bias": (1,)}}}
