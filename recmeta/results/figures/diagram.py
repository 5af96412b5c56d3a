"""The critical-difference diagram."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from recmeta.results.figures.style import WIDTH, canvas

STEP, LETTER = 0.22, 0.06
"""Height of a line of text, and width of a letter, in inches."""


def critical_difference(frame: pl.DataFrame, distance: float) -> Figure:
    """Plot mean ranks on a line; bars join methods that Nemenyi's test does not distinguish.

    Args:
        frame: `frames.by_rank`: at least two methods.
        distance: critical distance: mean ranks at least so far apart differ.

    Reference:
        Demšar, Statistical comparisons of classifiers over multiple data sets, Journal of Machine Learning Research
        2006, where the diagram is introduced.
    """
    rows, ranks = frame["row"].to_list(), frame["rank"].to_list()
    joined = cliques(ranks, distance)
    half = (len(rows) + 1) // 2
    height = STEP * (half + len(joined) + 6)
    figure, axes = canvas(
        "mean ranks (1 is best); a bar joins methods that are not distinguishable", "", "", height=height
    )
    figure.set_figwidth(WIDTH + LETTER * (max(map(len, rows[:half])) + max(map(len, rows[half:]))))
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.spines["top"].set_visible(True)
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_major_locator(MultipleLocator(1))
    axes.set_yticks([])
    low, high = 1, max(len(rows), ranks[-1])
    axes.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    depth = half + len(joined) + 3
    axes.set_ylim(-depth, 0)
    axes.plot([low, low + min(distance, high - low)], [-0.6, -0.6], color="black", linewidth=1, marker="|")
    axes.text(low + min(distance, high - low), -0.75, f"  critical difference {distance:.2f}", fontsize=8, va="center")
    for at, (first, last) in enumerate(joined):
        place = -1.6 - 0.6 * at
        axes.plot([ranks[first], ranks[last]], [place, place], color="black", linewidth=3, solid_capstyle="butt")
    start = -2.4 - 0.6 * len(joined)
    for at, (row, rank) in enumerate(zip(rows, ranks, strict=True)):
        left = at < half
        place = start - (at if left else len(rows) - 1 - at)
        edge = low if left else high
        axes.plot([rank, rank, edge], [0, place, place], color="black", linewidth=0.7)
        label = f"{row} ({rank:.2f}) " if left else f" {row} ({rank:.2f})"
        axes.text(edge, place, label, ha="right" if left else "left", va="center", fontsize=8)
    return figure


def cliques(ranks: list[float], distance: float) -> list[tuple[int, int]]:
    """The longest runs of sorted ranks that span less than a distance: first and last place of each.

    >>> cliques([1.0, 1.5, 2.8, 3.0], 1.4)
    [(0, 1), (1, 2), (2, 3)]
    """
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(at for at in range(first, len(ranks)) if ranks[at] - ranks[first] < distance)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
