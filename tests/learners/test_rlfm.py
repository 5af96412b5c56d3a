"""The user's posterior and the bound against numpy and against a joint Gaussian; what the gradient is of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from recmeta.learners.blocks.gaussian import Gaussian, divergence
from recmeta.learners.rlfm import ItemPosterior, UserPrior, bound, infer, prior_given_rated, rlfm
from recmeta.objectives import mse
from recmeta.types import Batch, DataSpec, Encoding, Field, Model, Query, Support, Task

RANK, NOISE, ROWS = 2, 0.7, 100
SPEC = DataSpec(
    context=(),
    row=(Field("id", "categorical", 5),),
    low=1,
    high=5,
    mean=3.4,
    like=4,
    levels=(),
    support=4,
    query=3,
    rows=ROWS,
)
MODEL = Model(
    init=lambda key: {"tables": {"t": jnp.ones((5, 1))}, "encoder": {}, "scorer": {"w": jnp.ones(4)}},
    # An id that is read would show: every id has a row of its own.
    encode=lambda params, context, support, x: Encoding(
        context["c"][None],
        jnp.column_stack([(support.x if x is None else x)["v"], params["tables"]["t"][(x or support.x)["id"]]]),
    ),
    score=lambda params, encoding: encoding.row[:, 0],
    widths=(1, 4),
)


@pytest.fixture(autouse=True)
def double():
    """All of it in double precision."""
    with jax.enable_x64():
        yield


@pytest.fixture
def drawn(double):
    """Support rows of one user, one of them not there: prior mean, items' posteriors, labels less their mean, mask."""
    rng = np.random.default_rng(0)
    rows = ItemPosterior(jnp.array(rng.normal(size=(4, 1 + RANK))), jnp.array(rng.uniform(0.1, 0.5, (4, 1 + RANK))))
    return jnp.array(rng.normal(size=RANK)), rows, jnp.array(rng.normal(size=4)), jnp.array([True, True, False, True])


@pytest.fixture
def made(double, key):
    """The learner, and parameters away from where they start."""
    learner, rng = rlfm(spec=SPEC, model=MODEL, objective=mse(), rank=RANK, scale=0.3), np.random.default_rng(1)
    moved = lambda leaf: jnp.float64(leaf) + 0.3 * rng.normal(size=leaf.shape)  # noqa: E731
    return learner, jax.tree.map(moved, learner.init(key))


def task_of(ids, labels, mask, asked, there):
    rng = np.random.default_rng(2)
    v = rng.normal(size=(5, 3))
    x = lambda ids: {"v": jnp.array(v[ids]), "id": jnp.array(ids)}  # noqa: E731
    support = Support(x(ids), jnp.array(labels), jnp.array(mask))
    return Task({"c": jnp.array([2.0])}, support, Query(x(asked), jnp.array(there)))


def test_where_items_are_known_the_posterior_is_that_of_the_joint_gaussian(drawn):
    prior, (items, _), target, mask = drawn
    mean, covariance = infer(prior, ItemPosterior(items, jnp.zeros_like(items)), target, mask, jnp.array(NOISE))
    bias, v = items[mask, 0], items[mask, 1:]
    gain = v.T @ np.linalg.inv(v @ v.T + NOISE * np.eye(3))  # of the labels, in which the vector is integrated out
    np.testing.assert_allclose(mean, prior + gain @ (target[mask] - bias - v @ prior), rtol=1e-10)
    np.testing.assert_allclose(covariance, np.eye(RANK) - gain @ v, rtol=1e-10)


def test_where_items_are_known_the_bound_is_the_evidence(drawn):
    prior, (items, _), target, mask = drawn
    known = ItemPosterior(items, jnp.zeros_like(items))
    certain = UserPrior(prior, jnp.array(0.0))
    lost = bound(certain, known, target, mask, jnp.array(NOISE)) - entropy(prior, known, target, mask)
    bias, v = np.asarray(items)[mask, 0], np.asarray(items)[mask, 1:]
    evidence = multivariate_normal(bias + v @ prior, v @ v.T + NOISE * np.eye(3)).logpdf(target[mask])
    np.testing.assert_allclose(lost, -evidence, rtol=1e-10)


