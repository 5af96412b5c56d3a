"""Table columns for metrics over all test tasks at once, such as coverage: no mean of task scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from recmeta.results.runs import Finished
from recmeta.statistics import metric_names


def aggregates(learners: Mapping[str, Sequence[Finished]], scenario: str, shots: int) -> dict[str, dict[str, float]]:
    """Average over runs each metric that is no mean over tasks.

    Args:
        learners: label -> the runs of a learner, each of which holds the baselines' scores too.
        scenario: of the test tasks.
        shots: the support size; runs with another headline size are skipped.

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
