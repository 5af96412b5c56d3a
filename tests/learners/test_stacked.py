"""Stacked: its gradient is zero where the ridge regression has its closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.fitted.folds import cross_fit
from recmeta.learners.stacked import stacked
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot

PENALTY = 0.05


@pytest.fixture(scope="module")
def learner(problem):
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    settings = {"base": "factor_model", "rank": 2, "penalty": PENALTY}
    return stacked(spec=problem.spec, model=model, objective=mse(), cross_fit=partial(cross_fit, problem), **settings)


def test_the_gradient_leads_to_the_closed_form(problem, learner):
    """Predictions are linear in the weights: rows and base are read off them, and the minimum solved for in numpy."""
    batch = problem.gather(problem.train, problem.draw(jax.random.key(7), problem.train, 8))
    params = learner.init(jax.random.key(0))

    @jax.jit
    def scores(weights):
        def one(task):
            own = params | {"weights": weights}
            return learner.predict(learner.adapt(own, task.context, task.support), task.query)

        return jax.vmap(one)(batch.task)

    number = len(params["weights"])
    base = np.asarray(scores(jnp.zeros(number)), float)
    design = np.stack([np.asarray(scores(unit), float) - base for unit in np.eye(number, dtype=np.float32)], axis=-1)
    there = np.asarray(batch.task.query.mask)
    share = there / there.sum(1, keepdims=True) / len(there)
    matrix = np.einsum("tn,tni,tnj->ij", share, design, design) + PENALTY * np.eye(number)
    best = np.linalg.solve(matrix, np.einsum("tn,tni,tn->i", share, design, np.asarray(batch.label) - base))
    gradient = jax.jit(learner.meta_grad)
    at = lambda weights: gradient(params | {"weights": jnp.asarray(weights, jnp.float32)}, batch, jax.random.key(0))  # noqa: E731
    start, end = (np.linalg.norm(at(weights)[0]["weights"]) for weights in (np.zeros(number), best))
    assert end < 1e-3 * start


def test_without_support_and_shrunk_to_nothing_it_is_its_base(problem, learner):
    task = jax.tree.map(lambda values: values[1], problem.test["user_cold"].task)
    params = learner.init(jax.random.key(0)) | {"weights": jnp.ones_like(learner.init(jax.random.key(0))["weights"])}

    @jax.jit
    def score(params, task):
        return learner.predict(learner.adapt(params, task.context, task.support), task.query)

    nothing = task._replace(support=task.support._replace(mask=jnp.zeros_like(task.support.mask)))
    plain = learner.shrink(params, 0.0)
    np.testing.assert_allclose(score(params, nothing), score(plain, nothing), atol=1e-6)
    assert np.abs(score(params, task) - score(plain, task)).max() > 0.1
    half = score(learner.shrink(params, 0.5), task)
    np.testing.assert_allclose(half, (score(params, task) + score(plain, task)) / 2, rtol=1e-4)
