"""What reaches the loss of a query: row weights, negatives, a key of each task's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.adaptation.episode import query_gradient
from recmeta.learners.maml_pp import maml_pp
from recmeta.objectives import masked_mean, mse
from recmeta.types import Batch, Negatives, Objective, Query, Support, Task
from tests.learners.conftest import BILINEAR

T, N, M = 3, 4, 5


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    rows = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    there = jnp.ones((T, N), bool)
    task = Task(
        {"c": rows(T, 2)}, Support({"v": rows(T, 2, 2)}, rows(T, 2), jnp.ones((T, 2), bool)),
        Query({"v": rows(T, N, 2)}, there.at[0, 0].set(False)),
    )  # fmt: skip
    negatives = Negatives(jnp.zeros((T, M), int), {"v": rows(T, M, 2)}, rows(T, M), jnp.ones((T, M), bool))
    return Batch(task, rows(T, N), negatives=negatives, weight=jnp.abs(rows(T, N)))


PARAMS = {"scorer": {"level": np.float32(3.0)}}


def adapt(params, context, support, depth=None):
    return params, context


def predict(fast, query):
    params, context = fast
    return params["scorer"]["level"] + query.x["v"] @ context["c"]


def bpr():
    """Every row of the query above every negative."""

    def loss(scores, labels, where, weights=None, key=None, negatives=None):
        if negatives is None:  # on a support: the higher label above the lower
            apart, pairs = scores[:, None] - scores, where[:, None] & where & (labels[:, None] > labels)
            return masked_mean(jax.nn.softplus(-apart), pairs)
        apart = scores[:, None] - negatives.score + 0.1 * negatives.log_q
        return masked_mean(jax.nn.softplus(-apart), where[:, None] & negatives.mask)

    return Objective(loss, rates=False, negatives=True)


def test_row_weights_reach_the_loss(batch):
    _, reported = query_gradient(adapt, predict, mse())(PARAMS, batch, jax.random.key(0))
    squared = np.square(jax.vmap(lambda task: predict(adapt(PARAMS, *task[:2]), task.query))(batch.task) - batch.label)
    weights = np.where(batch.task.query.mask, batch.weight, 0)
    np.testing.assert_allclose(reported["loss"], ((weights * squared).sum(1) / weights.sum(1)).mean(), rtol=1e-5)


def expected_bpr(batch):
    task, drawn = batch.task, batch.negatives
    losses = []
    for t in range(T):
        context = np.asarray(task.context["c"][t], np.float64)
        rows, others = (np.asarray(x["v"][t], np.float64) @ context for x in (task.query.x, drawn.x))
        apart = rows[:, None] - others + 0.1 * np.asarray(drawn.log_q[t])
        pairs = np.asarray(task.query.mask[t])[:, None] & np.asarray(drawn.mask[t])
        losses.append(np.log1p(np.exp(-apart))[pairs].mean())
    return np.mean(losses)


def test_negatives_are_scored_as_the_query_is(batch):
    batch = batch._replace(negatives=batch.negatives._replace(mask=jnp.ones((T, M), bool).at[1, 2:].set(False)))
    _, reported = query_gradient(adapt, predict, bpr())(PARAMS, batch, jax.random.key(0))
    np.testing.assert_allclose(reported["loss"], expected_bpr(batch), rtol=1e-5)


def test_an_objective_without_negatives_is_not_given_them(batch):
    gradient = query_gradient(adapt, predict, mse())
    alone = batch._replace(negatives=None)
    with_them, without = (gradient(PARAMS, each, jax.random.key(0))[1]["loss"] for each in (batch, alone))
    assert with_them == without


def test_negatives_reach_the_loss_after_each_step(batch):
    """maml_pp weighs the losses after all steps: with a rate of 0 all are the loss of the unadapted model."""
    made = maml_pp(
        spec=None, model=BILINEAR, objective=bpr(), inner_steps=3, inner_rate=1e-30, multi_step_until=1.0,
        first_order_until=0.0, adapts="head",
    )  # fmt: skip
    params = made.init(jax.random.key(0))
    _, reported = made.meta_grad(params, batch._replace(progress=jnp.array(0.3)), jax.random.key(0))
    np.testing.assert_allclose(reported["loss"], expected_bpr(batch), rtol=1e-5)


def test_each_task_has_a_key_of_its_own(batch):
    def loss(scores, labels, where, weights=None, key=None):
        return jax.random.uniform(key) + 0 * scores.sum()

    gradient = query_gradient(adapt, predict, Objective(loss))
    one, same, other = (gradient(PARAMS, batch, jax.random.key(seed))[1]["loss"] for seed in (0, 0, 1))
    assert one == same != other
    drawn = []

    def record(scores, labels, where, weights=None, key=None):
        jax.debug.callback(lambda value: drawn.append(float(value)), jax.random.uniform(key))
        return 0 * scores.sum()

    query_gradient(adapt, predict, Objective(record))(PARAMS, batch, jax.random.key(0))
    jax.effects_barrier()
    assert len(set(drawn)) == T
