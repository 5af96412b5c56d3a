"""Compare methods: by which metric and test, and against which row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recmeta.results.runs import Finished
from recmeta.statistics import (
    CORRECTIONS,
    LEVEL,
    Comparison,
    best_of,
    differences,
    metric_names,
    paired,
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
    made = {key: paired(differences(*pair, metric, REPEATED), how.test) for key, pair in pairs.items()}
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


def rival_of(rows: Sequence[str], means: Mapping[str, float], baselines: Sequence[str], how: Judging, goal: str):
    """The row that all others are compared with; None where there is no baseline and none was named.

    Raises:
        UserError: no row has the name that was given.
    """
    if how.against is not None and how.against not in rows:
        raise UserError(f"--against {how.against}: no such row; there are {', '.join(rows)}")
    return how.against or best_of({row: means[row] for row in baselines}, goal)


def mark_best(parts: Mapping[str, pl.DataFrame], means: Mapping[str, float], how: Judging, goal: str) -> dict[str, str]:
    """Mark the best row, and the rows that are not distinguishable from it."""
    best = best_of(means, goal)
    if best is None:
        return {}
    others = [row for row in parts if row != best and not isnan(means[row])]
    judged = compare({(row, ""): (parts[row], parts[best]) for row in others}, best, how, goal)
    return {best: "best"} | {one.row: "≈" for one in judged if one.comparison.n > 1 and one.p >= LEVEL}
