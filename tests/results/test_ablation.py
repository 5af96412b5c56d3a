"""Parts of a method in difference to the full one."""

import csv

import numpy as np
import pytest
from scipy import stats

from recmeta.results.__main__ import main
from recmeta.results.judging import Judging
from recmeta.results.runs import find
from recmeta.results.tables import tabulate
from recmeta.types import UserError

BASE = np.random.default_rng(0).normal(1, 0.3, 20)
NOISE = np.random.default_rng(1).normal(0, 0.1, (3, 20))


@pytest.fixture
def paths(make, config):
    """The full learner, and two without a part; and a baseline that has no place in an ablation."""
    values = {(True, 2): BASE + NOISE[0], (False, 2): BASE + 0.2 + NOISE[1], (True, 0): BASE + 0.01 + NOISE[2]}
    return [
        make(
            f"{context}{layers}",
            config("maml", learner_settings={"context": context, "layers": layers}),
            {"model": value, "item_mean": BASE - 1},
        )
        for (context, layers), value in values.items()
    ], values


def full_of(paths):
    return next(
        row.label for row in tabulate(find(paths)[0], Judging())[0].rows if "true" in row.label and "2" in row.label
    )


def test_differences_are_paired_and_corrected_over_the_parts(paths):
    paths, values = paths
    full = full_of(paths)
    (table,) = tabulate(find(paths)[0], Judging(ablation=full))
    ablation = table.ablation
    assert ablation is not None
    assert set(ablation.changed.values()) == {"learner.context=false", "learner.layers=0"}
    assert [one.family for one in ablation.judged] == [2, 2]
    raw = {}
    for one in ablation.judged:
        key = (False, 2) if ablation.changed[one.row] == "learner.context=false" else (True, 0)
        difference = values[key] - values[True, 2]
        assert one.comparison.difference == pytest.approx(difference.mean())
        assert one.comparison.p == pytest.approx(stats.ttest_1samp(difference, 0).pvalue)
        raw[one.row] = (one.comparison.p, one.p)
    (small, smaller), (large, larger) = sorted(raw.values())
    assert smaller == pytest.approx(min(1, 2 * small))
    assert larger == pytest.approx(max(smaller, large))


def test_the_table_and_the_file_have_it(paths, tmp_path, capsys):
    paths, _ = paths
    full = full_of(paths)
    assert main([*map(str, paths), "--ablation", full, "--out", str(tmp_path / "report")]) == 0
    assert f"without parts of {full}" in capsys.readouterr().out
    lines = list(csv.DictReader((tmp_path / "report" / "comparisons.csv").read_text().splitlines()))
    assert [line["reference"] for line in lines if line["reference"] != "item_mean"] == [full, full]


def test_the_users_mistakes(paths):
    paths, _ = paths
    with pytest.raises(UserError, match=r"--ablation item_mean: no such learner; there are learner\."):
        tabulate(find(paths)[0], Judging(ablation="item_mean"))
    with pytest.raises(UserError, match="the only learner"):
        tabulate(find(paths[:1])[0], Judging(ablation="learner=maml"))
