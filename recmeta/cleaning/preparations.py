"""Preparations of features: noted on the columns by a step, fitted by the protocol on whom meta-train has seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le, MinLen
from jaxtyping import Bool

from recmeta.cleaning.choosing import choose, known, side
from recmeta.types import Column, Entities, Interactions, Preparation, Prepared, UserError

Features = Annotated[tuple[str, ...], MinLen(1)] | None
Scale = Literal["standard", "robust", "log", "none"]
Quantile = Annotated[float, Ge(0), Le(1)]


def prepare(entities: Entities, seen: Bool[np.ndarray, "N"]) -> tuple[Entities, list[str]]:
    """Carry out what is noted on the columns.

    Args:
        entities: N users or items.
        seen: whom meta-train has; nothing is fitted to the others.

    Returns:
        The entities, their columns prepared; and for each preparation a line: the values that came in, were dropped
        and went out, and what was fitted.
    """
    features, notes = {}, []
    for feature, column in entities.features.items():
        prepared = replace(column, preparations=())
        for preparation in column.preparations:
            before = int(known(prepared).sum())
            prepared, more, said = preparation.fit(prepared, seen)
            after = int(known(prepared).sum())
            told = {"values in": before, "values dropped": before - after, "values out": after, **more}
            counted = ", ".join(f"{what} {count:,}" for what, count in told.items())
            notes.append(f"{preparation.name}: {counted}; of the {seen.sum():,} that meta-train has: {said}")
        features[feature] = prepared
    return Entities(entities.ids, features), notes


def bucket(interactions: Interactions, *, buckets: Annotated[int, Ge(2)], features: Features = None) -> Interactions:
    """Numeric features to categorical ones: buckets with equally many of those that meta-train has.

    The edges are quantiles (linear between values); a value on an edge is in the bucket above. Equal edges are one, so
    that there may be fewer buckets. What is beyond the edges is in the outer buckets, what is missing stays unknown.

    Args:
        interactions: the data set.
        buckets: how many.
        features: as ``item.year``; None: all numeric ones.

    Raises:
        UserError: a feature that is not there or not numeric, or there is none.
    """
    return _noted(interactions, "bucket", features, ["numeric"], "categorical", partial(_bucketed, buckets=buckets))


def _bucketed(column: Column, seen: Bool[np.ndarray, "N"], *, buckets: int) -> Prepared:
    values = column.values
    edges = np.unique(_quantiles(values[seen], np.arange(1, buckets) / buckets))
    numbers = np.searchsorted(edges, values, side="right")
    # Of one width, so that their order as text is that of the numbers.
    names = np.array([f"{number:0{len(str(len(edges)))}}" for number in range(len(edges) + 1)], np.str_)
    found = np.where(np.isnan(values), "", names[numbers])
    return Prepared(Column("categorical", found), {"buckets": len(edges) + 1}, f"edges {_listed(edges)}")


def clip(
    interactions: Interactions, *, low: Quantile = 0.01, high: Quantile = 0.99, features: Features = None
) -> Interactions:
    """Outliers: numeric values beyond two quantiles of what meta-train has become those quantiles.

    Args:
        interactions: the data set.
        low, high: the quantiles, from 0 to 1; 0 and 1 are the lowest and the highest value that meta-train has.
        features: as ``item.year``; None: all numeric ones.

    Raises:
        UserError: ``low`` is not below ``high``; a feature that is not there or not numeric, or there is none.
    """
    if not low < high:
        raise UserError(f"low={low:g}: must be below high={high:g}")
    return _noted(interactions, "clip", features, ["numeric"], "numeric", partial(_clipped, low=low, high=high))


def _clipped(column: Column, seen: Bool[np.ndarray, "N"], *, low: float, high: float) -> Prepared:
    bounds = _quantiles(column.values[seen], np.array([low, high]))
    # Where meta-train has no value, there is nothing to measure an outlier by.
    values = np.clip(column.values, *bounds) if len(bounds) else column.values
    changed = int((~np.isnan(values) & (values != column.values)).sum())
    return Prepared(replace(column, values=values), {"values clipped": changed}, f"bounds {_listed(bounds)}")


def standardise(interactions: Interactions, *, by: Scale = "standard", features: Features = None) -> Interactions:
    """How numeric features are scaled. Without this step: as "standard".

    Args:
        interactions: the data set.
        by: "standard": less the mean, over the standard deviation; "robust": less the median, over the distance of the
            quartiles (1 where they are equal); "log": sign(x) log(1 + |x|), then as "standard"; "none": as they are.
        features: as ``item.year``; None: all numeric ones.

    Raises:
        UserError: a feature that is not there or not numeric, or there is none.
    """
    return _noted(interactions, "standardise", features, ["numeric"], "numeric", partial(_scaled, by=by))


def _scaled(column: Column, seen: Bool[np.ndarray, "N"], *, by: Scale) -> Prepared:
    values, said = column.values, f"by {by}"
    if by == "log":
        values = np.sign(values) * np.log1p(np.abs(values))
    quartiles = _quantiles(values[seen], np.array([0.25, 0.5, 0.75]))
    if by == "robust" and len(quartiles):
        low, middle, high = quartiles
        values, said = (values - middle) / ((high - low) or 1.0), f"by robust, quartiles {_listed(quartiles)}"
    # Means and deviations are the encoding's to fit: it does so last, on what the preparations have made.
    return Prepared(replace(column, values=values, standard=by in ("standard", "log")), {}, said)


def vocabulary(interactions: Interactions, *, least: Annotated[int, Ge(1)], features: Features = None) -> Interactions:
    """Values that too few have in meta-train become unknown, as those that none has there always are.

    So an unknown value occurs in training, and what a model makes of one is learned.

    Args:
        interactions: the data set.
        least: the fewest users or items of meta-train that must have a value.
        features: as ``item.genre``; None: all categorical and multi-valued ones.

    Raises:
        UserError: a feature that is not there or is numeric, or there is none.
    """
    takes = ["categorical", "multi"]
    return _noted(interactions, "vocabulary", features, takes, None, partial(_frequent, least=least))


def _frequent(column: Column, seen: Bool[np.ndarray, "N"], *, least: int) -> Prepared:
    several = column.kind == "multi"
    entries = [tuple(values) if several else (str(values),) * (values != "") for values in column.values]
    having = Counter(value for entry, there in zip(entries, seen, strict=True) if there for value in set(entry))
    common = {value for value, count in having.items() if count >= least}
    left = [tuple(value for value in entry if value in common) for entry in entries]
    values = np.empty(len(left), object)
    values[:] = left if several else ["".join(entry) for entry in left]
    kept = replace(column, values=values if several else values.astype(np.str_))
    said = f"{len(common):,} words are had by {least:,} or more"
    return Prepared(kept, {"words": len(having), "words dropped": len(having) - len(common)}, said)


def _noted(
    data: Interactions,
    name: str,
    features: Features,
    takes: Collection[str],
    gives: str | None,
    fit: Callable[[Column, Bool[np.ndarray, "N"]], Prepared],
) -> Interactions:
    """The data set with a preparation noted on the chosen columns; ``gives`` is None where kinds stay as they are."""
    changed = {"user": dict(data.users.features), "item": dict(data.items.features)}
    for place, feature in choose(data, features, takes):
        column = side(data, place).features[feature]
        made = Preparation(f"{name} {place}.{feature}", gives or column.kind, fit)
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
