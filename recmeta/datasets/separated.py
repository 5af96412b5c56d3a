"""Split separated text into columns: separators of any length, quotes, files without a header."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import polars as pl

from recmeta.datasets.layout import BLANKS, Layout, shown
from recmeta.datasets.quotes import Quoting, read_odd, resolve
from recmeta.types import UserError

COMMENTS = ("#", "%", "//")
"""Beginnings of comments, which no table is to have."""

SUFFIXES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
"""The separator of each suffix of a text file, where its header has it."""

CANDIDATES = ("\t", "::", ",", ";", "|", BLANKS)
"""Separators that may be inferred, in the order in which they are tried."""

SAMPLE = 50
"""How many lines a separator is inferred from."""

SLICE = 1 << 17
"""How many lines are split at a time, which bounds the memory that it takes."""

WIDE = 64
"""Of more columns the regular expression takes long: lines with quotes are read one by one."""

_UNIT = "\x1f"
"""The ASCII "unit separator": replaces separators of several characters, so that all are one."""


class Separated(NamedTuple):
    """A text as columns.

    Attributes:
        header: names of the columns.
        lines: ``[n]`` the line on which each row begins; the first line is 1.
        frame: columns of String.
        notes: what was inferred, and what is odd, as lines for the user.
    """

    header: list[str]
    lines: np.ndarray
    frame: pl.DataFrame
    notes: list[str]


def separate(path: Path, text: pl.Series, suffix: str, layout: Layout) -> Separated:
    """Split a text into columns.

    Args:
        path: of the file, for messages.
        text: its lines.
        suffix: of the file.
        layout: of the file.

    Raises:
        UserError: no separator can be inferred, a row has another number of values than the header, or a quote is never
            closed or closed after rows that stand on lines of their own.
    """
    lines = text.to_frame("text").with_row_index("line", 1)
    if layout.separator is None and (said := re.fullmatch(r"sep=(.)", lines["text"][0] or "")):
        # A line that Excel writes and reads, and shows nobody.
        lines, layout = lines.slice(1), layout._replace(separator=said[1])
    separator, notes = _separator(path, lines["text"].head(SAMPLE), suffix, layout)
    lines = _unit_separated(path, lines, separator)
    quoting = Quoting(
        path, separator if separator == BLANKS or len(separator) == 1 else _UNIT, _quote(lines, separator, layout)
    )
    header, lines = _header(lines, quoting, layout)
    if not header or lines.is_empty():
        return Separated([], np.array([], int), pl.DataFrame(), notes)
    split = _split(lines, quoting, len(header))
    if layout.header is not None and split.frame.height and list(split.frame.row(0)) == header:
        raise UserError(f"{path}, line 1: is a header; leave {layout.header_setting} out")
    frame = split.frame if quoting.separator == separator else _with_separators(split.frame, separator)
    return Separated(header, split.lines, frame, [*notes, *split.notes])


def _with_separators(frame: pl.DataFrame, separator: str) -> pl.DataFrame:
    """Put separators of several characters back where they stood between quotes."""
    return frame.with_columns(pl.all().str.replace_all(_UNIT, separator, literal=True))


def _separator(path: Path, sample: pl.Series, suffix: str, layout: Layout) -> tuple[str, list[str]]:
    """Determine the separator, with a line for the user where it is not the one of the suffix."""
    if layout.separator is not None:
        return layout.separator, []
    known = SUFFIXES.get(suffix)
    rows = [row for row in sample if row.strip()]
    if not rows or (known is not None and known in rows[0]):
        return known or ",", []
    width = None if layout.header is None else len(layout.header)
    for candidate in CANDIDATES:
        # Blanks part words as well: a .csv that holds none of the others has one column.
        if known is not None and candidate == BLANKS:
            continue
        widths = {len(_quick_fields(row, candidate)) for row in rows[: SAMPLE - 1] or rows}
        if len(widths) == 1 and (width or 2) <= min(widths) and widths <= {width or min(widths)}:
            return candidate, [f"{path.name} is separated by {shown(candidate)}: inferred from its first lines"]
    if known is not None:
        return known, []
    if rows[0].startswith(COMMENTS):
        raise UserError(f"{path}, line 1: is a comment ({rows[0][:40]!r}); take such lines out")
    raise UserError(f"{path}: no separator fits its first lines; set dataset.separator, such as '::', tab or blanks")


def _quick_fields(row: str, separator: str) -> Sequence[str]:
    """Split one line, quotes taken for quotes where that works."""
    if separator == BLANKS:
        return row.split()
    row = row.replace(separator, _UNIT)
    if '"' in row:
        try:
            return next(csv.reader([row], delimiter=_UNIT, strict=True))
        except csv.Error:
            pass
    return row.split(_UNIT)


def _unit_separated(path: Path, lines: pl.DataFrame, separator: str) -> pl.DataFrame:
    """Replace a separator of several characters by one that is one."""
    if separator == BLANKS or len(separator) == 1:
        return lines
    if (clash := lines.filter(pl.col("text").str.contains(_UNIT, literal=True))).height:
        raise UserError(f"{path}, line {clash['line'][0]}: holds the control character 1F; take it out")
    return lines.with_columns(pl.col("text").str.replace_all(separator, _UNIT, literal=True))


def _quote(lines: pl.DataFrame, separator: str, layout: Layout) -> str | None:
    """Determine the quote; None where quotes are ordinary characters."""
    if layout.quote is not None:
        return layout.quote or None
    if separator != "\t":
        return '"'
    first = next((row for row in lines["text"].head(SAMPLE) if row), "")
    fields = [field.strip() for field in first.split("\t")]
    return '"' if all(len(field) > 1 and field[0] == field[-1] == '"' for field in fields) else None


def _header(lines: pl.DataFrame, quoting: Quoting, layout: Layout) -> tuple[list[str], pl.DataFrame]:
    """Take the names of the columns, and leave the other lines."""
    lines = lines.with_columns(blank=_is_blank(quoting.separator))
    if layout.header is not None:
        return list(layout.header), lines
    filled = (~lines["blank"]).arg_true()
    if not len(filled):
        return [], lines
    first = lines.row(int(filled[0]), named=True)
    row = Quoting(quoting.path, quoting.separator, quoting.quote)
    names = [name.strip() for name in resolve(row, [first["text"]], 0, None).fields]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(
            f"{quoting.path}, line {first['line']}: column {repeated[0]!r} occurs twice; give each column its own name"
            + ("" if repeated[0] else f", or set dataset.separator, such as {quoting.separator * 2!r}")
        )
    return names, lines.slice(int(filled[0]) + 1)


def _is_blank(separator: str) -> pl.Expr:
    """Find lines without any value.

    A line of tabs is a row of empty values where tabs separate.
    """
    bare = pl.col("text").str.strip_chars() if separator in (BLANKS, ",", ";", "|", _UNIT) else pl.col("text")
    return bare == ""


class _Split(NamedTuple):
    lines: np.ndarray
    frame: pl.DataFrame
    notes: list[str]


def _split(lines: pl.DataFrame, quoting: Quoting, width: int) -> _Split:
    """Split all lines into ``width`` columns: those of an ordinary form at once, the others one by one."""
    rows = lines.with_row_index("place")
    pieces = [_split_slice(piece, quoting, width) for piece in rows.iter_slices(SLICE)]
    frame, ragged = pl.concat([piece.rows for piece in pieces]), pl.concat([piece.ragged for piece in pieces])
    odd, notes = [place for piece in pieces for place in piece.odd], []
    if odd:
        read = read_odd(quoting, rows, odd, frame.drop("place", "line"))
        taken = pl.col("place").is_in(read.taken)
        ragged = ragged.filter(~taken)
        frame = pl.concat([frame.filter(~taken), pl.DataFrame(read.rows, schema=frame.schema, orient="row")]).sort(
            "place"
        )
        notes = read.notes
    if ragged.height:
        _refuse_ragged(quoting, ragged["line"][0], ragged["width"][0], width, int(rows["line"][0]) - 1)
    # In place: any other way to leave a column out copies the rest.
    numbers = frame.drop_in_place("line").to_numpy()
    frame.drop_in_place("place")
    return _Split(numbers, frame, notes)


class _Slice(NamedTuple):
    """Lines of a file: rows of an ordinary form, lines of another width, and places of those with odd quotes."""

    rows: pl.DataFrame
    ragged: pl.DataFrame
    odd: list[int]


def _split_slice(lines: pl.DataFrame, quoting: Quoting, width: int) -> _Slice:
    """Split those lines that have an ordinary form."""
    names, quote, text = [f"field_{place}" for place in range(width)], quoting.quote, pl.col("text")
    quoted = pl.lit(False) if quote is None else text.str.contains(quote, literal=True)
    lines = lines.with_columns(quoted=quoted)
    bare = _split_bare(lines.filter(~pl.col("quoted") & ~pl.col("blank")), quoting.separator, names)
    found = [bare.filter(pl.col("width") == width).drop("width")]
    ragged, odd = bare.filter(pl.col("width") != width).select("place", "line", "width"), []
    if quote is not None and width > WIDE:
        odd = lines.filter(pl.col("quoted"))["place"].to_list()
    elif quote is not None and lines["quoted"].any():
        groups = text.str.extract_groups(_pattern(quoting.separator, quote, width)).alias("fields")
        regular = lines.filter(pl.col("quoted")).with_columns(groups)
        fine = pl.col("fields").struct.field("1").is_not_null()
        found.append(regular.filter(fine).select("place", "line", *_unquoted(quote, names)))
        odd = regular.filter(~fine)["place"].to_list()
    rows = pl.concat(found)
    return _Slice(rows.sort("place") if len(found) > 1 and bare.height else rows, ragged, odd)


def _split_bare(rows: pl.DataFrame, separator: str, names: Sequence[str]) -> pl.DataFrame:
    """Split lines without quotes; ``width`` is how many values each has."""
    text = rows["text"]
    if separator == BLANKS:
        text, separator = text.str.strip_chars().str.replace_all(r"\s+", " "), " "
    width = (text.str.count_matches(separator, literal=True) + 1).alias("width")
    fields = text.str.split_exact(separator, len(names) - 1).struct.unnest()
    fields.columns = list(names)
    return pl.concat([rows.select("place", "line"), fields, width.to_frame()], how="horizontal")


def _pattern(separator: str, quote: str, width: int) -> str:
    """The regular expression of a row whose quotes enclose whole values, and are doubled within them.

    No place in a row can be read in two ways, which the regular expression engine makes use of: it is ten times faster.
    """
    q = f"\\x{ord(quote):02x}" if ord(quote) < 128 else quote
    if separator == BLANKS:
        field, between, ends = rf"((?:{q}[^{q}]*{q})+|[^{q}\s]\S*)", r"\s+", r"\s*"
    else:
        s = rf"\x{ord(separator):02x}" if ord(separator) < 128 else separator
        field, between, ends = rf"( *(?:(?:{q}[^{q}]*{q})+ *|[^{q}{s} ][^{s}]*|))", s, ""
    return f"^{ends}{between.join([field] * width)}{ends}$"


def _unquoted(quote: str, names: Sequence[str]) -> list[pl.Expr]:
    """Expressions that take the quotes off the fields of `_pattern`."""
    found = []
    for place, name in enumerate(names, start=1):
        field = pl.col("fields").struct.field(str(place))
        bare = field.str.strip_chars(" ")
        inner = bare.str.slice(1).str.head(-1).str.replace_all(quote * 2, quote, literal=True)
        found.append(pl.when(bare.str.starts_with(quote)).then(inner).otherwise(field).alias(name))
    return found


def _refuse_ragged(quoting: Quoting, line: int, found: int, width: int, header: int) -> NoReturn:
    """Refuse a line of another width; ``header`` is the line that was taken for the header, 0 without one."""
    advice = "make them equal" if found > 1 else "make them equal, or set dataset.separator"
    if width == 1 and header:
        advice = f"take line {header} out if it is no header"
    raise UserError(f"{quoting.path}, line {line}: {found} values, but the header names {width} columns; {advice}")
