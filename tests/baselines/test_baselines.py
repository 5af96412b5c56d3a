"""Baselines against numpy, from the raw rows."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from recmeta.baselines.bias import SHRINKAGES
from recmeta.baselines.items import item_sums
from recmeta.baselines.panel import BASELINES
from recmeta.baselines.tuning import best, over_grid, tune_baselines
from recmeta.evaluation.predict import first_shots
from recmeta.metrics import metric


@pytest.fixture(scope="module")
def items(data, problem):
    """Meta-train rows per item: how many, and their labels' sum less the mean's."""
    rows = np.isin(data.user, np.asarray(problem.train.entity))
    mean = data.label[rows].mean(dtype=np.float64)
    size = len(data.items.ids)
    count = np.bincount(data.item[rows], minlength=size)
    return mean, count, np.bincount(data.item[rows], data.label[rows] - mean, minlength=size)


def rows_of(problem, data, role):
    frame = problem.split.frame.filter(pl.col("role") == role)
    support, query = (frame.filter(pl.col("part") == part)["row"].to_numpy() for part in ("support", "query"))
    return support.reshape(-1, 5), query.reshape(-1, 4)


def predict(name, problem, batch, shots, **settings):
    baseline = BASELINES[name]
    state = baseline.fit(problem)
    keys = jax.random.split(jax.random.key(0), len(batch.label))
    task = batch.task
    one = jax.vmap(lambda key, *task: baseline.predict(state, settings, key, *task))
    return np.asarray(one(keys, task.context, first_shots(task.support, shots), task.query))


@pytest.mark.parametrize("shots", [0, 3])
def test_constants(data, problem, items, shots):
    batch = problem.test["user_cold"]
    support, _ = rows_of(problem, data, "test")
    np.testing.assert_allclose(predict("global_mean", problem, batch, shots), items[0], rtol=1e-6)
    own = data.label[support[:, :shots]].mean(1, keepdims=True) if shots else np.full((8, 1), items[0])
    np.testing.assert_allclose(predict("support_mean", problem, batch, shots), np.tile(own, (1, 4)), rtol=1e-6)


def test_items(data, problem, items):
    mean, count, total = items
    _, query = rows_of(problem, data, "test")
    item = data.item[query]
    batch = problem.test["user_cold"]
    np.testing.assert_array_equal(predict("popularity", problem, batch, 0), count[item])
    expected = mean + total[item] / np.maximum(count[item], 1)
    np.testing.assert_allclose(predict("item_mean", problem, batch, 0), expected, rtol=1e-5)
    assert not BASELINES["popularity"].rates


def test_an_unknown_item_has_the_mean_and_no_popularity(problem, items):
    batch = problem.test["user_cold"]
    x = dict(batch.task.query.x) | {"id": batch.task.query.x["id"] * 0}
    unknown = batch._replace(task=batch.task._replace(query=batch.task.query._replace(x=x)))
    np.testing.assert_allclose(predict("item_mean", problem, unknown, 0), items[0], rtol=1e-6)
    np.testing.assert_array_equal(predict("popularity", problem, unknown, 0), 0)


def test_random_draws_train_labels_as_often_as_they_are(problem):
    batch = problem.test["user_cold"]
    baseline = BASELINES["random"]
    labels = baseline.fit(problem)
    task = jax.tree.map(lambda values: values[0], batch.task)
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(jax.vmap(lambda key: baseline.predict(labels, {}, key, *task))(keys))
    np.testing.assert_array_equal(np.unique(drawn), np.unique(labels))
    for level in np.unique(labels):
        assert abs((drawn == level).mean() - (np.asarray(labels) == level).mean()) < 0.02


def bias(items, data, support, query, item_shrinkage, user_shrinkage):
    mean, count, total = items
    level = total / np.maximum(count + item_shrinkage, 1e-6)
    left = data.label[support] - mean - level[data.item[support]]
    user = left.sum(1) / max(support.shape[1] + user_shrinkage, 1e-6)
    return mean + level[data.item[query]] + user[:, None]


@pytest.mark.parametrize("pair", [(0.0, 0.0), (0.0, 3.0), (5.0, 2.0)])
def test_bias_by_hand(data, problem, items, pair):
    support, query = rows_of(problem, data, "test")
    batch = problem.test["user_cold"]
    for shots in (0, 3, 5):
        got = predict("user_item_bias", problem, batch, shots, item_shrinkage=pair[0], user_shrinkage=pair[1])
        np.testing.assert_allclose(got, bias(items, data, support[:, :shots], query, *pair), rtol=1e-5)


def test_shrinkages_are_the_best_on_validation_at_each_support_size(data, problem, items):
    support, query = rows_of(problem, data, "validation")
    tuned = tune_baselines(
        {"bias": BASELINES["user_item_bias"]}, problem, [metric("ndcg@3"), metric("mae")], metric("mae")
    )["bias"]
    assert (tuned.tried, tuned.by) == (len(SHRINKAGES) ** 2, "mae")
    for place, shots in enumerate(problem.shots):
        errors = {
            pair: np.abs(np.clip(bias(items, data, support[:, :shots], query, *pair), 1, 5) - data.label[query]).mean()
            for pair in product(SHRINKAGES, SHRINKAGES)
        }
        chosen = (tuned.settings["item_shrinkage"][place], tuned.settings["user_shrinkage"][place])
        assert errors[tuple(map(float, chosen))] == pytest.approx(min(errors.values()), rel=1e-6)
        assert max(errors.values()) > min(errors.values()) * 1.05  # there was something to choose


def test_baselines_with_the_same_fit_are_fitted_once(problem):
    times = []
    fit = lambda problem: times.append(1) or item_sums(problem)  # noqa: E731
    shared = {name: BASELINES[name]._replace(fit=fit) for name in ("item_mean", "popularity")}
    tuned = tune_baselines(shared, problem, [metric("mae")], metric("mae"), calibrates=False)
    assert (len(times), tuned["item_mean"].state is tuned["popularity"].state) == (1, True)


def test_a_grid_is_called_at_all_combinations_and_its_last_setting_varies_fastest():
    grid, seen = {"a": (1.0, 2.0, 3.0), "b": (10.0, 20.0)}, []

    def of(settings):
        seen.append(settings["a"].shape)
        return jnp.stack([settings["a"], settings["b"]])

    found = over_grid(of, grid)
    np.testing.assert_array_equal(found.reshape(-1, 2), np.array(list(product(*grid.values()))))
    assert seen == [()]  # traced once


def test_where_a_metric_is_undefined_the_first_combination_is_taken():
    nan = np.nan
    values = np.array([[nan, nan, 3.0], [nan, 2.0, 1.0], [nan, 1.0, nan]])
    assert best(values, metric("mae")).tolist() == [0, 2, 1]
    assert best(values, metric("auc")).tolist() == [0, 1, 0]
