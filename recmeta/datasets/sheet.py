"""Read CSV, TSV, JSON lines and Parquet files as columns of text, with the line of each row."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from recmeta.datasets.content import lines_of, read_content
from recmeta.datasets.layout import Layout
from recmeta.datasets.separated import separate
from recmeta.datasets.typed import read_json, read_parquet
from recmeta.types import UserError

JSON = (".jsonl", ".ndjson", ".json")
SPREADSHEETS = (".xlsx", ".xls", ".ods")

PLAIN = Layout()
"""The layout of a file of which nothing is set."""

WORDS = {
    "user": ("user", "userid", "uid", "reviewerid", "customerid", "visitorid", "account"),
    "item": ("item", "itemid", "iid", "movieid", "bookid", "isbn", "asin", "parentasin", "productid", "businessid"),
    "label": ("label", "rating", "stars", "score", "bookrating", "overall", "value", "watchratio"),
    "time": ("time", "timestamp", "date", "datetime", "createdat", "unixreviewtime"),
}  # fmt: skip
"""Names that columns often have, by what they hold: letters and digits alone."""

SHOWN = 80
"""How many characters of a value a message shows."""


@dataclass(frozen=True)
class Sheet:
    """The rows of a file.

    Attributes:
        path: the file.
        frame: columns of String; where a Parquet column holds lists or arrays, of List(String), and of List(Float64)
            where these are of floats; null or "" where empty. A column of structures or bytes stays as it is.
        lines: ``[n]`` where each row stands: the line, the header being line 1; in Parquet the row, from 1.
        unit: "line" or "row".
        notes: what was inferred and what is odd, as lines for the user.
        header_setting: the setting that names the columns of a text without a header; "" for other files.
        dates: columns that a Parquet file has as dates or times, seconds since 1970 here.
    """

    path: Path
    frame: pl.DataFrame
    lines: np.ndarray
    unit: str
    notes: list[str] = field(default_factory=list)
    header_setting: str = ""
    dates: frozenset[str] = frozenset()

    def need(self, wanted: Mapping[str, str]) -> None:
        """Check that columns are there, all at once.

        Args:
            wanted: setting -> the column that it asks for.

        Raises:
            UserError: some are not; it names all of these.
        """
        there = self.frame.columns
        lacking = {setting: name for setting, name in wanted.items() if name not in there}
        if lacking:
            named = ", ".join(f"{name!r} ({setting})" for setting, name in lacking.items())
            column = "column" if len(lacking) == 1 else "columns"
            listed = ", ".join(there)
            raise UserError(f"{self.path}: no {column} {named}; there are {listed}{self._hint(lacking)}")

    def _hint(self, lacking: Mapping[str, str]) -> str:
        """Guess why columns are not there."""
        there = self.frame.columns
        # Names that are numbers are values: the first row was taken for a header.
        if self.header_setting and pl.Series(there).cast(pl.Float64, strict=False).is_not_null().any():
            return f"; if line 1 is a row, name the columns: {self.header_setting}=[...]"
        meant = {setting: _alike(setting, name, there) for setting, name in lacking.items()}
        if any(meant.values()):
            typed = (_typed(f"{setting}={name}") for setting, name in meant.items() if name)
            return f"; perhaps {' '.join(typed)}"
        if len(there) == 1 and len(lacking) > 1 and self.header_setting:
            return "; if they are in it, set dataset.separator, such as '::', tab or blanks"
        if list(lacking) == ["dataset.columns.label"]:
            return "; where every row is a like, dataset.columns.label=null"
        return ""

    def column(self, name: str, wanted: str) -> pl.Series:
        """A column, empty values as null.

        Raises:
            UserError: there is none of that name, or it has no text; ``wanted`` says which setting asked for it.
        """
        self.need({wanted: name})
        values = self.frame[name]
        if not is_text(values.dtype):
            raise UserError(
                f"{self.path}, column {name!r} ({wanted}): {values.dtype.base_type()} cannot be read; leave it out, or "
                "store text"
            )
        return values if values.dtype != pl.String else values.replace("", None)

    def refuse(self, bad: pl.Series, column: str, problem: str) -> None:
        """Raise a `UserError` that names the first row where ``bad`` is true, if there is one, and counts the others.

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
            others = f" ({len(rows):,} {self.unit}s are so)" if len(rows) > 1 else ""
            raise UserError(f"{self.path}, {self.unit} {line}, column {column!r}: {shown} {problem}{others}")


def is_text(dtype: pl.DataType) -> bool:
    """Whether a column of this type can be read: text, or lists of text or numbers."""
    return dtype == pl.String or (isinstance(dtype, pl.List) and not dtype.inner.is_nested())


def named_for(role: str, there: Sequence[str], also: Sequence[str] = ()) -> str | None:
    """Find the column whose name is one of those that a role often has, or of ``also``; None without one."""
    plain = {_plain(column): column for column in there}
    return next((plain[word] for word in (*map(_plain, also), *WORDS.get(role, ())) if word in plain), None)


def _typed(override: str) -> str:
    """Return an override as a shell takes it."""
    return shlex.quote(override) if re.search(r"[^\w=.:/-]", override) else override


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _alike(setting: str, name: str, there: Sequence[str]) -> str | None:
    """Find the column that was probably meant, by its spelling or as another word for the same."""
    if found := named_for(setting.rpartition(".")[2], there, [name]):
        return found
    plain = {_plain(column): column for column in there}
    close = difflib.get_close_matches(_plain(name), list(plain), 1)
    return plain[close[0]] if close else None


def read_sheet(path: Path, layout: Layout = PLAIN) -> Sheet:
    """Read a file by its suffix: .parquet, .jsonl, .ndjson and .json; any other is separated text.

    Each may be compressed (.gz, .bz2, .xz) or in a zip.

    Args:
        path: ``~`` is expanded.
        layout: of text files.

    Raises:
        UserError: the file is missing, unreadable, empty, in another encoding, ragged, or a spreadsheet.
    """
    path = path.expanduser()
    data, suffix = read_content(path)
    if suffix in SPREADSHEETS:
        raise UserError(f"{path}: a spreadsheet; save it as CSV")
    if suffix == ".parquet" or data[:4] == b"PAR1":
        frame, dates = read_parquet(path, data)
        sheet = Sheet(path, frame, np.arange(1, frame.height + 1), "row", dates=dates)
    elif suffix in JSON:
        frame = read_json(path, data)
        sheet = Sheet(path, frame, np.arange(1, frame.height + 1), "row")
    else:
        lines = lines_of(path, data, layout.encoding)
        del data  # as large as what is made of it
        read = separate(path, lines, suffix, layout)
        read.frame.columns = read.header[: read.frame.width]  # in place, without a copy
        sheet = Sheet(path, read.frame, read.lines, "line", read.notes, layout.header_setting)
    if sheet.frame.is_empty():
        needed = "at least one row" if sheet.unit == "row" or layout.header else "a header and at least one row"
        raise UserError(f"{path}: the file is empty; there must be {needed}")
    return sheet
