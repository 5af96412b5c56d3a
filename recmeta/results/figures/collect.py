"""Draw all figures of a report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl
from matplotlib.figure import Figure

from recmeta.results.figures import frames
from recmeta.results.figures.curves import cost_scatter, difference_bars, inner_curve, learning_curve, shots_curve
from recmeta.results.figures.diagram import critical_difference
from recmeta.results.figures.search import ENOUGH, importance_bars, importances, slices
from recmeta.results.figures.style import settled
from recmeta.results.grids import distinct
from recmeta.results.ranks import Ranked
from recmeta.results.tables import Table


class Drawn(NamedTuple):
    """A figure with its numbers.

    Attributes:
        name: stem of its files.
        caption: description for a reader of the report.
        figure: the drawing.
        frame: its numbers.
    """

    name: str
    caption: str
    figure: Figure
    frame: pl.DataFrame


def draw_all(tables: Sequence[Table], rankings: Sequence[Ranked]) -> Iterator[Drawn]:
    """Draw every figure that there are numbers for, one after the other, since a figure is large.

    Args:
        tables: of a report.
        rankings: of the same report.
    """
    names = distinct(tables) if len(tables) > 1 else [""]
    for table, name in zip(tables, names, strict=True):
        before = f"{_slug(name)}-" if name else ""
        for drawn in _of_table(table):
            caption = f"{table.heading}: {drawn.caption}"
            yield drawn._replace(name=before + drawn.name, caption=caption, figure=settled(drawn.figure))
    for ranked in rankings:
        frame = frames.by_rank(ranked)
        name = f"ranks-{_slug(ranked.heading.partition(':')[0])}"
        yield Drawn(name, ranked.heading, settled(critical_difference(frame, ranked.distance)), frame)


def _of_table(table: Table) -> Iterator[Drawn]:
    metric = table.metric
    of_rival = frames.by_difference(table)
    if of_rival.height:
        caption = f"{metric}, difference to {of_rival['reference'][0]}, paired per task, 95 % intervals"
        yield Drawn("differences", caption, difference_bars(of_rival, metric, table.goal), of_rival)
    of_shots = frames.by_shots(table)
    if of_shots["shots"].n_unique() > 1:
        caption = f"{metric} by support size, the best {frames.MOST} rows, 95 % intervals over tasks"
        yield Drawn("shots", caption, shots_curve(of_shots, metric), of_shots)
    of_inner = frames.by_inner_step(table)
    if of_inner.height:
        yield Drawn(
            "inner-steps",
            "mae of raw predictions (point=raw) on test tasks by inner step",
            inner_curve(of_inner),
            of_inner,
        )
    chosen = {run.metric for runs in table.runs.values() for run in runs}
    of_outer = frames.by_outer_step(table)
    if of_outer["step"].n_unique() > 1 and len(chosen) == 1:
        (own,) = chosen
        caption = f"{own} on meta-validation by outer step, mean and range of seeds and splits"
        yield Drawn("learning", caption, learning_curve(of_outer, own), of_outer)
    of_cost = frames.by_cost(table)
    if of_cost.height > 1:
        yield Drawn("cost", f"{metric} against the seconds of a run", cost_scatter(of_cost, metric), of_cost)
    yield from _of_search(table)


def _of_search(table: Table) -> Iterator[Drawn]:
    """Draw slices and importances of each method with several settings."""
    searched = [budget for budget in table.budgets if budget.kind == "learner" and len(budget.rows) > 2]
    for budget in searched:
        frame, on = frames.by_setting(table, budget), frames.judged_on(table, budget)
        after = f"-{_slug(budget.method)}" if len(searched) > 1 else ""
        if frame.height > 2 and frame.width > 2:
            title = f"{budget.method}: settings tried, by {table.metric} on {on}"
            drawn = slices(frame, f"{table.metric} on {on}", table.goal, title)
            yield Drawn(f"slices{after}", title, drawn, frame)
        if frame.height >= ENOUGH and frame.width > 3:
            title = f"{budget.method}: importance of settings, by {table.metric} on {on}"
            found = importances(frame)
            yield Drawn(f"importance{after}", title, importance_bars(found, title), found)


def _slug(text: str) -> str:
    """Text as part of a file name.

    >>> _slug("dataset=ml_1m K=20")
    'ml_1m-k-20'
    """
    bare = re.sub(r"\b(dataset|learner|protocol)=", "", text.lower())
    return re.sub(r"[^a-z0-9_]+", "-", bare).strip("-")
