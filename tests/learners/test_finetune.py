"""Joint training with MAML's inner loop at test, and nothing of either changed."""

from functools import partial

import jax
import numpy as np

from recmeta.encoders.features import features
from recmeta.learners.finetune import finetune
from recmeta.learners.joint import joint
from recmeta.learners.maml import maml
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot


def test_it_trains_as_joint_and_adapts_as_maml(problem):
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    parts = {"spec": problem.spec, "model": model, "objective": mse()}
    budget = {"inner_steps": 3, "inner_rate": 0.1, "adapts": "head"}
    tuned = finetune(**parts, **budget)
    params = tuned.init(jax.random.key(0))
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 4))
    got, wanted = (
        jax.jit(learner.meta_grad)(params, batch, jax.random.key(0))[0] for learner in (tuned, joint(**parts))
    )
    jax.tree.map(np.testing.assert_array_equal, got, wanted)
    learned = maml(**parts, **budget, first_order=False)
    task = jax.tree.map(lambda values: values[0], batch.task)
    scores = [
        learner.predict(learner.adapt(params, task.context, task.support), task.query) for learner in (tuned, learned)
    ]
    np.testing.assert_array_equal(*scores)


def test_an_adapter_is_trained_along_with_the_rest(problem):
    """What is without effect at first has a gradient all the same, and all else that of joint training."""
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    parts = {"spec": problem.spec, "model": model, "objective": mse()}
    tuned, plain = finetune(**parts, inner_steps=1, inner_rate=0.1, adapts="film"), joint(**parts)
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 4))
    (got, said), (wanted, joint_said) = (
        jax.jit(learner.meta_grad)(learner.init(jax.random.key(0)), batch, jax.random.key(0))
        for learner in (tuned, plain)
    )
    adapters = jax.tree.leaves(got["scorer"].pop("adapters"))
    assert all(np.abs(leaf).max() > 0 for leaf in adapters)
    np.testing.assert_allclose(said["loss"], joint_said["loss"], rtol=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), got, wanted)
