"""Load the user's own data: a file of interactions and, optionally, files of user and item features."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import FiniteFloat

from recmeta.datasets.features import check_declared, read_features
from recmeta.datasets.interactions import Duplicates, make_interactions
from recmeta.datasets.relations import RelationFile, read_relations
from recmeta.datasets.sheet import Sheet, read_sheet
from recmeta.types import Interactions, UserError

COLUMNS: Mapping[str, str | None] = {
    "user": "user", "item": "item", "label": "label", "time": None, "weight": None, "propensity": None,
}  # fmt: skip
"""Default names of the columns; those without one are not read by default."""

PER_ROW: Mapping[str, tuple[Callable[[pl.Series], pl.Series], str]] = {
    "weight": (lambda number: number >= 0, "a finite number of at least 0"),
    "propensity": (lambda number: (number > 0) & (number <= 1), "a probability above 0 and up to 1"),
}
"""Numbers that a row may have besides its label: which are allowed, and how that is said."""

_MOMENTS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ")


def table(
    *,
    interactions: str | os.PathLike[str] | None = None,
    users: str | os.PathLike[str] | None = None,
    items: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str | None] | None = None,
    user_features: Mapping[str, Mapping[str, Any]] | None = None,
    item_features: Mapping[str, Mapping[str, Any]] | None = None,
    separator: str | None = None,
    label_range: Sequence[FiniteFloat] | None = None,
    like: FiniteFloat | None = None,
    duplicates: Duplicates = "last",
    relations: Mapping[str, RelationFile] | None = None,
    name: str = "table",
) -> Interactions:
    """Load interactions from CSV, TSV or Parquet files, with ids as text.

    A repeated (user, item) pair becomes one row, and is counted. An id without a row in a feature file has unknown
    features; it is counted too.

    Args:
        interactions: the file of interactions. Relative paths start at the working directory; ``~`` is expanded.
        users, items: files of features, one row per id.
        columns: names of the columns ``user``, ``item``, ``label`` and ``time``, in the feature files too. A ``time``
            is in seconds (fractions are dropped) or an ISO date; it is read only if named. So are ``weight``, of a row
            in a loss, at least 0, and ``propensity``, the probability with which it was observed.
        user_features, item_features: feature -> ``{"kind": ..., ...}``, the kind's name (`recmeta.features.kinds`) or
            where Python finds one of your own, and its settings. Other columns are left out. Where nothing is declared,
            kinds are inferred and noted.
        separator: of text files, in place of the suffix's.
        label_range: the lowest and highest label possible; by default those seen, which is noted.
        like: the label from which a row counts as liked; by default three quarters up the range, which is noted.
        duplicates: which row of a repeated pair is kept: the "last" or the "first" in time (without a time, in the
            file), or "mean": the last, with the mean label of all.
        relations: name -> a file of edges between users or items; see `recmeta.datasets.relations.RelationFile`.
        name: the data set's name.

    Raises:
        UserError: whatever is wrong with a setting or a file, with the line and the column.
    """
    if interactions is None:
        raise UserError("dataset.interactions is not set: name a CSV, TSV or Parquet file")
    named = _named(columns or {})
    sides = {"user": (users, user_features or {}), "item": (items, item_features or {})}
    for side, (path, declared) in sides.items():
        check_declared(side, declared, path)
    sheet = read_sheet(Path(interactions), separator)
    rows = _rows(sheet, named)
    low, high, notes = _label_range(sheet, rows["label"], named["label"], label_range)
    tables = _features(sides, separator, named)
    return make_interactions(
        name, rows, label_range=(low, high), like=like, duplicates=duplicates,
        relations=read_relations(relations or {}, separator), users=tables["user"].frame if "user" in tables else None,
        items=tables["item"].frame if "item" in tables else None,
        kinds={side: table.kinds for side, table in tables.items()},
        notes=[*notes, *(note for table in tables.values() for note in table.notes)],
    )  # fmt: skip


def _features(sides: Mapping[str, tuple[Any, Any]], separator: str | None, named: Mapping[str, str | None]):
    """Read the tables of features that there are."""
    found = {
        side: read_features(path, separator, str(named[side]), side, given) for side, (path, given) in sides.items()
    }
    return {side: table for side, table in found.items() if table}


def _named(columns: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Complete the four column names, and check that each is set and used once."""
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown:
        raise UserError(f"dataset.columns.{unknown[0]}: unknown; the columns are {', '.join(COLUMNS)}")
    named = {**COLUMNS, **columns}
    unset = [role for role, column in named.items() if column is None and COLUMNS[role] is not None]
    if unset:
        raise UserError(f"dataset.columns.{unset[0]} is not set: name the column")
    taken = [column for column in named.values() if column is not None]
    if len(set(taken)) < len(taken):
        raise UserError(f"dataset.columns: {', '.join(taken)} name a column twice; each must be another column")
    return named


