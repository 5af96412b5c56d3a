"""What a summary says, against independent computation."""

import json

import numpy as np
import polars as pl
import pytest

from recmeta.statistics import blocks, luck_of_difference, mean_interval, summarise, verdict
from recmeta.statistics.spread import spread

NAN = float("nan")


def test_summary_is_the_mean_and_valid_json(scores):
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
    own = frame.filter(pl.col("method") == "model", pl.col("shots") == 20, pl.col("scenario") == "user_cold")
    assert cell["ci95"] == list(mean_interval(own, "mae")[1:])
    assert (cell["tasks"], cell["seeds"]) == (6, 2)
    assert summary["user_cold"]["popularity"]["mae"] == {"mean": None, "ci95": [None, None], "tasks": 0, "seeds": 0}
    assert summary["user_cold"]["popularity"]["auc"]["mean"] == 0.5
    assert summary["warm"]["model"]["mae"] == {"mean": 1.0, "ci95": [None, None], "tasks": 1, "seeds": 1}
    json.dumps(summary, allow_nan=False)
    with pytest.raises(ValueError, match=r"no task scores at 3 shots; there are \[5, 20\]"):
        summarise(frame, 3)
    with pytest.raises(ValueError, match="have the same keys"):
        summarise(pl.concat([frame, frame]), 20)


def test_summary_does_not_depend_on_the_order_of_rows(scores):
    frame = scores("model", np.random.default_rng(9).random((3, 20)), seeds=(0, 1, 2))
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=0)
    assert summarise(frame, 20) == summarise(shuffled, 20)


@pytest.mark.parametrize(
    ("shift", "goal", "words"),
    [
        (-0.2, "min", ("below item_mean, the best baseline on meta-validation, by ", "MAE", ": better")),
        (-0.2, "max", ("below item_mean, ", "over tasks and 2 trainings", ": worse")),
        (0.2, "min", ("above item_mean, ", ": worse")),
        (0.2, "max", ("above item_mean, ", ": better")),
        (0.0, "min", ("not distinguishable from item_mean", "likely to show")),
    ],
)
def test_verdict(scores, shift, goal, words):
    rng = np.random.default_rng(10)
    base, other = rng.normal(1, 0.5, 40), rng.normal(9 if goal == "min" else -9, 0.1, 40)
    model = base + shift + rng.normal(0, 0.1, 40) + rng.normal(0, 0.02, (2, 40))
    frame = pl.concat([scores("model", model, seeds=(0, 1)), scores("random", other), scores("item_mean", base)])
    result = verdict(frame, "mae", goal, 20, "item_mean")["user_cold"]
    difference = model.mean(axis=0) - base
    assert (result["best_baseline"], result["chosen_on"], result["trainings"]) == ("item_mean", "meta-validation", 2)
    assert result["difference"] == pytest.approx(difference.mean())
    luck = luck_of_difference(
        blocks(frame.filter(method="model"), "mae"), blocks(frame.filter(method="item_mean"), "mae")
    )
    assert result["p"] == pytest.approx(spread(difference, luck).p(abs(difference.mean())))
    assert result["ci95"][0] < result["difference"] < result["ci95"][1]
    for word in words:
        assert word in result["text"]
    json.dumps(result, allow_nan=False)


def test_verdict_says_that_an_effect_is_little(scores):
    rng = np.random.default_rng(11)
    base = rng.normal(1, 0.5, 2000)
    frame = pl.concat([scores("model", [base - 0.01 + rng.normal(0, 0.1, 2000)], (0,)), scores("item_mean", base)])
    text = verdict(frame, "mae", "min", 20, "item_mean")["user_cold"]["text"]
    assert "better, but by little (dz = \N{MINUS SIGN}0.08" in text
    assert "of this training, p" in text


def test_verdict_without_model_or_baseline(scores):
    alone = scores("model", [[1, 2]], seeds=(0,))
    result = verdict(alone, "mae", "min", 20, None)["user_cold"]
    assert result["best_baseline"] is None
    assert "no baseline with MAE: no verdict is possible" in result["text"]
    assert verdict(scores("item_mean", [[1, 2]]), "mae", "min", 20, "item_mean") == {}
    undefined = pl.concat([alone, scores("popularity", [[NAN, NAN]])])
    assert verdict(undefined, "mae", "min", 20, None)["user_cold"]["difference"] is None
    holed = pl.concat([scores("model", [[1, NAN, 3]], (0,)), scores("item_mean", [[1, 2, 4]])])
    assert (
        "tasks with item_mean but not the model: 1"
        in verdict(holed, "mae", "min", 20, "item_mean")["user_cold"]["text"]
    )


def test_a_mean_is_over_tasks_however_many_seeds_each_has(scores):
    b = pl.concat([scores("b", [[0.5, 4.0]], (0,)), scores("b", [[0.5]], (1,)), scores("b", [[0.5]], (2,))])
    assert b["mae"].mean() < 2
    assert summarise(b, 20)["user_cold"]["b"]["mae"]["mean"] == pytest.approx(2.25)


def test_the_rival_is_the_one_that_was_chosen_though_another_is_better_here(scores):
    frame = pl.concat([scores("model", [[1.0, 1.5]], (0,)), scores("a", [[2.0, 2.0]]), scores("b", [[0.5, 0.5]])])
    assert verdict(frame, "mae", "min", 20, "a")["user_cold"]["best_baseline"] == "a"
