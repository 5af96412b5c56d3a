"""Regret against the best baseline, over tables that are judged by different metrics."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

from recmeta.results.__main__ import main
from recmeta.results.judging import Judging
from recmeta.results.regret import mean_regret, regrets, summary_lines
from recmeta.results.runs import find
from recmeta.statistics import holm
from recmeta.types import UserError

RNG = np.random.default_rng(0)
BASE = RNG.normal(1, 0.3, 20)
NEAR, FAR = BASE + RNG.normal(-0.2, 0.1, 20), BASE + RNG.normal(0.05, 0.1, 20)


def gain(_, value):
    """Of "ndcg@5": the higher, the lower the error."""
    return 10 - value


@pytest.fixture
def suite(make, config, tmp_path):
    """Two data sets; the baselines are runs of their own; the second is judged by "ndcg@5"."""

    def named(directory, table, **more):
        typed = [f"suite={table}", "learner=ridge"]
        (directory / "overrides.yaml").write_text(json.dumps(typed))
        summary = json.loads((directory / "summary.json").read_text())
        (directory / "summary.json").write_text(json.dumps(summary | more))

    other = {"dataset": {"_target_": "recmeta.datasets.other"}}
    panel = {"item_mean": BASE, "random": BASE + 2}
    named(make("first", config(), {"model": NEAR}, chosen={"shots": [5, 20], "baselines": {}}), "first",
          attainable={"mae@20": 0.5})  # fmt: skip
    named(make("first_panel", config(None), panel), "first")
    ranked = {"data": "data1", "metric": "ndcg@5", "goal": "max", "extra": gain}
    nothing = {"shots": [5, 20], "baselines": {}}
    named(make("second", config(**other), {"model": FAR}, chosen=nothing, **ranked), "second")
    named(make("second_panel", config(None, **other), panel, **ranked), "second")
    return tmp_path / "outputs"


def test_regret_is_a_share_of_the_best_baseline_whichever_way_is_better(suite):
    made = regrets(find([suite])[0], Judging())
    found = {(one.table, one.shots): one for one in made.found}
    assert set(found) == {("first", 5), ("first", 20), ("second", 5), ("second", 20)}
    first, second = found["first", 20], found["second", 20]
    assert (first.row, first.rival, first.metric) == ("learner=ridge", "item_mean", "mae")
    assert first.regret == pytest.approx((NEAR.mean() - BASE.mean()) / BASE.mean())
    assert found["first", 5].regret == pytest.approx((NEAR.mean() - BASE.mean()) / (BASE.mean() + 0.5))
    assert second.metric == "ndcg@5"
    assert second.regret == pytest.approx((FAR.mean() - BASE.mean()) / (10 - BASE.mean()))
    assert (first.optimum, first.tasks) == (0.5, 20)
    assert np.isnan(second.optimum)


def test_p_is_corrected_over_all_tables_and_support_sizes_of_a_learner(suite):
    found = regrets(find([suite])[0], Judging()).found
    raw = [stats.ttest_rel(NEAR, BASE).pvalue] * 2 + [stats.ttest_rel(FAR, BASE).pvalue] * 2
    assert [one.p for one in found] == pytest.approx(holm(raw).tolist())
    assert [one.family for one in found] == [4] * 4
    assert [one.verdict for one in found] == ["better"] * 2 + ["≈" if holm(raw)[-1] >= 0.05 else "worse"] * 2
    only = regrets(find([suite])[0], Judging(shots=20, correction="none")).found
    assert [one.p for one in only] == pytest.approx(raw[1:3])


def test_the_mean_over_the_suite_and_what_is_missing(suite, make, config):
    made = regrets(find([suite])[0], Judging())
    shares = [one.regret for one in made.found]
    assert mean_regret(made.found) == pytest.approx(np.mean(shares))
    (line,) = summary_lines(made.found)
    assert line.startswith(f"learner=ridge: mean regret {100 * np.mean(shares):+.1f} %".replace("-", "\N{MINUS SIGN}"))
    assert "better 2" in line
    assert not made.notes
    third = make("third", config(dataset={"_target_": "x.third"}), {"model": NEAR}, data="data2")
    (third / "overrides.yaml").write_text("[suite=third]")
    assert regrets(find([suite])[0], Judging()).notes == ["note: no learner, or no baseline: third"]


def test_two_settings_of_a_learner_are_two_learners_in_every_table(suite, make, config):
    """Whichever meta-validation chose in a table, and whether both were run on it."""

    def rate(value, **more):
        one = config(**more)
        return one | {"learner": {**one["learner"], "rate": value}}

    nothing, other = {"shots": [5, 20], "baselines": {}}, {"dataset": {"_target_": "recmeta.datasets.other"}}
    ranked = {"data": "data1", "metric": "ndcg@5", "goal": "max", "extra": gain}
    for name, settings, more in [
        ("first_a", rate(1.0), {}), ("first_b", rate(2.0), {}), ("second_a", rate(1.0, **other), ranked)
    ]:  # fmt: skip
        path = make(name, settings, {"model": NEAR}, chosen=nothing, **more)
        (path / "overrides.yaml").write_text(json.dumps([f"suite={name.partition('_')[0]}"]))
    made = regrets(find([suite])[0], Judging())
    tables = {row: {one.table for one in made.found if one.row == row} for row in {one.row for one in made.found}}
    both = {"first", "second"}
    assert sorted(map(sorted, tables.values())) == sorted(map(sorted, [both, both, {"first"}]))
    (alone,) = (row for row, found in tables.items() if found == {"first"})
    assert "2" in alone
    assert made.notes == [f"note: {alone} was not run on second: its mean regret is without"]


@pytest.mark.parametrize("option", [["--by", "shots"], ["--against", "item_mean"], ["--ablation", "x"]])
def test_options_without_a_part_in_it_are_refused(suite, capsys, option):
    assert main([str(suite), "--regret", *option]) == 2
    assert f"{option[0]}: of no use with --regret" in capsys.readouterr().err


def test_a_learner_without_baselines_has_no_regret(make, config):
    path = make("alone", config(), {"model": NEAR}, chosen={"shots": [5, 20], "baselines": {}})
    with pytest.raises(UserError, match="run the same with learner=none"):
        regrets(find([path])[0], Judging())


def test_the_command_prints_it_and_writes_csv(suite, capsys, tmp_path):
    assert main([str(suite), "--regret", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "learner=ridge: mean regret" in said
    with (tmp_path / "out" / "regret.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 4
    found = {(line["table"], line["shots"]): line for line in lines}
    assert float(found["first", "20"]["regret"]) == pytest.approx((NEAR.mean() - BASE.mean()) / BASE.mean())
    assert found["first", "20"]["verdict"] == "better"
    assert found["second", "20"]["optimum"] == ""
