"""The numbers behind figures, as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, isnan

import polars as pl

from recmeta.results.budget import Budget
from recmeta.results.judging import REPEATED
from recmeta.results.labels import at_key, identity, tell_apart
from recmeta.results.ranks import Ranked
from recmeta.results.runs import Finished
from recmeta.results.tables import Row, Table
from recmeta.statistics import bootstrap, matrix

MOST = 8
"""Lines of a figure; more cannot be told apart."""


def shown(table: Table, kind: str | None = None) -> list[Row]:
    """The best rows of a table that have a value; of each method one: the setting that was chosen, or its best.

    The best baseline is among them, unless only learners are asked for.
    """
    known = [row for row in table.rows if not isnan(row.cells[table.metric].mean) and kind in (None, row.kind)]
    there = {row.label for row in known}
    of_method = {label: budget for budget in table.budgets for label in budget.rows}

    def stands_for(row: Row) -> str:
        """The label of the row that is shown for this one's method."""
        budget = of_method[row.label]
        first = next(other.label for other in known if other.label in budget.rows)
        return budget.chosen if budget.chosen in there else first

    rows = [row for row in known if stands_for(row) == row.label]
    first = rows[:MOST]
    baseline = next((row for row in rows if row.kind == "baseline"), None)
    return first if baseline is None or baseline in first else [*first[:-1], baseline]


def by_shots(table: Table) -> pl.DataFrame:
    """The table's metric by support size: ``row, shots, mean, lo, hi``."""
    lines = []
    for row in shown(table):
        part = table.scores.filter(pl.col("row") == row.label)
        for (shots,), at in sorted(part.group_by("shots"), key=lambda group: group[0]):
            lines.append((row.label, shots, *bootstrap(matrix(at, table.metric, REPEATED))))
    return _frame(lines, ("row", "shots", "mean", "lo", "hi"))


def by_inner_step(table: Table) -> pl.DataFrame:
    """MAE on test tasks after each inner step, at the runs' headline support size: ``row, step, mean``."""
    lines = []
    for row in shown(table, "learner"):
        curves: dict[int, list[float]] = {}
        for run in table.runs[row.label]:
            found = run.summary.get("adaptation", {}).get(table.scenario)
            headline = run.summary.get("metric", {}).get("shots")
            if found and headline in found["shots"]:
                for step, value in zip(found["steps"], found["mae"][found["shots"].index(headline)], strict=True):
                    curves.setdefault(step, []).append(value)
        lines += [(row.label, step, sum(values) / len(values)) for step, values in curves.items() if len(curves) > 1]
    return _frame(lines, ("row", "step", "mean"))


def by_outer_step(table: Table) -> pl.DataFrame:
    """A run's own metric on meta-validation as training goes: ``row, step, mean, lo, hi``.

    The mean, least and greatest over seeds and splits, as far as all of them trained.
    """
    lines = []
    for row in shown(table, "learner"):
        runs = table.runs[row.label]
        curves: dict[int, list[float]] = {}
        for run in runs:
            for line in run.log:
                if line.get("split") == "validation" and run.metric in line:
                    curves.setdefault(line["step"], []).extend(v for v in line[run.metric] if v is not None)
        most = max(map(len, curves.values()), default=0)
        for step, values in curves.items():
            if len(values) == most:
                lines.append((row.label, step, sum(values) / len(values), min(values), max(values)))
    return _frame(lines, ("row", "step", "mean", "lo", "hi"))


def by_rank(ranked: Ranked) -> pl.DataFrame:
    """Methods over data sets: ``row, rank``, the best first."""
    return _frame([(one.label, one.rank) for one in ranked.standings], ("row", "rank"))


def by_setting(table: Table, budget: Budget) -> pl.DataFrame:
    """The settings of one method: ``row, value``, and a column for each number that differs.

    ``value`` is the mean on meta-validation where every setting has one, for that is what a search goes by; else the
    table's metric on test tasks, which `judged_on` says.
    """
    configs = {label: identity(table.runs[label][0].config) for label in budget.rows}
    keys = dict.fromkeys(key for one in tell_apart(list(configs.values())) for key in one)
    numbers = {key: [_number(at_key(config, key)) for config in configs.values()] for key in keys}
    known = {key: values for key, values in numbers.items() if len(set(values)) > 1 and None not in values}
    validated = {label: _validated(table.runs[label]) for label in configs}
    means = {row.label: row.cells[table.metric].mean for row in table.rows}
    values = validated if judged_on(table, budget) == "meta-validation" else means
    frame = pl.DataFrame({"row": list(configs), "value": [values[label] for label in configs], **known})
    return frame.filter(pl.col("value").is_finite())


def judged_on(table: Table, budget: Budget) -> str:
    """What the values of `by_setting` are of."""
    return "meta-validation" if all(isfinite(_validated(table.runs[label])) for label in budget.rows) else "test tasks"


def by_cost(table: Table) -> pl.DataFrame:
    """What a run of each method costs, and what it reaches: ``row, kind, seconds, mean, lo, hi``.

    Seconds are of training, with meta-validation, of one run on average. Methods whose seconds were not recorded are
    left out, and so are baselines, which cost little.
    """
    seconds = {label: sum(run.train_seconds for run in runs) / len(runs) for label, runs in table.runs.items()}
    lines = [
        (row.label, row.kind, seconds[row.label], *row.cells[table.metric])
        for row in shown(table)
        if isfinite(seconds.get(row.label, float("nan")))
    ]
    return _frame(lines, ("row", "kind", "seconds", "mean", "lo", "hi"))


def _validated(runs: Sequence[Finished]) -> float:
    """The mean over a row's runs and seeds of the best value on meta-validation; NaN where a run has none."""
    values: list[Mapping[int, float]] = [run.validated for run in runs]
    each = [value for found in values for value in found.values()]
    return sum(each) / len(each) if each and all(values) else float("nan")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _frame(lines: Sequence[tuple], names: Sequence[str]) -> pl.DataFrame:
    kinds = {"row": pl.String, "kind": pl.String, "shots": pl.Int64, "step": pl.Int64}
    return pl.DataFrame(lines, schema={name: kinds.get(name, pl.Float64) for name in names}, orient="row")
