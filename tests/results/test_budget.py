"""The ledger: who had how many settings, and what that does to a verdict."""

import json

import numpy as np
import pytest
import yaml

from recmeta.results.budget import NUMBER, without_numbers
from recmeta.results.judging import Judging
from recmeta.results.runs import find
from recmeta.results.tables import tabulate

BASE = np.random.default_rng(0).normal(1, 0.3, 20)
BIAS = {"tried": 4, "by": "mae", "shots": [5, 20], "damping": [1.0, 2.5], "gain": [0.3, 0.3]}
GRID = {"grid": {"damping": [1, 2.5], "gain": [0.1, 0.3, 1]}}


def table(*paths):
    runs, missing = find(paths)
    (made,) = tabulate(runs, Judging(), missing)
    return made, {one.method: one for one in made.budgets}


@pytest.fixture
def ridge(make, config):
    """``ridge(penalty, value, ...)``: a run of ridge with that penalty, ``value`` from the baseline's mean."""

    def write(penalty, by, validated=(), split=0, **more):
        scores = {"model": BASE + by, "item_mean": BASE, "user_item_bias": BASE - 0.1}
        settings = config(split=split, learner_settings={"penalty": penalty} | more.pop("learner_settings", {}))
        return make(f"p{penalty}s{split}{len(more)}", settings, scores, validated=validated, **more)

    return write


def test_settings_that_differ_in_numbers_only_are_one_method(ridge, tmp_path):
    made, found = table(
        ridge(0.1, 0, [[0.9], [0.8]]), ridge(1, 0, [[0.7]]), ridge(10, 0.1, [[0.75]]), ridge(10, 0, [[0.9]], split=1)
    )
    one = found["learner=ridge"]
    assert (one.tried, one.failed, one.by) == (3, 0, "mae on meta-validation")
    assert one.chosen == "learner.penalty=1"
    assert list(one.edges) == []
    # Five chunks of 4 tasks x 10 steps at 100 tasks per second.
    assert one.seconds == pytest.approx(5 * 4 * 10 / 100)
    # The table has the one that meta-validation chose, and says of how many; all with `every`.
    assert [row.label for row in made.rows if row.kind == "learner"] == [one.chosen]
    assert any("3 settings have results; the table has the one that is best by mae" in note for note in made.notes)
    runs, _ = find(list(tmp_path.glob("outputs/*")))
    (every,) = tabulate(runs, Judging(every=True))
    assert set(one.rows) == {row.label for row in every.rows if row.kind == "learner"}
    assert len(every.judged) == 3
    assert len(made.judged) == 1


def test_an_edge_is_said(ridge):
    _, found = table(ridge(0.1, 0, [[0.9]]), ridge(1, 0, [[0.7]]), ridge(10, 0.1, [[0.6]]))
    assert list(found["learner=ridge"].edges) == ["learner.penalty=10 is the highest"]


def test_nothing_is_chosen_where_nothing_in_common_was_validated(ridge):
    _, found = table(ridge(0.1, 0, [[0.9]]), ridge(1, 0, [[0.7]], split=1))
    assert (found["learner=ridge"].tried, found["learner=ridge"].chosen) == (2, "")
    assert list(found["learner=ridge"].edges) == []


def test_what_was_searched_counts_and_is_in_no_table(ridge):
    """Three settings on split 0, of which the best was run on split 1: of the others only the ledger knows."""
    searched = [ridge(penalty, 0, [[error]]) for penalty, error in ((0.1, 0.9), (1, 0.7), (10, 0.8))]
    final = ridge(1, 0, [[0.75]], split=1)
    (made,) = tabulate(find([final])[0], Judging(), (), find(searched)[0])
    (one,) = [one for one in made.budgets if one.kind == "learner"]
    assert (one.tried, one.by, one.chosen) == (3, "mae on meta-validation", "learner=ridge")
    assert list(one.edges) == []
    assert one.seconds == pytest.approx(4 * 4 * 10 / 100)
    assert [row.label for row in made.rows if row.kind == "learner"] == ["learner=ridge"]
    (worse,) = tabulate(find([ridge(10, 0, [[0.75]], split=1)])[0], Judging(), (), find(searched)[0])
    assert worse.budgets[0].chosen.startswith("a setting that is in no table")


def test_another_structure_is_another_method(ridge):
    _, found = table(ridge(0.1, 0), ridge(1, 0, learner_settings={"adapts": "head"}))
    learners = [one for one in found.values() if one.kind == "learner"]
    assert [one.tried for one in learners] == [1, 1]


