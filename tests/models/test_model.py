"""The model as functions is the modules it is made of."""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

from recmeta.encoders.features import features
from recmeta.encoders.gru import gru
from recmeta.encoders.tower import tower
from recmeta.models.model import make_model
from recmeta.objectives import bce, mse
from recmeta.scorers.dot import dot
from recmeta.scorers.mlp import mlp


@pytest.fixture(scope="module")
def task(problem):
    return jax.tree.map(lambda values: values[0], problem.test["user_cold"].task)


@pytest.mark.parametrize(
    "encoder",
    [
        partial(features, width=2),
        partial(gru, width=2, state=3, prompt=2),
        partial(tower, width=2, hidden=(3,), norm=True),
    ],
    ids=["features", "gru", "tower"],
)
def test_functions_are_the_modules(problem, task, key, encoder):
    model = make_model(encoder, partial(dot, width=2), problem.spec, mse())
    params = model.init(key)
    key_encoder, key_scorer = jax.random.split(key)
    module = encoder(spec=problem.spec, rngs=nnx.Rngs(key_encoder))
    scorer = dot(widths=module.widths, rngs=nnx.Rngs(key_scorer), width=2)
    encoding, expected = (
        model.encode(params, task.context, task.support, task.query.x),
        module(task.context, task.support, task.query.x),
    )
    for got, wanted in zip(encoding, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert tuple(part.shape[-1] for part in encoding) == model.widths == module.widths
    np.testing.assert_allclose(model.score(params, encoding), problem.spec.mean + scorer(encoding), rtol=1e-6)


def test_a_score_that_only_ranks_does_not_start_from_the_mean_label(problem, task, key):
    parts = (partial(features, width=2), partial(dot, width=2), problem.spec)
    rating, ranking = (make_model(*parts, objective) for objective in (mse(), mse()._replace(rates=False)))
    params = rating.init(key)
    encoding = rating.encode(params, task.context, task.support, task.query.x)
    start = rating.score(params, encoding) - ranking.score(params, encoding)
    np.testing.assert_allclose(start, problem.spec.mean, rtol=1e-6)


def test_tables_stand_apart_and_params_are_plain(problem, key):
    params = make_model(partial(gru, width=2, state=3), partial(dot, width=2), problem.spec, mse()).init(key)
    assert set(params) == {"tables", "encoder", "scorer"}
    sizes = {field.name: field.size for field in problem.spec.row + problem.spec.context}
    shapes = {values.shape for values in jax.tree.leaves(params["tables"])}
    assert shapes == {(sizes["id"] + sizes["genre"], 2), (sizes["job"], 2)}
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(params))
    assert all(isinstance(part, dict) for part in params.values())
    assert "cell" in params["encoder"]["reader"]


def test_scores_start_at_the_mean_in_the_objective_s_units(data, cut, key):
    """With a scorer of zeros, the expected label is the mean label."""
    problem = cut(data, labels="liked")
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, bce())
    params = model.init(key)
    params["scorer"] = jax.tree.map(np.zeros_like, params["scorer"])
    task = jax.tree.map(lambda values: values[0], problem.test["user_cold"].task)
    score = model.score(params, model.encode(params, task.context, task.support, task.query.x))
    np.testing.assert_allclose(bce().predict(score), problem.spec.mean, rtol=1e-5)


def test_kernels_are_the_matrices_that_inputs_are_multiplied_by(problem):
    model = make_model(partial(gru, width=2, state=2), partial(mlp, hidden=(3,)), problem.spec, mse())
    params = model.init(jax.random.key(0))
    assert model.kernels == {
        ("scorer", "context"), ("scorer", "row"), ("scorer", "layers", 0, "kernel")
    }  # fmt: skip
    assert params["scorer"]["layers"][0]["kernel"].shape == (3, 1)
    towers = make_model(partial(tower, width=2, hidden=(3, 3), norm=True), partial(dot, width=2), problem.spec, mse())
    layers = {("encoder", side, "layers", i, "kernel") for side in ("context", "row") for i in range(2)}
    assert {path for path in towers.kernels if path[0] == "encoder"} == layers
