"""Line and scatter plots of a metric: against support size, inner steps, outer steps, cost."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recmeta.results.figures.style import canvas, legend_below, line_style

FAR = 20
"""Ratio of the largest to the smallest positive number from which an axis is logarithmic."""


def shots_curve(frame: pl.DataFrame, metric: str) -> Figure:
    """Plot a metric against the support size, with 95 % intervals over tasks.

    Sizes are evenly spaced: they grow by factors, and 0 is among them.

    Args:
        frame: `frames.by_shots`.
        metric: its name.
    """
    figure, axes = canvas(f"{metric} by support size", "support size K", metric)
    sizes = sorted(frame["shots"].unique())
    rows = frame["row"].unique(maintain_order=True)
    for at, row in enumerate(rows):
        part = frame.filter(pl.col("row") == row)
        # Beside each other: intervals on one spot could not be distinguished.
        place = [sizes.index(size) + 0.06 * (at - (len(rows) - 1) / 2) for size in part["shots"]]
        low, high = (part["mean"] - part["lo"]).fill_nan(0), (part["hi"] - part["mean"]).fill_nan(0)
        bars = [low.clip(0).to_list(), high.clip(0).to_list()]
        axes.errorbar(place, part["mean"].to_list(), bars, label=row, capsize=2, elinewidth=0.7, **line_style(at))
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    legend_below(figure, axes)
    return figure


def difference_bars(frame: pl.DataFrame, metric: str, goal: str) -> Figure:
    """Plot each row's difference to the reference, with its paired 95 % interval: on the better side of 0 or not.

    Args:
        frame: `frames.by_difference`, of one reference.
        metric: its name.
        goal: "min" or "max".
    """
    better = "left" if goal == "min" else "right"
    reference = frame["reference"][0]
    across = f"{metric}, less that of {reference}: further {better} is better"
    figure, axes = canvas(f"{metric}: difference to {reference}", across, "", height=1.1 + 0.28 * frame.height)
    places = list(range(frame.height))
    middle, low, high = (frame[name].to_list() for name in ("difference", "lo", "hi"))
    bars = [
        [value - end for value, end in zip(middle, low, strict=True)],
        [end - value for value, end in zip(middle, high, strict=True)],
    ]
    axes.errorbar(middle, places, xerr=bars, fmt="o", color="black", markersize=4, capsize=2, elinewidth=1)
    axes.axvline(0, color="black", linewidth=0.8, linestyle="--")
    axes.set_yticks(places, frame["row"].to_list())
    axes.invert_yaxis()
    return figure


def inner_curve(frame: pl.DataFrame) -> Figure:
    """Plot MAE on test tasks after each inner step.

    Args:
        frame: `frames.by_inner_step`.
    """
    figure, axes = canvas("mae of raw predictions, at the headline support size", "inner steps taken", "mae")
    for at, row in enumerate(frame["row"].unique(maintain_order=True)):
        part = frame.filter(pl.col("row") == row)
        axes.plot(part["step"].to_list(), part["mean"].to_list(), label=row, **line_style(at))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes)
    return figure


def learning_curve(frame: pl.DataFrame, metric: str) -> Figure:
    """Plot a metric on meta-validation over training; bands are the range over seeds and splits.

    Args:
        frame: `frames.by_outer_step`.
        metric: its name.
    """
    figure, axes = canvas(f"{metric} on meta-validation", "outer steps", metric)
    for at, row in enumerate(frame["row"].unique(maintain_order=True)):
        part = frame.filter(pl.col("row") == row)
        style = line_style(at)
        steps = part["step"].to_list()
        axes.plot(steps, part["mean"].to_list(), label=row, markevery=max(1, len(steps) // 10), **style)
        axes.fill_between(
            steps, part["lo"].to_list(), part["hi"].to_list(), color=style["color"], alpha=0.12, linewidth=0
        )
    legend_below(figure, axes)
    return figure


def cost_scatter(frame: pl.DataFrame, metric: str) -> Figure:
    """Plot a metric against a run's seconds, with 95 % intervals; learners are filled, baselines hollow.

    Args:
        frame: `frames.by_cost`.
        metric: its name.
    """
    figure, axes = canvas(f"{metric} against cost", "seconds of a run's training", metric)
    for at, (row, kind, seconds, mean, lo, hi) in enumerate(frame.iter_rows()):
        style: dict[str, Any] = (
            line_style(at) | {"linestyle": "none"} | ({} if kind == "learner" else {"markerfacecolor": "none"})
        )
        bars = [[max(mean - lo, 0)], [max(hi - mean, 0)]] if lo == lo else None
        axes.errorbar([seconds], [mean], bars, label=row, capsize=2, elinewidth=0.7, **style)
    if is_wide(frame["seconds"].to_list()):
        axes.set_xscale("log")
    legend_below(figure, axes)
    return figure


def is_wide(values: list[float]) -> bool:
    """Whether positive numbers spread so far that a logarithmic axis is clearer.

    >>> is_wide([0.001, 0.1]), is_wide([1, 2]), is_wide([0, 100])
    (True, False, False)
    """
    return min(values) > 0 and max(values) >= FAR * min(values)
