"""A report as LaTeX tables, for a document that loads booktabs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recmeta.results.grids import NOTHING, Grid, Report, justified, legend, missing_lines, sections

MARKED = {"best": r"\textbf{%s}", "≈": r"%s$^{\approx}$"}
"""How a cell with a mark is set: the best bold, what a test does not tell from it with a sign."""


def latex(report: Report) -> str:
    """Tables with the best in bold; what else there is to say stands in comments.

    A cell without a value is a dash; so is one of a run that there is not, and the runs that are missing are named at
    the end.
    """
    said = [r"% needs \usepackage{booktabs}", f"% {legend(report.how)}"]
    said.append(r"% bold: the best mean; $\approx$: not distinguishable from it")
    for grids, lines in sections(report):
        for grid in grids:
            said += latex_table(grid)
        said += [f"% {line}" for line in lines]
    return "\n".join([*said, *(f"% {line}" for line in missing_lines(report.missing))]) + "\n"


def latex_table(grid: Grid) -> Iterator[str]:
    """One floating table. The column of marks is left out: the marks are set where they belong."""
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
    """A cell; a mark is set at the number, not at its interval."""
    if text == NOTHING:
        return "--"
    value, space, interval = text.partition(" [")
    said = MARKED[mark] % escape(value) if mark else escape(value)
    return f"{said}{escape(space + interval)}"


def _row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def escape(text: str) -> str:
    """Text as LaTeX reads it.

    >>> print(escape("ndcg@5 of user_cold ≈ 5 %"))
    ndcg@5 of user\\_cold $\\approx$ 5 \\%
    """
    special = {character: f"\\{character}" for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"\N{MINUS SIGN}": "$-$", "≈": r"$\approx$", "…": r"\dots{}", "∞": r"$\infty$", "†": r"$\dagger$"}
    return text.translate(str.maketrans(special))
