"""Content alone: what it does not see, and that it is joint training where there is nothing else to see."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.encoders.gru import gru
from recmeta.learners.dropoutnet import without_ids
from recmeta.learners.joint import joint
from recmeta.learners.zero_shot import zero_shot
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot
from recmeta.types import UserError

ENCODERS = {"features": partial(features, width=2), "gru": partial(gru, width=2, state=2)}


@pytest.fixture(scope="module")
def batch(problem):
    return problem.gather(problem.train, problem.draw(jax.random.key(3), problem.train, 4))


def built(problem, encoder):
    model = make_model(ENCODERS[encoder], partial(dot, width=2), problem.spec, mse())
    make = {"spec": problem.spec, "model": model, "objective": mse()}
    return zero_shot(**make), joint(**make)


def predict(learner, params, task):
    one = lambda task: learner.predict(learner.adapt(params, task.context, task.support), task.query)  # noqa: E731
    return np.asarray(jax.jit(jax.vmap(one))(task))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_neither_support_nor_ids_change_anything(problem, batch, encoder):
    learner, joint = built(problem, encoder)
    params = learner.init(jax.random.key(0))
    task = batch.task
    other = task._replace(
        support=task.support._replace(y=9 - task.support.y, mask=task.support.mask[:, ::-1]),
        query=task.query._replace(x={**task.query.x, "id": task.query.x["id"][:, ::-1]}),
    )
    score = predict(learner, params, task)
    np.testing.assert_array_equal(predict(learner, params, other), score)
    assert np.abs(predict(joint, params, other) - predict(joint, params, task)).max() > 1e-3
    assert score.std() > 1e-3  # features do


def test_where_ids_are_unknown_and_the_encoder_reads_no_support_it_is_joint_training(problem, batch):
    learner, joint = built(problem, "features")
    params = learner.init(jax.random.key(0))
    support, query = (part._replace(x=without_ids(part.x, jnp.array(False))) for part in batch.task[1:])
    blind = batch._replace(task=batch.task._replace(support=support, query=query))
    np.testing.assert_allclose(predict(learner, params, batch.task), predict(joint, params, blind.task), rtol=1e-6)
    got, reported = jax.jit(learner.meta_grad)(params, batch, jax.random.key(0))
    expected, loss = jax.jit(joint.meta_grad)(params, blind, jax.random.key(0))
    np.testing.assert_allclose(reported["loss"], loss["loss"], rtol=1e-6)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)


def test_a_data_set_without_features_is_refused(problem):
    spec = replace(
        problem.spec,
        context=tuple(field for field in problem.spec.context if field.name == "id"),
        row=tuple(field for field in problem.spec.row if field.name == "id"),
    )
    with pytest.raises(UserError, match=r"^learner=zero_shot: it scores by features, and this data set has none"):
        zero_shot(spec=spec, model=None, objective=mse())
