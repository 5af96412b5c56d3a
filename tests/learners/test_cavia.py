"""A context vector: its derivative, and the paper's form of it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.cavia import cavia
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.mlp import mlp

RATE = 0.1


@pytest.fixture(scope="module")
def setting(problem):
    model = make_model(partial(features, width=2), partial(mlp, hidden=(4, 3)), problem.spec, mse())
    learner = cavia(
        spec=problem.spec, model=model, objective=mse(), width=3, inner_steps=2, inner_rate=RATE, first_order=False
    )
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))
    return model, learner, learner.init(jax.random.key(0)), batch


@pytest.mark.parametrize("only", [None, "context_map"])
def test_it_is_differentiated(setting, derivative_error, only):
    _, learner, params, batch = setting
    assert derivative_error(learner, params, batch, only) < 1e-6


def test_it_is_a_vector_beside_the_inputs_of_the_first_layer(setting):
    """As the paper has it: a wider first layer, its weights for the vector the map times those for the context."""
    model, learner, params, batch = setting
    task = jax.tree.map(lambda values: values[0], batch.task)
    scorer = params["scorer"]
    weights = jnp.concatenate([scorer["context"], params["context_map"] @ scorer["context"]])
    wide = {**params, "scorer": {**scorer, "context": weights}}

    def score(vector, x):
        encoding = model.encode(params, task.context, task.support, x)
        context = jnp.concatenate([encoding.context, jnp.broadcast_to(vector, (len(encoding.context), 3))], axis=1)
        return model.score(wide, encoding._replace(context=context))

    def loss(vector):
        return mse().loss(score(vector, None), task.support.y, task.support.mask)

    vector = jnp.zeros(3)
    for _ in range(2):
        vector = vector - RATE * jax.grad(loss)(vector)
    fast = learner.adapt(params, task.context, task.support)
    assert np.abs(vector).max() > 1e-3
    np.testing.assert_allclose(fast.vector, vector, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(learner.predict(fast, task.query), score(vector, task.query.x), rtol=1e-5)
