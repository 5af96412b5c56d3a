"""Encoders against numpy, and what the recurrent one may see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from recmeta.encoders.features import features
from recmeta.encoders.gru import gru
from recmeta.encoders.ids import ids
from recmeta.encoders.tower import tower
from recmeta.models.fields import Fields
from recmeta.types import Field


@pytest.fixture(scope="module")
def task(problem):
    return jax.tree.map(lambda values: values[0], problem.test["user_cold"].task)


def test_fields_by_hand():
    kinds = [
        Field("a", "categorical", 3),
        Field("n", "numeric", 2),
        Field("m", "multi", 4),
        Field("b", "categorical", 2),
    ]
    fields = Fields(kinds, width=2, rngs=nnx.Rngs(0))
    table, numeric = np.asarray(fields.table[...]), np.asarray(fields.linear["2"][...])
    assert table.shape == (9, 2)
    x = {
        "a": jnp.array([2, 0]),
        "n": jnp.array([[0.5, 0.0], [0.0, 1.0]]),
        "m": jnp.array([[1, 3, 0], [0, 0, 0]]),
        "b": jnp.array([1, 0]),
    }
    expected = [
        [table[2], 0.5 * numeric[0, 0], (table[3 + 1] + table[3 + 3]) / 2, table[7 + 1]],
        [np.zeros(2), numeric[0, 1], np.zeros(2), np.zeros(2)],  # what is unknown is zero
    ]
    np.testing.assert_allclose(fields(x), np.reshape(expected, (2, 8)), rtol=1e-6)
    assert fields.width == 8


def test_each_field_of_numbers_has_a_map_of_its_own():
    """Those of one shape are one parameter, in the order of the fields."""
    kinds = [Field("n", "numeric", 2), Field("v", "vector", 3), Field("m", "numeric", 2)]
    fields = Fields(kinds, width=2, rngs=nnx.Rngs(0))
    maps = {size: np.asarray(fields.linear[size][...]) for size in ("2", "3")}
    x = {"n": jnp.array([[1.0, 0.0]]), "v": jnp.array([[0.0, 2.0, 0.0]]), "m": jnp.array([[0.0, 1.0]])}
    expected = np.concatenate([maps["2"][0, 0], 2 * maps["3"][0, 1], maps["2"][1, 1]])
    np.testing.assert_allclose(fields(x), expected[None], rtol=1e-6)


def test_a_side_without_fields_is_one_vector():
    fields = Fields([], width=3, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(fields({}), fields.table[...][0])
    assert fields.width == 3


def test_features_reads_rows_or_the_support(problem, task):
    encoder = features(spec=problem.spec, rngs=nnx.Rngs(0), width=2)
    of_query, of_support = (encoder(task.context, task.support, x) for x in (task.query.x, None))
    assert encoder.widths == (4, 6)
    assert of_query.context.shape == (1, 4)
    np.testing.assert_array_equal(of_query.row, encoder.row(task.query.x))
    np.testing.assert_array_equal(of_support.row, encoder.row(task.support.x))
    np.testing.assert_array_equal(of_support.context[0], encoder.context(task.context))


def test_ids_reads_ids_alone(problem, task):
    encoder = ids(spec=problem.spec, rngs=nnx.Rngs(0), width=2)
    encoding = encoder(task.context, task.support, task.query.x)
    assert encoder.widths == (2, 2)
    np.testing.assert_array_equal(encoding.row, encoder.row.table[...][task.query.x["id"]])
    other = jax.tree.map(lambda values: values + 1, task.context)
    np.testing.assert_array_equal(encoder(other, task.support, task.query.x).context, encoding.context)


@pytest.mark.parametrize("norm", [False, True])
def test_tower_by_hand(problem, task, norm):
    encoder = tower(spec=problem.spec, rngs=nnx.Rngs(0), width=2, hidden=(8, 6), norm=norm)
    assert encoder.widths == (6, 6)
    encoding = encoder(task.context, task.support, task.query.x)
    for side, x, got in zip((encoder.context, encoder.row), (task.context, task.query.x), encoding, strict=True):
        value = np.atleast_2d(side.fields(x))
        for layer in side.layers:
            value = value @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
            if norm:  # whose scale and bias start at 1 and 0
                value = (value - value.mean(1, keepdims=True)) / np.sqrt(value.var(1, keepdims=True) + 1e-6)
            value = np.maximum(value, 0)
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-5)
        assert value.std() > 1e-2
    np.testing.assert_array_equal(encoder(task.context, task.support, None).row, encoder.row(task.support.x))


@pytest.fixture(scope="module")
def history(problem):
    return gru(spec=problem.spec, rngs=nnx.Rngs(0), width=2, state=3)


def test_gru_by_hand(problem, task, history):
    """Three rows of five: the states a person would get by calling the cell row by row."""
    support = task.support._replace(mask=jnp.array([True, False, True, True, False]))
    rows = history.row(support.x)
    spec, state, states = problem.spec, jnp.zeros(3), []
    for row, label, there in zip(rows, support.y, support.mask, strict=True):
        states.append(state)
        if there:
            value = jnp.append(row, (label - spec.mean) / ((spec.high - spec.low) / 2))
            state = history.reader.cell(state, value)[0]
    of_support, of_query = (history(task.context, support, x) for x in (None, task.query.x))
    np.testing.assert_allclose(of_support.context[:, 4:], jnp.stack(states), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_query.context[:, 4:], state[None], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_query.context[0, :4], history.context(task.context), rtol=1e-6)
    assert history.widths == (7, 6)


def test_gru_shows_a_support_row_only_what_came_before_it(task, history):
    """The Jacobian of support states by support labels is strictly lower triangular."""

    def states(y):
        return history(task.context, task.support._replace(y=y), None).context[:, 4:]

    seen = np.abs(jax.jacobian(states)(task.support.y)).sum(1)
    np.testing.assert_array_equal(np.triu(seen), 0)
    assert (seen[np.tril_indices(5, -1)] > 0).all()


def test_a_prompt_is_read_as_rows_that_are_always_there_before_the_support(problem, task):
    """Taken away and its rows put before those of the support, the states are the same."""
    encoder = gru(spec=problem.spec, rngs=nnx.Rngs(0), width=2, state=3, prompt=2)
    rows, spec = encoder.row(task.support.x), problem.spec
    labels = (task.support.y - spec.mean) / ((spec.high - spec.low) / 2)
    values = np.concatenate([encoder.prompt[...], np.concatenate([rows, labels[:, None]], 1)])
    state, states = jnp.zeros(3), []
    for value in values:
        state = encoder.reader.cell(state, jnp.array(value))[0]
        states.append(state)
    of_support, of_query = (encoder(task.context, task.support, x).context[:, 4:] for x in (None, task.query.x))
    np.testing.assert_allclose(of_support, jnp.stack(states[1:-1]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_query, states[-1][None], rtol=1e-5, atol=1e-6)
    none = task.support._replace(mask=jnp.zeros(5, bool))
    np.testing.assert_allclose(
        encoder(task.context, none, task.query.x).context[0, 4:], states[1], rtol=1e-5, atol=1e-6
    )
