"""The factor model: its bound against the exact likelihood, a fold-in in numpy, and what was planted is found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import multivariate_normal

from recmeta.baselines.factor_model import RANKS
from recmeta.fitted import gaussian_factors
from recmeta.fitted.factor_model import (
    fit_of,
    fold,
    known,
    moments,
    posterior,
    predict,
    sides,
    start_without_labels,
)
from recmeta.fitted.gaussian_factors import Design, fit
from recmeta.fitted.rows import by_task_and_item, catalogue
from recmeta.types import Field, Support


@jax.jit
def folded_in(fit, context, support):
    return posterior(fit, context, support, moments(fit, support.x))


def design(rng, entities, columns):
    features = rng.normal(size=(entities, columns))
    rows = np.concatenate([np.ones((entities, 1)), features], axis=1)
    return Design(csr_array(rows), np.array([0] + [1] * columns))


@pytest.fixture(scope="module")
def world():
    """80 users and 40 items with two factors; half of all labels; users' and items' means are linear in features."""
    rng = np.random.default_rng(0)
    users, items = design(rng, 80, 2), design(rng, 40, 1)
    weights = rng.normal(size=(3, 3)), rng.normal(size=(2, 3)) * 0.7
    p, q = (
        side.rows @ weight + 0.5 * rng.normal(size=(side.rows.shape[0], 3))
        for side, weight in zip((users, items), weights, strict=True)
    )
    label = p[:, :1] + q[:, 0] + p[:, 1:] @ q[:, 1:].T
    there = rng.random(label.shape) < 0.5
    noisy = np.where(there, label + 0.3 * rng.normal(size=label.shape), 0)
    start = np.linalg.svd(noisy - noisy.mean(0))[2][:3].T
    return label, there, fit(csr_array(noisy), (users, items), start, 1.0), (users, items)


def test_the_bound_never_falls_and_the_noise_is_found(world):
    _, _, model, _ = world
    assert min(np.diff(model.bound)) > -1e-9
    assert len(model.bound) > 5
    assert model.noise == pytest.approx(0.09, rel=0.35)


def test_labels_that_were_left_out_are_predicted(world):
    label, there, model, _ = world
    users, items = model.users.mean, model.items.mean
    predicted = users[:, :1] + items[:, 0] + users[:, 1:] @ items[:, 1:].T
    wrong = (predicted - label)[~there]
    assert (wrong**2).mean() < 0.1 * label[~there].var()


def test_features_have_the_weight_that_they_have(world):
    """Columns of noise in their place have next to none."""
    _, _, model, (users, _) = world
    rng = np.random.default_rng(1)
    vague = Design(csr_array(np.concatenate([np.ones((80, 1)), rng.normal(size=(80, 2))], axis=1)), users.group)
    labels = csr_array(np.where(world[1], world[0], 0))
    other = fit(labels, (vague, world[3][1]), np.asarray(model.items.mean[:, 1:]), 1.0)
    assert other.users.penalty[1] > 5 * model.users.penalty[1]


def test_without_vectors_the_bound_is_just_below_the_exact_likelihood():
    """Rank 0: labels are jointly normal, so that their density is known; the bound pays for independence alone."""
    rng = np.random.default_rng(0)
    users, items = design(rng, 6, 1), design(rng, 5, 1)
    there = np.argwhere(rng.random((6, 5)) < 0.8)
    values = rng.normal(size=len(there)) + rng.normal(size=6)[there[:, 0]]
    labels = csr_array((values, there.T), shape=(6, 5))
    model = fit(labels, (users, items), np.zeros((5, 0)), 1.0)
    cov = model.noise * np.eye(len(there))
    for side, place, of in ((model.users, there[:, 0], users), (model.items, there[:, 1], items)):
        rows = of.rows.toarray()
        prior = rows @ np.diag(1 / side.penalty) @ rows.T + np.eye(len(rows))
        cov += side.spread[0, 0] * prior[np.ix_(place, place)]
    exact = multivariate_normal(np.zeros(len(there)), cov).logpdf(labels[there[:, 0], there[:, 1]])
    assert exact - 8 < model.bound[-1] * len(there) <= exact + 1e-6


@pytest.fixture(scope="module")
def folded(problem):
    """A fit of rank 2 to the small problem, as it is and in coordinates of unit variance."""
    items = catalogue(problem)
    label = np.asarray(problem.train.label, np.float64) - problem.spec.mean
    labels = by_task_and_item(problem, items, label)[:, 1:]
    users = known(problem.spec.context, problem.train.contexts, np.asarray(problem.train.entity))
    code = np.array([np.flatnonzero(np.asarray(problem.train.entities["id"]) == id)[0] for id in range(1, items.size)])
    rows = known(problem.spec.row, problem.train.entities, code)
    start = np.random.default_rng(0).normal(size=(labels.shape[1], 2))
    model = fit(labels, (users.design, rows.design), start, 0.5)
    return model, users, rows, items, fold(model, users, rows, items.number, problem.spec.mean)


def prior_of(side, x, weights):
    """Intercept plus the features' effects, in numpy."""
    from recmeta.features.kinds import arrays_of

    mean, begin = weights[0].copy(), 1
    for field, columns in zip(side.fields, side.columns, strict=True):
        row = arrays_of(field).columns(np.asarray(x[field.name])[None], field.size).toarray()[0][columns]
        mean = mean + row @ weights[begin : begin + len(columns)]
        begin += len(columns)
    return mean


