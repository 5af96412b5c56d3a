"""Tables as rich renderables, Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from math import isnan

from rich import box
from rich.markup import escape
from rich.table import Table as RichTable

from recmeta.results.runs import Missing
from recmeta.results.tables import Cell, Table
from recmeta.statistics import number

LEGEND = (
    "best: the best mean; ≈: not distinguishable from it (t-test paired per task, p ≥ 0.05 by Holm over the rows). "
    "[lo, hi]: 95 % bootstrap interval over tasks and, where repeated, splits (else seeds)."
)


def console(tables: Sequence[Table], missing: Sequence[Missing]) -> Iterator[RichTable | str]:
    """What is printed, in reading order; text is escaped for rich."""
    for table in tables:
        for title, (head, *body) in _grids(table):
            drawn = RichTable(box=box.SIMPLE_HEAD)
            for name, justify in zip(head, _justified(head), strict=True):
                drawn.add_column(escape(name), justify="left" if justify == "l" else "right")
            for cells, row in zip(body, table.rows, strict=True):
                drawn.add_row(*map(escape, cells), style="bold" if row.mark == "best" else None)
            yield escape(title)  # not the table's title, which would be wrapped to its width
            yield drawn
        yield from (escape(line) for line in _lines(table))
        yield ""
    yield escape(LEGEND)
    yield from (escape(line) for line in missing_lines(missing))


def markdown(tables: Sequence[Table], missing: Sequence[Missing]) -> str:
    """A Markdown document."""
    said = ["# Results", ""]
    for table in tables:
        for title, (head, *body) in _grids(table):
            rule = [":--" if justify == "l" else "--:" for justify in _justified(head)]
            said += [f"## {title}", "", *(_piped(cells) for cells in (head, rule, *body)), ""]
        said += [*(f"- {line}" for line in _lines(table)), ""]
    said += [LEGEND, "", *(f"- {line}" for line in missing_lines(missing))]
    return "\n".join(said).rstrip() + "\n"


def latex(tables: Sequence[Table], missing: Sequence[Missing]) -> str:
    """Tables for a LaTeX document that loads booktabs; what else there is to say stands in comments."""
    said = [r"% needs \usepackage{booktabs}", f"% {LEGEND}"]
    for table in tables:
        for title, (head, *body) in _grids(table):
            said += [
                r"\begin{table}",
                rf"\caption{{{_tex(title)}}}",
                rf"\begin{{tabular}}{{{''.join(_justified(head))}}}",
                r"\toprule",
                _tex_row(head),
                r"\midrule",
                *map(_tex_row, body),
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
            ]
        said += [f"% {line}" for line in _lines(table)]
    return "\n".join([*said, *(f"% {line}" for line in missing_lines(missing))]) + "\n"


def comma_separated(tables: Sequence[Table], missing: Sequence[Missing]) -> str:
    """CSV, a line per table, row and metric, unrounded; and a line per missing run."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["status", "table", "row", "kind", "metric", "mean", "lo", "hi", "tasks", "seeds", "splits", "mark"]
    )
    for table in tables:
        for row in table.rows:
            kind = "learner" if row.learner else "baseline"
            for name in table.metrics:
                values = ["" if isnan(value) else repr(value) for value in row.cells[name]]
                mark = row.mark if name == table.metric else ""
                counts = [row.tasks, row.seeds, row.splits]
                writer.writerow(["complete", table.heading, row.label, kind, name, *values, *counts, mark])
    for run in missing:
        writer.writerow([run.status, "", str(run.directory), *[""] * 9])
    return stream.getvalue()


FILES: dict[str, Callable[[Sequence[Table], Sequence[Missing]], str]] = {
    "results.md": markdown,
    "results.tex": latex,
    "results.csv": comma_separated,
}
"""What ``--out`` writes, and how each is made."""


def missing_lines(missing: Sequence[Missing]) -> list[str]:
    """A line per run without results, after one that counts them; nothing if there is none."""
    if not missing:
        return []
    counts = [f"{sum(run.status == status for run in missing)} {status}" for status in ("failed", "unfinished")]
    lines = [
        f"missing: {run.directory} ({run.status}{': ' if run.reason else ''}{run.reason})"
        + "".join(f" {override}" for override in run.overrides)
        for run in missing
    ]
    return [f"runs missing from the tables: {len(missing)} ({', '.join(counts)})", *lines]


def _grids(table: Table) -> Iterator[tuple[str, list[list[str]]]]:
    """The cells of the main table, and of the one by support size where there are several; the heads first."""
    head = ["", "method", *table.metrics, "tasks", "seeds", "splits"]
    counts = [[str(row.tasks), str(row.seeds or "-"), str(row.splits)] for row in table.rows]
    yield (
        table.heading,
        [
            head,
            *(
                [row.mark, row.label, *(_cell(row.cells[name]) for name in table.metrics), *count]
                for row, count in zip(table.rows, counts, strict=True)
            ),
        ],
    )
    sizes = sorted({size for row in table.rows for size in row.curve})
    if len(sizes) > 1:
        yield (
            f"{table.heading.rpartition(',')[0]}: {table.metric} by support size",
            [
                ["method", *(f"K={size}" for size in sizes)],
                *([row.label, *(number(row.curve.get(size)) for size in sizes)] for row in table.rows),
            ],
        )


def _lines(table: Table) -> list[str]:
    return [*table.verdicts, *(f"note: {note}" for note in table.notes)]


def _justified(head: Sequence[str]) -> list[str]:
    return ["l" if name in ("", "method") else "r" for name in head]


def _cell(cell: Cell) -> str:
    if isnan(cell.lo):
        return number(cell.mean)
    return f"{number(cell.mean)} [{number(cell.lo)}, {number(cell.hi)}]"


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _tex_row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(map(_tex, cells))} \\"


def _tex(text: str) -> str:
    """Text as LaTeX reads it.

    >>> print(_tex("ndcg@5 of user_cold ≈ 5 %"))
    ndcg@5 of user\\_cold $\\approx$ 5 \\%
    """
    special = {character: f"\\{character}" for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"\N{MINUS SIGN}": "$-$", "≈": r"$\approx$", "…": r"\dots{}"}
    return text.translate(str.maketrans(special))
