"""A report as LaTeX tables that fit a column, for a document that loads booktabs; one text a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from recmeta.results.grids import NOTHING, Grid, Report, justified, legend, missing_lines, sections
from recmeta.results.labels import in_print, row_named
from recmeta.runs.files import read_yaml
from recmeta.types import UserError

MARKED = {"best": r"\textbf{%s}", "≈": r"%s$^{\approx}$"}
"""LaTeX of a marked cell: the best in bold, one not distinguishable from it with a sign."""

ARROWS = {"min": r"$\downarrow$", "max": r"$\uparrow$"}
"""Behind a metric's name: whether lower or higher is better."""

COLUMN, PAGE = 229.0, 469.0
"""Width of a column, and of a page, in points: of LaTeX's ``article`` in two columns, where they are narrow."""

LETTER, SEPARATION = 4.4, 6.0
"""Width of a letter of ``\\small`` text, and of the blank between two columns, in points."""

COUNTS = ("tasks", "seeds", "splits")
"""Columns of counts: where all rows have the same, the caption has it."""

Spread = Literal["pm", "interval", "none"]


class Style(NamedTuple):
    """Choices for LaTeX tables.

    Attributes:
        metrics: columns of the main tables, in order; none: all.
        methods: rows, in order, by their label or their pretty name; none: all, best first.
        names: label or metric -> its name in print.
        spread: "pm" for half the 95 % interval behind ±, "interval" for its two ends, or "none".
    """

    metrics: Sequence[str] = ()
    methods: Sequence[str] = ()
    names: Mapping[str, str] = MappingProxyType({})
    spread: Spread = "pm"


def read_names(path: Path) -> dict[str, str]:
    """Read names in print from a yaml: ``learner=maml: MAML``.

    Raises:
        UserError: the file is missing, or no mapping from names to names.
    """
    found = read_yaml(path)
    if not isinstance(found, Mapping) or any(isinstance(value, Mapping | list) for value in found.values()):
        raise UserError(f"--names {path}: must be a yaml of lines as `learner=maml: MAML`")
    return {str(key): str(value) for key, value in found.items()}


def check(report: Report, style: Style) -> None:
    """Refuse metrics, methods and names that no table has.

    Raises:
        UserError: naming those that there are.
    """
    metrics = list(dict.fromkeys(name for table in report.tables for name in table.metrics))
    labels = list(dict.fromkeys(row.label for table in report.tables for row in table.rows))
    methods = [*labels, *(printed for name in labels if (printed := in_print(name, style.names)) != name)]
    for option, given, there in (
        ("--metrics", style.metrics, metrics),
        ("--methods", style.methods, methods),
    ):
        if unknown := [name for name in given if row_named(name, there) not in there]:
            raise UserError(f"{option} {unknown[0]}: no such name; there are {', '.join(there)}")


def latex(report: Report, style: Style | None = None) -> str:
    """Write all tables in one text; all lines below the tables are comments.

    A cell without a value is a dash, also where the run does not exist; missing runs are listed at the end.
    """
    text = [r"% needs \usepackage{booktabs}", f"% {legend(report.how)}"]
    text.append(r"% bold: the best mean; $\approx$: not distinguishable from it")
    for grids, lines in sections(report):
        for grid in grids:
            text += latex_table(grid, style or Style())
        text += [f"% {line}" for line in lines]
    return "\n".join([*text, *(f"% {line}" for line in missing_lines(report.missing))]) + "\n"


def separate(report: Report, style: Style) -> dict[str, str]:
    """Write a text for each table, by a file name made of its title."""
    found: dict[str, str] = {}
    for grids, _ in sections(report):
        for grid in grids:
            name = slug(grid.title)
            at = next(f"{name}{number}" for number in ("", *range(2, 1000)) if f"{name}{number}.tex" not in found)
            found[f"{at}.tex"] = "\n".join([r"% needs \usepackage{booktabs}", *latex_table(grid, style)]) + "\n"
    return found


def slug(title: str) -> str:
    """A title as a file's name and a label: its words, joined by hyphens.

    >>> slug("dataset=ml_100k protocol=user_cold (data 1a2b): user_cold, K = 20")
    'ml-100k-user-cold-user-cold-k-20'
    """
    bare = re.sub(r"\(data \w+\)|\b\w+=", " ", title)
    return re.sub(r"[^a-z0-9]+", "-", bare.lower()).strip("-")


def latex_table(grid: Grid, style: Style | None = None) -> Iterator[str]:
    """Write a grid as floating tables, as many as it takes to fit the page; a mark is set at the marked number."""
    style = style or Style()
    rows, columns, counts = _chosen(grid, style)
    head = [_head(grid, at, style) for at in columns]
    body = [[_cell(grid, row, at, style) for at in columns] for row in rows]
    sizes = [max(map(_width, cells)) for cells in zip(head, *body, strict=True)]
    parts = _dealt(sizes)
    for number, part in enumerate(parts, start=1):
        wide = sum(sizes[at] for at in part) > COLUMN
        floating = "table*" if wide else "table"
        label = f"tab:{slug(grid.title)}{f'-{number}' if len(parts) > 1 else ''}"
        sides = justified([grid.head[columns[at]] for at in part])
        yield rf"\begin{{{floating}}}"
        yield r"\centering\small\setlength{\tabcolsep}{3pt}"
        yield rf"\caption{{{escape(grid.title)}{counts}{_explained(grid, style)}}}"
        yield rf"\label{{{label}}}"
        yield rf"\begin{{tabular}}{{{''.join(sides)}}}"
        yield r"\toprule"
        yield _row([head[at] for at in part])
        yield r"\midrule"
        for cells in body:
            yield _row([cells[at] for at in part])
        yield r"\bottomrule"
        yield r"\end{tabular}"
        yield rf"\end{{{floating}}}"