def test_the_bound_is_an_expectation_under_the_items_posteriors(drawn):
    """With the user's posterior as it is: the mean over many draws of items of the log joint density."""
    features, rows, target, mask = drawn
    rng = np.random.default_rng(3)
    centre, weight, doubt = jnp.array(rng.normal(size=1 + RANK)), jnp.array(2 * rng.normal(size=(1 + RANK, RANK))), 2.5
    rated = prior_given_rated(rows, mask, centre, weight, jnp.array(doubt))
    prior = UserPrior(features + rated.mean, rated.spread)
    user, covariance = infer(prior.mean, rows, target, mask, jnp.array(NOISE))
    items = np.asarray(rows.mean) + np.sqrt(rows.variance) * rng.normal(size=(200_000, *rows.mean.shape))
    vectors = rng.multivariate_normal(user, covariance, len(items))
    error = np.asarray(target) - items[:, :, 0] - np.einsum("snr,sr->sn", items[:, :, 1:], vectors)
    lost = (np.log(2 * np.pi * NOISE) + error**2 / NOISE)[:, mask].sum(1) / 2
    expected = np.asarray(features) + (items[:, mask] - np.asarray(centre)).sum(1) @ np.asarray(weight) / (3 + doubt)
    apart = (((vectors - expected) ** 2).sum(1) + RANK * np.log(2 * np.pi)) / 2
    found = bound(prior, rows, target, mask, jnp.array(NOISE))
    np.testing.assert_allclose(found, (lost + apart).mean(), rtol=3e-3)
    assert prior.spread / 2 / found > 0.01  # so that it would show if it were left out


def test_the_users_posterior_is_the_best_there_is(drawn):
    """So that its gradient need not be taken: the gradient of the whole bound, entropy and all, is the same."""
    prior, rows, target, mask = drawn

    def whole(prior, mean, noise):
        rows_ = ItemPosterior(mean, rows.variance)
        user, covariance = infer(prior, rows_, target, mask, noise)
        error = target - mean[:, 0] - mean[:, 1:] @ user
        spread = jnp.einsum("nr,rs,ns->n", mean[:, 1:], covariance, mean[:, 1:]) + rows.variance[:, 0]
        spread += rows.variance[:, 1:] @ (user**2 + jnp.diag(covariance))
        lost = jnp.where(mask, (jnp.log(2 * jnp.pi * noise) + (error**2 + spread) / noise) / 2, 0).sum()
        apart = (jnp.square(user - prior).sum() + jnp.trace(covariance) - jnp.linalg.slogdet(covariance)[1]) / 2
        return lost + apart

    of_all = jax.grad(whole, (0, 1, 2))(prior, rows.mean, jnp.array(NOISE))
    prior_of = lambda mean: UserPrior(mean, jnp.array(0.0))  # noqa: E731
    held = jax.grad(lambda p, m, n: bound(prior_of(p), ItemPosterior(m, rows.variance), target, mask, n), (0, 1, 2))
    for a, b in zip(of_all, held(prior, rows.mean, jnp.array(NOISE)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def entropy(prior, rows, target, mask):
    covariance = infer(prior, rows, target, mask, jnp.array(NOISE))[1]
    return (np.linalg.slogdet(covariance)[1] + RANK * (1 + np.log(2 * np.pi))) / 2


def test_a_new_item_is_what_its_features_say(made):
    learner, params = made
    task = task_of([1, 2, 3, 4], [4.0, 3.0, 2.0, 5.0], [True] * 4, [0, 1, 2], [True] * 3)
    score = learner.predict(learner.adapt(params, task.context, task.support), task.query)
    own = params["items"]
    user = learner.adapt(params, task.context, task.support).mean
    # Unknown ids have the zero vector in an encoder; the model of this file has a row for 0, so that reading it shows.
    row = jnp.concatenate([task.query.x["v"][0], params["tables"]["t"][0]])
    prior = own["prior"] + row @ own["features"]
    np.testing.assert_allclose(score[0], 3.4 + prior[0] + prior[1:] @ user, rtol=1e-10)


def rows_of(params, x):
    """The posterior of the items of known rows."""
    own, representation = params["items"], np.column_stack([x["v"], params["tables"]["t"][0] * np.ones(len(x["v"]))])
    mean = own["prior"] + representation @ own["features"] + own["mean"][x["id"]]
    return ItemPosterior(mean, jnp.exp(2 * own["log_scale"] + own["log_share"][x["id"]]))


def prior_of(params, task):
    """A user's prior: what its features say and, of the support, what was rated."""
    own, rows = params["users"], rows_of(params, task.support.x)
    rated = prior_given_rated(rows, task.support.mask, own["centre"], own["rated"], jnp.exp(own["log_doubt"]))
    return rated._replace(mean=task.context["c"] @ own["features"] + rated.mean)


def test_what_was_rated_is_heard_whatever_the_ratings(made):
    learner, params = made
    low, high = (
        task_of([1, 2, 3, 4], labels, [True, True, False, True], [0, 1, 2], [True] * 3)
        for labels in ([1.0, 2.0, 2.0, 1.0], [4.0, 5.0, 5.0, 3.0])
    )
    rows, noise = rows_of(params, low.support.x), jnp.exp(2 * params["log_noise"])
    for task in (low, high):
        fast = learner.adapt(params, task.context, task.support)
        mean, covariance = infer(prior_of(params, low).mean, rows, task.support.y - 3.4, task.support.mask, noise)
        np.testing.assert_allclose(fast.mean, mean, rtol=1e-10)
        np.testing.assert_allclose(fast.covariance, covariance, rtol=1e-10)


def test_of_a_new_item_what_its_features_say_is_heard(made):
    learner, params = made
    task = task_of([0, 2, 3, 4], [4.0, 3.0, 2.0, 5.0], [True, False, False, False], [1, 2, 3], [True] * 3)
    own, users = params["items"], params["users"]
    row = jnp.concatenate([task.support.x["v"][0], params["tables"]["t"][0]])
    away = own["prior"] + row @ own["features"] - users["centre"]
    prior = task.context["c"] @ users["features"] + away @ users["rated"] / (1 + jnp.exp(users["log_doubt"]))
    known = ItemPosterior(own["prior"] + row @ own["features"], jnp.exp(2 * own["log_scale"]))
    noise = jnp.exp(2 * params["log_noise"])
    expected, _ = infer(
        prior, ItemPosterior(*(leaf[None] for leaf in known)), task.support.y[:1] - 3.4, jnp.array([True]), noise
    )
    np.testing.assert_allclose(learner.adapt(params, task.context, task.support).mean, expected, rtol=1e-10)


@pytest.mark.slow
def test_in_training_the_query_tells_its_labels_and_not_that_it_was_rated(made, key):
    """As at test, where nothing but the support is known; so that the prior is learned at the sizes of supports."""
    learner, params = made
    task = task_of([1, 2, 3, 4], [4.0, 3.0, 2.0, 5.0], [True, True, True, False], [3, 1, 2], [True, True, False])
    label = jnp.array([3.0, 2.0, 0.0])
    x = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), dict(task.support.x), dict(task.query.x))
    mask = jnp.concatenate([task.support.mask, task.query.mask])
    target, noise = jnp.concatenate([task.support.y, label]) - 3.4, jnp.exp(2 * params["log_noise"])
    lost = bound(prior_of(params, task), rows_of(params, x), target, mask, noise) / mask.sum()
    own = params["items"]
    apart = own["mean"], own["log_share"] + 2 * own["log_scale"]
    lost += divergence(Gaussian(*apart), Gaussian(jnp.zeros(1 + RANK), 2 * own["log_scale"])) / ROWS
    batch = Batch(*jax.tree.map(lambda leaf: leaf[None], (task, label)))
    np.testing.assert_allclose(learner.meta_grad(params, batch, key)[1]["loss"], lost, rtol=1e-10)


