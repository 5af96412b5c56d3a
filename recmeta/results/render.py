"""A report as rich renderables, Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import NamedTuple

from rich import box
from rich.markup import escape
from rich.table import Table as RichTable

from recmeta.results.budget import UNEQUAL, Budget
from recmeta.results.judging import Judged, Judging
from recmeta.results.ranks import Ranked, sentence
from recmeta.results.runs import Missing
from recmeta.results.tables import Bucketed, Cell, Table
from recmeta.statistics import CORRECTIONS, number

TESTED = {"t": "t-test", "wilcoxon": "Wilcoxon's test", "permutation": "sign-flip permutation test"}
"""The tests in words."""


LEFT = ("", "method", "chosen", "by", "at the edge of what was tried")
"""Columns of words."""


@dataclass(frozen=True)
class Report:
    """All that is reported.

    Attributes:
        tables: one per data set, protocol and scenario.
        rankings: one per scenario with several tables.
        missing: runs without results.
        how: what the tables were judged by.
    """

    tables: Sequence[Table]
    rankings: Sequence[Ranked]
    missing: Sequence[Missing]
    how: Judging


class Grid(NamedTuple):
    """Cells under a title, the head first; ``bold`` says which row of the body stands out, if any does."""

    title: str
    rows: list[list[str]]
    bold: int | None = None


def legend(how: Judging) -> str:
    """What the marks and the numbers mean."""
    correction = CORRECTIONS[how.correction].name
    return (
        f"best: the best mean; ≈: not distinguishable from it ({TESTED[how.test]} paired per task, p ≥ 0.05, "
        f"{correction} over the rows). A task's scores are averaged over its seeds and splits first, so that it counts "
        "once. [lo, hi]: 95 % bootstrap interval over tasks, each with all its splits, and over the seeds that all "
        "tasks have. Intervals of differences invert the test and are for one comparison; verdicts are by p, "
        f"{correction} over the learners of a table. {UNEQUAL}: one of the two had more settings to choose from, as "
        "far as these directories tell."
    )


def console(report: Report) -> Iterator[RichTable | str]:
    """What is printed, in reading order; text is escaped for rich."""
    for grids, lines in _sections(report):
        for grid in grids:
            head, *body = grid.rows
            drawn = RichTable(box=box.SIMPLE_HEAD)
            for name, justify in zip(head, _justified(head), strict=True):
                drawn.add_column(escape(name), justify="left" if justify == "l" else "right")
            for place, cells in enumerate(body):
                drawn.add_row(*map(escape, cells), style="bold" if place == grid.bold else None)
            yield escape(grid.title)  # not the table's title, which would be wrapped to its width
            yield drawn
        yield from map(escape, lines)
        yield ""
    yield escape(legend(report.how))
    yield from map(escape, missing_lines(report.missing))


def markdown(report: Report) -> str:
    """A Markdown document."""
    said = ["# Results", ""]
    for grids, lines in _sections(report):
        for grid in grids:
            head, *body = grid.rows
            rule = [":--" if justify == "l" else "--:" for justify in _justified(head)]
            said += [f"## {grid.title}", "", *(_piped(cells) for cells in (head, rule, *body)), ""]
        said += [*(f"- {line}" for line in lines), ""]
    said += [legend(report.how), "", *(f"- {line}" for line in missing_lines(report.missing))]
    return "\n".join(said).rstrip() + "\n"


def latex(report: Report) -> str:
    """Tables for a LaTeX document that loads booktabs; what else there is to say stands in comments."""
    said = [r"% needs \usepackage{booktabs}", f"% {legend(report.how)}"]
    for grids, lines in _sections(report):
        for grid in grids:
            head, *body = grid.rows
            said += [
                r"\begin{table}",
                rf"\caption{{{_tex(grid.title)}}}",
                rf"\begin{{tabular}}{{{''.join(_justified(head))}}}",
                r"\toprule",
                _tex_row(head),
                r"\midrule",
                *map(_tex_row, body),
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
            ]
        said += [f"% {line}" for line in lines]
    return "\n".join([*said, *(f"% {line}" for line in missing_lines(report.missing))]) + "\n"


def comma_separated(report: Report) -> str:
    """CSV, unrounded: a line per table, row and metric, one per bucket and row, and one per missing run."""
    lines = []
    for table in report.tables:
        for row in table.rows:
            for name in table.metrics:
                mark = row.mark if name == table.metric else ""
                values = [*map(_plain, row.cells[name]), row.tasks, row.seeds, row.splits, mark]
                lines.append(["complete", table.heading, "", row.label, row.kind, name, *values])
            for bucket, cell in table.bucketed.cells[row.label].items() if table.bucketed else ():
                values = [*map(_plain, cell), table.bucketed.tasks[bucket] if table.bucketed else 0, row.seeds]
                where = ["complete", table.heading, bucket, row.label, row.kind, table.metric]
                lines.append([*where, *values, row.splits, ""])
    lines += [[run.status, "", "", str(run.directory), *[""] * 9] for run in report.missing]
    head = ["status", "table", "bucket", "row", "kind", "metric", "mean", "lo", "hi"]
    return _csv([*head, "tasks", "seeds", "splits", "mark"], lines)


def comparisons(report: Report) -> str:
    """CSV, unrounded: a line per comparison with a best baseline, over all tasks and in each bucket."""

    def line(table: Table, one: Judged) -> list[object]:
        found = one.comparison
        named = [table.heading, one.bucket, one.row, one.reference, table.metric, report.how.test]
        numbers = [found.difference, found.lo, found.hi, found.p, one.p, found.effect_size, found.detectable]
        return [*named, *map(_plain, numbers), found.n, report.how.correction, one.family]

    judged = [(table, one) for table in report.tables for one in _all(table)]
    head = ["table", "bucket", "row", "reference", "metric", "test", "difference", "lo", "hi", "p", "p_corrected"]
    return _csv(
        [*head, "effect_size", "detectable", "tasks", "correction", "family"],
        [line(table, one) for table, one in judged],
    )


def ledger(report: Report) -> str:
    """CSV, unrounded: a line per table and method: what was tried, what was chosen, what it cost."""
    lines = []
    for table in report.tables:
        for one in table.budgets:
            words = [one.by, one.chosen, "; ".join(one.edges)]
            tried = "" if one.tried is None else one.tried
            lines.append([table.heading, one.method, one.kind, tried, one.failed, *words, _plain(one.seconds)])
    return _csv(["table", "method", "kind", "tried", "failed", "by", "chosen", "edges", "train_seconds"], lines)


FILES: dict[str, Callable[[Report], str]] = {
    "results.md": markdown,
    "results.tex": latex,
    "results.csv": comma_separated,
    "comparisons.csv": comparisons,
    "budget.csv": ledger,
}
"""What ``--out`` writes, and how each is made."""


def missing_lines(missing: Sequence[Missing]) -> list[str]:
    """A line per run without results, after one that counts them; nothing if there is none."""
    if not missing:
        return []
    counts = [
        f"{count} {status}"
        for status in ("failed", "running", "unfinished")
        if (count := sum(run.status == status for run in missing))
    ]
    lines = [
        f"missing: {run.directory} ({run.status}{': ' if run.reason else ''}{run.reason})"
        + "".join(f" {override}" for override in run.overrides)
        for run in missing
    ]
    return [f"runs missing from the tables: {len(missing)} ({', '.join(counts)})", *lines]


def _sections(report: Report) -> Iterator[tuple[list[Grid], list[str]]]:
    """Grids and the lines below them, in reading order."""
    for table in report.tables:
        bucketed = [f"{one.row}, {one.bucket}: {one.text}" for one in table.bucketed.judged] if table.bucketed else []
        yield list(_grids(table)), [*table.verdicts, *bucketed, *(f"note: {note}" for note in table.notes)]
    for ranked in report.rankings:
        yield [_ranks(ranked)], [sentence(ranked), *(f"note: {note}" for note in ranked.notes)]


def _grids(table: Table) -> Iterator[Grid]:
    """The main table, the one by support size where there are several, and the one by buckets if there is one."""
    head = ["", "method", *table.metrics, "tasks", "seeds", "splits"]
    body = [
        [row.mark, row.label, *(_cell(row.cells[name]) for name in table.metrics), *counts]
        for row in table.rows
        for counts in [(str(row.tasks), str(row.seeds or "-"), str(row.splits))]
    ]
    best = next((place for place, row in enumerate(table.rows) if row.mark == "best"), None)
    yield Grid(table.heading, [head, *body], best)
    world = table.heading.rpartition(",")[0]
    sizes = sorted({size for row in table.rows for size in row.curve})
    if len(sizes) > 1:
        curves = [[row.label, *(number(row.curve.get(size)) for size in sizes)] for row in table.rows]
        yield Grid(f"{world}: {table.metric} by support size", [["method", *(f"K={size}" for size in sizes)], *curves])
    yield _ledger(world.rpartition(":")[0], table.budgets)
    if table.bucketed:
        heading = world if table.bucketed.by == "shots" else table.heading
        yield Grid(f"{heading}: {table.metric} by {table.bucketed.by}", _bucket_rows(table, table.bucketed))


def _ledger(world: str, budgets: Sequence[Budget]) -> Grid:
    """What each method had: the same for all scenarios of a protocol."""
    head = ["method", "settings tried", "chosen", "by", "at the edge of what was tried", "train s"]
    body = [
        [
            one.method,
            ("unknown" if one.tried is None else str(one.tried)) + (f" ({one.failed} failed)" if one.failed else ""),
            one.chosen,
            one.by,
            "; ".join(one.edges),
            "-" if isnan(one.seconds) else f"{one.seconds:.0f}",
        ]
        for one in budgets
    ]
    return Grid(f"{world}: budget", [head, *body])


def _bucket_rows(table: Table, bucketed: Bucketed) -> list[list[str]]:
    head = ["method", *(f"{bucket} (n={tasks})" for bucket, tasks in bucketed.tasks.items())]
    nothing = Cell(float("nan"), float("nan"), float("nan"))
    return [
        head,
        *(
            [row.label, *(_cell(bucketed.cells[row.label].get(bucket, nothing)) for bucket in bucketed.tasks)]
            for row in table.rows
        ),
    ]


def _ranks(ranked: Ranked) -> Grid:
    first = ranked.standings[0].label
    head = ["method", "rank", f"better / equal / worse than {first}", "p (Nemenyi)"]
    body = [
        [one.label, f"{one.rank:.2f}", f"{one.wins} / {one.ties} / {one.losses}", number(one.p)]
        for one in ranked.standings[1:]
    ]
    return Grid(ranked.heading, [head, [first, f"{ranked.standings[0].rank:.2f}", "", ""], *body])


def _all(table: Table) -> list[Judged]:
    return [*table.judged, *(table.bucketed.judged if table.bucketed else ())]


def _justified(head: Sequence[str]) -> list[str]:
    return ["l" if name in LEFT else "r" for name in head]


def _cell(cell: Cell) -> str:
    if isnan(cell.lo):
        return number(cell.mean)
    return f"{number(cell.mean)} [{number(cell.lo)}, {number(cell.hi)}]"


def _plain(value: float) -> str:
    return repr(float(value)) if isfinite(value) else ""


def _csv(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([head, *lines])
    return stream.getvalue()


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
    special |= {"\N{MINUS SIGN}": "$-$", "≈": r"$\approx$", "…": r"\dots{}", "∞": r"$\infty$", "†": r"$\dagger$"}
    return text.translate(str.maketrans(special))
