"""Rates by layer and step, and the weighted losses of all steps."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders import features
from recmeta.learners import maml, maml_pp
from recmeta.model import make_model
from recmeta.objectives import mse
from recmeta.scorers import dot

SETTINGS = {"inner_rate": 0.05, "first_order": False, "adapts": "all"}
same = partial(jax.tree.map, partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6))


@pytest.fixture(scope="module")
def parts(problem):
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    return {"spec": problem.spec, "model": model, "objective": mse()}


@pytest.fixture(scope="module")
def batch(problem):
    return problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))


@pytest.fixture(scope="module")
def params(parts):
    """Of three steps, with rates that differ by layer and step."""
    params = maml_pp(**parts, **SETTINGS, inner_steps=3, earlier=0.0).init(jax.random.key(0))
    rng = np.random.default_rng(0)
    noisy = lambda rate: rate * jnp.asarray(rng.uniform(0.5, 2, rate.shape), rate.dtype)  # noqa: E731
    return params | {"rates": jax.tree.map(noisy, params["rates"])}


@pytest.mark.parametrize("only", [None, "rates"])
def test_it_is_differentiated_in_the_rates_too(parts, batch, params, derivative_error, only):
    learner = maml_pp(**parts, **SETTINGS, inner_steps=3, earlier=0.0)
    assert derivative_error(learner, params, batch, only) < 1e-6


def test_the_losses_of_all_steps_are_weighted(parts, batch, params):
    """The gradient is linear in them: of two steps, a third of that of the first and two thirds of that of both."""

    def gradient(steps, earlier):
        cut = params | {"rates": jax.tree.map(lambda rates: rates[:steps], params["rates"])}
        learner = maml_pp(**parts, **SETTINGS, inner_steps=steps, earlier=earlier)
        gradient, reported = jax.jit(learner.meta_grad)(cut, batch, jax.random.key(0))
        # Of the rate of a step that is not taken: none.
        pad = lambda rates: jnp.pad(rates, (0, 2 - steps))  # noqa: E731
        return gradient | {"rates": jax.tree.map(pad, gradient["rates"]), "loss": reported["loss"]}

    wanted = jax.tree.map(lambda one, two: (one + 2 * two) / 3, gradient(1, 0.0), gradient(2, 0.0))
    same(gradient(2, 0.5), wanted)


def test_with_rates_alike_and_the_last_loss_alone_it_is_maml(parts, batch):
    learned = maml_pp(**parts, **SETTINGS, inner_steps=2, earlier=0.0)
    fixed = maml(**parts, **SETTINGS, inner_steps=2)
    params = learned.init(jax.random.key(0))
    got = jax.jit(learned.meta_grad)(params, batch, jax.random.key(0))[0]
    rates = got.pop("rates")
    del params["rates"]
    same(got, jax.jit(fixed.meta_grad)(params, batch, jax.random.key(0))[0])
    assert {leaf.shape for leaf in jax.tree.leaves(rates)} == {(2,)}
