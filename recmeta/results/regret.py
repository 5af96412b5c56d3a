"""Regret tables: how far learners are from the best tuned baseline, over data sets and support sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any, NamedTuple

import numpy as np

from recmeta.results.grids import NOTHING, Grid, distinct
from recmeta.results.judging import Judged, Judging
from recmeta.results.labels import called, labels, method_settings
from recmeta.results.pool import comparable
from recmeta.results.render import csv_text, plain
from recmeta.results.runs import Finished, typed
from recmeta.results.tables import Table, tabulate
from recmeta.statistics import CORRECTIONS, LEVEL, number
from recmeta.types import UserError

NAMED_BY = "suite"
"""The group whose choice names a table (`conf/suite`), where the runs were made by one."""

OF_TABLE = ("dataset", "cleaning", "protocol", "text", "objective", "metric", "point")
"""Settings that are a table's own, and tell no learners apart."""

CSV = "regret.csv"
"""File that ``--out`` writes."""


class Regret(NamedTuple):
    """A learner's distance to the best baseline in one table.

    Attributes:
        table: its name.
        shots: the support size.
        row: the learner's label.
        metric: by which they are judged, the runs' own.
        value: the learner's mean.
        rival: the best baseline by that metric on meta-validation.
        best: the baseline's mean.
        optimum: the least error possible, where it is known of a synthetic world; else NaN.
        regret: how much worse the learner is, as a share of the baseline's mean; below 0 it is better.
        p: p-value of their paired difference, corrected over all tests of the learner.
        family: number of these.
        tasks: number of tasks that both have.
    """

    table: str
    shots: int
    row: str
    metric: str
    value: float
    rival: str
    best: float
    optimum: float
    regret: float
    p: float
    family: int
    tasks: int

    @property
    def verdict(self) -> str:
        """The verdict: "better", "worse", or "≈" where they are not distinguishable."""
        if self.p >= LEVEL:
            return "≈"
        return "worse" if self.regret > 0 else "better"


class Regrets(NamedTuple):
    """All regrets of some runs, and lines about tables that have none."""

    found: Sequence[Regret]
    notes: Sequence[str]


def regrets(runs: Sequence[Finished], how: Judging) -> Regrets:
    """Compare every learner with the best baseline, in every table and at every support size.

    The best baseline of a table is the one with the best value on meta-validation at that support size.

    Args:
        runs: complete runs of any data sets; a learner and the baselines may be different runs.
        how: metric and support size, by default the runs' own and all; the test; the correction, which is over all
            tables and support sizes of one learner.

    Raises:
        UserError: no table has both a learner and a baseline.
    """
    tables = [
        (learner, group, shots, table)
        for learner, own in _learners(runs).items()
        for group in comparable(own)
        for shots in _sizes(group, how)
        for table in tabulate(group, how._replace(metric=how.metric or _metric(group), shots=shots))
    ]
    names = _names([group for _, group, _, _ in tables], [table for *_, table in tables])
    made = [
        (one, _regret(name, shots, table, one)._replace(row=learner or one.row))
        for name, (learner, _, shots, table) in zip(names, tables, strict=True)
        for one in table.judged
    ]
    if not made:
        raise UserError("--regret: no table has both a learner and a baseline; run the same with learner=none too")
    found = [one for row in dict.fromkeys(one.row for _, one in made) for one in _corrected(row, made, how)]
    return Regrets(found, _notes(names, [table for *_, table in tables], found))


def _learners(runs: Sequence[Finished]) -> dict[str, list[Finished]]:
    """Group runs by learner, each with those of the baselines alone; a learner has one name in all tables.

    Learners are told apart by the settings that are not the table's own: data, protocol, objective, metric.
    """
    alone = [run for run in runs if not run.trains]
    own = [run for run in runs if run.trains]
    methods: dict[str, dict[str, Any]] = {}
    of: dict[str, list[Finished]] = {}
    for run in own:
        settings = {key: value for key, value in method_settings(run.config).items() if key not in OF_TABLE}
        methods[digest := json.dumps(settings, sort_keys=True)] = settings
        of.setdefault(digest, []).append(run)
    names, _ = labels(list(methods.values()))
    return {
        called(name, of[digest][0].departs): [*of[digest], *alone] for name, digest in zip(names, methods, strict=True)
    }


def summary_lines(found: Sequence[Regret]) -> list[str]:
    """A line per learner: its mean regret, over all and at each support size, and how often it is better and worse."""
    lines = []
    for row in dict.fromkeys(one.row for one in found):
        own = [one for one in found if one.row == row]
        sizes = sorted({one.shots for one in own})
        at = ", ".join(f"{_percent(mean_regret([one for one in own if one.shots == k]))} at K = {k}" for k in sizes)
        counts = {verdict: sum(one.verdict == verdict for one in own) for verdict in ("better", "worse", "≈")}
        lines.append(
            f"{row}: mean regret {_percent(mean_regret(own))} ({at}); better {counts['better']}, worse "
            f"{counts['worse']}, not distinguishable {counts['≈']} of {len(own)}, p < {LEVEL:g} after correction"
        )
    return lines


