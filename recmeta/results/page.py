"""A report as one self-contained HTML page: sortable tables, zoomable figures, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recmeta.results.grids import Grid, Report, justified, legend, missing_lines, sections
from recmeta.runs import layout
from recmeta.runs.files import read_json
from recmeta.types import UserError

SCRIPT, STYLE = (Path(__file__).parent.joinpath(f"page.{suffix}") for suffix in ("js", "css"))
"""The page's script and style sheet, inlined."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Content security policy: the browser may fetch nothing."""


CLASSES = {"best": " best", "≈": " near"}
"""CSS class of a mark: the best is bold, a row not distinguishable from it has a sign behind it."""


class Picture(NamedTuple):
    """A figure on the page: its caption, its SVG, and its numbers."""

    name: str
    caption: str
    svg: str
    frame: pl.DataFrame


class About(NamedTuple):
    """The facts at the top of the page.

    Attributes:
        title: of the page.
        lines: date, command line, versions.
    """

    title: str = "Results"
    lines: Sequence[str] = ()


def about(report: Report, command: str, date: str) -> About:
    """Collect the facts at the top: experiments, data sets, the command line, the versions that the runs record.

    Args:
        report: whose runs.
        command: that made the page.
        date: of the page.
    """
    runs = [run for table in report.tables for some in table.runs.values() for run in some]
    names = dict.fromkeys(str(run.config.get("name")) for run in runs if run.config.get("name"))
    data = dict.fromkeys(table.data.partition(" (")[0] for table in report.tables)
    title = f"{', '.join(names) or 'Results'}: {', '.join(data)}" if data else "Results"
    used = dict.fromkeys(_versions(run.directory) for run in runs)
    lines = [f"{date}: {command}", *(f"runs made with {text}" for text in used if text)]
    return About(title, lines)


def _versions(directory: Path) -> str:
    """The versions that a run records, in words; "" where it records none that can be read."""
    try:
        found = (read_json(directory / layout.PROVENANCE) or {}).get("versions") or {}
    except UserError:
        return ""
    return ", ".join(f"{name} {version}" for name, version in found.items())


def page(report: Report, pictures: Sequence[Picture], about: About | None = None) -> str:
    """Build the page.

    Args:
        report: its tables.
        pictures: its figures.
        about: its title, and the lines below it.
    """
    about = about or About()
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(about.title)}</title>",
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body>",
        f"<h1>{escape(about.title)}</h1>",
        *(f"<p class=hint>{escape(line)}</p>" for line in about.lines),
        "<p class=hint>Click on a column's head to sort by it, the best first. In a figure, scroll to zoom, drag to "
        "move, double-click for the whole.</p>",
    ]
    for grids, lines in sections(report):
        parts.append("<section>")
        for grid in grids:
            parts += [f"<h2>{escape(grid.title)}</h2>", *_table(grid)]
        parts += [*_list(lines), "</section>"]
    if pictures:
        parts.append("<h1>Figures</h1>")
    for picture in pictures:
        numbers = [[_plain(value) for value in row] for row in picture.frame.iter_rows()]
        parts += [
            f"<figure><figcaption>{escape(picture.caption)}</figcaption>",
            _own_ids(picture.svg, picture.name),
            "<details><summary>the numbers</summary>",
            *_table(Grid(picture.name, list(picture.frame.columns), numbers)),
            "</details></figure>",
        ]
    parts += [f"<p>{escape(legend(report.how))}</p>", *_list(missing_lines(report.missing))]
    parts.append(f"<script>{SCRIPT.read_text(encoding='utf-8')}</script></body></html>")
    return "\n".join(parts) + "\n"


def _table(grid: Grid) -> Iterator[str]:
    """A table without the column of marks: marked cells are styled."""
    sides = justified(grid.head)
    columns = [(at, name, sides[at]) for at, name in enumerate(grid.head) if name]
    yield "<div class=wide><table><thead><tr>"
    yield "".join(
        f"<th class={side}{f' data-goal={grid.goals[name]}' if name in grid.goals else ''}>{escape(name)}</th>"
        for _, name, side in columns
    )
    yield "</tr></thead><tbody>"
    for place, cells in enumerate(grid.body):
        looks = {at: CLASSES[grid.marks[place, at]] if (place, at) in grid.marks else "" for at, _, _ in columns}
        yield "<tr>"
        yield "".join(f'<td class="{side}{looks[at]}">{escape(cells[at])}</td>' for at, _, side in columns)
        yield "</tr>"
    yield "</tbody></table></div>"


def _list(lines: Sequence[str]) -> list[str]:
    return ["<ul>", *(f"<li>{escape(line)}</li>" for line in lines), "</ul>"] if lines else []


def _own_ids(svg: str, name: str) -> str:
    """Make an SVG's ids unique on the page, and cut its metadata with their links."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}.', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}.", svg)


def _plain(value: object) -> str:
    """A value as Python writes it: a float with all its digits."""
    return value if isinstance(value, str) else "" if value is None or value != value else repr(value)
