"""Every number that a component says may be traced can be: programs are traced with it."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import components, schema, versions
from recmeta.config.values import replaced
from recmeta.encoders.features import features
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot

NAMES = [name for name in schema.choices("learner") if name != "none"]
QUICK = ("bayes", "cavia", "cnp", "finetune", "maml", "reptile", "ridge", "tanp")
"""One of each kind of program; each takes a second to trace."""


def composed(*overrides):
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        return OmegaConf.to_container(compose("config", list(overrides)), resolve=True)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]
)
def test_learners(problem, name):
    block = composed(f"learner={name}")["learner"]
    if "clip" in block.get("inner", {}):
        block["inner"]["clip"] = 1.0
    made = components.component("learner", block, components.SUPPLIED["learner"])
    numbers = components.traceable("learner", made)
    assert {"inner_rate"} & set(block) <= set(numbers)
    assert ("inner.clip" in numbers) == ("clip" in block.get("inner", {}))
    model = make_model(partial(features, width=4), partial(dot, width=4), problem.spec, mse())
    drawn = problem.draw(jax.random.key(0), problem.train, 2)
    batch = problem.gather(problem.train, drawn)._replace(progress=jnp.float32(0.5))
    one = jax.tree.map(lambda values: values[0], batch.task)

    def program(numbers, key):
        learner = replaced(made, numbers)(spec=problem.spec, model=model, objective=mse())
        params = learner.init(key)
        fast = learner.adapt(params, one.context, one.support, jnp.int32(1))
        return learner.meta_grad(params, batch, key), learner.predict(fast, one.query)

    both = {key: jnp.array([value, value]) for key, value in numbers.items()}
    jax.eval_shape(jax.vmap(program, (0, None)), both, jax.random.key(0)) if both else None


@pytest.mark.parametrize(
    ("settings", "traced"),
    [
        ({"name": "adam", "learning_rate": 0.1, "b1": 0.5, "eps": 1e-6}, {"learning_rate", "b1", "eps"}),
        ({"name": "adamw", "learning_rate": 1, "weight_decay": 0.1}, {"learning_rate", "weight_decay"}),
        ({"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}, {"learning_rate", "momentum"}),
        ({"name": "sgd", "learning_rate": 0.1, "momentum": None}, {"learning_rate"}),
        ({"name": "rmsprop", "learning_rate": 0.1, "decay": 0.5}, {"learning_rate", "decay"}),
    ],
)
def test_optimizers(settings, traced):
    block = {"_target_": f"optax.{settings.pop('name')}", "_partial_": True, "_convert_": "all", **settings}
    made = components.component("optimizer", block, ())
    assert set(components.traceable("optimizer", made)) == traced


def test_an_optimizer_that_asks_python_about_a_number_has_none(monkeypatch):
    import optax

    def asks(learning_rate: float):
        return optax.sgd(learning_rate if learning_rate > 0.5 else 0.5)

    monkeypatch.setattr(optax, "asks", asks, raising=False)
    block = {"_target_": "optax.asks", "_partial_": True, "_convert_": "all", "learning_rate": 0.1}
    made = components.component("optimizer", block, ())
    assert components.traceable("optimizer", made) == {}
