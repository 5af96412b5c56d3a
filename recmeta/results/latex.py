"""A report as LaTeX tables, for a document that loads booktabs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recmeta.results.grids import NOTHING, Grid, Report, justified, legend, missing_lines, sections

MARKED = {"best": r"\textbf{%s}", "≈": r"%s$^{\approx}$"}
"""LaTeX of a marked cell: the best in bold, one not distinguishable from it with a sign."""


def latex(report: Report) -> str:
    """Write tables with the best in bold; all other lines are comments.

    A cell without a value is a dash, also where the run does not exist; missing runs are listed at the end.
    """
    text = [r"% needs \usepackage{booktabs}", f"% {legend(report.how)}"]
    text.append(r"% bold: the best mean; $\approx$: not distinguishable from it")
    for grids, lines in sections(report):
        for grid in grids:
            text += latex_table(grid)
        text += [f"% {line}" for line in lines]
    return "\n".join([*text, *(f"% {line}" for line in missing_lines(report.missing))]) + "\n"


def latex_table(grid: Grid) -> Iterator[str]:
    """One floating table, without the column of marks: a mark is set at the marked number."""
    columns = [at for at, name in enumerate(grid.head) if name]
    yield r"\begin{table}"
    yield r"\centering"
    yield rf"\caption{{{escape(grid.title)}}}"
    yield rf"\begin{{tabular}}{{{''.join(justified([grid.head[at] for at in columns]))}}}"
    yield r"\toprule"
    yield _row([escape(grid.head[at]) for at in columns])
    yield r"\midrule"
    for place, cells in enumerate(grid.body):
        yield _row([_cell(cells[at], grid.marks.get((place, at))) for at in columns])
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _cell(text: str, mark: str | None) -> str:
    """A cell, its mark at the number and not at the interval."""
    if text == NOTHING:
        return "--"
    value, space, interval = text.partition(" [")
    mean = MARKED[mark] % escape(value) if mark else escape(value)
    return f"{mean}{escape(space + interval)}"


def _row(cells: Sequence[str]) -> str:
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
