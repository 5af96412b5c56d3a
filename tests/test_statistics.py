"""Statistics against closed forms, scipy, simulation and hand computation."""

import json

import numpy as np
import polars as pl
import pytest
from scipy import stats

from recmeta.statistics import (
    best_of,
    bootstrap,
    differences,
    holm,
    matrix,
    metric_names,
    number,
    paired,
    summarise,
    verdict,
    wording,
)

NAN = float("nan")
SCHEMA = {"scenario": pl.String, "method": pl.String, "seed": pl.Int64, "shots": pl.Int64, "task": pl.String,
          "n_query": pl.Int64, "mae": pl.Float64, "auc": pl.Float64}  # fmt: skip


def scores(method, values, seeds=(None,), shots=20, scenario="user_cold", auc=0.5):
    """Task scores of one method: ``values [S, N]`` of MAE."""
    return pl.DataFrame(
        [
            (scenario, method, seed, shots, f"u{task}", 10, float(value), auc)
            for seed, row in zip(seeds, np.atleast_2d(values), strict=True)
            for task, value in enumerate(row)
        ],
        schema=SCHEMA,
        orient="row",
    )


# --- bootstrap ----------------------------------------------------------------------------------------------------


def test_bootstrap_is_the_interval_of_a_mean():
    values = np.random.default_rng(0).normal(2, 1, (1, 400))
    mean, lo, hi = bootstrap(values, draws=4000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert mean == pytest.approx(values.mean(), abs=1e-12)
    assert (lo, hi) == pytest.approx((mean - half, mean + half), abs=0.012)
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)


@pytest.mark.parametrize(("seeds", "tasks", "of_seed"), [(1, 40, 0.0), (12, 40, 0.3)])
def test_bootstrap_covers_the_truth(seeds, tasks, of_seed):
    rng, hits = np.random.default_rng(1), 0
    for _ in range(300):
        values = rng.normal(0, of_seed, (seeds, 1)) + rng.normal(0, 1, (1, tasks)) + rng.normal(0, 0.3, (seeds, tasks))
        _, lo, hi = bootstrap(values, draws=400)
        hits += lo <= 0 <= hi
    assert 0.90 <= hits / 300 <= 0.98


def test_bootstrap_sees_that_seeds_differ():
    rng = np.random.default_rng(2)
    values = rng.normal(0, 1, (1, 50)) + np.linspace(-3, 3, 6)[:, None]
    _, lo, hi = bootstrap(values)
    _, seed_lo, seed_hi = bootstrap(values.mean(axis=1, keepdims=True).repeat(2, axis=1))
    _, task_lo, task_hi = bootstrap(values.mean(axis=0, keepdims=True))
    assert (hi - lo) ** 2 == pytest.approx((seed_hi - seed_lo) ** 2 + (task_hi - task_lo) ** 2, rel=0.15)


def test_bootstrap_ignores_nan():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(3, 20))
    holed = np.full((4, 25), NAN)
    holed[:3, :20] = values
    assert bootstrap(holed) == bootstrap(values)
    values[0, :5] = NAN
    assert bootstrap(values)[0] == pytest.approx(np.nanmean(values))
    assert all(np.isnan(bootstrap(np.full((2, 3), NAN))))
    assert np.isnan(bootstrap(np.array([[3.0], [5.0]]))).tolist() == [False, True, True]


def test_bootstrap_of_many_tasks_is_in_chunks():
    values = np.random.default_rng(4).normal(1, 1, (1, 30_000))
    mean, lo, hi = bootstrap(values, draws=200)  # 67 draws at a time
    assert hi - lo == pytest.approx(2 * 1.96 / np.sqrt(30_000), rel=0.25)
    assert lo < mean < hi


# --- tests --------------------------------------------------------------------------------------------------------


def test_paired_is_scipy():
    rng = np.random.default_rng(5)
    model, baseline = rng.normal(0, 1, 30), rng.normal(0.4, 1, 30)
    comparison = paired(np.append(model - baseline, NAN))
    assert comparison.p == pytest.approx(stats.ttest_rel(model, baseline).pvalue, rel=1e-9)
    assert comparison.n == 30
    assert comparison.effect_size == pytest.approx(stats.ttest_rel(model, baseline).statistic / np.sqrt(30), rel=1e-9)
    assert comparison.lo < comparison.mean < comparison.hi


