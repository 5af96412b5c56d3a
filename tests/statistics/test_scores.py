"""What is taken out of task scores, by hand."""

import numpy as np
import polars as pl
import pytest

from recmeta.statistics import about_names, buckets, differences, matrix, metric_names, per_task

NAN = float("nan")


def test_columns(scores):
    frame = scores("model", [[1.0, 2.0]], (0,), popularity=3.5, country="se")
    assert metric_names(frame) == ["mae", "auc"]
    assert about_names(frame) == ["n_query", "popularity", "country"]


def test_matrix_and_differences(scores):
    model = scores("model", [[1, 2, NAN], [3, 4, NAN]], seeds=(4, 2))
    np.testing.assert_array_equal(matrix(model, "mae"), [[3, 4], [1, 2]])
    baseline = scores("item_mean", [[1, 1, 1, 1]])
    np.testing.assert_array_equal(matrix(baseline, "mae"), [[1, 1, 1, 1]])
    assert differences(model, baseline, "mae").tolist() == [1, 2]
    assert matrix(scores("x", [[NAN]]), "mae").shape == (1, 0)


def test_what_is_not_full_is_averaged_over_seeds(scores):
    frame = scores("model", [[1, 2, NAN], [3, 4, 8]], seeds=(4, 2))
    np.testing.assert_array_equal(matrix(frame, "mae"), [[2, 3, 8]])


def test_a_user_counts_once(scores):
    """Over seeds, then over splits, then over users; whoever was tested most often."""

    def both(method, first, second, seeds=((None,), (None,))):
        return pl.concat([scores(method, first, seeds[0], split="a"), scores(method, second, seeds[1], split="b")])

    model, baseline = both("model", [1, 2], [3]), both("item_mean", [0, 0], [1])
    assert per_task(model, "mae", ["split"])["mae"].to_list() == [2, 2]
    np.testing.assert_array_equal(matrix(model, "mae", ["split"]), [[2, 2]])
    assert differences(model, baseline, "mae", over=["split"]).tolist() == [1.5, 2]
    # The second split is in one of them only: nothing to pair there.
    assert differences(model, baseline.filter(pl.col("split") == "a"), "mae", over=["split"]).tolist() == [1, 2]
    uneven = both("model", [[1, 1], [5, 5]], [[9, 9]], ((0, 1), (0,)))
    np.testing.assert_array_equal(matrix(uneven, "mae", ["split"]), [[6, 6]])
    full = both("model", [[1, 1], [5, 5]], [[9, 9], [3, 3]], ((0, 1), (1, 0)))
    np.testing.assert_array_equal(matrix(full, "mae", ["split"]), [[2, 2], [7, 7]])


@pytest.mark.parametrize("column", ["activity", "country", "old"])
def test_buckets_sum_to_the_whole(scores, column):
    rng = np.random.default_rng(0)
    frame = scores("model", rng.random((1, 50)), (0,))
    about = {"activity": rng.integers(5, 300, 50), "country": rng.choice(["se", "de"], 50), "old": rng.random(50) < 0.2}
    frame = frame.with_columns(pl.Series(column, about[column]))
    found = buckets(frame, column)
    assert sorted(task for tasks in found.values() for task in tasks) == sorted(frame["task"])
    means = [frame.filter(pl.col("task").is_in(tasks))["mae"].mean() * len(tasks) / 50 for tasks in found.values()]
    assert sum(means) == pytest.approx(frame["mae"].mean())
    if column == "activity":
        assert [len(tasks) for tasks in found.values()] == pytest.approx([17, 17, 17], abs=2)
        highest = [max(about[column][int(task[1:])] for task in tasks) for tasks in found.values()]
        assert highest == sorted(highest)
    else:
        assert list(found) == {"country": ["de", "se"], "old": ["false", "true"]}[column]


def test_buckets_of_what_differs_ties_or_is_unknown(scores):
    rows = [("a", 10), ("a", 30), ("b", 20), ("c", None), ("d", 99)]
    frame = pl.DataFrame(rows, schema=["task", "activity"], orient="row")
    assert buckets(frame, "activity") == {"20": ["a", "b"], "99": ["d"], "unknown": ["c"]}
    skewed = pl.DataFrame({"task": [f"t{i:02}" for i in range(20)], "popularity": [0.0] * 14 + [1, 2, 3, 4, 5, 6]})
    assert {name: len(tasks) for name, tasks in buckets(skewed, "popularity").items()} == {"0 … 0": 14, "1 … 6": 6}
