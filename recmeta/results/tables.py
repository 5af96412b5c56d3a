"""Runs to tables: who is comparable with whom, means and intervals, who is best, and the verdict on every learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from recmeta.metrics import metric as parse_metric
from recmeta.results.labels import choice, identity, labels, tell_apart
from recmeta.results.runs import Finished
from recmeta.statistics import LEVEL, Comparison, best_of, bootstrap, differences, holm, matrix, metric_names, paired, wording
from recmeta.types import UserError

SAME = 1e-6
"""Scores of one method on one task that differ by no more than this agree."""


class Cell(NamedTuple):
    """A mean and its 95 % interval; NaN where there is none."""

    mean: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Row:
    """A method in a table.

    Attributes:
        label: what tells a learner from the others, or a baseline's name.
        learner: whether it is a learner.
        cells: metric -> mean and interval.
        tasks, seeds, splits: how many different ones; no seeds for methods without one.
        mark: "best", "≈" (not distinguishable from the best) or nothing.
        curve: support size -> mean of the table's metric.
    """

    label: str
    learner: bool
    cells: Mapping[str, Cell]
    tasks: int
    seeds: int
    splits: int
    mark: str
    curve: Mapping[int, float]


@dataclass(frozen=True)
class Table:
    """Methods that were tested on the same tasks.

    Attributes:
        heading: data set, protocol, scenario, support size, and what tells the table from the others.
        metric: the metric that it is sorted by and that the tests are of.
        goal: of that metric, "min" or "max".
        metrics: all metrics, that one first.
        rows: best first; without a value last.
        verdicts: a line per learner.
        notes: what a reader must know.
    """

    heading: str
    metric: str
    goal: str
    metrics: Sequence[str]
    rows: Sequence[Row]
    verdicts: Sequence[str]
    notes: Sequence[str]


def tabulate(runs: Sequence[Finished], metric: str | None = None, shots: int | None = None) -> list[Table]:
    """Make one table per scenario of each data set and protocol.

    Args:
        runs: complete runs, in any mixture.
        metric: to sort by and to test; None for the runs' own.
        shots: the support size; None for the protocol's headline.

    Returns:
        The tables. Runs whose data or protocol differ in more than the split's seed are in different tables.

    Raises:
        UserError: the metric or the support size is not in the runs, or the runs' own metrics differ.
    """
    own = list(dict.fromkeys(run.metric for run in runs if run.metric))
    if metric is None and len(own) != 1:
        raise UserError(f"the runs are judged by {', '.join(own) or 'no metric'}: say which with --metric")
    metric = metric or own[0]
    comparable: list[list[Finished]] = []
    for run in runs:
        for others in comparable:
            if _world(others[0]) == _world(run):
                others.append(run)
                break
        else:
            comparable.append([run])
    settings = [{key: identity(some[0].config).get(key) for key in ("dataset", "protocol")} for some in comparable]
    made = []
    for some, differing in zip(comparable, tell_apart(settings), strict=True):
        made += _tables(some, _heading(some[0], differing), metric, shots)
    return made


def _world(run: Finished) -> tuple[str, Any]:
    """What must be equal for runs to be compared: the data, and the protocol up to the split's seed."""
    return run.hashes["data"], identity(run.config).get("protocol")


def _heading(run: Finished, differing: Mapping[str, str]) -> str:
    named = {key: choice(run.config.get(key)) for key in ("dataset", "protocol")}
    parts = [f"{key}={value}" for key, value in (named | dict(differing)).items()]
    return " ".join([*parts, f"(data {run.hashes['data'][:8]})"])


def _tables(runs: Sequence[Finished], heading: str, metric: str, shots: int | None) -> list[Table]:
    """The tables of comparable runs, one per scenario."""
    methods: list[dict[str, Any]] = []
    for run in runs:
        if "model" in run.scores["method"] and (method := identity(run.config)) not in methods:
            methods.append(method)
    names, also = labels(methods) if methods else ([], [])
    pooled, notes = _pool([(run, dict(zip(map(str, methods), names, strict=True)).get(str(identity(run.config)), "")) for run in runs])
    if also:
        notes.append(f"these settings differ between the rows too: {', '.join(also)}")
    notes += _split_notes(runs)
    if metric not in metric_names(pooled):
        raise UserError(f"--metric {metric}: {heading} has {', '.join(metric_names(pooled))}")
    goal, shots = parse_metric(metric).goal, _shots(runs, pooled, heading, shots)
    return [
        _table(scores, f"{heading}: {scenario}, K = {shots}", metric, goal, shots, notes)
        for (scenario,), scores in pooled.group_by("scenario", maintain_order=True)
    ]