def test_its_gradient_is_of_the_bound_per_row_and_of_the_items_divergence_per_row_of_meta_train(made, key):
    learner, params = made
    first = task_of([1, 2, 3, 4], [4.0, 3.0, 2.0, 5.0], [True, True, True, False], [3, 1, 2], [True, False, False])
    second = task_of([2, 2, 1, 1], [1.0, 3.0, 2.0, 5.0], [True, False, False, False], [3, 4, 2], [True, True, True])
    tasks = jax.tree.map(lambda *leaves: jnp.stack(leaves), first, second)
    label = jnp.array([[3.0, 0.0, 0.0], [2.0, 4.0, 1.0]])
    gradient, _ = learner.meta_grad(params, Batch(tasks, label), key)
    direction = jax.tree.map(lambda leaf: jnp.array(np.random.default_rng(5).normal(size=leaf.shape)), params)
    at = lambda step: learner.meta_grad(  # noqa: E731
        jax.tree.map(lambda p, d: p + step * d, params, direction), Batch(tasks, label), key
    )[1]["loss"]
    # The value is of a user's posterior that is held; of the bound with its entropy it has the same slope.
    held = sum(float((g * d).sum()) for g, d in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))

    def entropies(step):
        moved = jax.tree.map(lambda p, d: p + step * d, params, direction)
        total = 0.0
        for task, labels in ((first, label[0]), (second, label[1])):
            x = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), dict(task.support.x), dict(task.query.x))
            mask = jnp.concatenate([task.support.mask, task.query.mask])
            seen = Support(x, jnp.concatenate([task.support.y, labels]), mask)
            total += np.linalg.slogdet(learner.adapt(moved, task.context, seen).covariance)[1] / 2
        return total / 8  # rows that are there

    whole = lambda step: float(at(step)) - entropies(step)  # noqa: E731
    np.testing.assert_allclose((whole(1e-5) - whole(-1e-5)) / 2e-5, held, rtol=1e-6)
