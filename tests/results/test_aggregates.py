"""What is no mean over tasks: taken from the runs' own summaries, a column more."""

import json

import pytest

from recmeta.results.judging import Judging
from recmeta.results.runs import find
from recmeta.results.tables import tabulate


@pytest.fixture
def runs(make, config):
    """Two runs of one learner, which say how much of the catalogue they and a baseline show."""

    def of(folder, seed, shown):
        scores = {"model": [0.8, 0.9, 0.7], "item_mean": [0.9, 1.0, 0.8]}
        directory = make(folder, config(seeds=[seed]), scores)
        summary = json.loads((directory / "summary.json").read_text())
        cell = {"ci95": [None, None], "tasks": 3, "seeds": 1}
        summary["metric"]["shots"] = 20
        summary["scores"] = {
            "user_cold": {
                "model": {"mae": cell | {"mean": 0.8}, "coverage@5": cell | {"mean": shown}},
                "item_mean": {"coverage@5": cell | {"mean": 0.1}},
            }
        }
        (directory / "summary.json").write_text(json.dumps(summary))
        return directory

    return find([of("a", 0, 0.4), of("b", 1, 0.6)])[0]


def test_a_column_holds_the_mean_over_runs(runs):
    (table,) = tabulate(runs, Judging())
    assert table.metrics == ["mae", "ndcg@5", "coverage@5"]
    cells = {row.label: row.cells["coverage@5"] for row in table.rows}
    assert cells["item_mean"].mean == pytest.approx(0.1)
    (learner,) = [row.label for row in table.rows if row.kind == "learner"]
    assert cells[learner].mean == pytest.approx(0.5)


def test_at_another_support_size_nothing_is_known(runs):
    (table,) = tabulate(runs, Judging(shots=5))
    assert table.metrics == ["mae", "ndcg@5"]
