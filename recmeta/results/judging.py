"""Compare methods: by which metric and test, and against which row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from recmeta.results.labels import row_named
from recmeta.results.runs import Finished
from recmeta.statistics import (
    CORRECTIONS,
    LEVEL,
    Comparison,
    all_pairs,
    best_of,
    blocks,
    differences,
    luck_of_difference,
    metric_names,
    paired,
    per_task,
    wording,
)
from recmeta.types import UserError

REPEATED = ("split",)
"""Columns that repeat a task besides the seeds."""


class Judging(NamedTuple):
    """Settings of a report: metric, test, correction, reference.

    Attributes:
        metric: to sort by and to test, "mae", or with its goal, "regret:min"; None for the runs' own.
        shots: the support size; None for the protocol's headline.
        test: a key of `recmeta.statistics.TESTS`.
        correction: a key of `recmeta.statistics.CORRECTIONS`.
        by: "shots", or a column that describes tasks, to compare within buckets of; None for none.
        foreign: files of other systems' scores.
        against: the label of the row to compare with; None for the best baseline.
        ablation: the label of the learner whose difference to all others is tabulated; None for no such table.
        every: list all settings of a method, and not only the one that meta-validation chose.
    """

    metric: str | None = None
    shots: int | None = None
    test: str = "t"
    correction: str = "holm"
    by: str | None = None
    foreign: Sequence[Path] = ()
    against: str | None = None
    ablation: str | None = None
    every: bool = False


class Judged(NamedTuple):
    """A method compared with a reference, the best baseline by default, within a family of comparisons.

    Attributes:
        row, reference: their labels.
        bucket: the tasks that are compare; "" for all.
        comparison: row minus reference.
        p: corrected p-value.
        family: number of comparisons it was corrected for.
        text: the comparison in words.
    """

    row: str
    reference: str
    bucket: str
    comparison: Comparison
    p: float
    family: int
    text: str


def resolve_metric(runs: Sequence[Finished], how: Judging) -> tuple[Judging, str]:
    """Resolve the metric's plain name and its goal, as typed or as the runs record them.

    Raises:
        UserError: the metric does not exist, is ambiguous, or its goal is not recorded.
    """
    own = list(dict.fromkeys(run.metric for run in runs if run.metric))
    if how.metric is None and len(own) != 1:
        raise UserError(f"the runs are judged by {', '.join(own) or 'no metric'}: choose one with --metric")
    metric, _, goal = (how.metric or own[0]).partition(":")
    there = dict.fromkeys(name for run in runs for name in metric_names(run.scores))
    if metric not in there:
        raise UserError(f"--metric {metric}: the runs have {', '.join(there)}")
    goal = goal or next((run.goals[metric] for run in runs if metric in run.goals), "")
    if goal not in ("min", "max"):
        raise UserError(f"--metric {how.metric}: give its goal: {metric}:min or {metric}:max")
    return how._replace(metric=metric), goal


def compare(
    pairs: Mapping[tuple[str, str], tuple[pl.DataFrame, pl.DataFrame]], reference: str, how: Judging, goal: str
) -> list[Judged]:
    """Compare rows with one reference, paired per task within equal splits, as one family of tests.

    Args:
        pairs: (row, bucket) -> the row's scores and the reference's.
        reference: its label.
        how: the metric, the test and the correction, which is over the comparisons that can be tested.
        goal: "min" or "max".
    """
    metric, correction = str(how.metric), CORRECTIONS[how.correction]
    made = {key: _compared(*pair, metric, how.test) for key, pair in pairs.items()}
    testable = [key for key, comparison in made.items() if comparison.n > 1]
    corrected = dict(zip(testable, correction.correct([made[key].p for key in testable]).tolist(), strict=True))
    family = len(testable) if how.correction != "none" else 1
    return [
        Judged(
            row,
            reference,
            bucket,
            comparison,
            p := corrected.get((row, bucket), 1.0),
            family,
            wording(comparison, reference, metric, goal, p, family, correction.name),
        )
        for (row, bucket), comparison in made.items()
    ]


def _compared(frame: pl.DataFrame, reference: pl.DataFrame, metric: str, test: str) -> Comparison:
    """Compare two rows by the tasks that both have, and by the trainings where there are several."""
    luck = luck_of_difference(*(blocks(side, metric, REPEATED) for side in (frame, reference)))
    return paired(differences(frame, reference, metric, REPEATED), test, luck)


class Rival(NamedTuple):
    """The row that all others are compared with, and how it was chosen, in words."""

    row: str
    chosen: str


def rival_of(
    runs: Sequence[Finished],
    means: Mapping[str, float],
    baselines: Sequence[str],
    how: Judging,
    goal: str,
    shots: int,
) -> Rival | None:
    """The row that all others are compared with: the best baseline on meta-validation, or the one that is named.

    Chosen on the test tasks, it would be the luckiest there, and equal methods "worse" too often.

    Args:
        runs: whose summaries hold what every baseline reached on meta-validation.
        means: row -> its mean on the test tasks: without a value it is no rival.
        baselines: rows.
        how: the metric, and the row that is named.
        goal: "min" or "max".
        shots: the table's support size.

    Returns:
        None where there is no baseline and none was named.

    Raises:
        UserError: no row has the name that was given.
    """
    if how.against is not None:
        if (named := row_named(how.against, means)) not in means:
            raise UserError(f"--against {how.against}: no such row; there are {', '.join(means)}")
        return Rival(named, "named by --against")
    there = [row for row in baselines if not isnan(means[row])]
    values = {row: _validated(runs, row, str(how.metric), shots) for row in there}
    if best := best_of(values, goal):
        return Rival(best, f"the best baseline by {how.metric} on meta-validation")
    # Runs of an earlier version, which kept no such values.
    best = best_of({row: means[row] for row in there}, goal)
    why = (
        f"the best baseline by {how.metric} on the TEST tasks, for these runs do not say which is best on "
        "meta-validation: equal methods are then too often worse"
    )
    return Rival(best, why) if best else None


def _validated(runs: Sequence[Finished], baseline: str, metric: str, shots: int) -> float:
    """A baseline's mean over splits of its value on meta-validation; NaN where a split has none."""
    once: dict[str, float] = {}
    for run in runs:
        found = run.summary.get("validated", {})
        if baseline in run.scores["method"] and run.hashes["protocol"] not in once:
            values = found.get("baselines", {}).get(baseline, {}).get(metric)
            value = values[found["shots"].index(shots)] if values and shots in found["shots"] else None
            once[run.hashes["protocol"]] = nan if value is None else value
    return sum(once.values()) / len(once) if once else nan


