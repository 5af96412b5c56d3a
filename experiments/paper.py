"""Tables and figures of all experiments, from the small results that are committed beside their READMEs.

    python experiments/paper.py [--out paper]          # or: make paper

Every folder with a ``results.csv`` of `recmeta.results` becomes ``NAME.tex``, its table and its comparisons for a
document that loads booktabs, and where it was made with ``--by shots`` also ``NAME-shots.pdf`` and ``.png``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from math import nan
from pathlib import Path
from typing import Any

import polars as pl

from recmeta.results.figures import save
from recmeta.results.figures.curves import shots_curve
from recmeta.results.figures.frames import MOST
from recmeta.results.grids import Grid, interval
from recmeta.results.latex import latex_table
from recmeta.results.tables import Cell
from recmeta.statistics import number

HERE = Path(__file__).parent


def table_of(results: pl.DataFrame) -> Iterator[Grid]:
    """The main tables, in the order that they were judged in."""
    for (title,), part in results.filter(pl.col("bucket").is_null()).group_by("table", maintain_order=True):
        metrics = part["metric"].unique(maintain_order=True).to_list()
        body, marks = [], {}
        for at, ((row,), cells) in enumerate(part.group_by("row", maintain_order=True)):
            of = {cell["metric"]: cell for cell in cells.iter_rows(named=True)}
            marks |= {(at, 1 + metrics.index(name)): cell["mark"] for name, cell in of.items() if cell["mark"]}
            body.append([str(row), *(interval(_cell(of.get(name))) for name in metrics), str(cells["tasks"][0])])
        yield Grid(str(title), ["method", *metrics, "tasks"], body, marks)


def comparisons_of(comparisons: pl.DataFrame) -> Iterator[Grid]:
    """Differences to what each table compares with, corrected over the learners of a table."""
    for (title,), part in comparisons.filter(pl.col("bucket").is_null()).group_by("table", maintain_order=True):
        first = part.row(0, named=True)
        body = [
            [line["row"], interval(_cell(line, "difference")), number(line["p_corrected"])]
            for line in part.iter_rows(named=True)
        ]
        head = ["method", f"{first['metric']}, less {first['reference']}", f"p ({first['correction']})"]
        yield Grid(f"{title}: against {first['reference']}", head, body)


def by_shots(results: pl.DataFrame) -> pl.DataFrame:
    """What `shots_curve` draws: the best rows of the first table by support size; empty where there are no sizes."""
    sizes = pl.col("bucket").str.extract(r"^K = (\d+)$").cast(pl.Int64)
    first = results.filter(pl.col("table") == results["table"].first())
    known = first.with_columns(shots=sizes).filter(pl.col("shots").is_not_null() & pl.col("mean").is_finite())
    best = first.filter(pl.col("bucket").is_null())["row"].unique(maintain_order=True).head(MOST)
    return known.filter(pl.col("row").is_in(best.to_list()))


def _cell(line: Mapping[str, Any] | None, mean: str = "mean") -> Cell:
    """What a line of a csv says; empty fields are no numbers."""
    values = (line and line[key] for key in (mean, "lo", "hi"))
    return Cell(*(nan if value is None else value for value in values))


def build(folder: Path, out: Path, name: str) -> Iterator[Path]:
    """The files of one folder of results."""
    lines = pl.read_csv(folder / "results.csv", infer_schema_length=None)
    results = lines.filter(pl.col("status") == "complete")  # the others are runs that are missing
    grids = list(table_of(results))
    if (folder / "comparisons.csv").exists():
        grids += comparisons_of(pl.read_csv(folder / "comparisons.csv", infer_schema_length=None))
    path = out / f"{name}.tex"
    path.write_text("\n".join(line for grid in grids for line in latex_table(grid)) + "\n", encoding="utf-8")
    yield path
    frame = by_shots(results)
    if len(frame):
        figure = shots_curve(frame, frame["metric"][0])
        for suffix in ("pdf", "png"):
            save(figure, out / f"{name}-shots.{suffix}")
            yield out / f"{name}-shots.{suffix}"


def main() -> None:
    """Everything that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=Path, default=HERE, help="where the results are")
    parser.add_argument("--out", type=Path, default=Path("paper"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    found = sorted(asked.experiments.glob("*/results/**/results.csv"))
    if not found:
        parser.error(f"{asked.experiments}: holds no results")
    for path in found:
        parts = path.parent.relative_to(asked.experiments).parts
        name = "-".join(part for part in parts if part != "results")
        print(*build(path.parent, asked.out, name), sep="\n")


if __name__ == "__main__":
    main()