def mean_regret(found: Sequence[Regret]) -> float:
    """The mean over tables and support sizes, as a share."""
    return float(np.mean([one.regret for one in found]))


def grid(found: Sequence[Regret]) -> Grid:
    """A table with a line per learner, data set and support size."""
    head = [
        "method",
        "table",
        "K",
        "metric",
        "value",
        "rival",
        "its value",
        "possible",
        "regret",
        "p",
        "verdict",
    ]
    body = [
        [
            one.row, one.table, str(one.shots), one.metric, number(one.value), one.rival, number(one.best),
            NOTHING if isnan(one.optimum) else number(one.optimum), _percent(one.regret), number(one.p), one.verdict,
        ]
        for one in found
    ]  # fmt: skip
    return Grid("regret: how much worse than the best baseline on meta-validation, its rival", head, body)


def comma_separated(found: Sequence[Regret]) -> str:
    """CSV, unrounded: a line per learner, table and support size."""
    lines = [[*(plain(value) if isinstance(value, float) else value for value in one), one.verdict] for one in found]
    return csv_text([*Regret._fields, "verdict"], lines)


def _sizes(group: Sequence[Finished], how: Judging) -> list[int]:
    """The support sizes of a table, all of them where none is named."""
    return [how.shots] if how.shots is not None else sorted({k for run in group for k in run.scores["shots"].unique()})


def _metric(group: Sequence[Finished]) -> str:
    """The metric that a table's runs are judged by."""
    own = list(dict.fromkeys(run.metric for run in group if run.metric))
    if len(own) != 1:
        raise UserError(f"the runs of one table are judged by {', '.join(own) or 'no metric'}: choose with --metric")
    return own[0]


def _names(groups: Sequence[Sequence[Finished]], tables: Sequence[Table]) -> list[str]:
    """Name tables by the choice that their runs were made by, or else by their headings."""
    chosen = [_chosen(group) for group in groups]
    headings = [table.heading.rpartition(",")[0] for table in tables]
    if None in chosen or len(set(zip(chosen, headings, strict=True))) > len(set(chosen)):
        return headings if len(set(headings)) > 1 or len(headings) == 1 else distinct(tables)
    return [str(name) for name in chosen]


def _chosen(group: Sequence[Finished]) -> str | None:
    """The choice of `NAMED_BY` that all runs of a table were typed with; None where there is none, or several."""
    made = {
        value
        for run in group
        for key, _, value in (text.partition("=") for text in typed(run.directory))
        if key == NAMED_BY
    }
    return made.pop() if len(made) == 1 else None


def _regret(name: str, shots: int, table: Table, judged: Judged) -> Regret:
    """The distance of a row to its reference, its p-value as it is."""
    means = {row.label: row.cells[table.metric].mean for row in table.rows}
    value, best = means[judged.row], means[judged.reference]
    worse = judged.comparison.difference * (1 if table.goal == "min" else -1)
    known = next((run.summary["attainable"] for run in table.runs[judged.row] if "attainable" in run.summary), {})
    # Of "rmse" the pooled one is known, which a mean over tasks may be below.
    optimum = known.get(f"{table.metric}@{shots}", nan) if table.metric == "mae" else nan
    share = worse / abs(best) if best else nan
    raw = judged.comparison
    return Regret(
        name, shots, judged.row, table.metric, value, judged.reference, best, optimum, share, raw.p, 1, raw.n
    )  # fmt: skip


def _corrected(row: str, made: Sequence[tuple[Judged, Regret]], how: Judging) -> list[Regret]:
    """The regrets of a learner, with p-values corrected over those that can be tested."""
    own = [one for _, one in made if one.row == row]
    testable = [at for at, one in enumerate(own) if one.tasks > 1]
    corrected: Mapping[int, float] = dict(
        zip(testable, CORRECTIONS[how.correction].correct([own[at].p for at in testable]).tolist(), strict=True)
    )
    return [one._replace(p=corrected.get(at, 1.0), family=len(testable)) for at, one in enumerate(own)]


def _notes(names: Sequence[str], tables: Sequence[Table], found: Sequence[Regret]) -> list[str]:
    """Name the tables that lack a baseline, and those that a learner has not been run on."""
    judged = {name for name, table in zip(names, tables, strict=True) if table.judged}
    bare = [name for name in names if name not in judged]
    lines = [f"note: no learner, or no baseline: {', '.join(dict.fromkeys(bare))}"] if bare else []
    for row in dict.fromkeys(one.row for one in found):
        there = {one.table for one in found if one.row == row}
        if lacking := [name for name in dict.fromkeys(names) if name not in there and name not in bare]:
            lines.append(f"note: {row} was not run on {', '.join(lacking)}: its mean regret is without")
    return lines


def _percent(share: float) -> str:
    """A share as a signed percentage.

    >>> _percent(0.0123)
    '+1.2 %'
    """
    return NOTHING if isnan(share) else f"{100 * share:+.1f} %".replace("-", "\N{MINUS SIGN}")
