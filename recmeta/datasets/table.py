"""Load the user's own data: a file of interactions and, optionally, files of user and item features."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from pydantic import FiniteFloat

from recmeta.datasets.features import check_declared, read_features
from recmeta.datasets.ids import read_ids
from recmeta.datasets.interactions import Duplicates, default_like, make_interactions
from recmeta.datasets.labels import Scale, Unlabelled, numbers, read_labels, scale_of
from recmeta.datasets.layout import Decimal, checked_layout, with_header
from recmeta.datasets.relations import RelationFile, read_relations
from recmeta.datasets.sheet import Sheet, named_for, read_sheet
from recmeta.datasets.times import TimeUnit, read_times
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

FEW = 0.01
"""The share of liked rows below which a default ``like`` is probably due to a few extreme labels."""

MAY_BE_NULL = ("label", "time", "weight", "propensity")
"""Columns that a file need not have."""


class Rows(NamedTuple):
    """Interactions as `make_interactions` takes them, and counts of rows that were left out.

    Attributes:
        frame: ``user``, ``item``, ``label``, and those of the others that are named.
        scale: the label range.
        dropped: kind of row -> how many of it were left out.
        notes: lines for the user.
    """

    frame: pl.DataFrame
    scale: Scale
    dropped: Mapping[str, int]
    notes: list[str]


# Long: twenty settings, each with its line of documentation.
def table(
    *,
    interactions: str | os.PathLike[str] | None = None,
    users: str | os.PathLike[str] | None = None,
    items: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str | None] | None = None,
    user_features: Mapping[str, Mapping[str, Any]] | None = None,
    item_features: Mapping[str, Mapping[str, Any]] | None = None,
    separator: str | None = None,
    quote: str | bool | None = None,
    header: Sequence[str] | None = None,
    user_header: Sequence[str] | None = None,
    item_header: Sequence[str] | None = None,
    encoding: str | None = None,
    decimal: Decimal = "point",
    time_unit: TimeUnit | None = None,
    unlabelled: Unlabelled = "refuse",
    label_range: Sequence[FiniteFloat] | None = None,
    like: FiniteFloat | None = None,
    duplicates: Duplicates = "last",
    relations: Mapping[str, RelationFile] | None = None,
    name: str = "table",
) -> Interactions:
    """Load interactions from CSV, TSV, JSON lines or Parquet files, with ids as text.

    A repeated (user, item) pair becomes one row, and is counted. An id without a row in a feature file has unknown
    features; it is counted too. What is inferred is noted.

    Args:
        interactions: the file of interactions; any may be compressed, or in a zip (``PATH.zip/FILE``). Relative paths
            start at the working directory; ``~`` is expanded.
        users, items: files of features, one row per id.
        columns: names of the columns ``user``, ``item``, ``label`` and ``time``, in the feature files too. Without a
            ``label`` (null) every row is a like. A ``time`` is a number or an ISO date; it is read only if named, and
            fractions of a second are dropped. So are ``weight``, of a row in a loss, at least 0, and ``propensity``,
            the probability with which it was observed.
        user_features, item_features: feature -> ``{"kind": ..., ...}``, the kind's name (`recmeta.features.kinds`) or
            where Python finds one of your own, and its settings. Other columns are left out. Where nothing is declared,
            kinds are inferred.
        separator, quote, encoding, decimal: of all text files, see `recmeta.datasets.layout.Layout`; a separator may
            also be a word: tab, blanks, comma, semicolon, pipe.
        header, user_header, item_header: names of the columns of text files without a line of them.
        time_unit: of times that are numbers; by default seconds, where these are likely.
        unlabelled: rows without a label: "refuse", or "drop" and count them.
        label_range: the lowest and highest label possible; by default those seen.
        like: the label from which a row counts as liked; by default three quarters up the range.
        duplicates: which row of a repeated pair is kept: the "last" or the "first" in time (without a time, in the
            file), or "mean": the last, with the mean label of all.
        relations: name -> a file of edges between users or items; see `recmeta.datasets.relations.RelationFile`.
        name: the data set's name.

    Raises:
        UserError: whatever is wrong with a setting or a file, with the line and the column.
    """
    if interactions is None:
        raise UserError("dataset.interactions is not set: name a CSV, TSV, JSON lines or Parquet file")
    named = _named(columns or {})
    layout = checked_layout(separator, quote, encoding, decimal)
    sides = {
        "user": (users, user_features or {}, with_header(layout, user_header, "dataset.user_header")),
        "item": (items, item_features or {}, with_header(layout, item_header, "dataset.item_header")),
    }
    for side, (path, declared, _) in sides.items():
        check_declared(side, declared, path)
    sheet = read_sheet(Path(interactions), with_header(layout, header, "dataset.header"))
    rows = _rows(sheet, named, decimal, time_unit, unlabelled, label_range)
    del sheet
    low, high, notes = rows.scale
    if like is None and (rare := _rarely_liked(rows.frame["label"], low, high)):
        notes = [*notes, rare]
    tables = {
        side: read
        for side, (path, declared, of_side) in sides.items()
        if (read := read_features(path, of_side, str(named[side]), side, declared))
    }
    return make_interactions(
        name, rows.frame, label_range=(low, high), like=like, duplicates=duplicates, dropped=rows.dropped,
        relations=read_relations(relations or {}, layout), users=tables["user"].frame if "user" in tables else None,
        items=tables["item"].frame if "item" in tables else None,
        kinds={side: table.kinds for side, table in tables.items()},
        notes=[*rows.notes, *notes, *(note for table in tables.values() for note in table.notes)],
    )  # fmt: skip


def _rarely_liked(label: pl.Series, low: float, high: float) -> str | None:
    """A note where the default `like` leaves next to no likes: an extreme label is probably not on the scale."""
    liked = (label >= default_like(low, high)).sum()
    if liked >= FEW * len(label):
        return None
    return f"only {liked:,} of {len(label):,} rows are liked: set dataset.like, or dataset.label_range"


def _named(columns: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Complete the names of columns, and check that each is set and used once."""
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown:
        raise UserError(f"dataset.columns.{unknown[0]}: unknown; the columns are {', '.join(COLUMNS)}")
    named = {**COLUMNS, **columns}
    unset = [role for role, column in named.items() if column is None and role not in MAY_BE_NULL]
    if unset:
        raise UserError(f"dataset.columns.{unset[0]} is not set: name the column")
    taken = [column for column in named.values() if column is not None]
    if len(set(taken)) < len(taken):
        raise UserError(f"dataset.columns: {', '.join(taken)} name a column twice; each must be another column")
    return named


