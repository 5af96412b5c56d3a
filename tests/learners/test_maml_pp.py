"""Rates by layer and step, the losses of all steps, and what changes in the course of training."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.adaptation.inner import Inner
from recmeta.learners.maml import maml
from recmeta.learners.maml_pp import maml_pp, step_weights
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot

SETTINGS = {"inner_rate": 0.05, "adapts": "all"}
ANNEALED = {**SETTINGS, "multi_step_until": 0.5, "first_order_until": 0.25}
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
    params = maml_pp(**parts, **ANNEALED, inner_steps=3).init(jax.random.key(0))
    rng = np.random.default_rng(0)
    noisy = lambda rate: rate * jnp.asarray(rng.uniform(0.5, 2, rate.shape), rate.dtype)  # noqa: E731
    return params | {"rates": jax.tree.map(noisy, params["rates"])}


@pytest.mark.parametrize("only", [None, "rates"])
def test_it_is_differentiated_in_the_rates_too(parts, batch, params, derivative_error, only):
    learner = maml_pp(**parts, **ANNEALED, inner_steps=3)
    assert derivative_error(learner, params, batch, only) < 1e-6


def gradient_of(learner, params, batch):
    gradient, reported = jax.jit(learner.meta_grad)(params, batch, jax.random.key(0))
    return gradient | {"loss": reported["loss"]}


def at(batch, progress):
    return batch._replace(progress=jnp.float32(progress))


def mixed(weights, trees):
    return jax.tree.map(lambda *leaves: sum(w * leaf for w, leaf in zip(weights, leaves, strict=True)), *trees)


@pytest.fixture(scope="module")
def annealed_gradient(parts):
    """Of a batch, at its progress: one program for all."""
    annealed = maml_pp(**parts, **ANNEALED, inner_steps=3)
    params, gradient = annealed.init(jax.random.key(0)), jax.jit(annealed.meta_grad)

    def of(batch):
        slopes, reported = gradient(params, batch, jax.random.key(0))
        return slopes | {"loss": reported["loss"]}

    return of


@pytest.fixture(scope="module")
def of_maml(parts, batch):
    """First order or not -> the gradients of MAML of one, two and three steps."""
    params = parts["model"].init(jax.random.key(0))
    return {
        first: [
            gradient_of(maml(**parts, **SETTINGS, first_order=first, inner_steps=steps), params, batch)
            for steps in (1, 2, 3)
        ]
        for first in (True, False)
    }


@pytest.mark.parametrize(
    ("progress", "weights"),
    [
        (0.0, (1 / 3, 1 / 3, 1 / 3)),
        (0.1, (4 / 15, 4 / 15, 7 / 15)),
        (0.25, (1 / 6, 1 / 6, 2 / 3)),
        (0.5, (0, 0, 1)),
        (0.9, (0, 0, 1)),
    ],
)
def test_over_training_it_goes_from_first_order_on_all_losses_to_second_order_on_the_last(
    annealed_gradient, of_maml, batch, progress, weights
):
    """Rates being alike, the gradient is what MAML's of one, two and three steps are, weighted."""
    got = annealed_gradient(at(batch, progress))
    del got["rates"]
    first = progress < 0.25
    same(got, mixed(weights, of_maml[first]))
    wrong = mixed(weights, of_maml[not first])["scorer"]["row"]["kernel"] - got["scorer"]["row"]["kernel"]
    assert np.abs(wrong).max() > 1e-3  # the two orders differ


def test_truncated_it_ends_as_truncated_maml(parts, batch):
    learned = maml_pp(**parts, **ANNEALED, inner_steps=3, inner=Inner(truncate=1))
    params = learned.init(jax.random.key(0))
    got = gradient_of(learned, params, at(batch, 0.9))
    model = {name: part for name, part in params.items() if name != "rates"}
    assert got.pop("rates")
    same(
        got,
        gradient_of(maml(**parts, **SETTINGS, first_order=False, inner_steps=3, inner=Inner(truncate=1)), model, batch),
    )
    whole = gradient_of(maml(**parts, **SETTINGS, first_order=False, inner_steps=3), model, batch)
    assert np.abs(whole["scorer"]["row"]["kernel"] - got["scorer"]["row"]["kernel"]).max() > 1e-3


def test_rates_that_differ_are_learned_on_the_losses_of_all_steps(parts, batch, params):
    """The gradient is linear in them: early on, of two steps, half of that of the first and half of that of both."""
    early = at(batch, 0.0)

    def gradient(steps, until):
        cut = params | {"rates": jax.tree.map(lambda rates: rates[:steps], params["rates"])}
        learner = maml_pp(**parts, **SETTINGS, inner_steps=steps, multi_step_until=until, first_order_until=0.0)
        gradient = gradient_of(learner, cut, early)
        # Of the rate of a step that is not taken: none.
        return gradient | {"rates": jax.tree.map(lambda rates: jnp.pad(rates, (0, 2 - steps)), gradient["rates"])}

    same(gradient(2, 0.5), mixed((0.5, 0.5), (gradient(1, 0.0), gradient(2, 0.0))))


@pytest.mark.parametrize("until", [0.0, 1e-3, 0.5, 1.0])
def test_the_weights_of_steps(until):
    each = np.stack([step_weights(5, jnp.float32(progress), until) for progress in (0, 0.3, 0.7, 1)])
    np.testing.assert_allclose(each.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(each[0], np.eye(5)[-1] if until == 0 else [0.2] * 5, rtol=1e-6)
    np.testing.assert_array_equal(each[-1], np.eye(5)[-1])
