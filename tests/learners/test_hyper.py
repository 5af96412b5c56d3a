"""The hypernetwork against numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.hyper import hyper
from recmeta.objectives import mse
from recmeta.types import DataSpec, Encoding, Model, Query, Support, UserError
from tests.learners.conftest import network

SPEC = DataSpec(
    context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(1.0, 2.0, 3.0, 4.0, 5.0), support=5, query=3, rows=100
)
A, B = 8, 6


def start(key):
    first, second = jax.random.split(key)
    return {"first": jax.random.normal(first, (A, B)), "out": jax.random.normal(second, (B,)), "bias": jnp.array(3.0)}


def head(scorer, row):
    return jnp.tanh(row @ scorer["first"]) @ scorer["out"] + scorer["bias"]


MODEL = Model(
    init=lambda key: {"encoder": {}, "tables": {}, "scorer": start(key)},
    encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
    score=lambda params, encoding: head(params["scorer"], encoding.row),
    widths=(1, A),
    kernels=frozenset({("scorer", "first")}),
)


@pytest.fixture(params=[None, 2, 9])
def made(request):
    """`make_all` of a rank, in double precision."""
    with jax.enable_x64():
        yield *make_all(rank=request.param, adapts="head"), request.param


def make_all(**settings):
    """A learner, its parameters off their start, and a support of five rows, the last missing, and a query."""
    learner = hyper(spec=SPEC, model=MODEL, objective=mse(), width=3, hidden=(4,), **settings)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda v: v + 0.2 * rng.normal(size=v.shape), learner.init(jax.random.key(0)))
    mask = jnp.array([True, True, True, True, False])
    support = Support({"v": jnp.array(rng.normal(size=(5, A)))}, jnp.array(rng.uniform(1, 5, 5)), mask)
    return learner, params, support, jnp.array(rng.normal(size=(3, A)))


def summary(own, score, support):
    """The shrunk mean of what the first four rows say, in numpy."""
    xs, ys = np.asarray(support.x["v"])[:4], np.asarray(support.y)[:4]
    x = np.column_stack([np.zeros(4), xs, (ys - score(xs)) / 2])
    return network(own["encoder"], x).sum(0) / (4 + np.exp(own["log_rows"]))


def test_the_formula(made):
    learner, params, support, query, rank = made
    own, scorer = (jax.tree.map(np.asarray, params[name]) for name in ("hyper", "scorer"))
    r = summary(own, partial(head, scorer), support)
    emit = own["emit"]["scorer"]
    if rank == 2:  # 2 * (8 + 6) numbers, fewer than 48
        left = emit["first"]["base"] + (r @ emit["first"]["left"]).reshape(A, 2)
        matrix = left @ (r @ emit["first"]["right"]).reshape(2, B)
        assert np.linalg.matrix_rank(matrix) == 2
    else:
        matrix = (r @ emit["first"]["whole"]).reshape(A, B)
    changed = {
        "first": scorer["first"] + matrix,
        "out": scorer["out"] + r @ emit["out"]["whole"],
        "bias": scorer["bias"] + (r @ emit["bias"]["whole"])[0],
    }
    fast = learner.adapt(params, {}, support)
    jax.tree.map(lambda got, wanted: np.testing.assert_allclose(got, wanted, rtol=1e-9), fast.params["scorer"], changed)
    got = learner.predict(fast, Query({"v": query}, jnp.ones(3, bool)))
    np.testing.assert_allclose(got, head(changed, np.asarray(query)), rtol=1e-9)


def test_without_support_the_shared_head_and_in_any_order_the_same(made):
    learner, params, support, _, _ = made
    none = Support({"v": jnp.full((5, A), jnp.inf)}, jnp.full(5, jnp.nan), jnp.zeros(5, bool))
    for fast in (learner.adapt(params, {}, none), learner.adapt(params, {}, support, 0)):
        jax.tree.map(np.testing.assert_array_equal, fast.params["scorer"], params["scorer"])
    order = np.array([2, 4, 0, 3, 1])
    moved = jax.tree.map(lambda values: values[order], support)
    one, other = (learner.adapt(params, {}, rows).params["scorer"] for rows in (support, moved))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), one, other)
    assert np.abs(one["first"] - params["scorer"]["first"]).max() > 1e-2


def test_a_support_scales_and_shifts_what_dense_layers_give():
    """With "film" the weights are shared by all tasks: (1 + scale) times the first layer's outputs, plus shift."""
    with jax.enable_x64():
        learner, params, support, query = make_all(rank=None, adapts="film")
        fast = learner.adapt(params, {}, support)
        got = np.asarray(learner.predict(fast, Query({"v": query}, jnp.ones(3, bool))))
    own, scorer = (jax.tree.map(np.asarray, params[name]) for name in ("hyper", "scorer"))
    film = scorer["adapters"]["first"]

    def score(film, x):
        hidden = x @ scorer["first"] * (1 + film["scale"]) + film["shift"]
        return np.tanh(hidden) @ scorer["out"] + scorer["bias"]

    r = summary(own, partial(score, film), support)
    emit = own["emit"]["scorer"]["adapters"]["first"]
    told = {name: film[name] + r @ emit[name]["whole"] for name in ("scale", "shift")}
    np.testing.assert_allclose(got, score(told, np.asarray(query)), rtol=1e-9)
    assert np.abs(got - score(film, np.asarray(query))).max() > 1e-2
    np.testing.assert_array_equal(fast.params["scorer"]["first"], params["scorer"]["first"])


@pytest.mark.parametrize("adapts", ["body", "all"])
def test_no_table_is_emitted(adapts):
    with pytest.raises(UserError, match=f"learner.adapts={adapts}: a hypernetwork emits no embedding tables"):
        make_all(rank=None, adapts=adapts)
