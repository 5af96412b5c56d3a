"""Fit the features of users or items on meta-train, and encode raw values with the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from recmeta.features.categorical import categorical
from recmeta.features.kind import Settings, State
from recmeta.features.kinds import address_of, arrays_of, kind_of, located
from recmeta.types import Column, Entities, Field

ID = "id"
"""The field of an entity's identity: categorical, its vocabulary being the entities of meta-train."""


class Step(NamedTuple):
    """A fitted preparation: the dotted name of its ``apply``, and the state that it needs."""

    apply: str
    state: State


class FittedFeature(NamedTuple):
    """One feature's fitted preparations and encoding.

    Attributes:
        name: of the feature.
        raw, settings: kind and settings of the column that comes in.
        steps: the preparations, in order.
        kind: of the column that they make.
        state: what its kind fitted.
    """

    name: str
    raw: str
    settings: Settings
    steps: tuple[Step, ...]
    kind: str
    state: State


Side = tuple[FittedFeature, ...]
"""The features of users, or of items, in the order of the fields."""

Encoded = dict[str, np.ndarray]
"""Field -> values, the first axis being the entities."""


def fit(entities: Entities, seen: Bool[np.ndarray, "N"], *, ids: bool) -> tuple[Side, Encoded, list[str]]:
    """Fit preparations, vocabularies and scales on the entities of meta-train, and encode all entities.

    Args:
        entities: N users or items.
        seen: the entities of meta-train; nothing is fitted to the others.
        ids: whether an entity's own id is a field, the first one.

    Returns:
        The fitted features; the arrays; and lines for the user: the effect of each preparation, and features left out.
    """
    side, values, notes = [], {}, []
    columns = {ID: Column(categorical.name, entities.ids)} if ids else {}
    for name, column in (columns | dict(entities.features)).items():
        prepared, steps, lines = _prepared(column, seen)
        notes += lines
        kind = kind_of(prepared.kind)
        if kind.arrays is None:
            notes.append(f"{name} is {kind.name}, which no preparation makes anything of: the model does not read it")
            continue
        fitted = kind.arrays.fit(prepared, seen)
        values[name] = kind.arrays.encode(fitted, prepared.values)
        side.append(FittedFeature(name, column.kind, dict(column.settings), steps, kind.name, fitted))
    return tuple(side), values, notes


def _prepared(column: Column, seen: Bool[np.ndarray, "N"]) -> tuple[Column, tuple[Step, ...], list[str]]:
    """Fit and apply the preparations of a column."""
    prepared, steps, notes = replace(column, preparations=()), [], []
    for preparation in column.preparations:
        fitted = preparation.fit(prepared, seen)
        before, prepared = known(prepared).sum(), preparation.apply(prepared, fitted.state)
        after = known(prepared).sum()
        counts = {"values in": before, "values dropped": before - after, "values out": after, **fitted.counts}
        counted = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        notes.append(f"{preparation.name}: {counted}; of the {seen.sum():,} that meta-train has: {fitted.note}")
        steps.append(Step(address_of(preparation.apply), fitted.state))
    return prepared, tuple(steps), notes


def encode(side: Side, columns: Mapping[str, Column]) -> Encoded:
    """Encode raw columns of any entities with fitted features.

    Args:
        side: from `fit`.
        columns: of every feature in it, of the kinds and settings that it was fitted with.
    """
    values = {}
    for feature in side:
        column = replace(columns[feature.name], preparations=())
        for step in feature.steps:
            column = located(step.apply)(column, step.state)
        arrays = kind_of(feature.kind).arrays
        assert arrays is not None
        values[feature.name] = arrays.encode(feature.state, column.values)
    return values


def fields(side: Side) -> tuple[Field, ...]:
    """Describe each feature for a model: name, kind and size."""
    found = []
    for feature in side:
        arrays = kind_of(feature.kind).arrays
        assert arrays is not None
        found.append(Field(feature.name, feature.kind, arrays.size(feature.state)))
    return tuple(found)


def known(column: Column) -> np.ndarray:
    """Count the values of each entity: 0 or 1, or any number for a kind with several."""
    return kind_of(column.kind).reading.known(column.values)


def completeness(fields: Sequence[Field], values: Mapping[str, np.ndarray]) -> Float[np.ndarray, "N"] | None:
    """Compute the share of each entity's features with a value that meta-train has seen.

    Args:
        fields: of the entities; their id is no feature.
        values: encoded, N entities each.

    Returns:
        ``[N]``, 0 to 1; None where there are no features.
    """
    found = [arrays_of(field).complete(values[field.name]) for field in fields if field.name != ID]
    return np.mean(found, axis=0) if found else None
