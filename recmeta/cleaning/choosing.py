"""Choose the features of a cleaning step, and find entities with known values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from jaxtyping import Bool

from recmeta.features.fitting import known
from recmeta.features.kind import Kind
from recmeta.features.kinds import kind_of, names
from recmeta.types import Column, Entities, Interactions, UserError

Feature = tuple[str, str]
"""A side, "user" or "item", and the name of a feature of it. It is written ``item.year``."""


def side(data: Interactions, name: str) -> Entities:
    """The users or the items."""
    return data.users if name == "user" else data.items


def every(data: Interactions) -> Iterator[Feature]:
    """List all features of a data set, the users' first."""
    for name in ("user", "item"):
        for feature in side(data, name).features:
            yield name, feature


def kind(column: Column) -> str:
    """Return the kind of a column after its preparations."""
    return column.preparations[-1].gives if column.preparations else column.kind


def choose(data: Interactions, features: Sequence[str] | None, takes: Callable[[Kind], bool]) -> list[Feature]:
    """Choose the features of a step.

    Args:
        data: the data set.
        features: as they are written, ``item.year``; None for all whose kind the step takes.
        takes: whether the step takes a kind.

    Raises:
        UserError: a feature that is not there or of another kind, or none that is of such a kind.
    """
    kinds = {f"{name}.{feature}": kind(side(data, name).features[feature]) for name, feature in every(data)}
    there = ", ".join(f"{name} ({found})" for name, found in kinds.items()) or "none"
    wanted = " or ".join(names(takes))
    if features is None:
        features = [name for name, found in kinds.items() if takes(kind_of(found))]
        if not features:
            raise UserError(f"it takes {wanted} features, and there is none; the features are: {there}")
    for name in features:
        if name not in kinds:
            raise UserError(f"features={name}: no such feature; the features are: {there}")
        if not takes(kind_of(kinds[name])):
            raise UserError(f"features={name}: it is {kinds[name]}, and this takes {wanted} features")
    # Two of one name would prepare a column twice.
    pairs = (name.partition(".") for name in dict.fromkeys(features))
    return [(before, after) for before, _, after in pairs]


def has_all(entities: Entities, features: Collection[str]) -> Bool[np.ndarray, "N"]:
    """Find the entities with a value of each of the features."""
    return np.all([known(entities.features[name]) > 0 for name in features] or [np.ones(len(entities.ids), bool)], 0)
