"""The conditional neural process against numpy, and what its mean must and must not notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.cnp import cnp
from recmeta.objectives import bce, mse
from recmeta.types import DataSpec, Encoding, Model, Query, Support
from tests.learners.conftest import network

SPEC = DataSpec(
    context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(1.0, 2.0, 3.0, 4.0, 5.0), support=6, query=3, rows=100
)
W = np.array([0.5, -1.0])
MODEL = Model(
    init=lambda key: {"encoder": {}, "tables": {}, "scorer": {"w": jnp.array(W)}},
    encode=lambda params, context, support, x: Encoding(context["c"][None], (support.x if x is None else x)["v"]),
    score=lambda params, encoding: 3 + encoding.row @ params["scorer"]["w"],
    widths=(1, 2),
)


@pytest.fixture
def drawn():
    """``drawn(objective)``: a learner, its parameters off their start, a context, six support rows, three queries."""

    def draw(objective=mse):
        rng = np.random.default_rng(0)
        learner = cnp(spec=SPEC, model=MODEL, objective=objective(), width=4, hidden=(5,))
        params = jax.tree.map(lambda v: v + 0.3 * rng.normal(size=v.shape), learner.init(jax.random.key(0)))
        return learner, params, rng.normal(size=(6, 2)), rng.uniform(1, 5, 6), rng.normal(size=(3, 2))

    return draw


def scores(learner, params, x, y, mask, query, depth=None):
    support = Support({"v": jnp.array(x)}, jnp.array(y), jnp.array(mask))
    fast = learner.adapt(params, {"c": jnp.array([0.6])}, support, depth)
    return np.asarray(learner.predict(fast, Query({"v": jnp.array(query)}, jnp.ones(len(query), bool))))


def test_the_formula(drawn):
    with jax.enable_x64():
        learner, params, x, y, query = drawn()
        got = scores(learner, params, x, y, [True, True, True, True, False, False], query)
    process, w = params["process"], np.asarray(params["scorer"]["w"])
    said = np.column_stack([np.full(4, 0.6), x[:4], (y[:4] - 3 - x[:4] @ w) / 2])  # half a range of 1 to 5 is 2
    r = network(process["encoder"], said).sum(0) / (4 + np.exp(process["log_rows"]))
    own = np.column_stack([np.full(3, 0.6), query, np.tile(r, (3, 1))])
    none = np.column_stack([np.full(3, 0.6), query, np.zeros((3, 4))])
    expected = 3 + query @ w + (network(process["decoder"], own) - network(process["decoder"], none))[:, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    assert np.abs(got - 3 - query @ w).min() > 1e-3


def test_the_order_of_the_support_does_not_matter_and_which_label_is_whose_does(drawn):
    with jax.enable_x64():
        learner, params, x, y, query = drawn()
        mask = np.array([True, True, False, True, True, True])
        order = np.array([4, 2, 0, 5, 1, 3])
        base = scores(learner, params, x, y, mask, query)
        np.testing.assert_allclose(
            scores(learner, params, x[order], y[order], mask[order], query), base, rtol=1e-12, atol=1e-12
        )
        assert np.abs(scores(learner, params, x, y[order], mask, query) - base).max() > 1e-3


def test_without_shrinkage_a_support_said_twice_says_the_same_and_with_it_says_more(drawn):
    with jax.enable_x64():
        learner, params, x, y, query = drawn()
        mask, twice = np.ones(6, bool), [np.concatenate([v, v]) for v in (x, y, np.ones(6, bool))]
        plain = params | {"process": params["process"] | {"log_rows": jnp.array(-60.0)}}
        once = scores(learner, plain, x, y, mask, query)
        np.testing.assert_allclose(scores(learner, plain, *twice, query), once, rtol=1e-10)
        assert np.abs(scores(learner, params, *twice, query) - scores(learner, params, x, y, mask, query)).max() > 1e-3


@pytest.mark.parametrize("objective", [mse, bce])
def test_without_support_the_scorer_alone(drawn, objective):
    with jax.enable_x64():
        learner, params, x, y, query = drawn(objective)
        prior = 3 + query @ np.asarray(params["scorer"]["w"])
        none = np.zeros(6, bool)
        spoilt = scores(learner, params, np.full_like(x, np.inf), np.full_like(y, np.nan), none, query)
        np.testing.assert_allclose(spoilt, prior, rtol=1e-12)
        np.testing.assert_allclose(scores(learner, params, x, y, ~none, query, depth=0), prior, rtol=1e-12)
        # So large a shrinkage leaves nothing of any support.
        shrunk = params | {"process": params["process"] | {"log_rows": jnp.array(40.0)}}
        np.testing.assert_allclose(scores(learner, shrunk, x, y, ~none, query), prior, rtol=1e-10)