def _rows(
    sheet: Sheet,
    named: Mapping[str, str | None],
    decimal: Decimal,
    time_unit: TimeUnit | None,
    unlabelled: Unlabelled,
    label_range: Sequence[float] | None,
) -> Rows:
    """Convert the sheet to the rows that `make_interactions` takes."""
    there = {role: column for role, column in named.items() if column is not None}
    sheet.need({f"dataset.columns.{role}": column for role, column in there.items()})
    columns, notes = {}, list(sheet.notes)
    for role in ("user", "item"):
        columns[role], said = read_ids(sheet, there[role], role)
        notes += said
    if "label" in there:
        values = _single(sheet, there["label"], "label")
        columns["label"], said = read_labels(sheet, there["label"], values, decimal, unlabelled)
        notes += said
    else:
        columns["label"] = pl.repeat(1.0, len(columns["user"]), eager=True)
    if "time" in there:
        columns["time"], said = read_times(sheet, there["time"], _single(sheet, there["time"], "time"), time_unit)
        notes += said
    elif unread := named_for("time", [name for name in sheet.frame.columns if name not in there.values()]):
        notes.append(f"column {unread!r} is not read: set dataset.columns.time={unread} if it is the time of a row")
    for role, (allows, allowed) in PER_ROW.items():
        if role in there:
            number = numbers(_single(sheet, there[role], role), decimal)
            bad = number.is_null() | ~number.is_finite() | ~allows(number)
            sheet.refuse(bad, there[role], f"is no {role}; give {allowed}")
            columns[role] = number
    scale = scale_of(sheet, there.get("label"), columns["label"], label_range)
    frame = pl.DataFrame(columns)
    dropped = frame["label"].null_count()
    kept = frame.filter(pl.col("label").is_not_null()) if dropped else frame  # a filter copies
    if dropped:
        notes.append(f"{dropped:,} of {frame.height:,} rows have no label and are dropped")
    return Rows(kept, scale, {"unlabelled": dropped} if unlabelled == "drop" else {}, notes)


def _single(sheet: Sheet, column: str, role: str) -> pl.Series:
    """A column of single values, null where empty."""
    values = sheet.column(column, f"dataset.columns.{role}")
    if values.dtype.is_nested():
        sheet.refuse(values.is_not_null(), column, f"is a list; a {role} must be a single value")
    return values
