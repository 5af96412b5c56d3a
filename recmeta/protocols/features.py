"""Raw feature columns to the numbers a model reads, fitted on the entities that meta-train has seen alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recmeta.types import Column, Entities, Field

Encoded = tuple[tuple[Field, ...], dict[str, np.ndarray]]


def encode_features(entities: Entities, seen: np.ndarray) -> Encoded:
    """Encode the features of all entities by what can be learned from the seen ones.

    Args:
        entities: N users or items with raw columns.
        seen: bool ``[N]``; True where meta-train has the entity.

    Returns:
        The fields, and for each an array whose first axis is N: see `recmeta.types.Features`.
    """
    encode = {"categorical": _categorical, "multi": _multi, "numeric": _numeric}
    fields, values = [], {}
    for name, column in entities.features.items():
        size, values[name] = encode[column.kind](column, seen)
        fields.append(Field(name, column.kind, size))
    return tuple(fields), values


def encode_ids(seen: np.ndarray) -> Encoded:
    """Number the seen entities from 1; all others share 0, the unknown one."""
    codes = np.where(seen, np.cumsum(seen), 0).astype(np.int32)
    return (Field("id", "categorical", int(seen.sum()) + 1),), {"id": codes}


def completeness(fields: Sequence[Field], values: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The share of each entity's features that a model can read: there, and of a value that meta-train has seen.

    Args:
        fields: of the entities; their id is no feature.
        values: encoded, N entities each.

    Returns:
        ``[N]``, 0 to 1; None where there are no features.
    """
    read = {
        "categorical": lambda codes: codes > 0,
        "multi": lambda codes: (codes > 0).any(axis=1),
        "numeric": lambda pair: pair[:, 1] == 0,
    }
    known = [read[field.kind](values[field.name]) for field in fields if field.name != "id"]
    return np.mean(known, axis=0) if known else None


def _vocabulary(values: set[str]) -> Mapping[str, int]:
    """Number the values from 1 in sorted order; "" is no value."""
    return {value: code for code, value in enumerate(sorted(values - {""}), start=1)}


def _categorical(column: Column, seen: np.ndarray) -> tuple[int, np.ndarray]:
    vocabulary = _vocabulary(set(column.values[seen]))
    codes = np.array([vocabulary.get(value, 0) for value in column.values], np.int32)
    return len(vocabulary) + 1, codes


def _multi(column: Column, seen: np.ndarray) -> tuple[int, np.ndarray]:
    vocabulary = _vocabulary({value for values in column.values[seen] for value in values})
    known = [[vocabulary[value] for value in values if value in vocabulary] for values in column.values]
    codes = np.zeros((len(known), max(1, *map(len, known))), np.int32)
    for row, values in zip(codes, known, strict=True):
        row[: len(values)] = values
    return len(vocabulary) + 1, codes


def _numeric(column: Column, seen: np.ndarray) -> tuple[int, np.ndarray]:
    values = np.asarray(column.values, np.float64)
    missing = np.isnan(values)
    # A column that is already scaled is left as it is.
    fitted = values[seen & ~missing & column.standard]
    mean = fitted.mean() if fitted.size else 0.0
    # A column that is constant but for rounding carries nothing: dividing by one leaves it near zero.
    spread = fitted.std() if fitted.size else 0.0
    spread = spread if spread > 1e-6 * max(1.0, abs(mean)) else 1.0
    standard = np.where(missing, 0.0, (values - mean) / spread)
    return 2, np.stack([standard, missing], axis=-1).astype(np.float32)
