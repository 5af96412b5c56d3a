"""Prepare features: bucket, clip, scale, limit vocabularies; noted by a step, fitted by a protocol on meta-train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le, MinLen
from jaxtyping import Bool

from recmeta.cleaning.choosing import choose, kind, side
from recmeta.features.categorical import categorical
from recmeta.features.kind import Kind, Words
from recmeta.features.kinds import kind_of
from recmeta.types import Column, Fitted, Interactions, Preparation, UserError

Features = Annotated[tuple[str, ...], MinLen(1)] | None
Scale = Literal["standard", "robust", "log", "none"]
Quantile = Annotated[float, Ge(0), Le(1)]


def numbers(kind: Kind) -> bool:
    """Whether a kind's raw values are numbers, to be clipped, scaled and bucketed."""
    return kind.numbers


def words(kind: Kind) -> bool:
    """Whether a kind's values are words of a vocabulary."""
    return kind.words is not None


def bucket(interactions: Interactions, *, buckets: Annotated[int, Ge(2)], features: Features = None) -> Interactions:
    """Bucket numeric features into categories with equally many values of meta-train.

    The edges are quantiles (linear between values); a value on an edge is in the bucket above. Equal edges are one, so
    that there may be fewer buckets. What is beyond the edges is in the outer buckets, what is missing stays unknown.

    Args:
        interactions: the data set.
        buckets: how many.
        features: as ``item.year``; None: all numeric ones.

    Raises:
        UserError: a feature that is not there or not numeric, or there is none.
    """
    fit = partial(_fit_buckets, buckets=buckets)
    return _noted(interactions, "bucket", features, numbers, categorical.name, fit, apply_buckets)


def _fit_buckets(column: Column, seen: Bool[np.ndarray, "N"], *, buckets: int) -> Fitted:
    edges = np.unique(_quantiles(column.values[seen], np.arange(1, buckets) / buckets))
    return Fitted({"edges": edges.tolist()}, {"buckets": len(edges) + 1}, f"edges {_listed(edges)}")


def apply_buckets(column: Column, state: Mapping[str, Any]) -> Column:
    """Put numbers into the buckets between fitted edges."""
    values, edges = column.values, np.array(state["edges"])
    # Of one width, so that their order as text is that of the numbers.
    labels = np.array([f"{number:0{len(str(len(edges)))}}" for number in range(len(edges) + 1)], np.str_)
    return Column(
        categorical.name, np.where(np.isnan(values), "", labels[np.searchsorted(edges, values, side="right")])
    )


def clip(
    interactions: Interactions, *, low: Quantile = 0.01, high: Quantile = 0.99, features: Features = None
) -> Interactions:
    """Clip outliers: numeric values beyond two quantiles of meta-train become those quantiles.

    Args:
        interactions: the data set.
        low, high: the quantiles, from 0 to 1; 0 and 1 are the lowest and the highest value that meta-train has.
        features: as ``item.year``; None: all numeric ones.

    Raises:
        UserError: ``low`` is not below ``high``; a feature that is not there or not numeric, or there is none.
    """
    if not low < high:
        raise UserError(f"low={low:g}: must be below high={high:g}")
    return _noted(interactions, "clip", features, numbers, None, partial(_fit_bounds, low=low, high=high), apply_bounds)


def _fit_bounds(column: Column, seen: Bool[np.ndarray, "N"], *, low: float, high: float) -> Fitted:
    bounds = _quantiles(column.values[seen], np.array([low, high]))
    state, values = {"bounds": bounds.tolist()}, column.values
    changed = int((~np.isnan(values) & (apply_bounds(column, state).values != values)).sum())
    return Fitted(state, {"values clipped": changed}, f"bounds {_listed(bounds)}")


def apply_bounds(column: Column, state: Mapping[str, Any]) -> Column:
    """Bring numbers to between fitted bounds."""
    # Where meta-train has no value, there is nothing to measure an outlier by.
    return replace(column, values=np.clip(column.values, *state["bounds"])) if state["bounds"] else column


