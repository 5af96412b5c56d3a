"""Style of figures, and saving them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH, HEIGHT = 6.0, 3.6
"""Size of a figure, in inches: a column and a half of a paper."""

SHORT, LINE = 42, 0.17
"""Labels with fewer letters go two to a line; height of a line of the legend, in inches."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")
"""Styles of eight lines: all markers differ, neighbours differ in dash. The colours are Okabe and Ito's."""

HATCHES = ("///", "...", "\\\\\\", "xxx", "---", "+++", "ooo", "***")

RC: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "recmeta",
    "pdf.fonttype": 42,
}
"""Text stays text: it can be searched, and edited."""


def canvas(title: str, across: str, up: str, *, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """An empty figure with labelled axes."""
    with rc_context(RC):
        figure = Figure((WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3, linewidth=0.5)
    return figure, axes


def line_style(place: int) -> dict[str, Any]:
    """The marker, dash and colour of a line, by its index."""
    return {
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[place % len(DASHES)],
        "color": COLOURS[place % len(COLOURS)],
        "markersize": 4.5,
        "linewidth": 1.2,
    }


def legend_below(figure: Figure, axes: Axes) -> None:
    """Add a legend below the axes, where it hides no line and labels may be long; the figure grows by it."""
    handles, names = axes.get_legend_handles_labels()
    columns = 2 if max(map(len, names), default=0) < SHORT else 1
    figure.set_figheight(figure.get_figheight() + LINE * -(-len(names) // columns))
    figure.legend(handles, names, loc="outside lower left", ncols=columns, frameon=False, fontsize=8)


def settled(figure: Figure) -> Figure:
    """Lay a figure out once: each format that it is saved in would repeat it."""
    with rc_context(RC):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix: png, pdf, svg. Equal figures are equal files."""
    dates = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with rc_context(RC):
        figure.savefig(path, dpi=200, metadata=dates.get(path.suffix))


def svg(figure: Figure) -> str:
    """A figure as an SVG element."""
    written = io.StringIO()
    with rc_context(RC):
        figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
