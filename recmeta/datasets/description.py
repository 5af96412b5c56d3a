"""Describe a data set in lines: labels, dates, ties, rows per user and item, features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from recmeta.datasets.labels import marks
from recmeta.datasets.times import said_of
from recmeta.features.kinds import kind_of
from recmeta.types import Column, Entities, Interactions

LEVELS = 12
"""How many distinct labels are counted one by one."""

FREQUENT = 3
"""How many of a feature's words are shown."""

Line = tuple[str, str]
"""A heading of a few letters, and what is said under it."""


def described(data: Interactions) -> Iterator[Line]:
    """Describe the data, everything inferred, and possible faults."""
    for note in data.notes:
        yield "note", note
    yield from _labels(data)
    yield from _times(data)
    for side, codes, entities in (("user", data.user, data.users), ("item", data.item, data.items)):
        rows = np.bincount(codes, minlength=len(entities.ids))
        yield "rows", f"per {side}: {rows.min():,} to {rows.max():,}, median {np.median(rows):g}"
    for name, values in (("weight", data.weight), ("propensity", data.propensity)):
        if values is not None:
            yield "rows", f"{name}: {values.min():g} to {values.max():g}, mean {values.mean():g}"
    for name, relation in data.relations.items():
        yield "relation", f"{name}: {len(relation.source):,} edges from {relation.sides[0]} to {relation.sides[1]}"
    for side, entities in (("users", data.users), ("items", data.items)):
        yield from _features(side, entities)


def _labels(data: Interactions) -> Iterator[Line]:
    values, counts = np.unique(data.label, return_counts=True)
    shares = counts / counts.sum()
    if len(values) <= LEVELS:
        listed = ", ".join(f"{value:g} {share:.1%}" for value, share in zip(values, shares, strict=True))
    else:
        low, middle, high = np.quantile(data.label, [0.05, 0.5, 0.95])
        listed = f"{len(values):,} values, median {middle:g}, 90 % of rows from {low:g} to {high:g}"
    low, high = data.label_range
    yield "label", f"{low:g} to {high:g}, liked from {data.like:g}: {(data.label >= data.like).mean():.1%}"
    yield "label", listed
    for mark, count in marks(data.label):
        yield "label", f"{mark:g} may mark rows without a label: {count:,} rows, {count / len(data.label):.1%}"


def _times(data: Interactions) -> Iterator[Line]:
    if data.time is None:
        yield "time", "none is read: rows are in no order"
        return
    yield "time", f"{said_of(int(data.time.min()))} to {said_of(int(data.time.max()))} (UTC)"
    yield "ties", f"{tied(data):.1%} of rows share their second with another row of their user"


def tied(data: Interactions) -> float:
    """Compute the share of rows that have another row of the same user at the same time.

    Args:
        data: with times.
    """
    assert data.time is not None
    pairs = np.stack([data.user.astype(np.int64), data.time], axis=1)
    _, place, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    return float((counts[place] > 1).mean())


def _features(side: str, entities: Entities) -> Iterator[Line]:
    kinds = ", ".join(f"{feature} ({column.kind})" for feature, column in entities.features.items())
    yield "features", f"{side}: {kinds or 'none'}"
    for name, column in entities.features.items():
        yield "feature", f"{side[:-1]}.{name}: {_feature(column)}"


def _feature(column: Column) -> str:
    """Describe the values of a feature: the share that is known, the range or the frequent words."""
    kind = kind_of(column.kind)
    known = kind.reading.known(column.values) > 0
    said = f"{column.kind}, known of {known.mean():.1%}"
    if not known.any():
        return said
    if kind.words is not None:
        counts = Counter(word for words in kind.words.read(column.values) for word in words)
        frequent = ", ".join(f"{word} {count:,}" for word, count in _most(counts))
        return f"{said}, {len(counts):,} words: {frequent}{', ...' if len(counts) > FREQUENT else ''}"
    if kind.numbers:
        return f"{said}, {column.values[known].min():g} to {column.values[known].max():g}"
    return f"{said}, {column.values.shape[1]} numbers each" if column.values.ndim == 2 else said


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:FREQUENT]
