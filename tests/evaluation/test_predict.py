"""Tables and the adaptation report against numpy."""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from recmeta.baselines import tuning
from recmeta.baselines.panel import BASELINES
from recmeta.evaluation import predict
from recmeta.evaluation import score as scoring
from recmeta.metrics import metric
from recmeta.objectives import mse
from recmeta.types import Learner, Objective

METRICS = [metric("mae"), metric("ndcg@3")]
SEEDS = [7, 9]
BASE = np.array([1.0, 4.5])
"""Each seed's one parameter: what it predicts, less one tenth of the item's code, before it adapts."""


def adapt(params, context, support, depth=None):
    depth = 2 if depth is None else depth
    return params["w"] + depth * jnp.where(support.mask, support.y, 0).sum()


LEARNER = Learner(
    init=lambda key: {"w": jnp.zeros(())},
    adapt=adapt,
    predict=lambda fast, query: fast - 0.1 * query.x["id"],
    meta_grad=lambda params, batch, key: (params, {}),
    steps=2,
)


@pytest.fixture(scope="module")
def scored(problem):
    return scoring.make_scored(METRICS, problem.spec)


def evaluated(learner, problem, params, scored):
    tested = predict.test_learner(lambda *_: learner, mse(), problem, params, {}, METRICS, [], scored, (), None)
    return predict.learner_report(tested, problem, SEEDS)


@pytest.fixture(scope="module")
def result(problem, scored):
    params = {"w": jnp.array(BASE, jnp.float32)}
    return evaluated(LEARNER, problem, params, scored)


@pytest.fixture(scope="module")
def expected(problem):
    """Clipped predictions ``[S, C, D, T, n]`` and labels."""
    batch = problem.test["user_cold"]
    task, label = batch.task, batch.label
    y, ids = np.asarray(task.support.y), np.asarray(task.query.x["id"])
    sums = np.stack([y[:, :k].sum(1) for k in (0, 1, 3, 5)])
    moved = np.arange(3)[:, None] * sums[:, None, :]
    score = BASE[:, None, None, None, None] + moved[None, ..., None] - 0.1 * ids
    assert score.min() < 1
    assert score.max() > 5
    return np.clip(score, 1, 5), np.asarray(label)


def test_learner_table_has_a_row_per_seed_shots_and_task(problem, result, expected):
    table, _ = result
    prediction, label = expected
    known = ["activity", "popularity", "new_items", "completeness"]
    assert table.columns == ["scenario", "method", "seed", "shots", "task", "n_query", *known, "mae", "ndcg@3"]
    assert table.height == 2 * 4 * 8
    mae = np.abs(prediction[:, :, -1] - label).mean(-1)
    np.testing.assert_allclose(table["mae"].to_numpy().reshape(2, 4, 8), mae, rtol=1e-4)
    np.testing.assert_array_equal(table["seed"].to_numpy().reshape(2, 32), [[7] * 32, [9] * 32])
    np.testing.assert_array_equal(table["shots"].to_numpy().reshape(2, 4, 8)[0, :, 0], [0, 1, 3, 5])
    assert table["task"].to_list() == list(problem.names["user_cold"]) * 8
    assert set(table["n_query"]) == {4}
    assert set(table["method"]) == {"model"}
    assert set(table["scenario"]) == {"user_cold"}


def test_ranking_reads_scores_before_they_are_clipped(problem, result):
    """All clipped predictions of the first seed at full depth are 5: as ratings all tie, as scores none does."""
    table, _ = result
    row = table.filter((pl.col("seed") == 9) & (pl.col("shots") == 5))
    batch = problem.test["user_cold"]
    task, label = batch.task, batch.label
    score = -np.asarray(task.query.x["id"], np.float32)
    wanted = [metric("ndcg@3").value(s, y, m, like=4.0) for s, y, m in zip(score, label, task.query.mask, strict=True)]
    np.testing.assert_allclose(row["ndcg@3"], wanted, rtol=1e-5)


def test_report_is_the_error_by_shots_and_depth(result, expected):
    report = result[1]["user_cold"]
    prediction, label = expected
    assert (report["shots"], report["steps"]) == ([0, 1, 3, 5], [0, 1, 2])
    np.testing.assert_allclose(report["mae"], np.abs(prediction - label).mean((0, 3, 4)), rtol=1e-5)
    change = np.abs(prediction[:, 3, -1] - prediction[:, 3, 0]).mean()
    assert report["mean_abs_change"] == pytest.approx(change, rel=1e-5)
    assert report["no_op"] is False


