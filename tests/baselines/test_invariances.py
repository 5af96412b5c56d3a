"""What holds of every baseline, by its being listed."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.baselines.panel import BASELINES
from recmeta.types import Query

pytestmark = pytest.mark.parametrize("name", BASELINES)
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture
def task(problem):
    return problem.test["user_cold"].task


def garbage(values, rows):
    """Values in whose last rows stand other, possible values: those of another task."""
    other = jnp.roll(values, 1, axis=0)
    return values.at[:, rows].set(other[:, rows])


def test_a_query_has_no_labels(name):
    """Permuting the labels of a query changes nothing because there are none: neither here nor among the arguments."""
    assert Query._fields == ("x", "mask")
    arguments = list(inspect.signature(BASELINES[name].predict).parameters)
    assert arguments[1:] == ["settings", "key", "context", "support", "query"]


def test_the_order_of_the_support_has_no_say(name, task, middle, predicted):
    order = jnp.array([3, 1, 4, 0, 2])
    shuffled = task._replace(support=jax.tree.map(lambda values: values[:, order], task.support))
    settings = middle(name)
    np.testing.assert_allclose(predicted(name, shuffled, settings), predicted(name, task, settings), **CLOSE)


def test_the_order_of_the_query_is_that_of_the_scores(name, task, middle, predicted):
    if name == "random":
        pytest.skip("its draws go by place")
    order = jnp.array([2, 0, 3, 1])
    shuffled = task._replace(query=jax.tree.map(lambda values: values[:, order], task.query))
    settings = middle(name)
    np.testing.assert_allclose(predicted(name, shuffled, settings), predicted(name, task, settings)[:, order], **CLOSE)


@pytest.mark.parametrize("shots", [0, 2])
def test_rows_that_are_not_there_have_no_say(name, task, middle, predicted, shots):
    support = task.support
    x = {field: garbage(values, slice(shots, None)) for field, values in support.x.items()}
    y = support.y.at[:, shots:].set(jnp.nan)
    padded = task._replace(support=support._replace(x=x, y=y))
    settings = middle(name)
    np.testing.assert_array_equal(predicted(name, padded, settings, shots), predicted(name, task, settings, shots))


def test_padding_has_no_say(name, task, middle, predicted):
    """A support of three rows in five places, and of three in three."""
    short = task._replace(support=jax.tree.map(lambda values: values[:, :3], task.support))
    settings = middle(name)
    np.testing.assert_allclose(predicted(name, task, settings, 3), predicted(name, short, settings, 3), **CLOSE)


def test_a_task_is_alone(name, task, middle, predicted):
    """Other tasks, in other order, beside it: nothing changes."""
    if name == "random":
        pytest.skip("its draws go by place")
    order = jnp.arange(len(task.query.mask))[::-1]
    turned = jax.tree.map(lambda values: values[order], task)
    settings = middle(name)
    np.testing.assert_allclose(predicted(name, turned, settings)[order], predicted(name, task, settings), **CLOSE)


def test_the_same_again(name, problem, task, fitted, middle, predicted):
    """Fitted a second time, and asked a second time: the same."""
    settings = middle(name)
    first, second = fitted(name), BASELINES[name].fit(problem)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), first, second)
    np.testing.assert_array_equal(predicted(name, task, settings), predicted(name, task, settings))


@pytest.mark.parametrize("shots", [0, 1, 5])
def test_every_score_is_a_number(name, task, corners, predicted, shots):
    """With no support; of unknown items; with nothing known of the user; at the ends of the grid."""
    unknown = jax.tree.map(jnp.zeros_like, (task.context, task.support.x, task.query.x))
    context, own, other = unknown
    strangest = task._replace(context=context, support=task.support._replace(x=own), query=task.query._replace(x=other))
    cold = task._replace(query=task.query._replace(x=other))
    for settings in corners(name):
        for each in (task, cold, strangest):
            assert np.isfinite(predicted(name, each, settings, shots)).all()


def test_settings_do_something(name, task, corners, predicted):
    """A grid whose ends predict the same is no grid; nor is one of which a hundred fits are made."""
    grid = BASELINES[name].grid
    if not grid:
        pytest.skip("nothing to choose")
    assert math.prod(map(len, grid.values())) <= (144 if name == "user_item_bias" else 40)
    # Twice the rows, so that five neighbours are not all there are.
    both = jax.tree.map(lambda values: jnp.concatenate([values, jnp.roll(values, 1, axis=0)], axis=1), task.support)
    long = task._replace(support=both)
    for setting, values in grid.items():
        ends = [[predicted(name, long, corner | {setting: value}) for corner in corners(name)] for value in
                (values[0], values[-1])]  # fmt: skip
        assert np.abs(np.subtract(*ends)).max() > 1e-3, setting


def test_meta_test_has_no_part_in_the_fit(name, problem, fitted):
    """The fit sees meta-train alone: with other validation and test tasks, nothing changes."""
    swapped = problem._replace(validation=problem.test["user_cold"], test={"user_cold": problem.validation})
    first, second = fitted(name), BASELINES[name].fit(swapped)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), first, second)