def _rows(sheet: Sheet, named: Mapping[str, str | None]) -> pl.DataFrame:
    """Convert the sheet to the rows that `make_interactions` takes."""
    columns: dict[str, pl.Series] = {}
    for role in (role for role, column in named.items() if column is not None):
        column = str(named[role])
        values = sheet.column(column, f"dataset.columns.{role}")
        if values.dtype.is_nested():
            raise UserError(f"{sheet.path}, column {column!r}: holds lists; a {role} must be a single value")
        sheet.refuse(values.is_null(), column, f"is no {role}; every row needs one")
        columns[role] = values
    label = columns["label"].str.strip_chars().cast(pl.Float64, strict=False)
    sheet.refuse(label.is_null() | ~label.is_finite(), str(named["label"]), "is not a finite number; a label must be")
    columns["label"] = label
    if "time" in columns:
        seconds = _seconds(columns["time"])
        problem = "is no time; give seconds, or a date such as 2024-05-31 or 2024-05-31 18:00:00"
        sheet.refuse(seconds.is_null(), str(named["time"]), problem)
        columns["time"] = seconds
    for role, (allows, allowed) in PER_ROW.items():
        if role in columns:
            number = columns[role].str.strip_chars().cast(pl.Float64, strict=False)
            bad = number.is_null() | ~number.is_finite() | ~allows(number)
            sheet.refuse(bad, str(named[role]), f"is no {role}; give {allowed}")
            columns[role] = number
    return pl.DataFrame(columns)


def _seconds(values: pl.Series) -> pl.Series:
    """Convert numbers and dates to whole seconds since 1970 (UTC), with null for anything else."""
    text = pl.col("text").str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    finite = pl.when(number.is_finite()).then(number.floor()).cast(pl.Int64, strict=False)
    moments = [text.str.to_datetime(form, strict=False).dt.epoch("s") for form in _MOMENTS]
    return values.to_frame("text").select(pl.coalesce(finite, *moments)).to_series()


def _label_range(
    sheet: Sheet, label: pl.Series, column: str | None, declared: Sequence[float] | None
) -> tuple[float, float, list[str]]:
    """Determine the lowest and highest label, with a line for the user where they were not declared."""
    if declared is not None:
        if len(declared) != 2 or not declared[0] < declared[1]:
            raise UserError(f"dataset.label_range={list(declared)}: give the lowest and the highest label, as [1, 5]")
        low, high = (float(bound) for bound in declared)
        problem = f"is outside dataset.label_range, {low:g} to {high:g}"
        sheet.refuse((label < low) | (label > high), str(column), problem)
        return low, high, []
    low, high = (float(bound) for bound in (label.to_numpy().min(), label.to_numpy().max()))
    if low == high:
        raise UserError(f"{sheet.path}: every label is {low:g}; set dataset.label_range, such as [0, 1]")
    return low, high, [f"label range is {low:g} to {high:g}, as seen; set dataset.label_range if it is wider"]
