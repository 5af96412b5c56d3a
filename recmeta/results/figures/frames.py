"""The numbers behind figures, as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, isnan

import polars as pl

from recmeta.results.budget import Budget
from recmeta.results.judging import REPEATED
from recmeta.results.labels import at_key, method_settings, tell_apart
from recmeta.results.ranks import Ranked
from recmeta.results.runs import Finished
from recmeta.results.tables import Row, Table
from recmeta.statistics import mean_interval

MOST = 8
"""Most lines of a figure; more cannot be distinguished."""


MOST_ROWS = 40
"""Most rows of a figure in which each has a line of its own."""


def best_rows(table: Table, kind: str | None = None) -> list[Row]:
    """The best rows of a table, one per method: the chosen setting, or the best where none is chosen.

    Rows without a value are left out. The baseline that the verdicts are about is among them, or without verdicts the
    best one, unless ``kind`` is "learner".
    """
    known = [row for row in table.rows if not isnan(row.cells[table.metric].mean) and kind in (None, row.kind)]
    there = {row.label for row in known}
    of_method = {label: budget for budget in table.budgets for label in budget.rows}

    def representative(row: Row) -> str:
        """The label of the row that represents this row's method."""
        budget = of_method[row.label]
        first = next(other.label for other in known if other.label in budget.rows)
        return budget.chosen if budget.chosen in there else first

    rows = [row for row in known if representative(row) == row.label]
    first = rows[:MOST]
    baselines, compared = [row for row in rows if row.kind == "baseline"], {one.reference for one in table.judged}
    baseline = next((row for row in baselines if row.label in compared), next(iter(baselines), None))
    return first if baseline is None or baseline in first else [*first[:-1], baseline]


def by_shots(table: Table) -> pl.DataFrame:
    """The table's metric by support size: ``row, shots, mean, lo, hi``."""
    lines = []
    for row in best_rows(table):
        part = table.scores.filter(pl.col("row") == row.label)
        for (shots,), at in sorted(part.group_by("shots"), key=lambda group: group[0]):
            lines.append((row.label, shots, *mean_interval(at, table.metric, REPEATED)))
    return _frame(lines, ("row", "shots", "mean", "lo", "hi"))


def by_difference(table: Table) -> pl.DataFrame:
    """The comparisons behind the verdicts: ``row, reference, difference, lo, hi, p``, the best first.

    Row minus reference, paired per task, with the interval of one comparison; p is corrected.
    """
    lines = [
        (one.row, one.reference, *one.comparison[:3], one.p)
        for one in table.judged
        if isfinite(one.comparison.difference) and isfinite(one.comparison.lo) and isfinite(one.comparison.hi)
    ]
    sign = 1 if table.goal == "min" else -1
    return _frame(
        sorted(lines, key=lambda line: sign * line[2])[:MOST_ROWS], ("row", "reference", "difference", "lo", "hi", "p")
    )


def by_inner_step(table: Table) -> pl.DataFrame:
    """MAE on test tasks after each inner step, at the runs' headline support size: ``row, step, mean``.

    It is of predictions as they are (``point=raw``): the map to the median is fitted after all steps alone.
    """
    lines = []
    for row in best_rows(table, "learner"):
        curves: dict[int, list[float]] = {}
        for run in table.runs[row.label]:
            found = run.summary.get("adaptation", {}).get(table.scenario)
            headline = run.summary.get("metric", {}).get("shots")
            if found and "mae" in found and headline in found["shots"]:
                for step, value in zip(found["steps"], found["mae"][found["shots"].index(headline)], strict=True):
                    curves.setdefault(step, []).append(value)
        lines += [(row.label, step, sum(values) / len(values)) for step, values in curves.items() if len(curves) > 1]
    return _frame(lines, ("row", "step", "mean"))


def by_outer_step(table: Table) -> pl.DataFrame:
    """A run's own metric on meta-validation over training: ``row, step, mean, lo, hi``.

    Mean, minimum and maximum over seeds and splits, for the steps that all of them reached.
    """
    lines = []
    for row in best_rows(table, "learner"):
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
    """Mean ranks of methods over data sets: ``row, rank``, the best first."""
    return _frame([(one.label, one.rank) for one in ranked.methods], ("row", "rank"))


def by_setting(table: Table, budget: Budget) -> pl.DataFrame:
    """The settings of one method: ``row, value``, and a column for each number that differs.

    ``value`` is the mean on meta-validation where every setting has one, since a search goes by that; else the table's
    metric on test tasks (see `judged_on`).
    """
    configs = {label: method_settings(table.runs[label][0].config) for label in budget.rows}
    keys = dict.fromkeys(key for one in tell_apart(list(configs.values())) for key in one)
    numbers = {key: [_number(at_key(config, key)) for config in configs.values()] for key in keys}
    known = {key: values for key, values in numbers.items() if len(set(values)) > 1 and None not in values}
    validated = {label: _validated(table.runs[label]) for label in configs}
    means = {row.label: row.cells[table.metric].mean for row in table.rows}
    values = validated if judged_on(table, budget) == "meta-validation" else means
    frame = pl.DataFrame({"row": list(configs), "value": [values[label] for label in configs], **known})
    return frame.filter(pl.col("value").is_finite())


def judged_on(table: Table, budget: Budget) -> str:
    """Name the tasks that the values of `by_setting` are of."""
    return "meta-validation" if all(isfinite(_validated(table.runs[label])) for label in budget.rows) else "test tasks"


def by_cost(table: Table) -> pl.DataFrame:
    """Seconds and metric of a run of the best learners: ``row, kind, seconds, mean, lo, hi``.

    Seconds are of training, with meta-validation, of one run on average. Methods whose seconds were not recorded are
    left out, and so are baselines, which cost little.
    """
    seconds = {label: sum(run.train_seconds for run in runs) / len(runs) for label, runs in table.runs.items()}
    lines = [
        (row.label, row.kind, seconds[row.label], *row.cells[table.metric])
        for row in best_rows(table, "learner")
        if isfinite(seconds.get(row.label, float("nan")))
    ]
    return _frame(lines, ("row", "kind", "seconds", "mean", "lo", "hi"))


def _validated(runs: Sequence[Finished]) -> float:
    """The mean over a row's runs and seeds of the best value on meta-validation; NaN where a run has none."""
    values: list[Mapping[int, float]] = [run.validated for run in runs]
    best = [value for found in values for value in found.values()]
    return sum(best) / len(best) if best and all(values) else float("nan")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _frame(lines: Sequence[tuple], names: Sequence[str]) -> pl.DataFrame:
    kinds = {"row": pl.String, "reference": pl.String, "kind": pl.String, "shots": pl.Int64, "step": pl.Int64}
    return pl.DataFrame(lines, schema={name: kinds.get(name, pl.Float64) for name in names}, orient="row")
