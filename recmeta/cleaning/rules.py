"""Rules on rows: drop or relabel rows, without fitting anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import Ge, MinLen
from jaxtyping import Bool, Int
from pydantic import FiniteFloat

from recmeta.cleaning.choosing import choose, has_all
from recmeta.datasets.interactions import LIKE_NOTE, default_like
from recmeta.datasets.times import moments
from recmeta.types import Entities, Interactions, Relation, UserError

Count = Annotated[int, Ge(1)]
Limits = tuple[Count | None, Count | None] | None
"""The fewest and the most, either of them None where there is no limit."""


def keep(data: Interactions, which: Bool[np.ndarray, "n"]) -> Interactions:
    """Keep some rows, in their order; drop users and items without rows, and code the others anew."""
    if which.all():
        return data
    user, users = _recoded(data.user[which], data.users)
    item, items = _recoded(data.item[which], data.items)
    per_row = {
        name: values[which] for name in ("label", "time", "weight", "propensity", "part")
        if (values := getattr(data, name)) is not None
    }  # fmt: skip
    left = {
        "user": np.isin(np.arange(len(data.users.ids)), data.user[which]),
        "item": np.isin(np.arange(len(data.items.ids)), data.item[which]),
    }
    relations = {name: _between(relation, left) for name, relation in data.relations.items()}
    return replace(data, user=user, item=item, users=users, items=items, relations=relations, **per_row)


def _between(relation: Relation, left: Mapping[str, Bool[np.ndarray, "N"]]) -> Relation:
    """A relation's edges between users or items that are left, re-coded."""
    ends = zip((relation.source, relation.target), relation.sides, strict=True)
    source, target = ((codes, left[side]) for codes, side in ends)
    there = source[1][source[0]] & target[1][target[0]]
    codes = [(np.cumsum(kept) - 1)[codes[there]].astype(np.int32) for codes, kept in (source, target)]
    return relation._replace(source=codes[0], target=codes[1], weight=relation.weight[there])


def _recoded(codes: Int[np.ndarray, "n"], entities: Entities) -> tuple[Int[np.ndarray, "n"], Entities]:
    """Drop entities without codes, and code the others anew, in their order."""
    left = np.zeros(len(entities.ids), bool)
    left[codes] = True
    features = {name: replace(column, values=column.values[left]) for name, column in entities.features.items()}
    return (np.cumsum(left) - 1)[codes].astype(np.int32), Entities(entities.ids[left], features)


def label_range(
    interactions: Interactions,
    *,
    low: FiniteFloat,
    high: FiniteFloat,
    outside: Literal["drop", "clip"] = "drop",
    like: FiniteFloat | None = None,
) -> Interactions:
    """Limit labels to ``low`` to ``high``, which becomes the data set's label range.

    Args:
        interactions: the data set.
        low, high: the lowest and the highest label possible, both included.
        outside: what becomes of a row whose label is outside: "drop", or "clip": it gets the nearest label inside.
        like: the label from which a row counts as liked; None: as before, or three quarters up the new range where it
            was so of the old one because nobody had set it.

    Raises:
        UserError: an empty range, or ``like`` outside it.
    """
    if not low < high:
        raise UserError(f"low={low:g}: must be below high={high:g}")
    default, notes = interactions.default_like and like is None, interactions.notes
    if default:
        like = default_like(low, high)
        notes = [*(note for note in notes if note != LIKE_NOTE.format(interactions.like)), LIKE_NOTE.format(like)]
    like = interactions.like if like is None else like
    if not low <= like <= high:
        raise UserError(f"like={like:g} is outside the label range; set like to a number from {low:g} to {high:g}")
    # As single precision has it, which labels are in: 0.1 is within a range that begins at 0.1.
    lowest, highest = np.float32(low), np.float32(high)
    label = interactions.label
    scale = {"label_range": (float(low), float(high)), "like": float(like), "default_like": default}
    ranged = replace(interactions, notes=notes, **scale)
    if outside == "clip":
        return replace(ranged, label=np.clip(label, lowest, highest))
    return keep(ranged, (label >= lowest) & (label <= highest))