def standardise(interactions: Interactions, *, by: Scale = "standard", features: Features = None) -> Interactions:
    """Scale numeric features. Without this step: as "standard".

    Args:
        interactions: the data set.
        by: "standard": less the mean, over the standard deviation; "robust": less the median, over the distance of the
            quartiles (1 where they are equal); "log": sign(x) log(1 + |x|), then as "standard"; "none": as they are.
        features: as ``item.year``; None: all numeric ones.

    Raises:
        UserError: a feature that is not there or not numeric, or there is none.
    """
    return _noted(interactions, "standardise", features, numbers, None, partial(_fit_scale, by=by), apply_scale)


def _fit_scale(column: Column, seen: Bool[np.ndarray, "N"], *, by: Scale) -> Fitted:
    quartiles = _quantiles(column.values[seen], np.array([0.25, 0.5, 0.75]))
    if by != "robust" or not len(quartiles):
        return Fitted({"by": by, "middle": 0.0, "spread": 1.0}, {}, f"by {by}")
    low, middle, high = quartiles.tolist()
    note = f"by robust, quartiles {_listed(quartiles)}"
    return Fitted({"by": by, "middle": middle, "spread": (high - low) or 1.0}, {}, note)


def apply_scale(column: Column, state: Mapping[str, Any]) -> Column:
    """Scale numbers as fitted; the encoding fits means and deviations last, after all preparations."""
    by, values = state["by"], column.values
    if by == "log":
        values = np.sign(values) * np.log1p(np.abs(values))
    if by == "robust":
        values = (values - state["middle"]) / state["spread"]
    return replace(column, values=values, settings={**column.settings, "standard": by in ("standard", "log")})


def vocabulary(interactions: Interactions, *, least: Annotated[int, Ge(1)], features: Features = None) -> Interactions:
    """Limit vocabularies: values that are rare in meta-train become unknown, as unseen ones always are.

    So an unknown value occurs in training, and what a model makes of one is learned.

    Args:
        interactions: the data set.
        least: the fewest users or items of meta-train that must have a value.
        features: as ``item.genre``; None: all categorical and multi-valued ones.

    Raises:
        UserError: a feature that is not there or is numeric, or there is none.
    """
    return _noted(interactions, "vocabulary", features, words, None, partial(_fit_common, least=least), apply_common)


def _fit_common(column: Column, seen: Bool[np.ndarray, "N"], *, least: int) -> Fitted:
    read = _words_of(column).read(column.values[seen])
    having = Counter(word for entry in read for word in set(entry))
    common = sorted(word for word, count in having.items() if count >= least)
    note = f"{len(common):,} words are had by {least:,} or more"
    return Fitted({"common": common}, {"words": len(having), "words dropped": len(having) - len(common)}, note)


def apply_common(column: Column, state: Mapping[str, Any]) -> Column:
    """Keep the words that are common; the others become unknown."""
    of, common = _words_of(column), set(state["common"])
    kept = [tuple(word for word in entry if word in common) for entry in of.read(column.values)]
    return replace(column, values=of.make(kept))


def _words_of(column: Column) -> Words:
    found = kind_of(column.kind).words
    assert found is not None, column.kind
    return found


def _noted(
    data: Interactions,
    name: str,
    features: Features,
    takes: Callable[[Kind], bool],
    gives: str | None,
    fit: Callable[[Column, Bool[np.ndarray, "N"]], Fitted],
    apply: Callable[[Column, Mapping[str, Any]], Column],
) -> Interactions:
    """Note a preparation on the chosen columns; ``gives`` is None where kinds stay as they are."""
    changed = {"user": dict(data.users.features), "item": dict(data.items.features)}
    for place, feature in choose(data, features, takes):
        column = side(data, place).features[feature]
        made = Preparation(f"{name} {place}.{feature}", gives or kind(column), fit, apply)
        changed[place][feature] = replace(column, preparations=(*column.preparations, made))
    return replace(
        data,
        users=replace(data.users, features=changed["user"]),
        items=replace(data.items, features=changed["item"]),
    )


def _quantiles(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Quantiles of the values that are there; none of no values."""
    there = values[~np.isnan(values)]
    return np.quantile(there, at) if len(there) else np.empty(0)


def _listed(numbers: np.ndarray) -> str:
    return ", ".join(f"{number:g}" for number in numbers) or "none: it has no value of this"
