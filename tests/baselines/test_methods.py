"""Each method against an oracle library, or its published equations in numpy, loop by loop."""

import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

from recmeta.baselines.content import logistic
from recmeta.baselines.factors import fit_als
from recmeta.baselines.kernel import even_weights, inverse_document_frequency
from recmeta.baselines.neighbours import neighbour_mean
from recmeta.baselines.panel import BASELINES
from recmeta.baselines.recent import DAY
from recmeta.baselines.segments import cluster
from recmeta.evaluation.predict import baseline_predictions
from recmeta.features.kinds import arrays_of
from recmeta.fitted.levels import expected, fit_levels, residuals, split
from recmeta.fitted.rows import by_task_and_item, catalogue
from recmeta.types import UserError


@pytest.fixture(scope="module")
def task(problem):
    return problem.test["user_cold"].task


@pytest.fixture(scope="module")
def started(problem, task):
    """Per task: the level of its query rows, and what the levels leave of its support."""
    levels = fit_levels(problem)
    level, left = jax.vmap(lambda support: split(levels, support))(task.support)
    return np.asarray(expected(levels, task.query.x) + level[:, None]), np.asarray(left)


@pytest.fixture(scope="module")
def left(problem):
    """What the levels leave of meta-train: users by item ids; and who rated what."""
    items = catalogue(problem)
    assert items.number.tolist() == list(range(items.size))  # all items are known here, each by its id
    values = residuals(problem, fit_levels(problem))
    return tuple(by_task_and_item(problem, items, each).toarray() for each in (values, np.ones(len(values))))


def ids(task):
    return np.asarray(task.support.x["id"]), np.asarray(task.query.x["id"])


def coded(x, weights):
    """Rows ``[..., d]`` in one-hot coding."""
    parts = []
    for field in weights:
        values = np.asarray(x[field.name])
        rows = arrays_of(field).columns(values.reshape(-1, *values.shape[2:]), field.size)
        parts.append(rows.toarray().reshape(*values.shape[:2], -1))
    return np.concatenate(parts, axis=-1)


# --- neighbours ---------------------------------------------------------------------------------------------------


def test_neighbours_that_tie_all_count():
    similarity = jnp.array([[0.5], [0.5], [0.9], [-0.2], [0.99]])
    left, mask = jnp.array([1.0, 3.0, -1.0, 7.0, 99.0]), jnp.array([True, True, True, True, False])
    for neighbours, damping, result in [
        (1.0, 0.0, -0.9 / 0.9),
        (2.0, 0.0, (0.5 + 1.5 - 0.9) / 1.9),
        (3.0, 1.0, (0.5 + 1.5 - 0.9) / 2.9),
        (9.0, 0.0, (0.5 + 1.5 - 0.9 - 1.4) / 2.1),
    ]:
        np.testing.assert_allclose(neighbour_mean(similarity, left, mask, neighbours, damping), [result], rtol=1e-6)  # pyright: ignore


def test_item_knn_pair_by_pair(left, task, started, predicted):
    values, rated = left
    own, other = ids(task)
    settings = {"shrinkage": 5.0, "neighbours": 3.0, "damping": 0.1}

    def similarity(i, j):
        both = (rated[:, i] * rated[:, j]) > 0
        if i == j or both.sum() < 2:
            return 0.0
        a, b = values[both, i], values[both, j]
        return a @ b / np.sqrt((a @ a) * (b @ b)) * both.sum() / (both.sum() + 5.0)

    expected = started[0].copy()
    for t, row in np.ndindex(other.shape):
        s = np.array([similarity(i, other[t, row]) for i in own[t]])
        near = np.argsort(-s)[:3]
        expected[t, row] += s[near] @ started[1][t, near] / (np.abs(s[near]).sum() + 0.1)
    np.testing.assert_allclose(predicted("item_knn", task, settings), expected, rtol=1e-4)


def test_tfidf_knn_has_the_cosines_of_scikit_learn(problem, task, started, predicted):
    weights = inverse_document_frequency(problem)
    root = np.sqrt(np.concatenate([np.asarray(weight) for weight in weights.values()]))
    own, other = (coded(x, weights) * root for x in (task.support.x, task.query.x))
    expected = started[0].copy()
    for t in range(len(expected)):
        cosine = cosine_similarity(own[t], other[t])
        expected[t] += started[1][t] @ cosine / (cosine.sum(0) + 0.3)
    got = predicted("tfidf_knn", task, {"neighbours": 5.0, "damping": 0.3})
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_of_rows_that_are_there_the_nearest_counts_however_far():
    similarity, left = jnp.array([[-0.2], [0.9], [-0.3]]), jnp.array([1.0, 9.0, 5.0])
    mean = neighbour_mean(similarity, left, jnp.array([True, False, True]), jnp.array(1.0), jnp.array(0.2))
    np.testing.assert_allclose(mean, [-0.2 / 0.4], rtol=1e-6)


