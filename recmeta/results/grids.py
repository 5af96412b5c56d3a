"""A report as titled grids of text with lines below them, the common source of every output format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from types import MappingProxyType
from typing import NamedTuple

from recmeta.results.ablation import Ablation
from recmeta.results.budget import UNEQUAL, Budget
from recmeta.results.judging import Judging
from recmeta.results.ranks import Ranked, sentence
from recmeta.results.runs import Missing
from recmeta.results.tables import Bucketed, Cell, Table
from recmeta.statistics import CORRECTIONS, number

TESTED = {"t": "t-test", "wilcoxon": "Wilcoxon's test", "permutation": "sign-flip permutation test"}
"""The tests in words."""


WORDS = (
    "", "method", "chosen", "by", "at an edge of the tried range", "differs in", "table", "metric", "rival", "verdict",
)  # fmt: skip
"""Left-aligned columns: text, not numbers."""

NOTHING = "-"
"""Text of a cell without a value, or of a run that does not exist."""


@dataclass(frozen=True)
class Report:
    """Everything that is reported.

    Attributes:
        tables: one per data set, protocol and scenario.
        rankings: one per scenario with several tables.
        missing: runs without results.
        how: the metric, test and correction of the tables.
    """

    tables: Sequence[Table]
    rankings: Sequence[Ranked]
    missing: Sequence[Missing]
    how: Judging


class Grid(NamedTuple):
    """Cells under a title.

    Attributes:
        title: of the grid.
        head: names of the columns; "" is the column of marks.
        body: text, a row each.
        marks: (row, column) of the body -> "best" or "≈", for cells that have one.
        goals: name of a column -> "min" or "max", where lower or higher values are better.
    """

    title: str
    head: list[str]
    body: list[list[str]]
    marks: Mapping[tuple[int, int], str] = MappingProxyType({})
    goals: Mapping[str, str] = MappingProxyType({})


def legend(how: Judging) -> str:
    """Explain the marks and the numbers."""
    correction = CORRECTIONS[how.correction].name
    return (
        f"best: the best mean; ≈: not distinguishable from it ({TESTED[how.test]} paired per task, p ≥ 0.05, "
        "corrected for all pairs of rows). A task's scores are averaged over its seeds and splits first, so that it "
        "counts once. [lo, hi]: 95 % interval over tasks and, where there are several, over trainings. Intervals of "
        "differences invert the test and are for one comparison; verdicts are by p, "
        f"{correction} over the learners of a table. {UNEQUAL}: one of the two had more settings to choose from, as "
        "far as these directories show."
    )


def missing_lines(missing: Sequence[Missing]) -> list[str]:
    """A line that counts the runs without results, and one for each; nothing if there are none."""
    if not missing:
        return []
    counts = [
        f"{count} {status}"
        for status in ("pruned", "failed", "running", "unfinished", "damaged")
        if (count := sum(run.status == status for run in missing))
    ]
    lines = [
        f"missing: {run.directory} ({run.status}{': ' if run.reason else ''}{run.reason})"
        + "".join(f" {override}" for override in run.overrides)
        for run in missing
    ]
    return [f"runs missing from the tables: {len(missing)} ({', '.join(counts)})", *lines]


def sections(report: Report) -> Iterator[tuple[list[Grid], list[str]]]:
    """Yield grids and the lines below them, in reading order."""
    for table in report.tables:
        bucketed = [f"{one.row}, {one.bucket}: {one.text}" for one in table.bucketed.judged] if table.bucketed else []
        yield list(_grids(table)), [*table.verdicts, *bucketed, *(f"note: {note}" for note in table.notes)]
    if len(report.tables) > 1:
        yield [overview(report.tables)], []
    for ranked in report.rankings:
        yield [_ranks(ranked)], [sentence(ranked), *(f"note: {note}" for note in ranked.notes)]


def _grids(table: Table) -> Iterator[Grid]:
    """Yield the main table, the table by support size, the ledger, and the optional tables."""
    head = ["", "method", *table.metrics, "tasks", "seeds", "splits"]
    body = [
        [row.mark, row.label, *(interval(row.cells[name]) for name in table.metrics), *counts]
        for row in table.rows
        for counts in [(str(row.tasks), str(row.seeds or NOTHING), str(row.splits))]
    ]
    marks = {(at, 2): row.mark for at, row in enumerate(table.rows) if row.mark}
    yield Grid(table.heading, head, body, marks, goals(table))
    world = table.heading.rpartition(",")[0]
    sizes = sorted({size for row in table.rows for size in row.curve})
    if len(sizes) > 1:
        curves = [[row.label, *(number(row.curve.get(size)) for size in sizes)] for row in table.rows]
        head = ["method", *(f"K={size}" for size in sizes)]
        better = dict.fromkeys(head[1:], table.goal)
        yield Grid(f"{world}: {table.metric} by support size", head, curves, goals=better)
    if table.ablation:
        yield _ablation(table, table.ablation)
    yield _ledger(world.rpartition(":")[0], table.budgets)
    if table.bucketed:
        heading = world if table.bucketed.by == "shots" else table.heading
        yield _buckets(f"{heading}: {table.metric} by {table.bucketed.by}", table, table.bucketed)


def goals(table: Table) -> dict[str, str]:
    """The goal, "min" or "max", of each metric of a table whose runs record it."""
    known = {name: goal for runs in table.runs.values() for run in runs for name, goal in run.goals.items()}
    return {name: known[name] for name in table.metrics if name in known} | {table.metric: table.goal}


def overview(tables: Sequence[Table]) -> Grid:
    """Every method in every table, by one metric; an empty cell where it was not run or has no value."""
    found = [{row.label: row for row in table.rows} for table in tables]
    labels = list(dict.fromkeys(label for rows in found for label in rows))
    body = [
        [label, *(number(rows[label].cells[table.metric].mean) if label in rows else NOTHING for rows, table in pairs)]
        for label in labels
        for pairs in [list(zip(found, tables, strict=True))]
    ]
    marks = {
        (at, column): rows[label].mark
        for at, label in enumerate(labels)
        for column, rows in enumerate(found, start=1)
        if label in rows and rows[label].mark
    }
    better = dict(zip(distinct(tables), (table.goal for table in tables), strict=True))
    return Grid(f"{tables[0].metric} over {len(tables)} tables", ["method", *better], body, marks, better)


def distinct(tables: Sequence[Table]) -> list[str]:
    """Short names of tables: the parts of their headings that differ."""
    headings = [re.sub(r" \(data (\w+)\)", r" data=\1", table.heading).replace(" = ", "=") for table in tables]
    words = [re.split(r"[:,]? ", heading) for heading in headings]
    shared = set.intersection(*map(set, words))
    apart = [[word for word in some if word not in shared] for some in words]
    bare = [" ".join(word for word in some if not word.startswith("data=")) for some in apart]
    return bare if len(set(bare)) == len(bare) else [" ".join(some) for some in apart]


def _ablation(table: Table, ablation: Ablation) -> Grid:
    """The full learner's row, and the others in difference to it."""
    cells = {row.label: row.cells[table.metric] for row in table.rows}
    body = [
        [
            one.row,
            ablation.changed[one.row],
            number(cells[one.row].mean),
            interval(Cell(*one.comparison[:3])),
            number(one.comparison.p),
            number(one.p),
            str(one.comparison.n),
        ]
        for one in ablation.judged
    ]
    head = [
        "method",
        "differs in",
        table.metric,
        "less the full one",
        "p",
        "p corrected",
        "tasks",
    ]
    full = [ablation.full, "", number(cells[ablation.full].mean), "", "", "", ""]
    return Grid(f"{table.heading}: without parts of {ablation.full}", head, [full, *body])


