"""Read tables of user or item features, with declared or inferred kinds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from recmeta.datasets.hints import identifier, written_otherwise
from recmeta.datasets.ids import cleaned, read_ids
from recmeta.datasets.labels import numbers
from recmeta.datasets.layout import Decimal, Layout
from recmeta.datasets.sheet import Sheet, is_text, read_sheet
from recmeta.features.categorical import categorical
from recmeta.features.kind import Cells, Kind
from recmeta.features.kinds import inferred, kind_of, names
from recmeta.features.missing import IN_NUMBERS, MISSING, is_missing
from recmeta.types import UserError

_INDEX = re.compile(r"|Unnamed: [\d.]+|__index_level_\d+__")
"""Names that pandas gives to the row numbers of a data frame in its files."""

_NUMBERED = re.compile(r"index|level_\d+")
"""Names that it gives to row numbers that were made a column: left out where they are row numbers indeed."""


class Declared(NamedTuple):
    """A declaration of a feature, checked."""

    kind: Kind
    settings: Mapping[str, Any]


class FeatureTable(NamedTuple):
    """Features as `recmeta.datasets.interactions.make_interactions` takes them, the ids first.

    Attributes:
        frame: the ids, and a column per feature.
        kinds: feature -> its kind, and the settings that stay with the column.
        notes: what was inferred and read as missing, as lines for the user.
    """

    frame: pl.DataFrame
    kinds: Mapping[str, tuple[str, Mapping[str, Any]]]
    notes: Sequence[str]


def read_features(
    path: str | os.PathLike[str] | None,
    layout: Layout,
    key: str,
    side: str,
    declared: Mapping[str, Mapping[str, Any]],
) -> FeatureTable | None:
    """Read the features of users or items.

    Args:
        path: the file of all that have none of their own; None where there is none.
        layout: of the file.
        key: the column of ids.
        side: "user" or "item".
        declared: feature -> ``{"kind": ..., ...}`` with the settings of its kind; where empty, kinds are inferred.

    Returns:
        The features; None where there are neither files nor declarations.

    Raises:
        UserError: an id is empty or repeated, a declared column is missing, or a value is not of its kind.
    """
    checked = {feature: _checked(feature, side, given) for feature, given in declared.items()}
    own = {name: each for name, each in checked.items() if "file" in each.settings}
    here = {name: each for name, each in checked.items() if name not in own}
    table = None if path is None else _of_sheet(read_sheet(Path(path), layout), layout.decimal, key, side, here)
    if not own:
        return table
    frame, kinds, notes = table or FeatureTable(pl.DataFrame(schema={key: pl.String}), {}, [])
    for name, (kind, settings) in own.items():
        assert kind.reading.load is not None
        ids, values = kind.reading.load(settings, f"dataset.{side}_features.{name}")
        frame = frame.join(
            pl.DataFrame([cleaned(ids).alias(key), values.alias(name)]), on=key, how="full", coalesce=True
        )
    return FeatureTable(frame, {**kinds, **{name: _kept(each) for name, each in own.items()}}, notes)


def _of_sheet(sheet: Sheet, decimal: Decimal, key: str, side: str, declared: Mapping[str, Declared]) -> FeatureTable:
    """Read the features of one sheet; kinds are inferred where none is declared."""
    sheet.need({f"dataset.columns.{side}": key} | {f"dataset.{side}_features.{name}": name for name in declared})
    ids, notes = read_ids(sheet, key, side)
    sheet.refuse(~ids.is_first_distinct(), key, f"has a second row; each {side} must have one")
    notes = [*sheet.notes, *notes]
    if not declared:
        found = {name: _inferred(sheet, name, decimal) for name in sheet.frame.columns if name != key}
        listed = ", ".join(f"{name or 'column 1'} {_said(each)}" for name, each in found.items()) or "none"
        notes.append(f"{side} features inferred from {sheet.path.name}: {listed}")
        declared = {name: each for name, each in found.items() if isinstance(each, Declared)}
        notes += _doubts(sheet, side, declared)
    columns = []
    for name, (kind, settings) in declared.items():
        where = f"dataset.{side}_features.{name}"
        mark, words = decimal if kind.numbers else "point", kind.words is not None or kind.numbers
        cells, missing = _cells(sheet, name, where, settings.get("missing", MISSING), mark, bare=words)
        guessed = {key: value for key, value in kind.reading.guess(cells.values).items() if key not in settings}
        columns.append(kind.reading.parse(cells, {**settings, **guessed}).alias(name))
        if missing:
            notes.append(f"{side} feature {name}: {missing} (or declare {where}.missing)")
        if guessed:
            shown = ", ".join(f"{key} {value!r}" for key, value in guessed.items())
            notes.append(
                f"{side} feature {name}: {shown}, as its values look (or declare {where}.{next(iter(guessed))})"
            )
    return FeatureTable(
        pl.DataFrame([ids.alias(key), *columns]), {name: _kept(each) for name, each in declared.items()}, notes
    )


def _doubts(sheet: Sheet, side: str, found: Mapping[str, Declared]) -> list[str]:
    """Notes on columns that were inferred to be categories, and look like something else."""
    notes = []
    for name, (kind, _) in found.items():
        if kind is categorical and (said := written_otherwise(_cells(sheet, name, "", MISSING)[0].values)):
            notes.append(f"{side} feature {name}: each value is taken for a category ({said})")
    return notes


def _said(found: Declared | str) -> str:
    return found if isinstance(found, str) else found.kind.name


def _kept(declared: Declared) -> tuple[str, Mapping[str, Any]]:
    """Return a kind's name, and the settings that its fit reads."""
    kind, settings = declared
    return kind.name, {name: value for name, value in settings.items() if name in kind.settings}


