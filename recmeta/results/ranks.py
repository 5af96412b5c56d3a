"""Rank methods over several tables: which are better over data sets, and which differ significantly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from recmeta.results.tables import Table
from recmeta.statistics import LEVEL, rank


@dataclass(frozen=True)
class MethodRank:
    """A method over data sets.

    Attributes:
        label: of the method.
        rank: its mean rank, 1 the best.
        wins, ties, losses: number of data sets on which its mean is better than, equal to, worse than the first
            method's.
        p: Nemenyi's p-value, of its rank being the first method's.
    """

    label: str
    rank: float
    wins: int
    ties: int
    losses: int
    p: float


@dataclass(frozen=True)
class Ranked:
    """Methods ranked over data sets, in one scenario.

    Attributes:
        heading: scenario, metric, and number of data sets.
        p: Friedman's p-value, of all methods being alike; NaN with two methods.
        distance: critical distance: mean ranks at least so far apart differ.
        methods: best first.
        notes: caveats for the reader.
    """

    heading: str
    p: float
    distance: float
    methods: Sequence[MethodRank]
    notes: Sequence[str]


def rankings(tables: Sequence[Table]) -> list[Ranked]:
    """Rank the methods that all tables of a scenario have, where there are at least two such tables and methods.

    Args:
        tables: by one metric.
    """
    scenarios = dict.fromkeys(table.scenario for table in tables)
    made = (_ranked([table for table in tables if table.scenario == scenario]) for scenario in scenarios)
    return [one for one in made if one is not None]


def _ranked(tables: Sequence[Table]) -> Ranked | None:
    metric, goal = tables[0].metric, tables[0].goal
    means = [{row.label: row.cells[metric].mean for row in table.rows} for table in tables]
    labels = [name for name in means[0] if all(not isnan(one.get(name, float("nan"))) for one in means)]
    if len(tables) < 2 or len(labels) < 2:
        return None
    values = np.array([[one[name] for name in labels] for one in means])
    found = rank(values, goal)
    first = int(found.ranks.argmin())
    ahead = (values - values[:, [first]]) * (-1 if goal == "min" else 1)
    methods = [
        MethodRank(
            name,
            float(found.ranks[i]),
            int((ahead[:, i] > 0).sum()),
            int((ahead[:, i] == 0).sum()),
            int((ahead[:, i] < 0).sum()),
            float(found.pairs[first, i]),
        )
        for i, name in enumerate(labels)
    ]
    methods.sort(key=lambda one: one.rank)
    heading = f"{tables[0].scenario}: mean ranks by {metric} over {len(tables)} tables"
    return Ranked(heading, found.p, found.distance, methods, _notes(tables, labels))


def _notes(tables: Sequence[Table], labels: Sequence[str]) -> list[str]:
    """Notes on tables that are no independent sample, and on methods that were left out."""
    twice = [f"{data} {times} times" for data, times in Counter(table.data for table in tables).items() if times > 1]
    everyone = dict.fromkeys(row.label for table in tables for row in table.rows)
    left = [label for label in everyone if label not in labels]
    notes = [f"tables of one data set are no independent sample: {', '.join(twice)}"] if twice else []
    return [*notes, *([f"not in every table, so not ranked: {', '.join(left)}"] if left else [])]


def sentence(ranked: Ranked) -> str:
    """State the tests' results in words."""
    if isnan(ranked.p):
        friedman = "two methods: Friedman's test needs three"
    else:
        friedman = f"Friedman: p {'< 0.001' if ranked.p < 0.001 else f'= {ranked.p:.3f}'}"
    first = ranked.methods[0]
    alike = [one.label for one in ranked.methods[1:] if one.p >= LEVEL]
    result = (
        f"not distinguishable from {first.label}: {', '.join(alike)}" if alike else f"{first.label} differs from all"
    )
    return f"{friedman}; ranks {ranked.distance:.2f} or more apart differ (Nemenyi, 5 %); {result}"
