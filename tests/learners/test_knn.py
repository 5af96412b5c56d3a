"""Neighbours and their mean against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

from recmeta.learners.knn import knn, nearest
from recmeta.objectives import mse
from recmeta.types import Encoding, Model, Query, Support

W = np.array([0.5, -1.0])
MODEL = Model(
    init=lambda key: {"scorer": {"w": jnp.array(W)}},
    encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
    score=lambda params, encoding: 3 + encoding.row @ params["scorer"]["w"],
    widths=(1, 2),
)


def drawn():
    rng = np.random.default_rng(0)
    mask = np.arange(9) != 4
    return rng.normal(size=(9, 2)), rng.normal(3, 1, 9), mask, rng.normal(size=(5, 2))


@pytest.mark.parametrize("k", [1, 3, 8, 20])
def test_the_nearest_are_scikit_learns(k):
    xs, _, mask, xq = drawn()
    got = np.asarray(nearest(jnp.array(xq), jnp.array(xs), jnp.array(mask), k))
    number = min(k, mask.sum())
    found = NearestNeighbors(n_neighbors=number).fit(xs[mask]).kneighbors(xq, return_distance=False)
    assert [set(np.flatnonzero(row)) for row in got] == [set(np.flatnonzero(mask)[row]) for row in found]


@pytest.mark.parametrize("k", [1, 3])
def test_the_correction_is_the_neighbours_mean_residual_shrunk(key, k):
    xs, ys, mask, xq = drawn()
    with jax.enable_x64():
        learner = knn(spec=None, model=MODEL, objective=mse(), k=k)
        support = Support({"v": jnp.array(xs)}, jnp.array(np.where(mask, ys, np.nan)), jnp.array(mask))
        query = Query({"v": jnp.array(xq)}, None)

        def scores(log_shrink, depth=None):
            params = learner.init(key) | {"log_shrink": jnp.array(log_shrink)}
            return np.asarray(learner.predict(learner.adapt(params, {}, support, depth), query))

        unshrunk, shrunk, unadapted = scores(-50.0), scores(np.log(2.0)), scores(-50.0, 0)
    residual = (ys - 3 - xs @ W)[mask]
    mean = KNeighborsRegressor(n_neighbors=k).fit(xs[mask], residual).predict(xq)
    np.testing.assert_allclose(unshrunk, 3 + xq @ W + mean, rtol=1e-9)
    np.testing.assert_allclose(shrunk, 3 + xq @ W + mean * k / (k + 2), rtol=1e-9)
    np.testing.assert_allclose(unadapted, 3 + xq @ W, rtol=1e-9)


def test_all_rows_as_near_as_the_last_are_taken_so_their_order_does_not_matter():
    support = jnp.array([[0.0], [0.0], [1.0], [0.0], [2.0]])
    near = np.asarray(nearest(jnp.zeros((1, 1)), support, jnp.array([True, True, True, False, True]), 1))
    assert near.tolist() == [[True, True, False, False, False]]
    none = nearest(jnp.zeros((1, 1)), support, jnp.zeros(5, bool), 1)
    assert not none.any()