@pytest.mark.parametrize("unknown", [False, True])
def test_a_new_user_is_folded_in_by_the_normal_equations(problem, folded, unknown):
    """The posterior of (bias, vector) in the fit's own coordinates, row by row; of an unknown item by its prior."""
    model, users, rows, items, fit = folded
    task = jax.tree.map(lambda values: values[1], problem.test["user_cold"].task)
    if unknown:
        task = task._replace(support=task.support._replace(x={**task.support.x, "id": task.support.x["id"] * 0}))
    number = items.number[np.asarray(task.support.x["id"])]
    precision = np.linalg.inv(model.users.spread)
    target = precision @ prior_of(users, task.context, model.users.weights)
    for place in range(len(number)):
        x = {name: values[place] for name, values in task.support.x.items()}
        row = number[place] - 1
        mean = model.items.mean[row] if row >= 0 else prior_of(rows, x, model.items.weights)
        cov = model.items.cov[row] if row >= 0 else model.items.spread
        other, moving = np.r_[1, mean[1:]], cov.copy()
        moving[0] = moving[:, 0] = 0
        precision = precision + (np.outer(other, other) + moving) / model.noise
        cross = np.r_[0, cov[1:, 0]]
        label = float(task.support.y[place]) - problem.spec.mean
        target = target + (other * (label - mean[0]) - cross) / model.noise
    user = np.linalg.solve(precision, target)
    z = folded_in(fit, task.context, task.support).mean
    np.testing.assert_allclose(np.linalg.cholesky(model.users.spread) @ np.asarray(z), user, rtol=2e-4, atol=2e-5)
    if not unknown:
        item = jax.jit(moments)(fit, task.query.x)
        row = items.number[np.asarray(task.query.x["id"])] - 1
        expected = model.items.mean[row, 0] + user[0] + model.items.mean[row, 1:] @ user[1:]
        np.testing.assert_allclose(item.level + fit.noise * (item.loading @ z), expected, rtol=2e-4, atol=2e-5)


def test_without_support_a_user_is_what_the_features_say(problem, folded):
    model, users, _, _, fit = folded
    task = jax.tree.map(lambda values: values[0], problem.test["user_cold"].task)
    nothing = task.support._replace(mask=jnp.zeros_like(task.support.mask))
    z = folded_in(fit, task.context, Support(*nothing)).mean
    expected = prior_of(users, task.context, model.users.weights)
    np.testing.assert_allclose(np.linalg.cholesky(model.users.spread) @ np.asarray(z), expected, rtol=1e-4, atol=1e-5)


