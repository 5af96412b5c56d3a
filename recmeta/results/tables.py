"""Runs to tables: who is comparable with whom, means and intervals, who is best, and the verdict on every learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, NamedTuple

import polars as pl

from recmeta.metrics import metric as parse_metric
from recmeta.results.labels import choice, identity, labels, tell_apart
from recmeta.results.runs import Finished
from recmeta.statistics import (
    KEYS,
    LEVEL,
    Comparison,
    best_of,
    bootstrap,
    differences,
    holm,
    matrix,
    metric_names,
    number,
    paired,
    wording,
)
from recmeta.types import UserError

SAME = 1e-6
"""Scores of one method on one task that differ by no more than this agree."""

USUAL_SHOTS = 20
"""The headline support size of protocols that name none."""


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
        if "model" in run.scores["method"] and identity(run.config) not in methods:
            methods.append(identity(run.config))
    names, also = labels(methods)
    pooled, notes = _pool(runs, [_named(run, methods, names) for run in runs])
    if metric not in metric_names(pooled):
        raise UserError(f"--metric {metric}: {heading} has {', '.join(metric_names(pooled))}")
    if also:
        notes.append(f"the rows differ in these settings too: {', '.join(also)}")
    notes += _split_notes(runs)
    shots = _shots(runs[0].config.get("protocol"), pooled, heading, shots)
    return [
        _table(scores, f"{heading}: {scenario}, K = {shots}", metric, shots, notes)
        for (scenario,), scores in pooled.group_by("scenario", maintain_order=True)
    ]


def _named(run: Finished, methods: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """The label of a run's learner; nothing for a run of the baselines alone."""
    method = identity(run.config)
    return names[methods.index(method)] if method in methods else ""