@pytest.mark.parametrize("name", ["item_knn", "ease"])
def test_an_item_does_not_predict_itself(task, fitted, middle, predicted, name):
    """A query row that is the support's only one gets its level: what it left says nothing of itself."""
    x = {key: values[:, :1] for key, values in task.support.x.items()}
    query = task.query._replace(x=x, mask=task.query.mask[:, :1])
    asked = task._replace(query=query)
    alone = asked._replace(support=jax.tree.map(lambda values: values[:, :1], task.support))
    levels = fitted(name).levels
    level, _ = jax.vmap(lambda support: split(levels, support))(alone.support)
    got = predicted(name, alone, middle(name))
    np.testing.assert_allclose(got, expected(levels, query.x) + level[:, None], rtol=1e-5)


# --- EASE, factors ------------------------------------------------------------------------------------------------


def test_ease_is_the_ridge_regression_of_each_item_on_the_others(left, task, started, predicted):
    values = left[0][:, 1:]
    squares = (values**2).sum(0)
    penalty, gain = 0.5, 2.0
    weights = np.zeros((len(squares) + 1,) * 2)
    for j in range(len(squares)):
        others = np.delete(np.arange(len(squares)), j)
        ridge = Ridge(alpha=penalty * (squares**2).sum() / squares.sum(), fit_intercept=False, solver="cholesky")
        weights[others + 1, j + 1] = ridge.fit(values[:, others], values[:, j]).coef_
    own, other = ids(task)
    more = [started[1][t] @ weights[np.ix_(own[t], other[t])] for t in range(len(own))]
    got = predicted("ease", task, {"penalty": penalty, "gain": gain})
    np.testing.assert_allclose(got, started[0] + gain * (1 + penalty) * np.array(more), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factors", [2, 8])
def test_svd_projects_on_the_leading_singular_vectors(left, task, started, predicted, factors):
    leading = np.linalg.svd(left[0], full_matrices=False)[2][:factors]
    project = leading.T @ leading
    own, other = ids(task)
    more = [started[1][t] @ project[np.ix_(own[t], other[t])] for t in range(len(own))]
    got = predicted("svd", task, {"factors": factors, "gain": 4.0})
    np.testing.assert_allclose(got, started[0] + 4 * np.array(more), rtol=1e-3, atol=1e-3)


def test_als_factors_are_where_the_loss_has_no_slope(problem):
    likes = by_task_and_item(problem, catalogue(problem), np.asarray(problem.train.label) >= 4)
    likes.eliminate_zeros()
    item, user = fit_als(likes, 4, penalty=2.0, confidence=5.0)
    like = likes.toarray()
    weight = np.where(like > 0, 5.0, 1.0)

    def loss(user):
        return (weight * (like - user @ item.T) ** 2).sum() + 2.0 * (user**2).sum()

    slope = jax.grad(lambda user: (weight * (like - user @ item.T) ** 2).sum() + 2.0 * (user**2).sum())(user)
    assert np.abs(slope).max() < 1e-3
    assert loss(user) < loss(0 * user)


def test_a_new_user_is_folded_in_as_the_library_does(problem, task, predicted):
    """The scores are those of the factors that solve the new user's normal equations, dense."""
    settings = {"factors": 16.0, "penalty": 10.0, "confidence": 5.0}
    likes = by_task_and_item(problem, catalogue(problem), np.asarray(problem.train.label) >= 4)
    likes.eliminate_zeros()
    item, user = fit_als(likes, 16, 10.0, 5.0)
    own, other = ids(task)
    got = predicted("ials", task, settings)
    for t in range(len(own)):
        liked = item[own[t][np.asarray(task.support.y[t]) >= 4]]
        matrix = item.T @ item + 10 * np.eye(16) + 4 * liked.T @ liked
        factors = np.linalg.solve(matrix, 5 * liked.sum(0)) if len(liked) else user.mean(0)
        np.testing.assert_allclose(got[t], item[other[t]] @ factors, rtol=1e-3, atol=1e-4)
    nobody = predicted("ials", task, settings, shots=0)
    np.testing.assert_allclose(nobody, item[other] @ user.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ModuleNotFoundError('No module named implicit')", r"needs the package implicit: pip install 'recmeta"),
        ("ImportError('libgomp.so.1: cannot open')", r"can't be loaded \(libgomp.* open\): apt-get install libgomp1$"),
        ("ImportError('undefined symbol')", r"can't be loaded \(undefined symbol\): pip install --force-reinstall"),
    ],
)
def test_a_library_that_cannot_be_loaded_is_not_said_to_be_missing(monkeypatch, tmp_path, raised, said):
    (tmp_path / "implicit").mkdir()
    (tmp_path / "implicit" / "__init__.py").touch()
    (tmp_path / "implicit" / "als.py").write_text(f"raise {raised}")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "implicit"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError, match=said):
        fit_als(np.eye(2), 4, penalty=2.0, confidence=5.0)


