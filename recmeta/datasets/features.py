"""A sheet of users or items → a table of features: as declared, else inferred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from recmeta.datasets.sheet import Sheet
from recmeta.types import KINDS, UserError

DEFAULT_SEPARATOR = "|"
"""What stands between the values of a multi feature, unless declared."""


def feature_table(
    sheet: Sheet, key: str, side: str, declared: Mapping[str, Mapping[str, Any]]
) -> tuple[pl.DataFrame, list[str]]:
    """The features of users or items, as `recmeta.datasets.interactions.make_interactions` takes them.

    Args:
        sheet: the file.
        key: the column of ids.
        side: "user" or "item".
        declared: feature → ``{"kind": ..., "separator": ...}``; where empty, every column's kind is inferred.

    Returns:
        The table, the ids first; and what was inferred, as lines for the user.

    Raises:
        UserError: an id is empty or repeated, a declared column is missing, or a value is not of its kind.
    """
    ids = sheet.column(key, f"dataset.columns.{side}")
    sheet.refuse(ids.is_null(), key, f"is no id; every {side} needs one")
    sheet.refuse(~ids.is_first_distinct(), key, f"has a second row; a {side} must have one")
    if declared:
        kinds, notes = {feature: _checked(feature, side, given) for feature, given in declared.items()}, []
    else:
        inferred = {name: _inferred(sheet.column(name, "")) for name in sheet.frame.columns if name != key}
        kinds = {name: (kind, DEFAULT_SEPARATOR) for name, kind in inferred.items() if kind in KINDS}
        listed = ", ".join(f"{name} {kind}" for name, kind in inferred.items()) or "none"
        notes = [f"{side} features inferred from {sheet.path.name}: {listed}"]
    columns = [
        _converted(sheet, feature, kind, separator, f"dataset.{side}_features.{feature}")
        for feature, (kind, separator) in kinds.items()
    ]
    return pl.DataFrame([ids, *columns]), notes


def check_declared(side: str, declared: Mapping[str, Any], path: object) -> None:
    """Checks declarations of features before any file is read.

    Args:
        side: "user" or "item".
        declared: feature → ``{"kind": ..., "separator": ...}``.
        path: the file of features, or None.

    Raises:
        UserError: there is no file, a kind or a key is unknown, or a separator is given to what is not multi.
    """
    if declared and path is None:
        raise UserError(f"dataset.{side}_features needs a file: set dataset.{side}s")
    for feature, given in declared.items():
        _checked(feature, side, given)


def _checked(feature: str, side: str, given: Any) -> tuple[str, str]:
    """Kind and separator of a declaration."""
    where = f"dataset.{side}_features.{feature}"
    if not isinstance(given, Mapping) or "kind" not in given:
        raise UserError(f"{where}: declare {where}.kind, one of {', '.join(KINDS)}")
    unknown = sorted(set(given) - {"kind", "separator"})
    if unknown:
        raise UserError(f"{where}.{unknown[0]}: unknown; a feature has kind and separator")
    kind, separator = given["kind"], given.get("separator")
    if kind not in KINDS:
        raise UserError(f"{where}.kind={kind}: must be one of {', '.join(KINDS)}")
    if separator is not None and kind != "multi":
        raise UserError(f"{where}.separator: only a multi feature has one, and this is {kind}")
    if separator == "":
        raise UserError(f"{where}.separator: must be at least one character")
    return kind, separator or DEFAULT_SEPARATOR


def _inferred(values: pl.Series) -> str:
    """The kind of a column, or why it is left out."""
    if isinstance(values.dtype, pl.List):
        return "multi"
    known = values.drop_nulls()
    if known.is_empty():
        return "left out (empty)"
    if _as_numbers(known).is_not_null().all():
        return "numeric"
    if known.str.contains(DEFAULT_SEPARATOR, literal=True).any():
        return "multi"
    # A text that no two rows share says who it is, not what it is like.
    return "categorical" if known.n_unique() < len(values) else "left out (an identifier)"


def _converted(sheet: Sheet, feature: str, kind: str, separator: str, where: str) -> pl.Series:
    values = sheet.column(feature, where)
    if isinstance(values.dtype, pl.List):
        if kind != "multi":
            raise UserError(f"{sheet.path}, column {feature!r}: holds lists; declare {where}.kind=multi")
        return values
    if kind == "multi":
        return values.str.split(separator).list.eval(pl.element().str.strip_chars())
    if kind == "categorical":
        return values
    numbers = _as_numbers(values)
    sheet.refuse(
        values.is_not_null() & numbers.is_null(),
        feature,
        f"is not a number; correct it, or declare {where}.kind=categorical",
    )
    sheet.refuse(numbers.is_infinite(), feature, "is not finite; leave it empty if it is unknown")
    return numbers.fill_nan(None)


def _as_numbers(values: pl.Series) -> pl.Series:
    return values.str.strip_chars().cast(pl.Float64, strict=False)
