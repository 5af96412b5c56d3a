"""The parts that adapt, against a quadratic's closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners import inner, maml, reptile
from recmeta.objectives import mse
from recmeta.types import Batch, Encoding, Model, Query, Support, Task, UserError

RATE = 0.1
PARTS = {"head": [0, 0, 0, 1, 1, 1, 1], "body": [1, 1, 1, 0, 0, 0, 0], "all": [1] * 7, "bias": [0, 0, 0, 0, 0, 0, 1]}
"""Which of the encoder's three weights, the scorer's three, and its bias adapts."""


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64():
        yield


def encode(params, context, support, x):
    row = (support.x if x is None else x)["v"]
    return Encoding(jnp.zeros((1, 1)), jnp.concatenate([row, (row @ params["encoder"]["w"])[:, None]], 1))


def score(params, encoding):
    return encoding.row[:, :3] @ params["scorer"]["w"] + encoding.row[:, 3] + params["scorer"]["level"]["bias"]


def params_of(point):
    point = jnp.asarray(point)
    return {"tables": {}, "encoder": {"w": point[:3]}, "scorer": {"w": point[3:6], "level": {"bias": point[6]}}}


MODEL = Model(lambda key: params_of(jax.random.normal(key, (7,))), encode, score, (1, 4))
"""Linear in all of its parameters together: every loss is a quadratic."""


def flat(params):
    return np.concatenate(
        [params["encoder"]["w"], params["scorer"]["w"], np.atleast_1d(params["scorer"]["level"]["bias"])]
    )


@pytest.fixture
def tasks():
    """Two tasks of 4 support and 3 query rows: the batch, and each one's quadratics ``(H, b)`` of support and query."""
    rng = np.random.default_rng(1)
    xs, xq = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 3, 3))
    ys, yq = rng.normal(size=(2, 4)), rng.normal(size=(2, 3))
    support = Support({"v": jnp.array(xs)}, jnp.array(ys), jnp.ones((2, 4), bool))
    batch = Batch(Task({}, support, Query({"v": jnp.array(xq)}, jnp.ones((2, 3), bool))), jnp.array(yq))
    return batch, [(quadratic(xs[t], ys[t]), quadratic(xq[t], yq[t])) for t in range(2)], rng.normal(size=7)


def quadratic(x, y):
    """The mean squared error's second derivative, and minus its first at zero."""
    design = np.concatenate([x, x, np.ones((len(x), 1))], 1)
    return 2 / len(y) * design.T @ design, 2 / len(y) * design.T @ y


def make(learner, **settings):
    return learner(spec=None, model=MODEL, objective=mse(), **settings)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("adapts", PARTS)
def test_maml_of_a_part_in_closed_form(tasks, adapts, first_order):
    """With P the part that adapts, each step is ``I - rate P H``, and the meta-gradient its transpose's power."""
    batch, quadratics, point = tasks
    part = np.diag(PARTS[adapts])
    expected = []
    for (hs, bs), (hq, bq) in quadratics:
        adapted, through = point, np.eye(7)
        for _ in range(3):
            adapted = adapted - RATE * part @ (hs @ adapted - bs)
            through = (np.eye(7) - RATE * part @ hs) @ through
        expected.append((np.eye(7) if first_order else through).T @ (hq @ adapted - bq))
    learner = make(maml, inner_steps=3, inner_rate=RATE, first_order=first_order, adapts=adapts)
    gradient, _ = learner.meta_grad(params_of(point), batch, jax.random.key(0))
    np.testing.assert_allclose(flat(gradient), np.mean(expected, 0), rtol=1e-10)


@pytest.mark.parametrize("adapts", PARTS)
def test_what_does_not_adapt_stays(tasks, adapts):
    batch, _, point = tasks
    task = jax.tree.map(lambda values: values[0], batch.task)
    learner = make(reptile, inner_steps=2, inner_rate=RATE, adapts=adapts)
    moved = flat(learner.adapt(params_of(point), task.context, task.support).params) != point
    np.testing.assert_array_equal(moved, PARTS[adapts])
    gradient, _ = learner.meta_grad(params_of(point), batch, jax.random.key(0))
    np.testing.assert_array_equal(flat(gradient) != 0, PARTS[adapts])


def test_that_nothing_could_adapt_is_said():
    with pytest.raises(UserError, match=r"learner\.adapts=bias: this encoder and scorer have no such parameter"):
        inner.chosen({"tables": {}, "encoder": {}, "scorer": {"w": jnp.ones(3)}}, "bias")