# --- content ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [1.0, 30.0])
def test_content_ridge_is_that_of_scikit_learn(problem, task, predicted, penalty):
    levels, weights = fit_levels(problem), even_weights(problem)
    own, other = (coded(x, weights) for x in (task.support.x, task.query.x))
    start, end = (np.asarray(expected(levels, x)) for x in (task.support.x, task.query.x))
    got = predicted("content_ridge", task, {"penalty": penalty})
    for t in range(len(own)):
        # The constant is one more column, scaled so that one penalty does for all.
        scale = np.sqrt(penalty / levels.user_shrinkage)
        rows, more = (np.column_stack([x, np.full(len(x), scale)]) for x in (own[t], other[t]))
        ridge = Ridge(alpha=penalty, fit_intercept=False, solver="svd").fit(rows, task.support.y[t] - start[t])
        np.testing.assert_allclose(got[t], end[t] + ridge.predict(more), rtol=1e-4)


def test_under_a_high_penalty_content_ridge_is_user_and_item_bias(task, started, predicted):
    np.testing.assert_allclose(predicted("content_ridge", task, {"penalty": 1e8}), started[0], rtol=1e-5)


def test_logistic_is_the_minimum_that_scipy_finds():
    rng = np.random.default_rng(0)
    rows, offset, like = rng.normal(0, 1, (7, 3)), rng.normal(0, 1, 7), (rng.random(7) < 0.5).astype(float)

    def loss(weights):
        return -log_expit((2 * like - 1) * (offset + rows @ weights)).sum() + 0.2 * (weights**2).sum()

    best = minimize(loss, np.zeros(3), tol=1e-10).x
    dual = logistic(*map(jnp.asarray, (rows @ rows.T / 0.4, offset, like)), jnp.ones(7, bool))
    np.testing.assert_allclose(rows.T @ np.asarray(dual) / 0.4, best, atol=1e-4)


def test_a_likely_like_is_a_label_between_the_means(problem, task, fitted, predicted):
    """Without support and features, the label of the item's share of likes."""
    label = np.asarray(problem.train.label)
    low, high = label[label < 4].mean(), label[label >= 4].mean()
    share = expit(np.asarray(fitted("content_logistic").logit))[ids(task)[1]]
    got = predicted("content_logistic", task, {"penalty": 1.0}, shots=0)
    np.testing.assert_allclose(got, low + share * (high - low), rtol=1e-4)
    with_support = predicted("content_logistic", task, {"penalty": 1.0})
    liked = np.asarray((task.support.y >= 4).mean(1))
    assert np.corrcoef((with_support - got).mean(1), liked)[0, 1] > 0.7  # who likes much is expected to


# --- popularity ---------------------------------------------------------------------------------------------------


def test_recent_popularity_day_by_day(problem, task):
    days = np.arange(len(problem.train.row)) % 50
    timed = problem._replace(train=problem.train._replace(time=jnp.asarray(days * DAY, jnp.int32)))
    baseline = BASELINES["recent_popularity"]
    state = baseline.fit(timed)
    item, other = np.asarray(problem.train.row), ids(task)[1]
    names = np.asarray(problem.train.entities["id"])
    for half_life in (1.0, 30.0, 1000.0):
        weight = 0.5 ** ((49 - days) / half_life)
        count = [[weight[names[item] == j].sum() for j in row] for row in other]
        got = jax.vmap(lambda query, h=half_life: baseline.predict(state, {"half_life": h}, None, {}, None, query))  # pyright: ignore
        np.testing.assert_allclose(got(task.query), count, rtol=1e-4)


def test_recent_popularity_without_times_is_refused(problem):
    timeless = problem._replace(train=problem.train._replace(time=None))
    with pytest.raises(UserError, match="no time"):
        BASELINES["recent_popularity"].fit(timeless)


# --- segments -----------------------------------------------------------------------------------------------------


