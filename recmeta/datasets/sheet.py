"""Read CSV, TSV and Parquet files as columns of text, with the line of each row."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl

from recmeta.types import UserError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""The separator of each suffix of a text file."""

SUFFIXES = (*SEPARATORS, ".parquet")
"""The kinds of file that can be read."""


SHOWN = 80
"""How many characters of a value a message shows."""


@dataclass(frozen=True)
class Sheet:
    """The rows of a file.

    Attributes:
        path: the file.
        frame: columns of String; where a Parquet column holds lists or arrays, of List(String), and of List(Float64)
            where these are of floats; null or "" where empty.
        lines: ``[n]`` where each row stands: the line, the header being line 1; in Parquet the row, from 1.
        unit: "line" or "row".
    """

    path: Path
    frame: pl.DataFrame
    lines: np.ndarray
    unit: str

    def column(self, name: str, wanted: str) -> pl.Series:
        """A column, empty values as null.

        Raises:
            UserError: there is none of that name; ``wanted`` says which setting asked for it.
        """
        if name not in self.frame.columns:
            raise UserError(f"{self.path}: no column {name!r} ({wanted}); there are {', '.join(self.frame.columns)}")
        values = self.frame[name]
        return values if values.dtype != pl.String else values.replace("", None)

    def refuse(self, bad: pl.Series, column: str, problem: str) -> None:
        """Raise a `UserError` that names the first row where ``bad`` is true, if there is one.

        Args:
            bad: ``[n]`` booleans; null is false.
            column: whose value is shown.
            problem: what would be right.
        """
        rows = bad.fill_null(False).arg_true()
        if len(rows):
            line, value = self.lines[rows[0]], self.frame[column][rows[0]]
            shown = repr("" if value is None else value.to_list() if isinstance(value, pl.Series) else value)
            shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
            raise UserError(f"{self.path}, {self.unit} {line}, column {column!r}: {shown} {problem}")


def read_sheet(path: Path, separator: str | None = None) -> Sheet:
    """Read a file by its suffix: .csv, .tsv or .parquet.

    Args:
        path: ``~`` is expanded.
        separator: one character, in place of the suffix's; then any suffix but .parquet is read as text.

    Raises:
        UserError: the file is missing, unreadable, empty, not UTF-8 or ragged, or the kind of file is unknown.
    """
    path = path.expanduser()
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise UserError(f"dataset.separator={separator!r}: must be one character, such as ',' or ';' or a tab")
    if not path.is_file():
        raise UserError(f"{path}: no such file; a relative path starts at {Path.cwd()}")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path)
    if separator is None and suffix not in SEPARATORS:
        raise UserError(
            f"{path}: unknown kind of file {suffix!r}; name it {', '.join(SUFFIXES)}, or set dataset.separator"
        )
    try:
        # "utf-8-sig" also takes the mark that spreadsheets put first.
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    return _parse(path, text, separator or SEPARATORS[suffix])


def _parse(path: Path, text: str, separator: str) -> Sheet:
    # Quotes are rare, and only a reader that goes character by character gets them right.
    header, lines, frame = (_parse_quoted if '"' in text else _parse_plain)(path, text, separator)
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{path}, line 1: column {repeated[0]!r} occurs twice; give each column its own name")
    if not len(lines):
        raise UserError(f"{path}: the file is empty; there must be a header and at least one row")
    return Sheet(path, frame.rename(dict(zip(frame.columns, header, strict=True))), lines, "line")


def _parse_plain(path: Path, text: str, separator: str) -> tuple[list[str], np.ndarray, pl.DataFrame]:
    """Split a text without quotes into header, line numbers and columns."""
    header = text.partition("\n")[0].split(separator)
    rows = (
        pl.Series("text", [text]).str.split("\n").explode().to_frame().with_row_index("line", offset=1).slice(1)
        .filter(pl.col("text") != "")
        .with_columns(width=pl.col("text").str.count_matches(separator, literal=True) + 1)
    )  # fmt: skip
    ragged = rows.filter(pl.col("width") != len(header))
    if not ragged.is_empty():
        _refuse_ragged(path, ragged["line"][0], ragged["width"][0], header)
    fields = rows["text"].str.split_exact(separator, len(header) - 1).struct.unnest()
    return header, rows["line"].to_numpy(), fields


def _parse_quoted(path: Path, text: str, separator: str) -> tuple[list[str], np.ndarray, pl.DataFrame]:
    """Split a text with quotes, whose values may hold separators and line ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines, rows, last = [], [], 0
    try:
        for row in reader:
            if row:
                lines.append(last + 1)
                rows.append(row)
            last = reader.line_num
    except csv.Error as error:
        raise UserError(f"{path}, line {last + 1}: {error}; check the quotes") from error
    header = rows.pop(0) if rows else []
    for line, row in zip(lines[1:], rows, strict=True):
        if len(row) != len(header):
            _refuse_ragged(path, line, len(row), header)
    schema = {f"field_{position}": pl.String for position in range(len(header))}
    return header, np.array(lines[1:]), pl.DataFrame(rows, schema=schema, orient="row")


def _refuse_ragged(path: Path, line: int, width: int, header: list[str]) -> NoReturn:
    raise UserError(f"{path}, line {line}: {width} values, but the header names {len(header)} columns; make them equal")


def _read_parquet(path: Path) -> Sheet:
    try:
        with path.open("rb") as file:
            frame = pl.read_parquet(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    if frame.is_empty():
        raise UserError(f"{path}: the file is empty; there must be at least one row")
    text = [_as_text(path, column) for column in frame.get_columns()]
    return Sheet(path, pl.DataFrame(text), np.arange(1, frame.height + 1), "row")


def _as_text(path: Path, values: pl.Series) -> pl.Series:
    """Convert a Parquet column to text as in a CSV, dates and times to seconds since 1970 (UTC)."""
    if isinstance(values.dtype, pl.List | pl.Array) and not values.dtype.inner.is_nested():
        inner = pl.Float64 if values.dtype.inner.is_float() else pl.String
        return values.cast(pl.List(inner))
    if values.dtype in (pl.Date, pl.Datetime):
        return values.dt.epoch("s").cast(pl.String)
    if values.dtype.is_float():
        known = values.fill_nan(None)
        # Whole numbers with gaps come as floats from some writers: the id 7 must not become "7.0".
        whole = bool(((known == known.round()) & (known.abs() < 2**53)).all())
        return (known.cast(pl.Int64) if whole else known).cast(pl.String)
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
        raise UserError(f"{path}, column {values.name!r}: {values.dtype} cannot be read; leave it out, or store text")
    return values.cast(pl.String)
