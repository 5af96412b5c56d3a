"""What a short training on a small world is worth: adapted, unadapted, and beside joint training."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import components, schema, versions
from recmeta.config.parts import supplied
from recmeta.datasets.synthetic import synthetic
from recmeta.encoders.features import features
from recmeta.evaluation.predict import learner_predictions
from recmeta.fitted.folds import cross_fit
from recmeta.learners.bayes import bayes
from recmeta.learners.fold_in import fold_in
from recmeta.learners.joint import joint
from recmeta.learners.knn import knn
from recmeta.learners.logistic import logistic
from recmeta.learners.matching import matching
from recmeta.learners.meta_embedding import meta_embedding
from recmeta.learners.mwuf import mwuf
from recmeta.learners.relation import relation
from recmeta.learners.zero_shot import zero_shot
from recmeta.models.model import make_model
from recmeta.objectives import bce, mse
from recmeta.scorers.dot import dot

STEPS, SHOTS = 600, 10
LEARNERS = {
    "bayes": partial(bayes, level_scale=0.4, weight_scale=0.3),
    "fold_in": partial(fold_in, rank=4, trains="episodes", level_penalty=4.0, penalty=4.0, item_penalty=0.01),
    "fold_in_rows": partial(fold_in, rank=4, trains="rows", level_penalty=1.0, penalty=1.0, item_penalty=0.1),
    "joint": joint,
    "knn": partial(knn, k=5),
    "logistic": partial(logistic, inner_steps=4, level_scale=1.0, weight_scale=0.5),
    "matching": partial(matching, values="residual", width=8, temperature=0.3),
    "matching_label": partial(matching, values="label", width=8, temperature=0.3),
    "meta_embedding": partial(
        meta_embedding,
        width=8,
        hidden=(16,),
        cold_weight=0.1,
        inner_steps=1,
        inner_rate=0.5,
        first_order=False,
    ),
    "mwuf": partial(mwuf, width=8, hidden=(16,), inner_steps=2, inner_rate=0.5, first_order=False),
    "relation": partial(relation, classes="rating", width=8, hidden=16),
    "zero_shot": zero_shot,
}


AS_THEY_COME = [name for name in schema.choices("learner") if name not in (*LEARNERS, "none")]
"""All others, with their yaml's settings."""


def as_it_comes(name):
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        block = OmegaConf.to_container(compose("config", [f"learner={name}"])["learner"])
    return components.component("learner", block, components.SUPPLIED["learner"])


@pytest.fixture(scope="module")
def world():
    return synthetic(users=400, items=60, per_user=[20, 24])


@pytest.fixture(scope="module")
def trained(world, cut):
    """``trained(name, labels, task)``: mean absolute error on new users (or items), at the depths ``[steps + 1]``, with
    ten rows."""

    @cache
    def train(name, labels="rating", task="user"):
        objective = mse() if labels == "rating" else bce()
        problem = cut(world, shots=(0, SHOTS), query=10, validation=0.1, validation_draws=1, labels=labels, task=task)
        model = make_model(partial(features, width=4), partial(dot, width=4), problem.spec, objective)
        make = supplied(partial(LEARNERS.get(name) or as_it_comes(name)), *components.SUPPLIED["learner"])
        learner = make(problem.spec, model, objective, partial(cross_fit, problem))
        # So fast, second derivatives through an inner loop that overshoots would now and then end a training.
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01))

        def step(state, key):
            params, opt_state = state
            batch = problem.gather(problem.train, problem.draw(key, problem.train, 32))
            updates, opt_state = optimizer.update(learner.meta_grad(params, batch, key)[0], opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        @jax.jit
        def run(params, batch):
            state = params, optimizer.init(params)
            (params, _), _ = jax.lax.scan(step, state, jax.random.split(jax.random.key(1), STEPS))
            depths = jnp.arange(learner.steps + 1)
            label = learner_predictions(
                learner, objective, problem.spec, params, batch, jnp.array([SHOTS]), depths
            ).label
            return jnp.abs(label - batch.label).mean((0, 2, 3))

        return np.asarray(run(learner.init(jax.random.key(0)), problem.test[f"{task}_cold"]))

    return train


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most"),
    {
        "bayes": 0.75,
        "fold_in": 0.7,
        "fold_in_rows": 0.7,
        "knn": 0.95,
        "logistic": 0.8,
        "matching": 0.85,
        "matching_label": 0.8,
        "meta_embedding": 0.8,
        "mwuf": 0.75,
        "relation": 0.9,
    }.items(),
)
def test_adapted_it_errs_less_than_unadapted_and_than_joint_training(world, trained, name, most):
    error = trained(name)
    assert error[-1] < most * error[0]
    assert error[-1] < 0.95 * trained("joint")[-1]
    assert error[-1] > 0.97 * world.attainable["mae@10"]  # less would be seeing what nobody can know


@pytest.mark.slow
@pytest.mark.parametrize("name", AS_THEY_COME)
def test_as_it_comes_it_errs_less_than_unadapted_and_than_joint_training(trained, name):
    error = trained(name)
    assert error[-1] < 0.96 * error[0]
    assert error[-1] < 0.98 * trained("joint")[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), {"meta_embedding": 0.75, "mwuf": 0.8}.items())
def test_new_items_are_warmed_up(trained, name, most):
    error = trained(name, task="item")
    assert error[-1] < most * error[0]
    assert error[-1] < 0.95 * trained("joint", task="item")[-1]


@pytest.mark.slow
def test_a_bayesian_last_layer_gets_near_the_best_that_is_possible(world, trained):
    assert trained("bayes")[-1] < 1.08 * world.attainable["mae@10"]


@pytest.mark.slow
def test_content_alone_errs_more_than_joint_training_and_less_than_the_mean(world, trained):
    assert trained("joint")[-1] < 0.95 * trained("zero_shot")[-1]
    assert trained("zero_shot")[-1] < 0.95 * np.abs(world.label - world.label.mean()).mean()


@pytest.mark.slow
def test_a_logistic_head_adapts_to_binary_labels(trained):
    error = trained("logistic", "liked")
    assert error[-1] < 0.95 * error[0]
    assert error[-1] < 0.95 * trained("joint", "liked")[-1]
