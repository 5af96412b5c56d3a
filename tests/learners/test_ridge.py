"""The closed-form head against the normal equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.ridge import ridge, solve
from recmeta.objectives import mse
from recmeta.types import Encoding, Model, Query, Support


def normal_equations(x, y, variance):
    return np.linalg.solve(x.T @ x + np.diag(1 / variance), x.T @ y)


@pytest.mark.parametrize(("rows", "there"), [(8, 8), (8, 5), (3, 3), (4, 1), (4, 0)])
def test_solve_is_the_normal_equations_of_the_rows_that_are_there(rows, there):
    rng = np.random.default_rng(rows + there)
    x, y, variance = rng.normal(size=(rows, 4)), rng.normal(size=rows), rng.uniform(0.1, 3, 4)
    mask = rng.permutation(rows) < there
    spoilt = np.where(mask, y, np.nan)
    with jax.enable_x64():
        got = solve(
            jnp.array(np.where(mask[:, None], x, np.inf)), jnp.array(spoilt), jnp.array(mask), jnp.array(variance)
        )
    np.testing.assert_allclose(got, normal_equations(x[mask], y[mask], variance), rtol=1e-9, atol=1e-12)


def model():
    return Model(
        init=lambda key: {"scorer": {"w": jnp.array([0.5, -1.0])}},
        encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
        score=lambda params, encoding: 3 + encoding.row @ params["scorer"]["w"],
        widths=(1, 2),
    )


def test_the_learner_regresses_what_the_scorer_leaves(key):
    rng = np.random.default_rng(0)
    xs, xq, ys = rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), rng.normal(size=4)
    mask = np.array([True, True, True, False])
    with jax.enable_x64():
        learner = ridge(spec=None, model=model(), objective=mse(), level_scale=0.7, weight_scale=0.4)
        params = jax.tree.map(lambda v: v.astype(np.float64), learner.init(key))
        support, query = (
            Support({"v": jnp.array(xs)}, jnp.array(ys), jnp.array(mask)),
            Query({"v": jnp.array(xq)}, None),
        )
        scores = [learner.predict(learner.adapt(params, {}, support, depth), query) for depth in (None, 1, 0)]
    w = np.array([0.5, -1.0])
    design = np.concatenate([np.ones((4, 1)), xs], axis=1)[mask]
    weights = normal_equations(design, (ys - 3 - xs @ w)[mask], np.array([0.7, 0.4, 0.4]) ** 2)
    expected = 3 + xq @ w + np.concatenate([np.ones((3, 1)), xq], axis=1) @ weights
    np.testing.assert_allclose(scores[0], expected, rtol=1e-6)
    np.testing.assert_allclose(scores[1], expected, rtol=1e-6)
    np.testing.assert_allclose(scores[2], 3 + xq @ w, rtol=1e-6)  # depth 0: the scorer