def _chosen(grid: Grid, style: Style) -> tuple[list[int], list[int], str]:
    """The rows and the columns that are printed, and in words the counts that all rows share."""
    columns = [at for at, name in enumerate(grid.head) if name]
    first = columns[0]
    rows = list(range(len(grid.body)))
    labels = [row[first] for row in grid.body]
    if style.methods and grid.head[first] == "method":
        printed = {in_print(label, style.names): label for label in labels}
        wanted = [row_named(printed.get(row_named(name, printed), name), labels) for name in style.methods]
        rows = [labels.index(name) for name in wanted if name in labels]
    if style.metrics and any(name in grid.goals for name in grid.head) and set(style.metrics) & set(grid.head):
        metrics = [grid.head.index(name) for name in style.metrics if name in grid.head]
        columns = [first, *metrics, *(at for at in columns[1:] if grid.head[at] not in grid.goals)]
    shared = []
    for at in [at for at in columns if grid.head[at] in COUNTS]:
        values = {grid.body[row][at] for row in rows} - {NOTHING}
        if len(values) <= 1:
            columns.remove(at)
            value = next(iter(values), "0")
            shared += (
                [f"{value} {grid.head[at].removesuffix('s') if value == '1' else grid.head[at]}"] if values else []
            )
    return rows, columns, f" ({', '.join(shared)})" if shared else ""


def _dealt(sizes: Sequence[float]) -> list[list[int]]:
    """Deal columns out to tables as wide as a column where that takes one table, else as wide as the page."""
    room = COLUMN if sum(sizes) <= COLUMN else PAGE
    parts: list[list[int]] = [[0]]
    left = room - sizes[0]
    for at in range(1, len(sizes)):
        if sizes[at] > left and len(parts[-1]) > 1:
            parts.append([0])
            left = room - sizes[0]
        parts[-1].append(at)
        left -= sizes[at]
    return parts


def _width(cell: str) -> float:
    """Estimate the width of a cell in TeX's pt."""
    bare = re.sub(r"\\(?:textbf|small)\{([^}]*)\}|\$\^\{\\approx\}\$|\$\\pm\$|\\[a-z]+\{\}|[${}\\]", r"\1~", cell)
    return LETTER * len(bare.replace("~", "x" if "pm" in cell else "")) + SEPARATION


def _head(grid: Grid, at: int, style: Style) -> str:
    name = grid.head[at]
    arrow = f" {ARROWS[grid.goals[name]]}" if name in grid.goals else ""
    return f"{escape(style.names.get(name, name))}{arrow}"


def _cell(grid: Grid, row: int, at: int, style: Style) -> str:
    """A cell, its mark at the number and not at the interval."""
    text, mark = grid.body[row][at], grid.marks.get((row, at))
    if text == NOTHING:
        return "--"
    if (found := re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", text)) is None:
        text = escape(in_print(text, style.names))
        return MARKED[mark] % text if mark else text
    mean = MARKED[mark] % escape(found[1]) if mark else escape(found[1])
    if style.spread == "none":
        return mean
    half = _half(found[2], found[3])
    if style.spread == "interval" or half is None:
        return f"{mean} {escape(f'[{found[2]}, {found[3]}]')}"
    return rf"{mean} $\pm$ {half}"


def _half(low: str, high: str) -> str | None:
    """Half an interval, with its digits; None where an end is not finite."""
    digits = len(high.partition(".")[2])
    try:
        ends = [float(text.replace("\N{MINUS SIGN}", "-").replace("∞", "inf")) for text in (low, high)]
    except ValueError:
        return None
    half = (ends[1] - ends[0]) / 2
    return None if half == float("inf") else f"{half:.{digits}f}"


def _explained(grid: Grid, style: Style) -> str:
    """The caption's sentences about marks and intervals."""
    parts = []
    if "best" in grid.marks.values():
        parts.append(r"Bold: the best mean; $\approx$: not distinguishable from it")
    if any(" [" in cell for row in grid.body for cell in row) and style.spread != "none":
        parts.append(r"$\pm$: half the 95\,\% interval" if style.spread == "pm" else r"in brackets: 95\,\% interval")
    return f". {'; '.join(parts)}." if parts else ""


def _row(cells: Sequence[Any]) -> str:
    return rf"{' & '.join(cells)} \\"


def escape(text: str) -> str:
    """Escape text for LaTeX.

    >>> print(escape("ndcg@5 of user_cold ≈ 5 %"))
    ndcg@5 of user\\_cold $\\approx$ 5 \\%
    """
    special = {character: f"\\{character}" for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"\N{MINUS SIGN}": "$-$", "≈": r"$\approx$", "…": r"\dots{}", "∞": r"$\infty$", "†": r"$\dagger$"}
    return text.translate(str.maketrans(special))
