"""Read lines whose quotes are not in order: within values, never closed, or around values that span lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recmeta.datasets.layout import BLANKS
from recmeta.types import UserError

SHAPED = 1000
"""How many rows tell what a row looks like."""


Lines = Sequence[str] | pl.Series
"""Lines of a file."""


class Quoting(NamedTuple):
    """Separator and quote of a file's lines.

    Attributes:
        path: of the file, for messages.
        separator: one character, or `BLANKS`.
        quote: one character; None where quotes are ordinary characters.
    """

    path: Path
    separator: str
    quote: str | None


class Record(NamedTuple):
    """A row: its values, how many lines it takes, and whether quotes within its values were kept."""

    fields: list[str]
    lines: int = 1
    kept: bool = False


class Odd(NamedTuple):
    """Rows that were read one by one.

    Attributes:
        rows: ``(place, line, value, ...)`` of each.
        taken: places of all lines that they take.
        notes: lines for the user.
    """

    rows: list[tuple]
    taken: list[int]
    notes: list[str]


def read_odd(quoting: Quoting, rows: pl.DataFrame, places: Sequence[int], regular: pl.DataFrame) -> Odd:
    """Read the lines that are not in order, and those that their values go on in.

    Args:
        quoting: of the file.
        rows: ``text`` and ``line`` of all lines after the header.
        places: of the lines to be read, ascending.
        regular: rows in order, columns of String.

    Raises:
        UserError: a quote is never closed, or closed after rows that stand on lines of their own; or no reading gives
            as many values as there are columns.
    """
    lines, numbers = rows["text"], rows["line"]
    shapes = [_shape(regular[name].head(SHAPED)) for name in regular.columns]
    found, taken, spans, kept = [], [], [], []
    for place in places:
        if taken and place <= taken[-1]:
            continue
        number = int(numbers[place])
        record = resolve(quoting, lines, place, regular.width, number)
        inside = range(place, place + record.lines)
        if record.lines > 1:
            _refuse_rows(quoting, [lines[i] for i in inside], shapes, number)
            spans.append(number)
        if record.kept:
            kept.append(number)
        found.append((place, number, *record.fields))
        taken.extend(inside)
    notes = []
    if spans:
        notes.append(f"{quoting.path.name}: values of {_counted(spans)} span lines, between quotes")
    if kept:
        notes.append(f"{quoting.path.name}: {_counted(kept)} hold quotes within a value, which are kept")
    return Odd(found, taken, notes)


def _counted(lines: Sequence[int]) -> str:
    return f"{len(lines):,} rows (the first in line {lines[0]})"


def resolve(quoting: Quoting, lines: Lines, place: int, width: int | None, number: int = 1) -> Record:
    """Read the row that begins at a place, as the first of these readings that has ``width`` values.

    Quotes stand around whole values and are doubled within them, over several lines if need be; or have a backslash
    before them there; or end a value only before a separator; or are ordinary characters.

    Args:
        quoting: of the file.
        lines: of the file.
        place: of the line.
        width: how many values a row has; None: any number, in one line.
        number: of the line, for messages.

    Raises:
        UserError: none has.
    """
    line = lines[place]
    plain = plain_fields(line, quoting.separator)
    if quoting.quote is None or quoting.quote not in line:
        return Record(plain)
    strict, fault = _strict(quoting, lines if width is not None else [line], place if width is not None else 0)
    if strict is not None and width in (None, len(strict.fields)):
        return strict
    if width is None:
        return Record(plain)
    for fields in (_escaped(line, quoting), _loose(line, quoting)):
        if fields is not None and len(fields) == width:
            return Record(fields, kept=True)
    # Where the strict reading holds, but has another number of values, quotes are what they look like.
    if len(plain) == width and (strict is None or strict.lines > 1) and fault != "open":
        return Record([_bare(field, quoting.quote) for field in plain], kept=True)
    where = f"{quoting.path}, line {number}"
    if fault == "open":
        raise UserError(f"{where}: a quote is opened and never closed; check it, or set dataset.quote=false")
    if strict is not None:
        raise UserError(
            f"{where}: {len(strict.fields)} values, but the header names {width} columns; make them equal"
            + (", or set dataset.quote=false" if len(plain) == width else "")
        )
    raise UserError(f"{where}: quotes within a value; double them, or set dataset.quote=false")


def plain_fields(line: str, separator: str) -> list[str]:
    """Split a line, quotes being ordinary characters."""
    return line.split() if separator == BLANKS else line.split(separator)


def _strict(quoting: Quoting, lines: Lines, place: int) -> tuple[Record | None, str]:
    """Read a row whose quotes are in order; else None, and why: "open" or "within"."""
    if quoting.separator == BLANKS:
        return None, "within"
    ahead = (f"{lines[at]}\n" for at in range(place, len(lines)))
    reader = csv.reader(ahead, delimiter=quoting.separator, quotechar=quoting.quote, strict=True, skipinitialspace=True)
    try:
        return Record(next(reader), reader.line_num), ""
    except csv.Error as error:
        return None, "open" if "unexpected end" in str(error) else "within"


def _escaped(line: str, quoting: Quoting) -> list[str] | None:
    """Read a line whose quotes within values have a backslash before them."""
    if f"\\{quoting.quote}" not in line:
        return None
    fields = _matched(
        line, quoting, rf"{re.escape(str(quoting.quote))}((?:[^\\]|\\.)*?){re.escape(str(quoting.quote))}"
    )
    return None if fields is None else [field.replace(f"\\{quoting.quote}", str(quoting.quote)) for field in fields]


def _loose(line: str, quoting: Quoting) -> list[str] | None:
    """Read a line in which a value that begins with a quote ends at a quote before a separator."""
    quote = re.escape(str(quoting.quote))
    fields = _matched(line, quoting, rf"{quote}(.*?){quote}")
    return None if fields is None else [field.replace(str(quoting.quote) * 2, str(quoting.quote)) for field in fields]


def _matched(line: str, quoting: Quoting, quoted: str) -> list[str] | None:
    """Split a line into values that are quoted in a way, or do not begin with a quote; None if that fails."""
    between = r"\s+" if quoting.separator == BLANKS else re.escape(quoting.separator)
    other = r"\s" if quoting.separator == BLANKS else re.escape(quoting.separator)
    bare = rf"(?! *{re.escape(str(quoting.quote))})[^{other}]*"
    value, gap = re.compile(rf"(?: *{quoted} *|{bare})(?={between}|$)", re.DOTALL), re.compile(between)
    fields, at = [], 0
    while match := value.match(line, at):
        fields.append(match[0] if match[1] is None else match[1])
        after = gap.match(line, match.end())
        if after is None:
            return fields
        at = after.end()
    return None


def _bare(field: str, quote: str) -> str:
    """Take the quotes off a value."""
    stripped = field.strip()
    inner = stripped[1:-1]
    return inner if len(stripped) > 1 and stripped[0] == stripped[-1] == quote and quote not in inner else field


def _shape(values: pl.Series) -> str:
    """Describe most values of a column: numbers, values without blanks, or any."""
    known = values.filter(values != "").str.strip_chars()
    if 2 * known.cast(pl.Float64, strict=False).is_not_null().sum() > len(known):
        return "number"
    return "word" if 2 * (~known.str.contains(r"\s")).sum() > len(known) else "any"


def _fits(value: str, shape: str) -> bool:
    """Whether a value could be in a column of this shape."""
    value = value.strip().strip("\"'")
    if shape == "any" or not value:
        return True
    if shape == "number":
        return bool(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value))
    return not re.search(r"\s", value)


def _refuse_rows(quoting: Quoting, lines: Sequence[str], shapes: Sequence[str], number: int) -> None:
    """Refuse a row whose value spans lines that are rows themselves.

    Raises:
        UserError: a line between the first and the last is a row, or both of these are.
    """

    def is_row(line: str) -> bool:
        fields = plain_fields(line, quoting.separator)
        return len(fields) == len(shapes) and all(map(_fits, fields, shapes))

    rows = sum(map(is_row, lines[1:-1]))
    if rows or (is_row(lines[0]) and is_row(lines[-1])):
        raise UserError(
            f"{quoting.path}, line {number}: a quote is opened here and closed in line {number + len(lines) - 1}, and "
            f"{f'{rows:,} of the lines between are rows' if rows else 'both lines are rows'} of their own; set "
            "dataset.quote=false, or correct the quotes"
        )