def test_a_value_that_few_have_has_no_weight_and_the_most_common_come_first(monkeypatch):
    from recmeta.fitted import factor_model

    monkeypatch.setattr(factor_model, "MOST_COLUMNS", 2)
    town = np.repeat(np.arange(5), [3, 4, 9, 7, 8])
    side = known([Field("id", "categorical", 31), Field("town", "categorical", 5)], {"town": town}, np.arange(31))
    assert [columns.tolist() for columns in side.columns] == [[2, 4]]
    assert side.design.rows.toarray().sum(0).tolist() == [31, 9, 8]
    assert side.design.group.tolist() == [0, 1, 1]
    assert gaussian_factors.INTERCEPT < 1 <= min(RANKS)


def test_the_sides_are_laid_out_as_the_items_are_numbered(problem, folded):
    _, users, rows, items, _ = folded
    laid = sides(problem, items)
    for side, expected in zip(laid, (users, rows), strict=True):
        np.testing.assert_array_equal(side.design.rows.toarray(), expected.design.rows.toarray())
    assert [side.design.rows.shape[1] for side in sides(problem, items, features=False)] == [1, 1]


def test_the_variance_of_a_label_is_that_of_draws(problem, folded):
    """User, items and noise are drawn from the posterior; the mean and variance of their labels are as predicted."""
    model, _, _, items, fit = folded
    task = jax.tree.map(lambda values: values[1], problem.test["user_cold"].task)
    user, item = folded_in(fit, task.context, task.support), jax.jit(moments)(fit, task.query.x)
    found = jax.jit(predict)(fit, user, item)
    rng, draws = np.random.default_rng(0), 100_000
    z = rng.multivariate_normal(np.asarray(user.mean, float), np.asarray(user.cov, float), draws)
    z = z @ np.linalg.cholesky(model.users.spread).T
    row = items.number[np.asarray(task.query.x["id"])[0]] - 1
    v = rng.multivariate_normal(model.items.mean[row], model.items.cov[row], draws)
    label = problem.spec.mean + v[:, 0] + z[:, 0] + (z[:, 1:] * v[:, 1:]).sum(1)
    label += np.sqrt(model.noise) * rng.normal(size=draws)
    np.testing.assert_allclose(found.mean[0], label.mean(), atol=0.02)
    np.testing.assert_allclose(found.variance[0], label.var(), rtol=0.02)


def test_one_of_several_fits_is_read_where_it_stands(problem, folded):
    _, _, _, _, fit = folded
    other = jax.tree.map(lambda values: values + 1 if values.dtype == jnp.float32 else values, fit)
    both = jax.tree.map(lambda *values: jnp.stack(values), fit, other)
    x = problem.test["user_cold"].task.query.x
    x = {name: values[0] for name, values in x.items()}
    x["id"] = x["id"].at[0].set(0)
    for which, expected in enumerate((fit, other)):
        found = jax.jit(lambda which: moments(fit_of(both, which), x))(which)
        jax.tree.map(np.testing.assert_allclose, found, jax.jit(moments)(expected, x))


def test_the_start_is_the_same_whatever_the_labels(problem):
    """Of the matrix of who has rows about what, scaled, the singular vectors after the first, which is frequency."""
    items = catalogue(problem)
    start = start_without_labels(problem, items, 2)
    other = problem._replace(train=problem.train._replace(label=-problem.train.label))
    np.testing.assert_array_equal(start, start_without_labels(other, items, 2))
    there = by_task_and_item(problem, items, np.ones(len(problem.train.row)))[:, 1:].toarray() > 0
    scaled = there / np.sqrt(there.sum(1, keepdims=True) * there.sum(0))
    vectors = np.linalg.svd(scaled)[2][1:3]
    cosines = (start.T / np.linalg.norm(start.T, axis=1, keepdims=True) * vectors).sum(1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-6)
    assert start_without_labels(problem, items, 0).shape == (items.size - 1, 0)
    assert np.isfinite(start_without_labels(problem, items, 60)).all()
