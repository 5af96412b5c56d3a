"""Turn runs into tables: means and intervals, the best row, and a verdict on every learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, NamedTuple

import polars as pl

from recmeta.results import foreign
from recmeta.results.ablation import Ablation, ablate
from recmeta.results.aggregates import aggregates
from recmeta.results.budget import UNEQUAL, Budget, baseline_budgets, learner_budgets, sentence, unequal
from recmeta.results.judging import REPEATED, Judged, Judging, compare, mark_best, resolve_metric, rival_of, seeming
from recmeta.results.labels import choice, table_settings, tell_apart
from recmeta.results.pool import comparable, pool
from recmeta.results.runs import Finished, Missing
from recmeta.statistics import about_names, buckets, mean_interval, mean_of, metric_names, per_task
from recmeta.types import UserError

USUAL_SHOTS = 20
"""Headline support size of protocols that name none."""


class Cell(NamedTuple):
    """A mean and its 95 % interval; NaN where there is none."""

    mean: float
    lo: float
    hi: float


UNKNOWN = (float("nan"), float("nan"))
"""Interval of a value that has none."""


@dataclass(frozen=True)
class Row:
    """A method in a table.

    Attributes:
        label: settings that distinguish a learner from the others, or a baseline's name.
        kind: "learner", "baseline" or "imported".
        cells: metric -> mean and interval.
        tasks, seeds, splits: number of different ones; no seeds for methods without one.
        mark: "best", "≈" (not distinguishable from the best) or "".
        curve: support size -> mean of the table's metric.
    """

    label: str
    kind: str
    cells: Mapping[str, Cell]
    tasks: int
    seeds: int
    splits: int
    mark: str
    curve: Mapping[int, float]


@dataclass(frozen=True)
class Bucketed:
    """A table's metric by buckets of tasks.

    Attributes:
        by: the column.
        tasks: bucket -> number of its tasks.
        cells: label -> bucket -> mean and interval.
        judged: every method that is no baseline, in every bucket, against the table's best baseline or the given row;
            together one family of tests.
    """

    by: str
    tasks: Mapping[str, int]
    cells: Mapping[str, Mapping[str, Cell]]
    judged: Sequence[Judged]


@dataclass(frozen=True)
class Table:
    """Methods that were tested on the same tasks.

    Attributes:
        heading: data set, protocol, scenario, support size, and settings that distinguish the table from the others.
        data: the data set, with its hash.
        scenario: the test scenario.
        metric: the metric that rows are sorted and tested by.
        goal: that metric's goal, "min" or "max".
        metrics: all metrics, that one first.
        rows: best first; rows without a value last.
        judged: a comparison per row that is no baseline; together one family of tests.
        verdicts: a line per such row, marked where its budget and its reference's are unequal.
        budgets: number of settings tried of each method.
        bucketed: the metric by buckets, if requested.
        ablation: learners in difference to one of them, if requested.
        notes: caveats for the reader.
        scores: the task scores behind the table, at every support size (`recmeta.results.pool.Pooled`).
        runs: label -> the runs of a learner.
    """

    heading: str
    data: str
    scenario: str
    metric: str
    goal: str
    metrics: Sequence[str]
    rows: Sequence[Row]
    judged: Sequence[Judged]
    verdicts: Sequence[str]
    budgets: Sequence[Budget]
    bucketed: Bucketed | None
    ablation: Ablation | None
    notes: Sequence[str]
    scores: pl.DataFrame
    runs: Mapping[str, Sequence[Finished]]


def tabulate(
    runs: Sequence[Finished], how: Judging, missing: Sequence[Missing] = (), searched: Sequence[Finished] = ()
) -> list[Table]:
    """Make one table per scenario of each data set and protocol.

    Args:
        runs: complete runs, in any mixture.
        how: the metric and the tests; `Judging()` for the runs' own.
        missing: runs without results, which the ledger of budgets counts.
        searched: complete runs that only the ledger counts.

    Returns:
        The tables. Runs tested on other data, or by a protocol that differs in more than the split's seed, are
        in different tables.

    Raises:
        UserError: the metric, the support size or the column is not in the runs, the runs' own metrics differ, or an
            imported file does not fit.
    """
    how, goal = resolve_metric(runs, how)
    groups = comparable(runs)
    if how.foreign and len(groups) > 1:
        raise UserError(f"--import: give runs of one data set and protocol; these are of {len(groups)}")
    made = []
    for some, differing in zip(groups, tell_apart([table_settings(some[0].config) for some in groups]), strict=True):
        lost = [run for run in missing if table_settings(run.config) == table_settings(some[0].config)]
        before = [run for run in searched if len(comparable([some[0], run])) == 1]
        made += _tables(some, lost, before, differing, how, goal)
    return made


def _tables(
    runs: Sequence[Finished],
    missing: Sequence[Missing],
    searched: Sequence[Finished],
    differing: Mapping[str, str],
    how: Judging,
    goal: str,
) -> list[Table]:
    """The tables of comparable runs, one per scenario."""
    named = {key: choice(runs[0].config.get(key)) for key in ("dataset", "protocol")} | dict(differing)
    data = f"{named['dataset']} (data {runs[0].hashes['data'][:8]})"
    heading = " ".join([*(f"{key}={value}" for key, value in named.items()), f"(data {runs[0].hashes['data'][:8]})"])
    pooled, learners, notes = pool(runs)
    if how.metric not in metric_names(pooled):
        raise UserError(f"--metric {how.metric}: {heading} has {', '.join(metric_names(pooled))}")
    shots = _shots(runs, pooled, heading, how.shots)
    about = sorted({"shots", *about_names(pooled)} - {"row", "kind", "split"})
    if how.by is not None and how.by not in about:
        raise UserError(f"--by {how.by}: {heading} has {', '.join(about)}")
    seeds = {run.hashes["protocol"]: (run.config.get("protocol") or {}).get("seed") for run in runs}
    seeds = {split: seeds.get(split) for split in pooled["split"].unique(maintain_order=True)}
    for path in how.foreign:
        more, unused = foreign.fit(path, pooled, seeds, shots)
        pooled, notes = pl.concat([pooled, more], how="diagonal_relaxed"), [*notes, *unused]
    budgets = _budgets(runs, missing, searched, learners, pooled, shots)
    if not (how.every or how.ablation):
        hidden, told = unchosen(budgets)
        pooled, notes = pooled.filter(~pl.col("row").is_in(hidden)), [*notes, *told]
    shared = _Shared(heading, data, shots, budgets, learners, notes, runs)
    return [
        _table(scores, scenario, shared, how, goal)
        for (scenario,), scores in pooled.group_by("scenario", maintain_order=True)
    ]


def unchosen(budgets: Sequence[Budget]) -> tuple[list[str], list[str]]:
    """List the rows of settings that meta-validation did not choose, and a note for each method that has some.

    A table that lists them all invites a choice by the test tasks. Where meta-validation can't choose, all are kept.
    """
    hidden, notes = [], []
    for budget in budgets:
        others = [row for row in budget.rows if row != budget.chosen]
        if budget.kind == "learner" and budget.chosen in budget.rows and others:
            hidden += others
            notes.append(
                f"{budget.method}: {len(budget.rows)} settings have results; the table has the one that is best by "
                f"{budget.by}, {budget.chosen}; --all lists all"
            )
    return hidden, notes


class _Shared(NamedTuple):
    """Fields of `Table` that all scenarios of comparable runs share."""

    heading: str
    data: str
    shots: int
    budgets: Sequence[Budget]
    runs: Mapping[str, Sequence[Finished]]
    notes: Sequence[str]
    every: Sequence[Finished]


def _budgets(
    runs: Sequence[Finished],
    missing: Sequence[Missing],
    searched: Sequence[Finished],
    learners: Mapping[str, Sequence[Finished]],
    pooled: pl.DataFrame,
    shots: int,
) -> list[Budget]:
    """The ledger: learners, baselines, and imported rows, whose budget is unknown."""
    rows = {kind: part["row"].unique(maintain_order=True).to_list() for (kind,), part in pooled.group_by("kind")}
    imported = [
        Budget(row, "imported", [row], None, 0, 0, "", "", [], float("nan")) for row in rows.get("imported", [])
    ]
    tuned = baseline_budgets(runs, rows.get("baseline", []), shots)
    return [*learner_budgets(learners, missing, searched), *imported, *tuned]


def _shots(runs: Sequence[Finished], pooled: pl.DataFrame, heading: str, requested: int | None) -> int:
    """The support size of a table: the one requested, else the protocol's headline."""
    there = sorted(set.intersection(*(set(part["shots"]) for _, part in pooled.group_by("scenario"))))
    if requested is None:
        headlines = sorted({_headline(run.config.get("protocol") or {}) for run in runs})
        if len(headlines) > 1:
            raise UserError(f"{heading}: the runs' headlines differ ({', '.join(map(str, headlines))}): give --shots")
        requested = headlines[0]
    if requested not in there:
        available = ", ".join(map(str, there)) or "no size common to all scenarios"
        raise UserError(f"--shots {requested}: {heading} has {available}")
    return requested


