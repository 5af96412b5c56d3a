"""Levels against the mixed-model equations solved densely; variances against the analysis of variance."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.fitted.levels import (
    expected,
    fit_levels,
    liked,
    residuals,
    split,
    variance_components,
)
from recmeta.fitted.rows import item_ids, owners
from recmeta.types import Support


def test_where_all_rate_all_variances_are_those_of_the_analysis_of_variance():
    rng = np.random.default_rng(0)
    users, items = 12, 9
    table = rng.normal(0, 2, (users, 1)) + rng.normal(0, 1, (1, items)) + rng.normal(0, 1, (users, items))
    user, item = (codes.ravel() for codes in np.indices(table.shape))
    row, column = table.mean(1) - table.mean(), table.mean(0) - table.mean()
    rest = ((table - table.mean() - row[:, None] - column) ** 2).sum() / ((users - 1) * (items - 1))
    by_user, by_item = items * (row**2).sum() / (users - 1), users * (column**2).sum() / (items - 1)
    expected = ((by_user - rest) / items, (by_item - rest) / users, rest)
    np.testing.assert_allclose(variance_components(user, item, table.ravel()), expected, rtol=1e-9)


def test_where_few_rate_few_variances_are_those_that_were_drawn():
    rng = np.random.default_rng(1)
    users, items, n = 3000, 800, 60_000
    pair = rng.choice(users * items, n, replace=False)
    user, item = pair // items, (pair % items) ** 2 // items  # some items are rated far more often
    pair, first = np.unique(np.stack([user, item]), axis=1, return_index=True)
    user, item = pair
    label = 3 + rng.normal(0, 0.5, users)[user] + rng.normal(0, 0.7, items)[item] + rng.normal(0, 1, len(first))
    assert variance_components(user, item, label) == pytest.approx((0.25, 0.49, 1), rel=0.1)


def test_a_variance_that_comes_out_negative_is_small_and_positive():
    user, item = (codes.ravel() for codes in np.indices((4, 4)))
    label = np.where((user + item) % 2, 1.0, -1.0)  # all interaction: no user and no item is above another
    found = variance_components(user, item, label)
    assert found.user == found.item == pytest.approx(1e-3)
    assert found.rest > 1


def test_item_levels_solve_the_mixed_model_equations(problem):
    train = problem.train
    user, item, label = owners(train), item_ids(train), np.asarray(train.label, np.float64)
    variances = variance_components(user, item, label)
    users, size = len(train.size), problem.spec.row[0].size
    design = np.zeros((len(label), users + size + 1))
    design[np.arange(len(label)), user] = design[np.arange(len(label)), users + item] = design[:, -1] = 1
    penalty = np.repeat([variances.rest / variances.user, variances.rest / variances.item, 0], [users, size, 1])
    solution = np.linalg.solve(design.T @ design + np.diag(penalty), design.T @ label)
    levels = fit_levels(problem)
    assert float(levels.mean) == pytest.approx(solution[-1], abs=1e-5)
    np.testing.assert_allclose(levels.item, solution[users:-1], atol=1e-5)
    left = label - design @ solution
    np.testing.assert_allclose(residuals(problem, levels), left, atol=1e-5)


def test_a_user_who_rates_much_counts_once_in_the_mean(problem):
    """A strict user's rows are repeated over further items: the mean of rows falls, that of users hardly does."""
    rng = np.random.default_rng(0)
    strict = np.repeat([0, 1], [20, 20])
    size = np.where(np.arange(40) < 20, 25, 5)
    user = np.repeat(np.arange(40), size)
    label = np.where(strict[user] == 0, 2.0, 4.0) + rng.normal(0, 0.3, len(user))
    item = rng.integers(1, 30, len(user))
    train = problem.train._replace(
        entity=np.arange(40), start=np.cumsum(size) - size, size=size, row=item, label=jnp.asarray(label, jnp.float32),
        entities={"id": jnp.arange(31)},
    )  # fmt: skip
    levels = fit_levels(problem._replace(train=train, spec=replace(problem.spec, mean=float(label.mean()))))
    assert label.mean() < 2.5
    assert float(levels.mean) == pytest.approx(3.0, abs=0.15)


def test_a_new_user_is_split_as_a_meta_train_user_is(problem):
    """Of a meta-train user whose whole history is the support, the same is left."""
    levels, train = fit_levels(problem), problem.train
    first = slice(int(train.size[0]))
    ids = train.entities["id"][train.row[first]]
    support = Support({"id": ids}, train.label[first], jnp.ones(len(ids), bool))
    level, left = split(levels, support)
    np.testing.assert_allclose(left, residuals(problem, levels)[first], atol=1e-5)
    np.testing.assert_allclose(expected(levels, support.x) + level + left, support.y, rtol=1e-5)


def test_liked_labels(problem):
    like = liked(problem)
    np.testing.assert_array_equal(like.train.label, np.asarray(problem.train.label) >= 4)
    assert like.spec.mean == pytest.approx(np.asarray(like.train.label).mean())
