"""What runs say of all test tasks at once, which no task's scores hold: a column more of a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from recmeta.results.runs import Finished
from recmeta.statistics import metric_names


def aggregates(learners: Mapping[str, Sequence[Finished]], scenario: str, shots: int) -> dict[str, dict[str, float]]:
    """The mean over runs of each metric that is no mean over tasks.

    Args:
        learners: label -> the runs of a learner, each of which carries baselines too.
        scenario: of the test tasks.
        shots: the support size; runs with another headline say nothing of it.

    Returns:
        Row -> name -> mean over runs. Runs of several splits are of different tasks.
    """
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for label, runs in learners.items():
        for run in runs:
            if run.summary.get("metric", {}).get("shots") != shots:
                continue
            of_tasks = set(metric_names(run.scores))
            for method, scores in run.summary.get("scores", {}).get(scenario, {}).items():
                for name, score in scores.items():
                    if name not in of_tasks and score.get("mean") is not None:
                        found[label if method == "model" else method, name].append(score["mean"])
    rows: dict[str, dict[str, float]] = {}
    for (row, name), values in found.items():
        rows.setdefault(row, {})[name] = float(np.mean(values))
    return rows