def test_detectable_is_found_with_eighty_percent():
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(400):
        sample = rng.normal(0, 1, 25)
        deviation = sample.std(ddof=1)
        detectable = (stats.t.ppf(0.975, 24) + stats.t.ppf(0.8, 24)) * deviation / 5
        shifted = sample + detectable / deviation  # the deviation is 1 in truth
        found += stats.ttest_1samp(shifted, 0).pvalue < 0.05
    assert paired(sample).detectable == pytest.approx(detectable)
    assert found / 400 == pytest.approx(0.8, abs=0.06)


def test_paired_without_spread_or_units():
    same, offset, one, none = (paired(np.array(d, float)) for d in ([0, 0, 0], [0.1 + 0.2, 0.3, 0.3], [0.4], [NAN]))
    assert (same.p, same.mean, same.effect_size, same.n) == (1.0, 0.0, 0.0, 3)
    assert (offset.p, offset.effect_size) == (0.0, np.inf)
    assert (one.p, one.n, one.mean) == (1.0, 1, 0.4)
    assert np.isnan(one.lo)
    assert (none.p, none.n) == (1.0, 0)
    assert "a test needs two tasks in common, there is 1" in wording(one, "item_mean", "mae", "min")


@pytest.mark.parametrize(
    ("p", "corrected"),
    [
        ([0.02, 0.021, 0.04], [0.06, 0.06, 0.06]),  # testing each on its own would accept two
        ([0.01, 0.04, 0.045], [0.03, 0.08, 0.08]),
        ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06]),
        ([0.6, 0.5], [1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_holm_by_hand(p, corrected):
    assert holm(p).tolist() == pytest.approx(corrected)


def test_holm_rejects_what_stepping_down_rejects():
    rng = np.random.default_rng(7)
    for _ in range(200):
        p = rng.random(6) ** 4
        rejected = np.zeros(6, bool)
        for rank, i in enumerate(np.argsort(p)):
            if p[i] > 0.05 / (6 - rank):
                break
            rejected[i] = True
        assert ((holm(p) <= 0.05) == rejected).all()


# --- tables -------------------------------------------------------------------------------------------------------


def test_matrix_and_differences():
    model = scores("model", [[1, 2, NAN], [3, 4, 8]], seeds=(4, 2))
    np.testing.assert_array_equal(matrix(model, "mae"), [[3, 4, 8], [1, 2, NAN]])
    baseline = scores("item_mean", [[1, 1, 1, 1]])
    np.testing.assert_array_equal(matrix(baseline, "mae"), [[1, 1, 1, 1]])
    assert differences(model, baseline, "mae").tolist() == [1, 2, 7]
    assert metric_names(model) == ["mae", "auc"]


def test_a_user_in_two_splits_counts_once():
    def both(method, first, second):
        return pl.concat([scores(method, first).with_columns(split=pl.lit("a")),
                          scores(method, second).with_columns(split=pl.lit("b"))])  # fmt: skip

    model, baseline = both("model", [1, 2], [3]), both("item_mean", [0, 0], [1])
    assert differences(model, baseline, "mae", over=["split"]).tolist() == [1.5, 2]
    # The second split is in one of them only: nothing to pair there.
    assert differences(model, baseline.filter(pl.col("split") == "a"), "mae", over=["split"]).tolist() == [1, 2]


def test_summary_is_the_mean_and_valid_json():
    values = np.random.default_rng(8).random((2, 6))
    frame = pl.concat(
        [
            scores("model", values, seeds=(0, 1)),
            scores("model", values + 9, seeds=(0, 1), shots=5),
            scores("popularity", [[NAN] * 6]),
            scores("model", [[1.0]], seeds=(0,), scenario="warm"),
        ]
    )
    summary = summarise(frame, 20)
    cell = summary["user_cold"]["model"]["mae"]
    assert cell["mean"] == pytest.approx(values.mean())
    assert cell["ci95"] == list(bootstrap(values)[1:])
    assert (cell["tasks"], cell["seeds"]) == (6, 2)
    assert summary["user_cold"]["popularity"]["mae"] == {"mean": None, "ci95": [None, None], "tasks": 0, "seeds": 0}
    assert summary["user_cold"]["popularity"]["auc"]["mean"] == 0.5
    assert summary["warm"]["model"]["mae"] == {"mean": 1.0, "ci95": [None, None], "tasks": 1, "seeds": 1}
    json.dumps(summary, allow_nan=False)
    with pytest.raises(ValueError, match=r"no task scores at 3 shots; there are \[5, 20\]"):
        summarise(frame, 3)
    with pytest.raises(ValueError, match="about the same"):
        summarise(pl.concat([frame, frame]), 20)


def test_summary_does_not_depend_on_the_order_of_rows():
    frame = scores("model", np.random.default_rng(9).random((3, 20)), seeds=(0, 1, 2))
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=0)
    assert summarise(frame, 20) == summarise(shuffled, 20)


@pytest.mark.parametrize(
    ("shift", "goal", "words"),
    [
        (-0.2, "min", ("below item_mean by 0.2", "MAE", "p < 0.001", ": better")),
        (-0.2, "max", ("below item_mean by", ": worse")),
        (0.2, "min", ("above item_mean by 0.1", ": worse")),
        (0.2, "max", ("above item_mean by", ": better")),
        (0.0, "min", ("not distinguishable from item_mean", "likely to show")),
    ],
)
def test_verdict(shift, goal, words):
    rng = np.random.default_rng(10)
    base, other = rng.normal(1, 0.5, 40), rng.normal(9 if goal == "min" else -9, 0.1, 40)
    model = base + shift + rng.normal(0, 0.1, (2, 40))
    frame = pl.concat([scores("model", model, seeds=(0, 1)), scores("random", other), scores("item_mean", base)])
    result = verdict(frame, "mae", goal, 20)["user_cold"]
    difference = model.mean(axis=0) - base
    assert result["best_baseline"] == "item_mean"
    assert result["difference"] == pytest.approx(difference.mean())
    assert result["p"] == pytest.approx(stats.ttest_1samp(difference, 0).pvalue)
    assert result["ci95"][0] < result["difference"] < result["ci95"][1]
    for word in words:
        assert word in result["text"]
    json.dumps(result, allow_nan=False)


def test_verdict_says_that_an_effect_is_little():
    rng = np.random.default_rng(11)
    base = rng.normal(1, 0.5, 2000)
    frame = pl.concat([scores("model", [base - 0.01 + rng.normal(0, 0.1, 2000)], (0,)), scores("item_mean", base)])
    assert "better, but by little (dz = \N{MINUS SIGN}0.08" in verdict(frame, "mae", "min", 20)["user_cold"]["text"]


def test_verdict_without_model_or_baseline():
    alone = scores("model", [[1, 2]], seeds=(0,))
    result = verdict(alone, "mae", "min", 20)["user_cold"]
    assert result["best_baseline"] is None
    assert "no baseline with MAE: no verdict is possible" in result["text"]
    assert verdict(scores("item_mean", [[1, 2]]), "mae", "min", 20) == {}
    undefined = pl.concat([alone, scores("popularity", [[NAN, NAN]])])
    assert verdict(undefined, "mae", "min", 20)["user_cold"]["difference"] is None
    holed = pl.concat([scores("model", [[1, NAN, 3]], (0,)), scores("item_mean", [[1, 2, 4]])])
    assert "tasks with item_mean but not the model: 1" in verdict(holed, "mae", "min", 20)["user_cold"]["text"]


def test_words():
    assert best_of({"a": 2.0, "b": 2.0, "c": NAN}, "max") == "a"
    assert best_of({"c": NAN}, "max") is None
    assert [number(x) for x in (-0.0042, 0.00005, 0.0, NAN)] == ["\N{MINUS SIGN}0.004", "5e-05", "0.000", "-"]
    comparison = paired(np.random.default_rng(12).normal(-1, 1, 30))
    assert "p (Holm over 3) = 0.012" in wording(comparison, "x", "mae", "min", p=0.012, family=3)
