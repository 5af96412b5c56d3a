"""Runs to tables: means and intervals, who is best, and the verdict on every learner."""

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
from recmeta.results.judging import REPEATED, Judged, Judging, chosen, compared, marked, rival_of
from recmeta.results.labels import choice, tell_apart, tested
from recmeta.results.pool import comparable, pool
from recmeta.results.runs import Finished, Missing
from recmeta.statistics import about_names, bootstraps, buckets, matrix, mean_of, metric_names, per_task
from recmeta.types import UserError

USUAL_SHOTS = 20
"""The headline support size of protocols that name none."""


class Cell(NamedTuple):
    """A mean and its 95 % interval; NaN where there is none."""

    mean: float
    lo: float
    hi: float


UNKNOWN = (float("nan"), float("nan"))
"""The interval of what has none."""


@dataclass(frozen=True)
class Row:
    """A method in a table.

    Attributes:
        label: what tells a learner from the others, or a baseline's name.
        kind: "learner", "baseline" or "imported".
        cells: metric -> mean and interval.
        tasks, seeds, splits: how many different ones; no seeds for methods without one.
        mark: "best", "≈" (not distinguishable from the best) or nothing.
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
        tasks: bucket -> how many tasks are in it.
        cells: label -> bucket -> mean and interval.
        judged: every method that is no baseline, in every bucket, against the table's best baseline or the row that was
            named: one family.
    """

    by: str
    tasks: Mapping[str, int]
    cells: Mapping[str, Mapping[str, Cell]]
    judged: Sequence[Judged]


@dataclass(frozen=True)
class Table:
    """Methods that were tested on the same tasks.

    Attributes:
        heading: data set, protocol, scenario, support size, and what tells the table from the others.
        data: the data set, with its hash.
        scenario: what was tested.
        metric: the metric that it is sorted by and that the tests are of.
        goal: of that metric, "min" or "max".
        metrics: all metrics, that one first.
        rows: best first; without a value last.
        judged: a comparison per row that is no baseline: one family.
        verdicts: a line per such row, marked where its budget and its reference's are unequal.
        budgets: how many settings of each method were tried.
        bucketed: the metric by buckets, where that was asked for.
        ablation: learners in difference to one of them, where that was asked for.
        notes: what a reader must know.
        scores: the task scores behind all that, at every support size (`recmeta.results.pool.Pooled`).
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
        how: what to judge them by; `Judging()` for what the runs themselves say.
        missing: runs without results, which the ledger of budgets counts.
        searched: complete runs that the ledger counts too, and that have no other part in a table.

    Returns:
        The tables. Runs that were tested on other data or by another protocol, but for the split's seed, are in
        different tables.

    Raises:
        UserError: the metric, the support size or the column is not in the runs, the runs' own metrics differ, or what
            is imported does not fit.
    """
    how, goal = chosen(runs, how)
    worlds = comparable(runs)
    if how.foreign and len(worlds) > 1:
        raise UserError(f"--import: give runs of one data set and protocol; these are of {len(worlds)}")
    made = []
    for some, differing in zip(worlds, tell_apart([tested(some[0].config) for some in worlds]), strict=True):
        lost = [run for run in missing if tested(run.config) == tested(some[0].config)]
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
        more, said = foreign.fit(path, pooled, seeds, shots)
        pooled, notes = pl.concat([pooled, more], how="diagonal_relaxed"), [*notes, *said]
    world = _World(heading, data, shots, _budgets(runs, missing, searched, learners, pooled, shots), learners, notes)
    return [
        _table(scores, scenario, world, how, goal)
        for (scenario,), scores in pooled.group_by("scenario", maintain_order=True)
    ]


class _World(NamedTuple):
    """What the tables of comparable runs have in common: as in `Table`."""

    heading: str
    data: str
    shots: int
    budgets: Sequence[Budget]
    runs: Mapping[str, Sequence[Finished]]
    notes: Sequence[str]


def _budgets(
    runs: Sequence[Finished],
    missing: Sequence[Missing],
    searched: Sequence[Finished],
    learners: Mapping[str, Sequence[Finished]],
    pooled: pl.DataFrame,
    shots: int,
) -> list[Budget]:
    """The ledger: learners, baselines, and imported rows, of which nothing is known."""
    rows = {kind: part["row"].unique(maintain_order=True).to_list() for (kind,), part in pooled.group_by("kind")}
    imported = [
        Budget(row, "imported", [row], None, 0, 0, "", "", [], float("nan")) for row in rows.get("imported", [])
    ]
    tuned = baseline_budgets(runs, rows.get("baseline", []), shots)
    return [*learner_budgets(learners, missing, searched), *imported, *tuned]


def _shots(runs: Sequence[Finished], pooled: pl.DataFrame, heading: str, asked: int | None) -> int:
    """The support size of a table: what was asked for, else the protocol's headline."""
    there = sorted(set.intersection(*(set(part["shots"]) for _, part in pooled.group_by("scenario"))))
    if asked is None:
        headlines = sorted({_headline(run.config.get("protocol") or {}) for run in runs})
        if len(headlines) > 1:
            raise UserError(f"{heading}: the runs' headlines differ ({', '.join(map(str, headlines))}): give --shots")
        asked = headlines[0]
    if asked not in there:
        available = ", ".join(map(str, there)) or "no size common to all scenarios"
        raise UserError(f"--shots {asked}: {heading} has {available}")
    return asked