def _pool(runs: Sequence[Finished], names: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
    """All task scores of comparable runs, each once; and notes on runs that disagree about one.

    The frame has, besides the columns of task scores, ``row`` (a learner's label or a baseline's name), ``learner`` and
    ``split``. Every run carries the baselines, so that most of them come several times.
    """
    model = pl.col("method") == "model"
    frame = pl.concat(
        [
            run.scores.with_columns(
                row=pl.when(model).then(pl.lit(name)).otherwise("method"),
                learner=model,
                split=pl.lit(run.hashes["protocol"]),
                run=pl.lit(str(run.directory)),
            )
            for run, name in zip(runs, names, strict=True)
        ],
        how="diagonal",
    )
    keys, metrics = ["row", "learner", "split", *KEYS], metric_names(frame)
    grouped = frame.with_columns(pl.col(metrics).fill_nan(None)).group_by(keys, maintain_order=True)
    spread = grouped.agg(pl.col(metrics).max() - pl.col(metrics).min(), pl.col("run").unique(maintain_order=True))
    notes = []
    for (row,), part in spread.filter(pl.any_horizontal(pl.col(metrics) > SAME)).group_by("row", maintain_order=True):
        most = part.select(pl.col(metrics).max()).row(0, named=True)
        worst = ", ".join(f"{number(apart)} {name}" for name, apart in most.items() if apart and apart > SAME)
        where = ", ".join(part["run"].explode().unique(maintain_order=True))
        notes.append(f"{row}: runs of the same split disagree, by up to {worst}; used is the first of {where}")
    return grouped.agg(pl.col(metrics).drop_nulls().first()), notes


def _split_notes(runs: Sequence[Finished]) -> list[str]:
    """Notes on split seeds that did not always give the same split."""
    splits: dict[Any, dict[str, None]] = {}
    for run in runs:
        splits.setdefault((run.config.get("protocol") or {}).get("seed"), {})[run.hashes["protocol"]] = None
    return [
        f"protocol.seed={seed} made {len(hashes)} splits ({', '.join(name[:8] for name in hashes)}): equal ones pair"
        for seed, hashes in splits.items()
        if len(hashes) > 1
    ]


def _shots(protocol: Mapping[str, Any] | None, pooled: pl.DataFrame, heading: str, shots: int | None) -> int:
    """The support size of a table: what was asked for, else the protocol's headline."""
    per_scenario = [set(part["shots"]) for _, part in pooled.group_by("scenario")]
    there = sorted(set.intersection(*per_scenario))
    if shots is None:
        headline = (protocol or {}).get("headline")
        grid = (protocol or {}).get("shots") or [USUAL_SHOTS]
        return _shots(None, pooled, heading, int(max(grid) if headline is None else headline))
    if shots not in there:
        available = ", ".join(map(str, there)) or "no size common to all scenarios"
        raise UserError(f"--shots {shots}: {heading} has {available}")
    return shots


def _table(scores: pl.DataFrame, heading: str, metric: str, shots: int, notes: Sequence[str]) -> Table:
    """The table of one scenario."""
    goal = parse_metric(metric).goal
    parts = {row: part for (row,), part in scores.filter(pl.col("shots") == shots).group_by("row", maintain_order=True)}
    curves = {row: _curve(part, metric) for (row,), part in scores.group_by("row", maintain_order=True)}
    # The outermost of what was repeated is what a repetition would redraw.
    over = "split" if scores["split"].n_unique() > 1 else "seed"
    metrics = [metric, *(name for name in metric_names(scores) if name != metric)]
    cells = {row: {name: Cell(*bootstrap(matrix(part, name, over))) for name in metrics} for row, part in parts.items()}
    means = {row: cell[metric].mean for row, cell in cells.items()}
    learners = [row for row, part in parts.items() if part["learner"][0]]
    gaps = _gaps(parts, metric)
    # Without baselines, or over unequal tasks, the best mean would say nothing.
    marks = {} if gaps or len(learners) == len(parts) else _marks(parts, means, metric, goal)
    rows = [
        Row(
            label=row,
            learner=row in learners,
            cells=cells[row],
            tasks=part["task"].n_unique(),
            seeds=part["seed"].drop_nulls().n_unique(),
            splits=part["split"].n_unique(),
            mark=marks.get(row, ""),
            curve=curves[row],
        )
        for row, part in parts.items()
    ]
    rows.sort(key=lambda row: _rank(means[row.label], goal))
    return Table(
        heading,
        metric,
        goal,
        metrics,
        rows,
        _verdicts(parts, learners, means, metric, goal),
        [*notes, *gaps],
    )


def _gaps(parts: Mapping[str, pl.DataFrame], metric: str) -> list[str]:
    """Notes on rows whose mean is over fewer tasks than another row's: means are then not of the same thing."""
    valued = {row: part.drop_nulls(metric).select("split", "task").unique() for row, part in parts.items()}
    most = max(tasks.height for tasks in valued.values())
    splits = pl.concat(valued.values())["split"].n_unique()
    return [
        f"{row} has {metric} in {tasks['split'].n_unique()} of {splits} splits, on {tasks.height} of {most} tasks: "
        "nothing is marked best; compare by the tests, which pair what is common"
        for row, tasks in valued.items()
        if 0 < tasks.height < most
    ]


def _rank(mean: float, goal: str) -> tuple[bool, float]:
    """Sorts best first, what has no value last."""
    return isnan(mean), 0.0 if isnan(mean) else mean if goal == "min" else -mean


def _curve(part: pl.DataFrame, metric: str) -> dict[int, float]:
    """The mean of a metric by support size; NaN where it is undefined."""
    means = part.group_by("shots").agg(pl.col(metric).mean().fill_null(float("nan"))).sort("shots")
    return dict(means.iter_rows())


def _compared(
    parts: Mapping[str, pl.DataFrame], rows: Sequence[str], reference: str, metric: str
) -> tuple[dict[str, Comparison], dict[str, float]]:
    """Rows against a reference, paired per task within equal splits; p-values by Holm over those that can be tested."""
    comparisons = {row: paired(differences(parts[row], parts[reference], metric, ["split"])) for row in rows}
    tested = [row for row, comparison in comparisons.items() if comparison.n > 1]
    return comparisons, dict(zip(tested, holm([comparisons[row].p for row in tested]).tolist(), strict=True))


def _marks(parts: Mapping[str, pl.DataFrame], means: Mapping[str, float], metric: str, goal: str) -> dict[str, str]:
    """Which row is the best, and which are not distinguishable from it."""
    best = best_of(means, goal)
    if best is None:
        return {}
    _, p = _compared(parts, [row for row in parts if row != best and not isnan(means[row])], best, metric)
    return {best: "best"} | {row: "≈" for row, chance in p.items() if chance >= LEVEL}


def _verdicts(
    parts: Mapping[str, pl.DataFrame], learners: Sequence[str], means: Mapping[str, float], metric: str, goal: str
) -> list[str]:
    """A line per learner: whether it beats the best baseline."""
    best = best_of({row: mean for row, mean in means.items() if row not in learners}, goal)
    if best is None:
        return [f"the table has no baseline with {metric}: nothing is marked and no verdict is possible"]
    comparisons, p = _compared(parts, learners, best, metric)
    return [
        f"{row}: {wording(comparison, best, metric, goal, p.get(row), len(p))}"
        for row, comparison in comparisons.items()
    ]