def _common(parts: Sequence[pl.DataFrame], metric: str) -> Float[np.ndarray, "M N"]:
    """The values of several rows for the tasks that all have."""
    values = [dict(per_task(part, metric, REPEATED).iter_rows()) for part in parts]
    tasks = sorted(set.intersection(*map(set, values)))
    return np.array([[own[task] for task in tasks] for own in values]).reshape(len(parts), len(tasks))


def seeming(judged: Sequence[Judged], marks: Mapping[str, str]) -> list[str]:
    """Explain a verdict of "better" or "worse" on two rows neither of which is marked as distinguishable from the best.

    Args:
        judged: the verdicts of a table.
        marks: row -> its mark.
    """
    same = [one.row for one in judged if one.p < LEVEL and marks.get(one.row) and marks.get(one.reference)]
    if not same:
        return []
    return [
        f"{', '.join(same)}: ≈, and yet the verdict names a difference: ≈ is corrected for all pairs of rows, for the "
        "best is picked after the fact; a verdict is on a pair named before the test tasks were seen, and is corrected "
        "for the learners alone"
    ]


def mark_best(parts: Mapping[str, pl.DataFrame], means: Mapping[str, float], how: Judging, goal: str) -> dict[str, str]:
    """Mark the best row, and the rows that are not distinguishable from it.

    The best row is picked out of all rows, so that its comparisons are corrected for all pairs (`all_pairs`): where all
    methods are equal, the chance that any row lacks its mark is 5 %.
    """
    best, metric = best_of(means, goal), str(how.metric)
    if best is None:
        return {}
    rows = [row for row in parts if not isnan(means[row])]
    others = {row: _compared(parts[row], parts[best], metric, how.test) for row in rows if row != best}
    others = {row: comparison for row, comparison in others.items() if comparison.n > 1}
    if not others:
        return {best: "best"}
    p = all_pairs([comparison.p for comparison in others.values()], _common([parts[row] for row in rows], metric))
    return {best: "best"} | {row: "≈" for row, chance in zip(others, p, strict=True) if chance >= LEVEL}