def test_a_number_where_another_method_has_none_is_said_to_be_one(ridge):
    _, found = table(
        ridge(0.1, 0), ridge(1, 0, learner_settings={"rows": 100}), ridge(2, 0, learner_settings={"rows": 3})
    )
    tried = {one.method: one.tried for one in found.values() if one.kind == "learner"}
    assert tried == {"learner.rows=absent": 1, "learner.rows=number": 2}


def test_a_failed_setting_counts_once(ridge, config, tmp_path):
    paths = [ridge(0.1, 0), ridge(1, 0)]
    for folder, split in (("a", 0), ("b", 1)):
        directory = tmp_path / "outputs" / folder
        directory.mkdir()
        settings = config(split=split, learner_settings={"penalty": 100})
        (directory / "config.yaml").write_text(yaml.safe_dump(settings))
        (directory / "failure.json").write_text(json.dumps({"error": "diverged"}))
        paths.append(directory)
    _, found = table(*paths)
    assert (found["learner=ridge"].tried, found["learner=ridge"].failed) == (3, 1)


def test_what_a_search_gave_up_counts_with_its_seconds(ridge, config, tmp_path):
    paths = [ridge(0.1, 0, [[0.9]]), ridge(1, 0, [[0.8]])]
    directory = tmp_path / "outputs" / "given_up"
    directory.mkdir()
    (directory / "config.yaml").write_text(yaml.safe_dump(config(learner_settings={"penalty": 100})))
    (directory / "failure.json").write_text(json.dumps({"error": "given up at step 10", "type": "Pruned"}))
    _, before = table(*paths)
    (directory / "metrics.jsonl").write_text('{"step": 10, "split": "train", "tasks_per_s": [20.0]}\n')
    _, found = table(*paths, directory)
    one, other = found["learner=ridge"], before["learner=ridge"]
    assert (one.tried, one.failed, one.pruned) == (3, 0, 1)
    assert one.seconds == pytest.approx(other.seconds + 4 * 10 / 20)


def test_baselines_say_what_their_summary_does(ridge):
    _, found = table(ridge(1, 0, baselines={"user_item_bias": BIAS | GRID}))
    one = found["user_item_bias"]
    assert (one.tried, one.by, one.chosen) == (4, "mae on meta-validation", "damping 2.5, gain 0.3")
    assert list(one.edges) == ["damping=2.5 is the highest"]
    assert (found["item_mean"].tried, found["item_mean"].by) == (1, "")


def test_baselines_that_choose_otherwise_on_other_splits(ridge):
    other = BIAS | GRID | {"damping": [1.0, 1.0]}
    _, found = table(
        ridge(1, 0, baselines={"user_item_bias": BIAS | GRID}),
        ridge(1, 0, baselines={"user_item_bias": other}, split=1),
    )
    assert found["user_item_bias"].chosen == "2 over 2 splits"
    assert list(found["user_item_bias"].edges) == [
        "damping=2.5 is the highest in 1 of 2 splits",
        "damping=1 is the lowest in 1 of 2 splits",
    ]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_baselines_that_another_run_of_the_split_tried(ridge, order):
    """A learner's run without baselines beside a run of the baselines alone."""
    tuned = {"user_item_bias": BIAS | GRID | {"seconds": 2.5}}
    _, found = table(*(ridge(place, 0, baselines=one) for place, one in enumerate([tuned, {}][order])))
    assert (found["user_item_bias"].tried, found["user_item_bias"].seconds) == (4, 2.5)


def test_a_verdict_on_unequal_budgets_is_marked(ridge):
    made, _ = table(ridge(1, 0.2, baselines={"user_item_bias": BIAS}))
    verdict, said = made.verdicts
    assert verdict.endswith(" †")
    assert said == "† unequal budgets: settings tried for user_item_bias: 4; for learner=ridge: 1"


def test_a_verdict_on_equal_budgets_is_not(ridge):
    made, _ = table(*(ridge(penalty, 0.2, baselines={"user_item_bias": BIAS}) for penalty in (1, 2, 3, 4)))
    assert len(made.verdicts) == 4
    assert "†" not in "".join(made.verdicts)


def test_an_unrecorded_budget_is_unknown(ridge, tmp_path):
    directory = ridge(1, 0.2)
    summary = json.loads((directory / "summary.json").read_text())
    del summary["baselines"]
    (directory / "summary.json").write_text(json.dumps(summary))
    made, found = table(directory)
    assert found["user_item_bias"].tried is None
    assert "settings tried for user_item_bias: unknown; for learner=ridge: 1" in made.verdicts[1]


def test_numbers_in_lists_and_switches():
    assert without_numbers({"a": [1, 2], "b": ["x", 1], "c": True, "_target_": "m"}) == {
        "a": NUMBER,
        "b": ["x", NUMBER],
        "c": True,
        "_target_": "m",
    }
