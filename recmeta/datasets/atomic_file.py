"""Read one of RecBole's atomic files: separated text whose header gives each column a type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from recmeta.datasets.archive import Members
from recmeta.datasets.ids import cleaned
from recmeta.datasets.text import read_columns
from recmeta.features.kind import Cells
from recmeta.features.vector import vector
from recmeta.types import UserError

TYPES = ("token", "token_seq", "float", "float_seq")
"""The types of a column."""

PARTS = {"train": 0, "valid": 1, "validation": 1, "dev": 1, "test": 2}
"""What stands before ``.inter`` where the rows were split beforehand -> `recmeta.types.Interactions.part`."""


class Atomic(NamedTuple):
    """One atomic file.

    Attributes:
        place: the folder or archive.
        name: the file's.
        frame: its columns as text under their bare names; null where empty.
        types: of the columns.
        lines: where each row stands, the header being line 1.
        dates: columns that the file itself has as dates: none, as it has no such type.
    """

    place: Path
    name: str
    frame: pl.DataFrame
    types: Mapping[str, str]
    lines: np.ndarray
    dates: frozenset[str] = frozenset()

    @property
    def where(self) -> str:
        """The file's place, for messages."""
        return f"{self.place}, {self.name}"

    def refuse(self, bad: pl.Series, column: str, problem: str) -> None:
        """Raise a `UserError` that names the first row where ``bad`` is true, if there is one."""
        rows = bad.fill_null(False).arg_true()
        if len(rows):
            value = self.frame[column][rows[0]] or ""
            others = f" ({len(rows):,} lines are so)" if len(rows) > 1 else ""
            raise UserError(f"{self.where}, line {self.lines[rows[0]]}, column {column!r}: {value!r} {problem}{others}")

    def numbers(self, column: str, otherwise: str) -> pl.Series:
        """A column of numbers as Float64; null where it is empty or "nan".

        Args:
            column: its name.
            otherwise: what to do about a cell that is no number, for the message.
        """
        numbers = self.frame[column].str.strip_chars().cast(pl.Float64, strict=False)
        self.refuse(self.frame[column].is_not_null() & numbers.is_null(), column, f"is no number; {otherwise}")
        self.refuse(numbers.is_infinite(), column, f"is not finite; {otherwise}")
        return numbers.fill_nan(None).alias(column)

    def ids(self, column: str, problem: str) -> pl.Series:
        """A column of ids, without blanks at their ends.

        Args:
            column: its name.
            problem: with an empty one, for the message.
        """
        ids = cleaned(self.frame[column])
        self.refuse(ids.is_null() | (ids == ""), column, problem)
        return ids

    def vectors(self, column: str) -> pl.Series:
        """A column of space-separated numbers as vectors."""
        values = self.frame[column]
        cells = Cells(values, lambda bad, problem: self.refuse(bad, column, problem), f"{self.where}, {column!r}")
        return vector.reading.parse(cells, {"separator": " "}).alias(column)

    def need(self, column: str, setting: str) -> None:
        """Refuse a file without a column that a setting names."""
        if column not in self.types:
            there = ", ".join(self.types)
            raise UserError(f"{self.where}: no column {column!r} ({setting}); there are {there}")


def read_atomic(members: Members, filename: str) -> Atomic:
    """Read an atomic file, separated by tabs, or by commas where the header has no tab.

    Args:
        members: what holds the file.
        filename: its name.

    Raises:
        UserError: it is missing or ragged, or a column has no type, or none of `TYPES`, or the name of another.
    """
    where = f"{members.path}, {filename}"
    content = members.read(filename).removeprefix(b"\xef\xbb\xbf")
    header = content.partition(b"\n")[0].decode(errors="replace").rstrip("\r")
    separator = "\t" if "\t" in header else ","
    columns = header.split(separator)
    types = {}
    for column in columns:
        bare, _, kind = column.rpartition(":")
        if kind not in TYPES or not bare:
            allowed = ", ".join(f":{t}" for t in TYPES)
            raise UserError(f"{where}, line 1: column {column!r} must end in {allowed}")
        if bare in types:
            raise UserError(f"{where}, line 1: two columns are called {bare!r}; give each its own name")
        types[bare] = kind
    try:
        frame = read_columns(content, separator=separator)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        _refuse_ragged(where, content, separator, len(columns))
        raise UserError(f"{where}: not readable ({str(error).splitlines()[0]})") from error
    frame.columns = list(types)
    lines = np.arange(2, frame.height + 2)
    there = ~frame.select(pl.all_horizontal(pl.all().is_null())).to_series()  # blank lines
    return Atomic(members.path, filename, frame.filter(there), types, lines[there.to_numpy()])


def _refuse_ragged(where: str, content: bytes, separator: str, width: int) -> None:
    """Refuse the first line with more values than the header, or that is not UTF-8."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        values = line.count(separator.encode()) + 1
        if values > width:
            raise UserError(f"{where}, line {number}: {values} values, and the header names {width} columns")
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{where}, line {number}: not UTF-8 text; save the file as UTF-8") from error


def interaction_files(members: Members, name: str | None) -> tuple[str, Mapping[str, int | None]]:
    """Find the files of interactions.

    Args:
        members: what holds them.
        name: of the data set, or None where there is only one.

    Returns:
        The data set's name, and its files: one, of no part, or ``NAME.train.inter`` and its like with the part of each.

    Raises:
        UserError: there is none, or more than one choice.
    """
    names = sorted({Path(found).name.removesuffix(".inter") for found in members.names if found.endswith(".inter")})
    parted: dict[str, dict[str, int | None]] = {}
    for stem in names:
        base, _, part = stem.rpartition(".")
        if base and part in PARTS:
            parted.setdefault(base, {})[f"{stem}.inter"] = PARTS[part]
    whole = [stem for stem in names if stem.rpartition(".")[0] not in parted]
    stems = sorted({*whole, *parted})
    if name is None:
        if len(stems) != 1:
            found = f"several, {', '.join(stems)}: set dataset.name to one" if stems else "none"
            raise UserError(f"{members.path}: must hold one .inter file, and there are {found}")
        name = stems[0]
    if name in parted and name in whole:
        raise UserError(
            f"{members.path}: {name}.inter is there, and {', '.join(parted[name])} too; keep one or the other"
        )
    if name not in names and name not in parted:
        raise UserError(f"{members.path}: no file {f'{name}.inter'!r} in it; there are {', '.join(stems) or 'none'}")
    return name, parted.get(name, {f"{name}.inter": None})
