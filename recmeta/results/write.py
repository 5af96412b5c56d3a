"""Write a report into a folder: tables, figures, and a page that holds both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from recmeta.results.grids import Report
from recmeta.results.latex import Style, latex, separate
from recmeta.results.page import Picture, about, page
from recmeta.results.render import comma_separated, comparisons, ledger, markdown
from recmeta.types import UserError

FILES: dict[str, Callable[[Report], str]] = {
    "results.md": markdown,
    "results.csv": comma_separated,
    "comparisons.csv": comparisons,
    "budget.csv": ledger,
}
"""Tables by file name, and the function that makes each."""

PAGE = "report.html"

LATEX, TABLES = "results.tex", "tables"
"""All LaTeX tables in one file, and the folder of one file a table."""

FIGURES, FORMATS = "figures", ("png", "pdf")
"""Folder of the figures, and their file formats."""


def write(report: Report, out: Path, style: Style | None = None, command: str = "") -> list[Path]:
    """Write tables, figures, and the page.

    Args:
        report: the report.
        out: the folder; made if missing.
        style: of the LaTeX tables.
        command: the command line, for the page.

    Returns:
        The paths written; figures and single tables as their folders.

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
        (out / LATEX).write_text(latex(report, style), encoding="utf-8")
        (out / TABLES).mkdir(exist_ok=True)
        for name, text in separate(report, style or Style()).items():
            (out / TABLES / name).write_text(text, encoding="utf-8")
        for drawn in draw_all(report.tables, report.rankings):
            for suffix in FORMATS:
                save(drawn.figure, out / FIGURES / f"{drawn.name}.{suffix}")
            pictures.append(Picture(drawn.name, drawn.caption, svg(drawn.figure), drawn.frame))
        (out / PAGE).write_text(
            page(report, pictures, about(report, command, f"{date.today():%d %B %Y}")), encoding="utf-8"
        )
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror})") from error
    return [out / PAGE, *(out / name for name in FILES), out / LATEX, out / TABLES, out / FIGURES]