def _lost(budget: Budget) -> str:
    """State in words how many of a method's settings gave no result."""
    counts = [f"{count} {how}" for how, count in (("failed", budget.failed), ("pruned", budget.pruned)) if count]
    return f" ({', '.join(counts)})" if counts else ""


def _ledger(world: str, budgets: Sequence[Budget]) -> Grid:
    """The tuning budget of each method: the same for all scenarios of a protocol."""
    head = ["method", "settings tried", "chosen", "by", "at an edge of the tried range", "train s"]
    body = [
        [
            one.method,
            ("unknown" if one.tried is None else str(one.tried)) + _lost(one),
            one.chosen,
            one.by,
            "; ".join(one.edges),
            "-" if isnan(one.seconds) else f"{one.seconds:.0f}",
        ]
        for one in budgets
    ]
    return Grid(f"{world}: budget", head, body)


def _buckets(title: str, table: Table, bucketed: Bucketed) -> Grid:
    head = ["method", *(f"{bucket} (n={tasks})" for bucket, tasks in bucketed.tasks.items())]
    nothing = Cell(float("nan"), float("nan"), float("nan"))
    body = [
        [row.label, *(interval(bucketed.cells[row.label].get(bucket, nothing)) for bucket in bucketed.tasks)]
        for row in table.rows
    ]
    return Grid(title, head, body, goals=dict.fromkeys(head[1:], table.goal))


def _ranks(ranked: Ranked) -> Grid:
    first = ranked.methods[0].label
    head = ["method", "rank", "better / equal / worse than the first", "p (Nemenyi)"]
    body = [
        [one.label, f"{one.rank:.2f}", f"{one.wins} / {one.ties} / {one.losses}", number(one.p)]
        for one in ranked.methods[1:]
    ]
    rows = [[first, f"{ranked.methods[0].rank:.2f}", "", ""], *body]
    return Grid(ranked.heading, head, rows, goals={"rank": "min"})


def justified(head: Sequence[str]) -> list[str]:
    """Alignment of each column: "l" for left, "r" for right."""
    return ["l" if name in WORDS else "r" for name in head]


def interval(cell: Cell) -> str:
    """A mean with its interval, where it has one, as text.

    >>> interval(Cell(0.75, 0.7, 0.8)), interval(Cell(0.75, float("nan"), float("nan")))
    ('0.750 [0.700, 0.800]', '0.750')
    """
    if isnan(cell.lo):
        return number(cell.mean)
    return f"{number(cell.mean)} [{number(cell.lo)}, {number(cell.hi)}]"
