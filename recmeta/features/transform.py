"""Encode a new user's or item's raw features, without the data set; save and load the fitted transform."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recmeta.features.fitting import ID, Encoded, FittedFeature, Side, Step, encode
from recmeta.features.kinds import kind_of
from recmeta.runs.files import disk_errors, one_line, read_json, write
from recmeta.types import Column, Transform, UserError

FILE, ARRAYS = "transform.json", "arrays.npz"
"""Files of a saved transform: plain values; and numpy arrays, if there are any."""

VERSION = 1
"""Of the format of these files."""


def make_transform(context: Side, row: Side) -> Transform:
    """Join the fitted features of the two sides of a task.

    Args:
        context: of the entity that is the task.
        row: of the entities that its rows are about.
    """

    def of(name: str, side: Side):
        return lambda features, id=None: encode_one(name, side, features, id)

    return Transform(of("context", context), of("row", row), {"context": context, "row": row})


def encode_one(name: str, side: Side, features: Mapping[str, Any], id: str | None) -> Encoded:
    """Encode one user or item.

    Args:
        name: of the side, for messages.
        side: the fitted transform.
        features: name -> plain value: text, a number, a list; None or not there: missing.
        id: whose features these are; None, or one that meta-train has not: unknown. Not read where ids are no field.

    Returns:
        Field -> array, without a leading axis.

    Raises:
        UserError: a feature that is not there, or a value that is not of its kind.
    """
    known = {feature.name: feature for feature in side if feature.name != ID}
    if unknown := sorted(set(features) - set(known)):
        raise UserError(f"{name}: no feature {unknown[0]!r}; there are {', '.join(known) or 'none'}")
    columns, given = {}, {**features, ID: id}
    for feature in side:
        try:
            values = kind_of(feature.raw).reading.raw([given.get(feature.name)])
        except UserError as error:
            raise UserError(f"{name}: {feature.name}: {error}") from error
        columns[feature.name] = Column(feature.raw, values, settings=feature.settings)
    return {field: values[0] for field, values in encode(side, columns).items()}


def save(transform: Transform, folder: Path) -> None:
    """Write a transform, arrays first, so that the arrays named in the JSON exist.

    Raises:
        UserError: the disk refuses.
    """
    arrays: dict[str, np.ndarray] = {}
    sides = {name: [feature._asdict() for feature in side] for name, side in transform.state.items()}
    described = {"version": VERSION, **_without_arrays(sides, arrays)}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if arrays:
            packed = io.BytesIO()
            np.savez_compressed(packed, **arrays)  # pyright: ignore[reportArgumentType]
            write(folder / ARRAYS, packed.getvalue())
        write(folder / FILE, json.dumps(described, allow_nan=False, ensure_ascii=False) + "\n")


def load(folder: Path) -> Transform:
    """Read a saved transform, without the data set.

    Raises:
        UserError: it is not there or damaged, or a kind or preparation from elsewhere cannot be found.
    """
    described = read_json(folder / FILE)
    if described is None:
        raise UserError(f"{folder / FILE}: no such file; run it again with force=true")
    if described.get("version") != VERSION:
        raise UserError(f"{folder / FILE}: version {described.get('version')}, and this recmeta reads {VERSION}")
    try:
        packed = dict(np.load(folder / ARRAYS, allow_pickle=False)) if (folder / ARRAYS).exists() else {}
        context, row = (_side(_with_arrays(described[name], packed)) for name in ("context", "row"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: cannot be read ({one_line(error)}); run it again with force=true") from error
    return make_transform(context, row)


def _side(features: list[dict[str, Any]]) -> Side:
    """Build the features of one side from plain values."""
    return tuple(
        FittedFeature(**{**feature, "steps": tuple(Step(*step) for step in feature["steps"])}) for feature in features
    )


def _without_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Move each array of nested values to ``arrays``, with its key in its place."""
    if isinstance(value, Mapping):
        return {key: _without_arrays(each, arrays) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(each, arrays) for each in value]
    if isinstance(value, np.ndarray):
        key = str(len(arrays))
        arrays[key] = value
        return {"array": key}
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Invert `_without_arrays`."""
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return arrays[value["array"]]
        return {key: _with_arrays(each, arrays) for key, each in value.items()}
    return [_with_arrays(each, arrays) for each in value] if isinstance(value, list) else value