def _cells(
    sheet: Sheet, name: str, where: str, markers: Sequence[str], decimal: Decimal = "point", bare: bool = True
) -> tuple[Cells, str]:
    """Read a column with null for markers of missing values, and a description of these.

    Args:
        sheet, name: of the column.
        where: the setting that declares it; "" where its kind is still to be inferred.
        markers: of missing values.
        decimal: the mark in its numbers.
        bare: whether blanks at both ends are no part of a value.
    """
    values = sheet.column(name, where)
    note = ""
    if values.dtype == pl.String:
        marked = is_missing(values, markers) & values.is_not_null()
        if marked.any():
            found = ", ".join(
                sorted(repr(cell) if not cell.strip() else cell.strip() for cell in values.filter(marked).unique())
            )
            note = f"{marked.sum()} cells of {len(values)} are read as missing: {found}"
            values = values.to_frame().select(pl.when(~marked).then(pl.first())).to_series()
        if bare:
            values = values.str.strip_chars()
        if decimal == "comma":
            values = _pointed(values, every=not where)
    return Cells(values, partial(_refuse, sheet, name), where), note


def _pointed(values: pl.Series, every: bool) -> pl.Series:
    """Replace decimal commas in numbers; with ``every``, only where a whole column holds nothing else."""
    number = numbers(values, "comma").is_not_null()
    if every and not (number | values.is_null()).all():
        return values
    return values.str.replace(",", ".", literal=True).zip_with(number, values)


def _refuse(sheet: Sheet, name: str, bad: pl.Series, problem: str) -> None:
    sheet.refuse(bad, name, problem)


def _inferred(sheet: Sheet, name: str, decimal: Decimal) -> Declared | str:
    """Infer the kind of a column, or the reason for leaving it out."""
    if _INDEX.fullmatch(name) or (_NUMBERED.fullmatch(name) and _counts_rows(sheet.frame[name])):
        return "left out (a data frame's row numbers)"
    if not is_text(sheet.frame[name].dtype):
        return f"left out ({sheet.frame[name].dtype.base_type()})"
    values = _cells(sheet, name, "", MISSING, decimal)[0].values
    if values.drop_nulls().is_empty():
        return "left out (empty)"
    found = inferred(values)
    if values.dtype == pl.String and (found is None or found.words is not None):
        # One dash or "unknown" among numbers is a missing number, not a word that makes words of them all.
        bare = _cells(sheet, name, "", IN_NUMBERS, decimal)[0].values
        number = None if bare.drop_nulls().is_empty() else inferred(bare)
        if number is not None and number.numbers:
            return Declared(number, {"missing": IN_NUMBERS})
    if found is not None:
        return Declared(found, {})
    return f"left out ({written_otherwise(values) or identifier(values)})"


def _counts_rows(values: pl.Series) -> bool:
    """Whether a column counts the rows from 0."""
    return values.dtype == pl.String and values.to_list() == [str(row) for row in range(len(values))]


def check_declared(side: str, declared: Mapping[str, Any], path: object) -> None:
    """Check declarations of features before any file is read.

    Args:
        side: "user" or "item".
        declared: feature -> ``{"kind": ..., ...}``.
        path: the file of features, or None.

    Raises:
        UserError: there is no file, a kind or a setting is unknown, or a setting is not what its kind takes.
    """
    for feature, given in declared.items():
        checked = _checked(feature, side, given)
        if path is None and "file" not in checked.settings:
            raise UserError(f"dataset.{side}_features.{feature} needs a file: set dataset.{side}s")


def _checked(feature: str, side: str, given: Any) -> Declared:
    """Check the kind and settings of a declaration."""
    where = f"dataset.{side}_features.{feature}"
    if not isinstance(given, Mapping) or not isinstance(given.get("kind"), str):
        raise UserError(f"{where}: declare {where}.kind, one of {', '.join(names(lambda kind: True))}")
    try:
        kind = kind_of(given["kind"])
    except UserError as error:
        raise UserError(f"{where}.{error}") from error
    settings = {name: value for name, value in given.items() if name != "kind"}
    takes = {"missing": _no_markers, **kind.reading.settings, **kind.settings}
    for name, value in settings.items():
        if name not in takes:
            raise UserError(
                f"{where}.{name}: a {kind.name} feature has no such setting; it has kind, {', '.join(takes)}"
            )
        if problem := takes[name](value):
            raise UserError(f"{where}.{name}={value}: {problem}")
    return Declared(kind, settings)


def _no_markers(value: Any) -> str | None:
    """Describe the fault of a list of missing-value markers; None if it has none."""
    fine = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    return None if fine else "must be a list of texts, as ['NA', '-']"
