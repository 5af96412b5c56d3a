"""A task's few changed rows against the table that it would have had to itself."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.encoders.gru import gru
from recmeta.learners.adaptation import inner, tables
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot

STEPS, RATE = 3, 0.1


@pytest.fixture(scope="module", params=["features", "gru"])
def setting(request, problem):
    """A model, its parameters, and four tasks, one with an item twice in its support."""
    encoder = {"features": partial(features, width=3), "gru": partial(gru, width=3, state=2)}[request.param]
    model = make_model(encoder, partial(dot, width=2), problem.spec, mse())
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 4))
    batch.task.support.x["id"] = batch.task.support.x["id"].at[0, 1].set(batch.task.support.x["id"][0, 0])
    return model, model.init(jax.random.key(0)), batch


def whole_table(model, params, task):
    """Gradient descent on everything, each task with a table to itself."""

    def loss(params):
        encoding = model.encode(params, task.context, task.support, None)
        return mse().loss(model.score(params, encoding), task.support.y, task.support.mask)

    for _ in range(STEPS):
        params = jax.tree.map(lambda value, slope: value - RATE * slope, params, jax.grad(loss)(params))
    return params


def few_rows(model, params, task):
    return inner.adapt(model, mse(), params, task.context, task.support, adapts="all", steps=STEPS, rate=RATE)


def score(model, params, task):
    return model.score(params, model.encode(params, task.context, task.support, task.query.x))


@pytest.mark.slow
def test_queries_are_scored_as_with_a_whole_table(setting):
    model, params, batch = setting
    wanted = jax.vmap(lambda task: score(model, whole_table(model, params, task), task))(batch.task)
    got = jax.vmap(lambda task: score(model, inner.with_fast(params, few_rows(model, params, task)), task))(batch.task)
    before = jax.vmap(lambda task: score(model, params, task))(batch.task)
    assert np.abs(wanted - before).max() > 0.05
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_the_mean_difference_is_that_of_whole_tables(setting):
    model, params, batch = setting
    adapted = jax.vmap(partial(few_rows, model, params))(batch.task)
    got = tables.mean_difference(params, adapted)
    whole = jax.vmap(partial(whole_table, model, params))(batch.task)
    wanted = jax.tree.map(lambda start, end: start - end.mean(0), params, whole)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=2e-6), got, wanted)
    assert np.abs(jax.tree.leaves(got["tables"])[0]).max() > 1e-3


def test_a_task_holds_no_table(setting):
    model, params, batch = setting
    task = jax.tree.map(lambda values: values[0], batch.task)
    changes = few_rows(model, params, task)["tables"]["row"]["table"]
    fields = 1 + 3 + 0  # id and up to three genres; the year is a number
    assert changes.change.shape == (5 * fields, 3)
    assert changes.rows.tolist().count(int(changes.rows[0])) > 1  # the item that is there twice


def test_lookups_see_the_changes_of_their_rows_alone():
    table = jnp.arange(12.0).reshape(6, 2)
    changes = tables.Changes(jnp.array([4, 1, 4]), jnp.array([[10.0, 20.0], [1.0, 1.0], [0.0, 0.0]]))
    under = tables.Overlay(table, changes)
    np.testing.assert_array_equal(under[jnp.array([[4, 0], [1, 5]])], [[[18, 29], [0, 1]], [[3, 4], [10, 11]]])
    assert under[...] is under