def _headline(protocol: Mapping[str, Any]) -> int:
    headline = protocol.get("headline")
    return int(max(protocol.get("shots") or [USUAL_SHOTS]) if headline is None else headline)


def _table(scores: pl.DataFrame, scenario: str, world: _World, how: Judging, goal: str) -> Table:
    """The table of one scenario."""
    metric = str(how.metric)
    parts = _parts(scores.filter(pl.col("shots") == world.shots))
    curves = {row: _curve(part, metric) for row, part in _parts(scores).items()}
    metrics = [metric, *(name for name in metric_names(scores) if name != metric)]
    cells = _cells({(row, name): (part, name) for row, part in parts.items() for name in metrics})
    of_all = aggregates(world.runs, scenario, world.shots)
    shown = list(dict.fromkeys(name for row in of_all.values() for name in row))
    for row, own in cells.items():
        own |= {name: Cell(of_all.get(row, {}).get(name, float("nan")), *UNKNOWN) for name in shown}
    means = {row: cell[metric].mean for row, cell in cells.items()}
    kinds = {row: part["kind"][0] for row, part in parts.items()}
    baselines = [row for row in parts if kinds[row] == "baseline"]
    gaps = _gaps(parts, metric)
    # Without baselines, or over unequal tasks, the best mean would say nothing.
    marks = {} if gaps or not baselines else marked(parts, means, how, goal)
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
    best = rival_of(list(parts), means, baselines, how, goal)
    rivals = [row for row in parts if row not in (*baselines, best)]
    judged = compared({(row, ""): (parts[row], parts[best]) for row in rivals}, best, how, goal) if best else []
    uneven = unequal([one.row for one in judged], best, world.budgets) if best else {}
    said = [f"{one.row}: {one.text}{f' {UNEQUAL}' if one.row in uneven else ''}" for one in judged]
    if best and uneven:
        said.append(sentence(best, uneven, world.budgets))
    if rivals and not best:
        said = [f"the table has no baseline with {metric}: nothing is marked and no verdict is possible"]
    return Table(
        heading=f"{world.heading}: {scenario}, K = {world.shots}",
        data=world.data,
        scenario=scenario,
        metric=metric,
        goal=goal,
        metrics=[*metrics, *shown],
        rows=sorted(rows, key=lambda row: _order(means[row.label], goal)),
        judged=judged,
        verdicts=said,
        budgets=world.budgets,
        bucketed=_bucketed(scores, parts, rivals, best, how, goal) if how.by else None,
        ablation=ablate(parts, world.runs, how, goal) if how.ablation else None,
        notes=[*world.notes, *gaps],
        scores=scores,
        runs=world.runs,
    )


def _parts(scores: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {row: part for (row,), part in scores.group_by("row", maintain_order=True)}


def _cells(parts: Mapping[tuple[str, str], tuple[pl.DataFrame, str]]) -> dict[str, dict[str, Cell]]:
    """(row, column) -> a part of the scores and a metric, to row -> column -> mean and interval."""
    found = bootstraps([matrix(part, metric, REPEATED) for part, metric in parts.values()])
    cells: dict[str, dict[str, Cell]] = {}
    for (row, column), cell in zip(parts, found, strict=True):
        cells.setdefault(row, {})[column] = Cell(*cell)
    return cells


def _order(mean: float, goal: str) -> tuple[bool, float]:
    """Sorts best first, what has no value last."""
    return isnan(mean), 0.0 if isnan(mean) else mean if goal == "min" else -mean


def _curve(part: pl.DataFrame, metric: str) -> dict[int, float]:
    """The mean of a metric by support size; NaN where it is undefined."""
    return {
        shots: mean_of(per_task(at, metric, REPEATED)[metric].to_numpy()[None, :])
        for (shots,), at in sorted(part.group_by("shots"), key=lambda group: group[0])
    }


def _gaps(parts: Mapping[str, pl.DataFrame], metric: str) -> list[str]:
    """A note on rows whose mean is over fewer tasks than another row's: means are then not of the same thing."""
    valued = {row: part.drop_nulls(metric).select("split", "task").unique() for row, part in parts.items()}
    most = max(tasks.height for tasks in valued.values())
    splits = pl.concat(valued.values())["split"].n_unique()
    fewer = [
        f"{row} has {metric} in {tasks['split'].n_unique()} of {splits} splits, on {tasks.height} of {most} tasks"
        for row, tasks in valued.items()
        if 0 < tasks.height < most
    ]
    why = "nothing is marked best; compare by the tests, which pair what is common"
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
            name: {row: part.filter(pl.col("task").is_in(list(members))) for row, part in parts.items()}
            for name, members in tasks.items()
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
    return Bucketed(by, counts, cells, compared(pairs, best, how, goal) if best else [])
