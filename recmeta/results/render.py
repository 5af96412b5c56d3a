"""A report as rich renderables, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from math import isfinite

from rich.text import Text

from recmeta.results.grids import Grid, Report, justified, legend, missing_lines, sections
from recmeta.results.judging import Judged
from recmeta.results.screen import lay_out
from recmeta.results.tables import Table


def console(report: Report, width: int) -> Iterator[Text | str]:
    """Yield the printed report, in reading order.

    Args:
        report: the report.
        width: columns that a table may take.
    """
    for grids, lines in sections(report):
        for grid in grids:
            body = _marked(grid)
            keys = 1 + ("" in grid.head)
            bold = {at: "bold" for at, cells in enumerate(body) if cells[0] == "best"}
            yield from (grid.title, lay_out(grid.head, body, justified(grid.head), width, keys=keys, styles=bold), "")
        yield from lines
        yield ""
    yield legend(report.how)
    yield from missing_lines(report.missing)


def markdown(report: Report) -> str:
    """A Markdown document."""
    text = ["# Results", ""]
    for grids, lines in sections(report):
        for grid in grids:
            rule = [":--" if justify == "l" else "--:" for justify in justified(grid.head)]
            rows = (grid.head, rule, *_marked(grid))
            text += [f"## {grid.title}", "", *map(_piped, rows), ""]
        text += [*(f"- {line}" for line in lines), ""]
    text += [legend(report.how), "", *(f"- {line}" for line in missing_lines(report.missing))]
    return "\n".join(text).rstrip() + "\n"


def comma_separated(report: Report) -> str:
    """CSV, unrounded: a line per table, row and metric, one per bucket and row, and one per missing run."""
    lines = []
    for table in report.tables:
        for row in table.rows:
            for name in table.metrics:
                mark = row.mark if name == table.metric else ""
                values = [*map(plain, row.cells[name]), row.tasks, row.seeds, row.splits, mark]
                lines.append(["complete", table.heading, "", row.label, row.kind, name, *values])
            for bucket, cell in table.bucketed.cells[row.label].items() if table.bucketed else ():
                values = [*map(plain, cell), table.bucketed.tasks[bucket] if table.bucketed else 0, row.seeds]
                where = ["complete", table.heading, bucket, row.label, row.kind, table.metric]
                lines.append([*where, *values, row.splits, ""])
    lines += [[run.status, "", "", str(run.directory), *[""] * 9] for run in report.missing]
    head = ["status", "table", "bucket", "row", "kind", "metric", "mean", "lo", "hi"]
    return csv_text([*head, "tasks", "seeds", "splits", "mark"], lines)


def comparisons(report: Report) -> str:
    """CSV, unrounded: a line per comparison with another row, over all tasks, in each bucket, and of ablations."""

    def line(table: Table, one: Judged) -> list[object]:
        found = one.comparison
        named = [table.heading, one.bucket, one.row, one.reference, table.metric, report.how.test]
        numbers = [found.difference, found.lo, found.hi, found.p, one.p, found.effect_size, found.detectable]
        return [*named, *map(plain, numbers), found.n, report.how.correction, one.family]

    judged = [(table, one) for table in report.tables for one in _all(table)]
    head = ["table", "bucket", "row", "reference", "metric", "test", "difference", "lo", "hi", "p", "p_corrected"]
    return csv_text(
        [*head, "effect_size", "detectable", "tasks", "correction", "family"],
        [line(table, one) for table, one in judged],
    )


def ledger(report: Report) -> str:
    """CSV, unrounded: a line per table and method with the settings tried, the chosen one, and the seconds."""
    lines = []
    for table in report.tables:
        for one in table.budgets:
            words = [one.by, one.chosen, "; ".join(one.edges)]
            tried = "" if one.tried is None else one.tried
            lines.append(
                [table.heading, one.method, one.kind, tried, one.failed, one.pruned, *words, plain(one.seconds)]
            )
    return csv_text(
        ["table", "method", "kind", "tried", "failed", "pruned", "by", "chosen", "edges", "train_seconds"], lines
    )


def _all(table: Table) -> list[Judged]:
    bucketed = table.bucketed.judged if table.bucketed else ()
    return [*table.judged, *bucketed, *(table.ablation.judged if table.ablation else ())]


def plain(value: float) -> str:
    """A number unrounded, as a cell of CSV; empty where there is none."""
    return repr(float(value)) if isfinite(value) else ""


def csv_text(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """CSV of a head and lines."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([head, *lines])
    return stream.getvalue()


def _marked(grid: Grid) -> list[list[str]]:
    """The body with marks behind the marked cells, unless there is a column of marks."""
    if "" in grid.head:
        return grid.body
    behind = {place: f" ({mark})" for place, mark in grid.marks.items()}
    return [[f"{text}{behind.get((at, k), '')}" for k, text in enumerate(row)] for at, row in enumerate(grid.body)]


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