def test_clusters_are_those_that_were_planted():
    rng = np.random.default_rng(0)
    planted = rng.integers(0, 3, 90)
    found = cluster(np.eye(3)[planted] + rng.normal(0, 0.1, (90, 3)), 3)
    assert len(set(zip(planted.tolist(), found.tolist(), strict=True))) == 3


def test_clusters_need_no_tools_of_the_system():
    """Slim images have no lscpu, of whose lack joblib warns with a traceback."""
    found = "from recmeta.baselines.segments import cluster; import numpy; print(cluster(numpy.eye(9), 3).max())"
    nowhere = os.environ | {"PATH": "/nowhere"}
    ended = subprocess.run([sys.executable, "-W", "error", "-c", found], env=nowhere, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("2\n", "")


@pytest.mark.parametrize("shots", [0, 5])
def test_segments_task_by_task(task, started, fitted, predicted, shots):
    state = jax.tree.map(lambda values: np.asarray(values, np.float64), fitted("cluster_mean"))
    level = started[0] if shots else np.asarray(expected(fitted("cluster_mean").levels, task.query.x))
    own, other = ids(task)
    settings = {"segments": 4.0, "shrinkage": 3.0}
    means, shares = (predicted(name, task, settings, shots) for name in ("cluster_mean", "cluster_popularity"))
    fit = 1  # of 2, 4, 8, 16 segments
    taste = state.total[fit] / (state.rows[fit] + 3.0)
    slopes = {field.name: values[fit] for field, values in state.slopes.items()}
    for t in range(len(own)):
        age, job = np.asarray(task.context["age"][t]), int(task.context["job"][t])
        odds = state.intercept[fit] + age @ slopes["age"] + (job > 0) * slopes["job"][job]
        odds = odds - ((started[1][t] - taste[:, own[t]]) ** 2).sum(1) / (2 * state.variance) * (shots > 0)
        chance = np.exp(odds - odds.max())
        chance /= chance.sum()
        np.testing.assert_allclose(means[t], level[t] + chance @ taste[:, other[t]], rtol=1e-4)
        share = state.rows[fit][:, other[t]] / np.maximum(state.users[fit], 1)[:, None]
        np.testing.assert_allclose(shares[t], chance @ share, rtol=1e-4)


def test_segments_hold_each_row_once(problem, left, fitted):
    values, rated = left
    state = fitted("cluster_mean")
    for fit in range(len(state.rows)):
        np.testing.assert_allclose(state.rows[fit].sum(0), rated.sum(0), rtol=1e-6)
        np.testing.assert_allclose(state.total[fit].sum(0), values.sum(0), atol=1e-3)
        assert state.users[fit].sum() == len(problem.train.size)


def test_without_features_the_prior_is_the_segments_share(problem):
    bare = problem._replace(spec=replace(problem.spec, context=()))
    state = BASELINES["cluster_mean"].fit(bare)
    chance = jax.nn.softmax(state.intercept, axis=-1)
    np.testing.assert_allclose(chance, state.users / len(problem.train.size), rtol=1e-5)


@pytest.mark.parametrize("name", ["item_knn", "ease", "svd", "cluster_mean", "cluster_popularity", "recent_popularity"])
def test_rows_of_the_unknown_id_say_nothing_of_the_next_unknown_item(problem, middle, name):
    entities = dict(problem.train.entities)
    entities["id"] = jnp.where(entities["id"] > 20, 0, entities["id"])
    tasks = problem.train._replace(entities=entities)
    baseline, task = BASELINES[name], jax.tree.map(lambda values: values[0], problem.test["user_cold"].task)
    state = baseline.fit(problem._replace(train=tasks))
    unknown = task.query._replace(x=jax.tree.map(jnp.zeros_like, task.query.x))
    nobody = task.support._replace(mask=jnp.zeros(5, bool))
    got = baseline.predict(state, middle(name), jax.random.key(0), task.context, nobody, unknown)
    mean = fit_levels(problem._replace(train=tasks)).mean
    np.testing.assert_allclose(got, mean if baseline.rates else 0, rtol=1e-6, atol=1e-6)


# --- tuning -------------------------------------------------------------------------------------------------------


def test_one_setting_for_all_support_sizes_is_that_setting_at_each(problem):
    batch, shots = problem.test["user_cold"], jnp.array(problem.shots)
    baseline = BASELINES["content_ridge"]
    state = baseline.fit(problem)

    def of(penalty):
        return baseline_predictions(
            baseline, state, {"penalty": penalty}, jax.random.key(0), problem.spec, batch, shots
        )

    one, each = of(jnp.float32(3)), of(jnp.full(len(shots), 3.0))
    np.testing.assert_allclose(one.score, each.score, rtol=1e-5)