def _headline(protocol: Mapping[str, Any]) -> int:
    episodes = protocol.get("episodes") or {}
    headline = episodes.get("headline")
    return int(max(episodes.get("shots") or [USUAL_SHOTS]) if headline is None else headline)


def _table(scores: pl.DataFrame, scenario: str, shared: _Shared, how: Judging, goal: str) -> Table:
    """The table of one scenario."""
    metric = str(how.metric)
    parts = _parts(scores.filter(pl.col("shots") == shared.shots))
    curves = {row: _curve(part, metric) for row, part in _parts(scores).items()}
    metrics = [metric, *(name for name in metric_names(scores) if name != metric)]
    cells = _cells({(row, name): (part, name) for row, part in parts.items() for name in metrics})
    of_all = aggregates(shared.runs, scenario, shared.shots)
    overall = list(dict.fromkeys(name for row in of_all.values() for name in row))
    for row, own in cells.items():
        own |= {name: Cell(of_all.get(row, {}).get(name, float("nan")), *UNKNOWN) for name in overall}
    means = {row: cell[metric].mean for row, cell in cells.items()}
    kinds = {row: part["kind"][0] for row, part in parts.items()}
    baselines = [row for row in parts if kinds[row] == "baseline"]
    gaps = _gaps(parts, metric)
    # Without baselines, or over unequal tasks, the best mean would be meaningless.
    marks = {} if gaps or not baselines else mark_best(parts, means, how, goal)
    rows = [
        Row(
            label=row,
            kind=kinds[row],
            cells=cells[row],
            tasks=part["task"].n_unique(),
            seeds=part["seed"].drop_nulls().n_unique(),
            splits=part["split"].n_unique(),
            mark=marks.get(row, ""),
            curve=curves[row],
        )
        for row, part in parts.items()
    ]
    rival = rival_of(shared.every, means, baselines, how, goal, shared.shots)
    best = rival and rival.row
    rivals = [row for row in parts if row not in (*baselines, best)]
    judged = compare({(row, ""): (parts[row], parts[best]) for row in rivals}, best, how, goal) if best else []
    chosen = [f"verdicts are against {best}, {rival.chosen}"] if rival and judged else []
    return Table(
        heading=f"{shared.heading}: {scenario}, K = {shared.shots}",
        data=shared.data,
        scenario=scenario,
        metric=metric,
        goal=goal,
        metrics=[*metrics, *overall],
        rows=sorted(rows, key=lambda row: _order(means[row.label], goal)),
        judged=judged,
        verdicts=_verdicts(judged, rivals, best, shared.budgets, metric),
        budgets=shared.budgets,
        bucketed=_bucketed(scores, parts, rivals, best, how, goal) if how.by else None,
        ablation=ablate(parts, shared.runs, how, goal) if how.ablation else None,
        notes=[*chosen, *seeming(judged, marks), *shared.notes, *gaps],
        scores=scores,
        runs=shared.runs,
    )