def test_measure_takes_any_leading_axes_and_the_specs_range(problem):
    """Binary log-loss in label units: of labels from 1 to 5, as shares of that range."""
    batch = problem.test["user_cold"]
    score = np.random.default_rng(0).normal(3, 2, (2, 3, *batch.label.shape)).astype(np.float32)
    predictions = scoring.Predictions(jnp.array(score), jnp.clip(jnp.array(score), 1.5, 4.5))
    found = scoring.measure([metric("logloss"), metric("auc")], problem.spec, predictions, batch)
    chance, share = (np.asarray(predictions.label) - 1) / 4, (np.asarray(batch.label) - 1) / 4
    expected = -(share * np.log(chance) + (1 - share) * np.log(1 - chance)).mean(-1)
    np.testing.assert_allclose(found["logloss"], expected, rtol=1e-5)
    single = scoring.measure([metric("auc")], problem.spec, jax.tree.map(lambda x: x[1, 2], predictions), batch)
    np.testing.assert_array_equal(found["auc"][1, 2], single["auc"])


def test_bounds_are_what_constants_and_labels_score(problem):
    batch = problem.test["user_cold"]
    metrics = [metric("ndcg@3"), metric("recall@1"), metric("mae")]
    found = scoring.bounds(metrics, problem.spec, batch)
    for score, side in ((jnp.zeros_like(batch.label), "floor"), (batch.label, "oracle")):
        expected = scoring.measure(metrics, problem.spec, scoring.Predictions(score, score), batch)
        for name in ("ndcg@3", "recall@1"):
            np.testing.assert_allclose(getattr(found[name], side), expected[name], rtol=1e-6)
    assert jnp.isnan(found["mae"].floor).all()
    assert (found["mae"].oracle == 0).all()


@pytest.mark.parametrize(("steps", "no_op"), [(2, True), (0, False)])
def test_an_inner_loop_that_does_nothing_is_said_aloud(problem, scored, steps, no_op):
    still = LEARNER._replace(adapt=lambda params, context, support, depth=None: params["w"], steps=steps)
    params = {"w": jnp.array(BASE, jnp.float32)}
    report = evaluated(still, problem, params, scored)[1]["user_cold"]
    assert report["no_op"] is no_op
    assert report["mean_abs_change"] == 0
    assert np.shape(report["mae"]) == (4, steps + 1)


def test_tasks_taken_in_turns_are_the_same(problem, monkeypatch, expected):
    monkeypatch.setattr(scoring.per_task, "__kwdefaults__", {"at_once": 3})
    batch = problem.test["user_cold"]
    got = predict.learner_predictions(
        LEARNER, mse(), problem.spec, {"w": jnp.float32(BASE[0])}, batch, jnp.array([0, 1, 3, 5]), jnp.arange(3)
    )
    np.testing.assert_allclose(got.label, expected[0][0], rtol=1e-5)


def test_baseline_table(problem, scored):
    tuned = tuning.tune_baselines(BASELINES, problem, METRICS, METRICS[0], calibrates=False)
    table = tuning.evaluate_baselines(tuned, problem, jax.random.key(0), METRICS, scored)
    report = tuning.settings_report(tuned, problem.shots)
    assert set(report) == {name for name, each in BASELINES.items() if each.grid}
    assert report["user_item_bias"]["shots"] == [0, 1, 3, 5]
    assert len(report["user_item_bias"]["user_shrinkage"]) == 4
    for name, said in report.items():
        assert set(said) - {"tried", "by", "seconds", "grid", "shots"} == set(said["grid"]) == set(BASELINES[name].grid)
        assert said["seconds"] > 0
        assert said["tried"] == math.prod(map(len, said["grid"].values()))
        for setting, values in said["grid"].items():
            assert all(min(abs(value - tried) for tried in values) < 1e-5 * value for value in said[setting] if value)
    assert table.height == len(BASELINES) * 4 * 8
    assert table["method"].unique(maintain_order=True).to_list() == list(BASELINES)
    assert table["seed"].null_count() == table.height
    assert table["ndcg@3"].is_finite().all()
    for name, baseline in BASELINES.items():
        errors = table.filter(pl.col("method") == name)["mae"]
        assert (errors.is_finite() if baseline.rates else errors.is_nan()).all()
    mean = table.filter(pl.col("method") == "global_mean")["mae"].to_numpy().reshape(4, 8)
    label = np.asarray(problem.test["user_cold"].label)
    np.testing.assert_allclose(mean, np.tile(np.abs(label - problem.spec.mean).mean(1), (4, 1)), rtol=1e-5)


