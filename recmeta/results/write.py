"""Write a report into a folder: tables, figures, and a page that holds both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recmeta.results.grids import Report
from recmeta.results.latex import latex
from recmeta.results.page import Picture, page
from recmeta.results.render import comma_separated, comparisons, ledger, markdown
from recmeta.types import UserError

FILES: dict[str, Callable[[Report], str]] = {
    "results.md": markdown,
    "results.tex": latex,
    "results.csv": comma_separated,
    "comparisons.csv": comparisons,
    "budget.csv": ledger,
}
"""Tables by file name, and the function that makes each."""

PAGE = "report.html"

FIGURES, FORMATS = "figures", ("png", "pdf")
"""Folder of the figures, and their file formats."""


def write(report: Report, out: Path) -> list[Path]:
    """Write tables, figures, and the page.

    Args:
        report: the report.
        out: the folder; made if missing.

    Returns:
        The paths written; figures as their folder.

    Raises:
        UserError: the folder can't be written.
    """
    # Drawing takes seconds to import: only where figures are wanted.
    from recmeta.results.figures import draw_all, save, svg

    pictures = []
    try:
        (out / FIGURES).mkdir(parents=True, exist_ok=True)
        for name, made in FILES.items():
            (out / name).write_text(made(report), encoding="utf-8")
        for drawn in draw_all(report.tables, report.rankings):
            for suffix in FORMATS:
                save(drawn.figure, out / FIGURES / f"{drawn.name}.{suffix}")
            pictures.append(Picture(drawn.name, drawn.caption, svg(drawn.figure), drawn.frame))
        (out / PAGE).write_text(page(report, pictures), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror})") from error
    return [out / PAGE, *(out / name for name in FILES), out / FIGURES]