def _verdicts(
    judged: Sequence[Judged], rivals: Sequence[str], best: str | None, budgets: Sequence[Budget], metric: str
) -> list[str]:
    """A line per comparison, marked where budgets are unequal, and how these differ."""
    if not best:
        return (
            [f"the table has no baseline with {metric}: nothing is marked and no verdict is possible"] if rivals else []
        )
    uneven = unequal([one.row for one in judged], best, budgets)
    lines = [f"{one.row}: {one.text}{f' {UNEQUAL}' if one.row in uneven else ''}" for one in judged]
    return [*lines, sentence(best, uneven, budgets)] if uneven else lines


def _parts(scores: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {row: part for (row,), part in scores.group_by("row", maintain_order=True)}


def _cells(parts: Mapping[tuple[str, str], tuple[pl.DataFrame, str]]) -> dict[str, dict[str, Cell]]:
    """Estimate each (row, column) of a table: row -> column -> mean and interval."""
    cells: dict[str, dict[str, Cell]] = {}
    for (row, column), (part, metric) in parts.items():
        cells.setdefault(row, {})[column] = Cell(*mean_interval(part, metric, REPEATED))
    return cells


def _order(mean: float, goal: str) -> tuple[bool, float]:
    """Sort key: best first, rows without a value last."""
    return isnan(mean), 0.0 if isnan(mean) else mean if goal == "min" else -mean


def _curve(part: pl.DataFrame, metric: str) -> dict[int, float]:
    """The mean of a metric by support size; NaN where it is undefined."""
    return {
        shots: mean_of(per_task(at, metric, REPEATED)[metric].to_numpy()[None, :])
        for (shots,), at in sorted(part.group_by("shots"), key=lambda group: group[0])
    }


def _gaps(parts: Mapping[str, pl.DataFrame], metric: str) -> list[str]:
    """Note rows whose mean is over fewer tasks than another row's: their means are not comparable."""
    valued = {row: part.drop_nulls(metric).select("split", "task").unique() for row, part in parts.items()}
    most = max(tasks.height for tasks in valued.values())
    splits = pl.concat(valued.values())["split"].n_unique()
    fewer = [
        f"{row} has {metric} in {tasks['split'].n_unique()} of {splits} splits, on {tasks.height} of {most} tasks"
        for row, tasks in valued.items()
        if 0 < tasks.height < most
    ]
    why = "nothing is marked best; compare by the tests, which pair common tasks"
    return [f"{'; '.join(fewer)}: {why}"] if fewer else []


def _bucketed(
    scores: pl.DataFrame,
    parts: Mapping[str, pl.DataFrame],
    rivals: Sequence[str],
    best: str | None,
    how: Judging,
    goal: str,
) -> Bucketed:
    """The table's metric by buckets of its tasks, or of support sizes."""
    by, metric = str(how.by), str(how.metric)
    if by == "shots":
        sizes = sorted(scores["shots"].unique())
        inside = {f"K = {size}": _parts(scores.filter(pl.col("shots") == size)) for size in sizes}
    else:
        tasks = buckets(pl.concat(parts.values()), by)
        inside = {
            name: {row: part.filter(pl.col("task").is_in(list(ids))) for row, part in parts.items()}
            for name, ids in tasks.items()
        }
    there = {(row, name): rows[row] for row in parts for name, rows in inside.items() if row in rows}
    cells = _cells({key: (part, metric) for key, part in there.items()})
    counts = {name: pl.concat(rows.values())["task"].n_unique() for name, rows in inside.items()}
    pairs = {
        (row, name): (rows[row], rows[best])
        for row in rivals
        for name, rows in inside.items()
        if best in rows and row in rows
    }
    return Bucketed(by, counts, cells, compare(pairs, best, how, goal) if best else [])