def test_baseline_predictions_are_clipped_to_the_label_range(problem):
    wild = BASELINES["global_mean"]._replace(
        predict=lambda state, settings, key, c, s, query: 100.0 * (query.x["id"] - 10)
    )
    batch = problem.test["user_cold"]
    got = predict.baseline_predictions(wild, 0.0, {}, jax.random.key(0), problem.spec, batch, jnp.array([0, 3]))
    score = 100.0 * (np.asarray(batch.task.query.x["id"]) - 10)
    np.testing.assert_array_equal(got.score, [score, score])
    np.testing.assert_array_equal(got.label, np.clip([score, score], 1, 5))


def test_shown_supports_are_nested(problem):
    support = problem.test["user_cold"].task.support
    masks = [np.asarray(predict.first_shots(support, shots).mask) for shots in problem.shots]
    assert [mask.sum(1).tolist() for mask in masks] == [[shots] * 8 for shots in problem.shots]
    assert all((small <= large).all() for small, large in pairwise(masks))


def disagreeing(score, other, pairs):
    """The share of pairs that are ordered differently, of all tasks that have pairs: one pair after the other."""
    shares = []
    for s, o, there in zip(score, other, pairs, strict=True):
        rows = range(len(s))
        apart = [abs(np.sign(s[i] - s[j]) - np.sign(o[i] - o[j])) / 2 for i in rows for j in rows if there[i][j]]
        shares += [np.mean(apart)] if apart else []
    return np.mean(shares)


def test_scores_that_only_rank_are_judged_as_rankings(problem, scored):
    """Every number that reads a rating is none; the report on adaptation is about pairs of rows."""
    turning = LEARNER._replace(predict=lambda fast, query: fast * query.x["id"])
    only_ranks = Objective(mse().loss, rates=False)
    params = {"w": jnp.array([-1.0, 2.0])}
    tested = predict.test_learner(lambda *_: turning, only_ranks, problem, params, {}, METRICS, [], scored, {}, None)
    table, reports = predict.learner_report(tested, problem, SEEDS, rates=False)
    assert table["mae"].is_nan().all()
    assert table["ndcg@3"].is_not_nan().any()
    report = reports["user_cold"]
    assert set(report) == {"shots", "steps", "wrong_pairs", "pairs_changed", "no_op"}

    batch = problem.test["user_cold"]
    ids, label = np.asarray(batch.task.query.x["id"], float), np.asarray(batch.label)
    mask = np.asarray(batch.task.query.mask)
    pairs = mask[:, :, None] & mask[:, None, :] & ~np.eye(ids.shape[1], dtype=bool)
    y = np.where(batch.task.support.mask, batch.task.support.y, 0)
    for place, shots in enumerate(report["shots"]):
        for depth in report["steps"]:
            scores = [(w + depth * y[:, :shots].sum(1, keepdims=True)) * ids for w in (-1.0, 2.0)]
            rated = pairs & (label[:, :, None] != label[:, None, :])
            wanted = np.mean([disagreeing(score, label, rated) for score in scores])
            np.testing.assert_allclose(report["wrong_pairs"][place][depth], wanted, rtol=1e-5)
    # The first seed turns every pair around, the second none.
    shots = problem.headline
    turned = disagreeing((-1 + 2 * y[:, :shots].sum(1, keepdims=True)) * ids, -ids, pairs)
    assert report["pairs_changed"] == pytest.approx(turned / 2, rel=1e-5)
    assert not report["no_op"]
    shifted = predict.test_learner(lambda *_: LEARNER, only_ranks, problem, params, {}, METRICS, [], scored, {}, None)
    report = predict.learner_report(shifted, problem, SEEDS, rates=False)[1]["user_cold"]
    assert report["pairs_changed"] == 0
    assert report["no_op"], "a constant that is added to all scores changes no ranking"
