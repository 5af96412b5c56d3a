"""Read labels: numbers with either decimal mark, true and false, empty ones; and find the label range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from recmeta.datasets.layout import Decimal
from recmeta.datasets.sheet import Sheet
from recmeta.features.missing import IN_NUMBERS, is_missing
from recmeta.types import UserError

Unlabelled = Literal["refuse", "drop"]
"""Treatment of rows whose label is empty, or a word for a missing value."""

TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "t": 1.0, "f": 0.0, "y": 1.0, "n": 0.0}

MARKS = (-1.0, 0.0, 99.0, -99.0, 999.0, -999.0)
"""Labels that often stand for none."""

SCALE = 100
"""How many labels a scale has at most; more are measurements, among which zero is frequent."""

FEW = 4
"""How many other labels there must be for one to look like a mark."""


class Scale(NamedTuple):
    """The label range, and lines for the user where it was not declared."""

    low: float
    high: float
    notes: list[str]


def numbers(values: pl.Series, decimal: Decimal) -> pl.Series:
    """Text as Float64, with null for anything else; with a decimal comma, "4.5" is no number.

    >>> numbers(pl.Series(["4,5", "3", "4.5"]), "comma").to_list()
    [4.5, 3.0, None]
    """
    bare = values.str.strip_chars()
    if decimal == "comma":
        bare = bare.to_frame("cell").select(pl.when(~pl.col("cell").str.contains(".", literal=True)).then("cell"))[
            "cell"
        ]
        bare = bare.str.replace(",", ".", literal=True)
    return bare.cast(pl.Float64, strict=False).alias(values.name)


def read_labels(
    sheet: Sheet, column: str, values: pl.Series, decimal: Decimal, unlabelled: Unlabelled
) -> tuple[pl.Series, list[str]]:
    """Read a column of labels.

    Args:
        sheet, column: of the values, for messages.
        values: text, null where empty.
        decimal: the mark in numbers.
        unlabelled: "refuse" rows without a label, or leave them to be dropped: null.

    Returns:
        Float64 ``[n]``, null where there is no label; and lines for the user.

    Raises:
        UserError: a value that is no label.
    """
    empty = is_missing(values, IN_NUMBERS)
    if unlabelled == "refuse":
        sheet.refuse(empty, column, "is no label; every row needs one, or dataset.unlabelled=drop leaves such rows out")
    known = values.filter(~empty).str.strip_chars().str.to_lowercase()
    if len(known) and known.is_in(list(TRUTH)).all():
        words = values.str.strip_chars().str.to_lowercase()
        shown = " and ".join(
            f"{word} {TRUTH[word]:g}" for word in sorted(known.unique(), key=lambda word: -TRUTH[word])
        )
        return words.replace_strict(TRUTH, default=None, return_dtype=pl.Float64), [
            f"labels are read as numbers: {shown}"
        ]
    label = numbers(values, decimal)
    bad = ~empty & (label.is_null() | ~label.is_finite())
    problem = "is not a finite number; a label must be"
    if decimal == "point" and (bad & label.is_null() & numbers(values, "comma").is_finite()).any():
        problem += ", or set dataset.decimal=comma"
    if decimal == "comma" and (bad & label.is_null() & numbers(values, "point").is_finite()).any():
        problem += ", with the comma that dataset.decimal asks for"
    sheet.refuse(bad, column, problem)
    return pl.DataFrame({"label": label, "empty": empty}).select(pl.when(~pl.col("empty")).then("label"))["label"], []


def scale_of(sheet: Sheet, column: str | None, label: pl.Series, declared: Sequence[float] | None) -> Scale:
    """Determine the lowest and the highest label possible.

    Args:
        sheet, column: of the labels, for messages; column None: every row is a like.
        label: ``[n]`` of all rows, null where there is none.
        declared: both, as the user has set them; None: as seen.

    Raises:
        UserError: an empty range, a label outside it, or no range because all labels are alike.
    """
    if declared is not None:
        if len(declared) != 2 or not declared[0] < declared[1]:
            raise UserError(f"dataset.label_range={list(declared)}: give the lowest and the highest label, as [1, 5]")
        low, high = (float(bound) for bound in declared)
        if column is not None:
            cleaning = f"'cleaning.steps=[{{step: label_range, low: {low:g}, high: {high:g}}}]'"
            problem = (
                f"is outside dataset.label_range, {low:g} to {high:g}; if it stands for no label, unset "
                f"dataset.label_range and set {cleaning}"
            )
            sheet.refuse((label < low) | (label > high), column, problem)
        elif not low <= 1 <= high:
            raise UserError(f"dataset.label_range={list(declared)}: without a label column every label is 1")
        return Scale(low, high, [])
    if column is None:
        return Scale(0.0, 1.0, ["no label is read: every row is a like, of label 1 in 0 to 1"])
    known = label.drop_nulls().to_numpy()
    if not known.size:
        raise UserError(f"{sheet.path}: no row has a label; where every row is a like, dataset.columns.label=null")
    low, high = float(known.min()), float(known.max())
    if low == high:
        such = f"[0, {low:g}]" if low > 0 else f"[{low:g}, {low + 1:g}]"
        raise UserError(
            f"{sheet.path}: every label is {low:g}; set dataset.label_range, such as {such}, or where every row is a "
            "like, dataset.columns.label=null"
        )
    seen = f"label range is {low:g} to {high:g}, as seen; set dataset.label_range if it is wider"
    return Scale(low, high, [seen, *mark_notes(known)])


def mark_notes(label: np.ndarray) -> list[str]:
    """A line for the user on each label that looks like a mark of rows without one."""
    return [
        f"label {mark:g} stands in {count:,} rows ({count / label.size:.1%}): if it marks rows without a label, drop "
        "them with the cleaning step label_range (docs/cleaning.md)"
        for mark, count in marks(label)
    ]


def marks(label: np.ndarray) -> list[tuple[float, int]]:
    """Find labels that look like marks of rows without one, and count them.

    One of `MARKS` at an end of the range: apart from the others, negative where none else is, or in more than a third
    of the rows.
    """
    values, counts = np.unique(label, return_counts=True)
    if len(values) <= FEW:
        return []
    found = []
    for place, inner in ((0, 1), (-1, -2)):
        value, count = float(values[place]), int(counts[place])
        others = np.delete(values, place)
        gap = abs(values[place] - values[inner])
        apart = gap > 1.5 * np.diff(others).max()
        negative = value < 0 <= others.min()
        if value in MARKS and (apart or negative or (count > len(label) / 3 and len(values) <= SCALE)):
            found.append((value, count))
    return found