def binarise(
    interactions: Interactions, *, threshold: FiniteFloat | None = None, below: Literal["zero", "drop"] = "zero"
) -> Interactions:
    """Binarise labels at a threshold; the label range becomes 0 to 1, and liked is 1.

    Args:
        interactions: the data set.
        threshold: the lowest label that becomes 1; None: the data set's ``like``.
        below: what becomes of a row below: "zero": label 0, or "drop": only what is liked is left, as implicit feedback
            has it.

    Raises:
        UserError: a threshold that is outside the label range.
    """
    low, high = interactions.label_range
    threshold = interactions.like if threshold is None else threshold
    if not low <= threshold <= high:
        raise UserError(f"threshold={threshold:g}: must be within the label range, {low:g} to {high:g}")
    positive = interactions.label >= np.float32(threshold)
    scale = {"label_range": (0.0, 1.0), "like": 1.0, "default_like": False}
    data = replace(interactions, label=positive.astype(np.float32), **scale)
    return keep(data, positive) if below == "drop" else data


def kcore(interactions: Interactions, *, users: Count = 1, items: Count = 1) -> Interactions:
    """Keep the k-core: the largest part in which every user and every item has enough rows.

    Users and items with too few rows are dropped, then those that have too few without them, and so on until none has.
    The core that is left does not depend on the order of that.

    Args:
        interactions: the data set.
        users, items: the fewest rows of a user and of an item.

    Reference: Seidman, Network structure and minimum degree, Social Networks 5 (1983).
    """
    rows = np.arange(len(interactions.user))
    while True:
        user, item = interactions.user[rows], interactions.item[rows]
        enough = (np.bincount(user)[user] >= users) & (np.bincount(item)[item] >= items)
        if enough.all():
            break
        rows = rows[enough]
    which = np.zeros(len(interactions.user), bool)
    which[rows] = True
    return keep(interactions, which)


def activity(interactions: Interactions, *, users: Limits = None, items: Limits = None) -> Interactions:
    """Keep users and items whose number of rows is within limits, both counted once on the incoming rows.

    What is left may have fewer rows than the limit says, since rows go from both sides at once: `kcore` has no such
    remainder, and no upper limit.

    Args:
        interactions: the data set.
        users, items: the fewest and the most rows, as [5, 100]; either may be null; None: no limit.

    Raises:
        UserError: limits that nothing is within.
    """
    user = _within("users", users, np.bincount(interactions.user))
    item = _within("items", items, np.bincount(interactions.item))
    return keep(interactions, user[interactions.user] & item[interactions.item])


def _within(side: str, limits: Limits, rows: Int[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
    least, most = limits or (None, None)
    if least is not None and most is not None and most < least:
        raise UserError(f"{side}={list(limits or ())}: the fewest rows must not be above the most")
    return (rows >= (least or 0)) & (rows <= (most or np.inf))


def window(
    interactions: Interactions, *, since: int | str | None = None, before: int | str | None = None
) -> Interactions:
    """Keep the rows of a time window.

    Args:
        interactions: the data set, with times.
        since: the earliest time that is in; seconds since 1970, or an ISO date or time (UTC unless it says otherwise).
        before: the earliest time that is no longer in.

    Raises:
        UserError: without times; what is no time; an empty stretch.
    """
    if interactions.time is None:
        raise UserError(f"{interactions.name} has no times")
    start, end = _seconds("since", since), _seconds("before", before)
    if start is not None and end is not None and not start < end:
        raise UserError(f"since={since}: must be earlier than before={before}")
    which = np.ones(len(interactions.time), bool)
    if start is not None:
        which &= interactions.time >= start
    if end is not None:
        which &= interactions.time < end
    return keep(interactions, which)


def _seconds(name: str, moment: int | str | None) -> int | None:
    """Convert a setting to seconds since 1970."""
    if not isinstance(moment, str):
        return moment
    found = moments(pl.Series([moment]))[0]
    if found is None:
        raise UserError(
            f"{name}={moment}: give seconds since 1970, or a date such as 2001-05-31 or 2001-05-31 18:00:00"
        )
    return found


def missing(
    interactions: Interactions, *, features: Annotated[tuple[str, ...], MinLen(1)] | None = None
) -> Interactions:
    """Drop rows whose user or item lacks a value of one of these features.

    Without this step a missing value is kept: a model is told that it is missing (`recmeta.types.Features`).

    Args:
        interactions: the data set.
        features: as ``user.age``, ``item.genre``; None: all there are.

    Raises:
        UserError: a feature that is not there.
    """
    chosen = choose(interactions, features, lambda kind: True)
    user, item = (has_all(entities, _of(chosen, side)) for side, entities in _sides(interactions))
    return keep(interactions, user[interactions.user] & item[interactions.item])


def _sides(data: Interactions) -> Sequence[tuple[str, Entities]]:
    return ("user", data.users), ("item", data.items)


def _of(chosen: Sequence[tuple[str, str]], side: str) -> list[str]:
    return [feature for name, feature in chosen if name == side]
