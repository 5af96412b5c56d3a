"""Learned matrices around the inner gradient: as the identity, as Newton's, and their derivative."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.maml import maml
from recmeta.learners.meta_curvature import meta_curvature, preconditioned
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.mlp import mlp
from recmeta.types import Encoding, Model, Support

SETTINGS = {"inner_steps": 2, "inner_rate": 0.05, "first_order": False, "adapts": "all"}


@pytest.fixture(scope="module")
def parts(problem):
    model = make_model(partial(features, width=2), partial(mlp, hidden=(4, 3)), problem.spec, mse())
    return {"spec": problem.spec, "model": model, "objective": mse()}


@pytest.fixture(scope="module")
def batch(problem):
    return problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))


@pytest.mark.parametrize("only", [None, "curvature"])
def test_it_is_differentiated_in_the_matrices_too(parts, batch, derivative_error, only):
    """Matrices of all kinds, those of tables among them, away from the identity."""
    learner = meta_curvature(**parts, **SETTINGS)
    params = learner.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    noisy = lambda matrix: matrix + jnp.asarray(0.3 * rng.normal(size=matrix.shape), matrix.dtype)  # noqa: E731
    params |= {"curvature": jax.tree.map(noisy, params["curvature"])}
    assert derivative_error(learner, params, batch, only) < 1e-6


@pytest.mark.slow
def test_with_the_identity_it_is_maml(parts, batch):
    learned, fixed = meta_curvature(**parts, **SETTINGS), maml(**parts, **SETTINGS)
    params = learned.init(jax.random.key(0))
    start = {name: part for name, part in params.items() if name != "curvature"}
    got = jax.jit(learned.meta_grad)(params, batch, jax.random.key(0))[0]
    curvature = got.pop("curvature")
    assert {leaf.shape[0] == leaf.shape[1] for leaf in jax.tree.leaves(curvature)} == {True}
    assert min(np.abs(leaf).max() for leaf in jax.tree.leaves(curvature["scorer"])) > 0
    wanted = jax.jit(fixed.meta_grad)(start, batch, jax.random.key(0))[0]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), got, wanted)


def test_with_the_inverse_curvature_one_step_solves_least_squares():
    """Of a linear model, in one step of size 1: Newton's."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=6)
    model = Model(
        init=lambda key: {"tables": {}, "encoder": {}, "scorer": {"w": jnp.array([1.0, -2.0, 0.5])}},
        encode=lambda params, context, support, rows: Encoding(jnp.zeros((1, 1)), (rows or support.x)["v"]),
        score=lambda params, encoding: encoding.row @ params["scorer"]["w"],
        widths=(1, 3),
    )
    with jax.enable_x64():
        learner = meta_curvature(
            spec=None, model=model, objective=mse(), inner_steps=1, inner_rate=1.0, first_order=False, adapts="head"
        )
        params = learner.init(jax.random.key(0))
        params["curvature"] = {"scorer": {"w": {"axis_0": jnp.array(np.linalg.inv(2 / 6 * x.T @ x))}}}
        fast = learner.adapt(params, {}, Support({"v": jnp.array(x)}, jnp.array(y), jnp.ones(6, bool)))
    np.testing.assert_allclose(fast.params["scorer"]["w"], np.linalg.lstsq(x, y)[0], rtol=1e-8)


def test_a_matrix_is_turned_on_both_sides_and_any_array_along_each_axis():
    rng = np.random.default_rng(0)
    gradient, a, b, c = (rng.normal(size=size) for size in ((2, 3, 4), (2, 2), (3, 3), (4, 4)))
    same = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    same(preconditioned(gradient[0], {"axis_0": b, "axis_1": c}), b @ gradient[0] @ c.T)
    expected = np.einsum("ia,jb,kc,abc->ijk", a, b, c, gradient)
    same(preconditioned(gradient, {"axis_0": a, "axis_1": b, "axis_2": c}), expected)
    same(preconditioned(gradient[0], {"axis_1": c}), gradient[0] @ c.T)
    same(preconditioned(np.float32(2), {}), 2)
