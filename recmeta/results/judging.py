"""How methods are judged: by which metric, by which test, against whom."""

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
"""What repeats a task besides the seeds."""


class Judging(NamedTuple):
    """How tables are made.

    Attributes:
        metric: to sort by and to test, "mae", or with its goal, "regret:min"; None for the runs' own.
        shots: the support size; None for the protocol's headline.
        test: a key of `recmeta.statistics.TESTS`.
        correction: a key of `recmeta.statistics.CORRECTIONS`.
        by: "shots", or a column that says something about tasks, to judge by buckets of; None for none.
        foreign: files of other systems' scores.
        against: the label of the row to compare with; None for the best baseline.
        ablation: the label of the learner that all others are to be seen in difference to; None for no such table.
    """

    metric: str | None = None
    shots: int | None = None
    test: str = "t"
    correction: str = "holm"
    by: str | None = None
    foreign: Sequence[Path] = ()
    against: str | None = None
    ablation: str | None = None


class Judged(NamedTuple):
    """A method against another, the best baseline unless said, in a family of such comparisons.

    Attributes:
        row, reference: their labels.
        bucket: of the tasks that are compared; "" for all.
        comparison: row minus reference.
        p: corrected.
        family: how many comparisons it was corrected for.
        text: all that in words.
    """

    row: str
    reference: str
    bucket: str
    comparison: Comparison
    p: float
    family: int
    text: str


def chosen(runs: Sequence[Finished], how: Judging) -> tuple[Judging, str]:
    """The settings with the metric's plain name, and its goal: as typed, or as the runs say.

    Raises:
        UserError: no such metric, several, or one whose goal nobody says.
    """
    own = list(dict.fromkeys(run.metric for run in runs if run.metric))
    if how.metric is None and len(own) != 1:
        raise UserError(f"the runs are judged by {', '.join(own) or 'no metric'}: say which with --metric")
    metric, _, goal = (how.metric or own[0]).partition(":")
    there = dict.fromkeys(name for run in runs for name in metric_names(run.scores))
    if metric not in there:
        raise UserError(f"--metric {metric}: the runs have {', '.join(there)}")
    goal = goal or next((run.goals[metric] for run in runs if metric in run.goals), "")
    if goal not in ("min", "max"):
        raise UserError(f"--metric {how.metric}: say whether low or high is good: {metric}:min or {metric}:max")
    return how._replace(metric=metric), goal


def compared(
    pairs: Mapping[tuple[str, str], tuple[pl.DataFrame, pl.DataFrame]], reference: str, how: Judging, goal: str
) -> list[Judged]:
    """A family of comparisons with one reference, paired per task within equal splits.

    Args:
        pairs: (row, bucket) -> the row's scores and the reference's.
        reference: its label.
        how, goal: the metric, the test and the correction, which is over the comparisons that can be tested.
    """
    metric, correction = str(how.metric), CORRECTIONS[how.correction]
    made = {key: paired(differences(*pair, metric, REPEATED), how.test) for key, pair in pairs.items()}
    tested = [key for key, comparison in made.items() if comparison.n > 1]
    corrected = dict(zip(tested, correction.correct([made[key].p for key in tested]).tolist(), strict=True))
    family = len(tested) if how.correction != "none" else 1
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
        UserError: where the one that was named is not there.
    """
    if how.against is not None and how.against not in rows:
        raise UserError(f"--against {how.against}: no such row; there are {', '.join(rows)}")
    return how.against or best_of({row: means[row] for row in baselines}, goal)


def marked(parts: Mapping[str, pl.DataFrame], means: Mapping[str, float], how: Judging, goal: str) -> dict[str, str]:
    """Which row is the best, and which are not distinguishable from it."""
    best = best_of(means, goal)
    if best is None:
        return {}
    others = [row for row in parts if row != best and not isnan(means[row])]
    judged = compared({(row, ""): (parts[row], parts[best]) for row in others}, best, how, goal)
    return {best: "best"} | {one.row: "≈" for one in judged if one.comparison.n > 1 and one.p >= LEVEL}
