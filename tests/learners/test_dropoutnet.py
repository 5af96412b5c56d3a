"""What is taken away in training, and what a preference is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.dropoutnet import dropoutnet, without_ids
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot


@pytest.fixture(scope="module")
def model(problem):
    return make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())


@pytest.fixture(scope="module")
def batch(problem):
    return problem.gather(problem.train, problem.draw(jax.random.key(3), problem.train, 6))


def gradient(problem, model, batch, dropout, seed=0):
    learner = dropoutnet(spec=problem.spec, model=model, objective=mse(), dropout=dropout)
    return jax.jit(learner.meta_grad)(learner.init(jax.random.key(0)), batch, jax.random.key(seed))[0]


def test_a_preference_is_the_mean_of_rows_by_how_well_they_were_liked(problem, model, batch):
    learner = dropoutnet(spec=problem.spec, model=model, objective=mse(), dropout=0.5)
    params = learner.init(jax.random.key(0))
    task = jax.tree.map(lambda values: values[0], batch.task)
    fast = learner.adapt(params, task.context, task.support)
    there = np.asarray(task.support.mask)
    rows = np.asarray(model.encode(params, task.context, task.support, None).row)[there]
    weight = np.asarray(task.support.y)[there] - problem.spec.mean
    np.testing.assert_allclose(fast.vector, weight @ rows / there.sum(), rtol=1e-5)
    encoding = model.encode(params, task.context, task.support, task.query.x)
    expected = model.score(params, encoding) + encoding.row @ params["preference"] @ fast.vector
    np.testing.assert_allclose(learner.predict(fast, task.query), expected, rtol=1e-5)


def test_where_all_is_taken_away_only_features_are_trained(problem, model, batch):
    gone = gradient(problem, model, batch, 1.0)
    assert np.abs(gone["preference"]).max() == 0
    ids = next(field.size for field in problem.spec.row if field.name == "id")
    assert np.abs(gone["tables"]["row"]["table"][:ids]).max() == 0
    assert np.abs(gone["tables"]["row"]["table"][ids:]).max() > 0


def test_where_nothing_is_taken_away_all_is_trained(problem, model, batch):
    kept = gradient(problem, model, batch, 0.0)
    assert np.abs(kept["preference"]).max() > 0
    assert np.abs(kept["tables"]["row"]["table"][:10]).max() > 0


def test_what_is_taken_away_is_drawn_anew_and_the_same_for_a_key(problem, model, batch):
    one, again, other = (gradient(problem, model, batch, 0.5, seed)["preference"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0


def test_ids_are_unknown_unless_kept():
    x = {"id": jnp.array([3, 4]), "genre": jnp.array([1, 2])}
    assert without_ids(x, jnp.array(False))["id"].tolist() == [0, 0]
    assert without_ids(x, jnp.array(True))["id"].tolist() == [3, 4]
    assert without_ids(x, jnp.array(False))["genre"].tolist() == [1, 2]
