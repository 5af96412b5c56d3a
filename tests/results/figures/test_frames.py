"""The numbers behind figures."""

import numpy as np
import pytest

from recmeta.results.figures import frames
from recmeta.results.judging import Judging
from recmeta.results.runs import find
from recmeta.results.tables import tabulate

BASE = np.random.default_rng(0).normal(1, 0.3, 20)


@pytest.fixture
def table(make, config):
    """Two penalties of ridge, over two splits, and maml."""
    paths = []
    for penalty, by, value in ((0.1, 0.0, 0.7), (1, -0.1, 0.8)):
        for split in (0, 1):
            settings = config(split=split, seeds=(0, 1), learner_settings={"penalty": penalty, "name": "ab"})
            scores = {"model": np.stack([BASE + by, BASE + by + 0.02]), "item_mean": BASE + split}
            validated = [(value + 0.1, value + 0.2), (value, value + 0.1 * split)]
            paths.append(make(f"r{penalty}{split}", settings, scores, validated=validated))
    paths.append(make("m", config("maml"), {"model": BASE + 0.5, "item_mean": BASE}, validated=[(0.9,), (0.95,)]))
    return tabulate(find(paths)[0], Judging(every=True))[0]


def test_of_each_method_the_chosen_setting_is_shown(table):
    """Meta-validation prefers the penalty of 0.1, the test tasks that of 1."""
    assert table.rows[0].label == "learner=ridge learner.penalty=1"
    assert [row.label for row in frames.best_rows(table)] == [
        "learner=ridge learner.penalty=0.1",
        "item_mean",
        "learner=maml",
    ]
    assert [row.label for row in frames.best_rows(table, "learner")] == [
        "learner=ridge learner.penalty=0.1",
        "learner=maml",
    ]


def test_by_shots_is_what_the_table_says(table):
    found = frames.by_shots(table)
    assert found.columns == ["row", "shots", "mean", "lo", "hi"]
    cells = {row.label: row.cells["mae"] for row in table.rows}
    for row, shots, mean, lo, hi in found.iter_rows():
        if shots == 20:
            assert (mean, lo, hi) == cells[row]
        else:
            assert mean == pytest.approx(cells[row].mean + 0.5)


def test_by_outer_step_is_mean_and_range_over_seeds_and_splits(table):
    found = frames.by_outer_step(table).rows_by_key("row", named=True)
    last = found["learner=ridge learner.penalty=0.1"][-1]
    assert (last["step"], last["lo"], last["hi"]) == (20, 0.7, pytest.approx(0.8))
    assert last["mean"] == pytest.approx((0.7 + 0.7 + 0.7 + 0.8) / 4)


def test_by_setting_has_the_numbers_that_differ_and_their_validation(table):
    (budget,) = (one for one in table.budgets if len(one.rows) > 1)
    found = frames.by_setting(table, budget)
    assert found.columns == ["row", "value", "learner.penalty"]
    assert dict(zip(found["learner.penalty"], found["value"], strict=True)) == pytest.approx(
        {0.1: (0.7 * 3 + 0.8) / 4, 1.0: (0.8 * 3 + 0.9) / 4}
    )
    assert frames.judged_on(table, budget) == "meta-validation"


def test_by_cost_is_of_learners_alone(table, monkeypatch):
    monkeypatch.setattr(frames, "MOST", 2)
    assert frames.by_cost(table)["row"].len() == 2  # however many baselines are better


def test_by_cost_is_the_mean_of_a_run(table):
    found = frames.by_cost(table)
    # Two chunks of 4 tasks x 10 steps at 100 tasks per second, in every run; the baseline's were not recorded.
    assert dict(zip(found["row"], found["seconds"], strict=True)) == pytest.approx(
        {"learner=ridge learner.penalty=0.1": 0.8, "learner=maml": 0.8}
    )
