"""Build `Interactions` of rows and feature tables: code ids, order rows, count, and hash the data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import polars as pl

from recmeta.datasets.relations import Edges, code_edges
from recmeta.features.fitting import ID
from recmeta.features.kind import json_bytes, number_bytes
from recmeta.features.kinds import kind_of, stored
from recmeta.types import Column, Entities, Interactions, UserError

Kinds = Mapping[str, tuple[str, Mapping[str, Any]]]
"""Feature -> its kind's name, and the settings that its fit reads (`recmeta.features.kind.Kind.settings`)."""

Duplicates = Literal["last", "first", "mean"]
"""Treatment of several rows of one (user, item) pair."""


def make_interactions(
    name: str,
    rows: pl.DataFrame,
    *,
    label_range: tuple[float, float],
    like: float | None,
    users: pl.DataFrame | None = None,
    items: pl.DataFrame | None = None,
    kinds: Mapping[str, Kinds] = MappingProxyType({}),
    dropped: Mapping[str, int] = MappingProxyType({}),
    notes: Sequence[str] = (),
    attainable: Mapping[str, float] | None = None,
    duplicates: Duplicates = "last",
    relations: Mapping[str, Edges] = MappingProxyType({}),
) -> Interactions:
    """Code ids, drop repeated pairs, put rows in canonical order, and hash the result.

    Codes follow the ids sorted as text (by code point); rows are sorted by user, time and item. So nothing depends on
    the order of the source's rows or columns, but for rows of one (user, item) pair that time does not put in order.
    A feature row whose id has no interaction is left out, and counted.

    Args:
        name: the data set's name; not hashed.
        rows: text ``user`` and ``item``, float ``label``; maybe ``time`` (s), ``weight``, ``propensity``, ``part``.
        label_range: the lowest and highest label possible.
        like: the label from which a row counts as liked, within ``label_range``; None: `default_like`, which is noted.
        users, items: the first column is the id (text, unique); each other column is a feature; null is missing.
        kinds: side ("user" or "item") -> feature -> its kind and settings; by default as its polars type has it: String
            is categorical, List(String) multi, Float64 numeric, List or Array of floats vector.
        dropped: what the source had and ``rows`` has not → how many rows of it; counted among the rows that came in.
        notes: lines for the user; not hashed.
        attainable: the best expected error per metric; not hashed.
        duplicates: which row is kept of a repeated (user, item) pair: the "last" or the "first" in time, and in the
            source where there is no time, or a tie; or "mean": the last one, with the mean label of all.
        relations: name -> edges by raw ids; those of ids without an interaction are left out, and counted.

    Raises:
        UserError: no rows, an empty label range, ``like`` outside it, a feature that is named "id", or a table of
            features none of whose ids has an interaction.
    """
    if rows.is_empty():
        raise UserError(f"{name}: there are no interactions; at least one is needed")
    low, high, liked, own = _checked_scale(name, label_range, like)
    _check_names(name, {"user": users, "item": items})
    user_ids, item_ids = (rows[side].unique().sort() for side in ("user", "item"))
    coded = _ordered(rows, user_ids, item_ids, duplicates)
    counts = {
        "rows": rows.height + sum(dropped.values()),
        **dropped,
        **{"duplicates": rows.height - coded.height, "interactions": coded.height},
        **_counts(name, "user", user_ids, users),
        **_counts(name, "item", item_ids, items),
    }
    data = Interactions(
        name, coded["user"].to_numpy(), coded["item"].to_numpy(), coded["label"].cast(pl.Float32).to_numpy(),
        coded["time"].cast(pl.Int64).to_numpy() if "time" in coded.columns else None,
        _entities(user_ids, users, kinds.get("user", {})), _entities(item_ids, items, kinds.get("item", {})),
        (low, high), liked, counts, "", (*notes, *own, *_losses(counts, duplicates)), attainable,
    )  # fmt: skip
    return hashed(_with_columns(replace(_with_relations(data, relations), default_like=like is None), coded))


def hashed(data: Interactions) -> Interactions:
    """Set the data hash."""
    return replace(data, sha256=fingerprint(data))


def _with_columns(data: Interactions, rows: pl.DataFrame) -> Interactions:
    """Add the weights, propensities and parts of rows that have them."""
    types = {"weight": pl.Float32, "propensity": pl.Float32, "part": pl.Int8}
    there = {name: rows[name].cast(dtype).to_numpy() for name, dtype in types.items() if name in rows.columns}
    return replace(data, **there)


def _with_relations(data: Interactions, relations: Mapping[str, Edges]) -> Interactions:
    """Add relations in codes, and count the edges that are left out."""
    ids = {"user": data.users.ids, "item": data.items.ids}
    coded = {name: code_edges(edges, ids) for name, edges in sorted(relations.items())}
    lost = {name: len(relations[name].ends) - len(one.source) for name, one in coded.items()}
    counts = {f"{name}_edges_of_unknown_ids": count for name, count in lost.items()}
    notes = [f"relation {name}: {n} edges of ids without interaction are left out" for name, n in lost.items() if n]
    return replace(data, relations=coded, counts={**data.counts, **counts}, notes=(*data.notes, *notes))


def fingerprint(data: Interactions) -> str:
    """Hash the data with sha256, the same on any platform.

    Of ids, features, codes, labels, times, label range and like; of weights, propensities and relations, if any.

    The name, counts and notes say where the data came from, not what it is: they are left out.
    """
    digest = hashlib.sha256()
    for tag, content in _parts(data):
        digest.update(f"{tag}:{len(content)};".encode())
        digest.update(content)
    return digest.hexdigest()


LIKE_NOTE = "like is {:g}: three quarters up the label range"


def default_like(low: float, high: float) -> float:
    """The default label from which a row counts as liked: three quarters up the label range."""
    return low + 0.75 * (high - low)


def _checked_scale(
    name: str, label_range: tuple[float, float], given: float | None
) -> tuple[float, float, float, list[str]]:
    """Check the label range, and that ``like``, or its default, which is noted, is in it."""
    low, high = (float(bound) for bound in label_range)
    like = default_like(low, high) if given is None else float(given)
    if not low < high:
        raise UserError(f"{name}: label_range=[{low:g}, {high:g}] is empty; the first bound must be below the second")
    if not low <= like <= high:
        raise UserError(f"{name}: like={like:g} is outside the label range; give a number from {low:g} to {high:g}")
    return low, high, like, [LIKE_NOTE.format(like)] if given is None else []


def _check_names(name: str, tables: Mapping[str, pl.DataFrame | None]) -> None:
    for side, table in tables.items():
        if table is not None and ID in table.columns[1:]:
            raise UserError(
                f"{name}: the {side} features have a column {ID!r}, which is recmeta's own name for the {side} itself; "
                f"rename that column, or declare the other features in dataset.{side}_features"
            )


def _ordered(rows: pl.DataFrame, users: pl.Series, items: pl.Series, duplicates: Duplicates) -> pl.DataFrame:
    """Code users and items, keep one row of each pair, and sort rows by user, time and item."""
    # Coded first: repeated pairs are found, and rows sorted, much faster by whole numbers than by text.
    coded = _single(rows.with_columns(_codes(rows["user"], users), _codes(rows["item"], items)), duplicates)
    keys = [coded[column].to_numpy() for column in ("item", "time", "user") if column in coded.columns]
    return coded[np.lexsort(keys)]


def _codes(values: pl.Series, ids: pl.Series) -> pl.Series:
    return values.cast(pl.Enum(ids)).to_physical().cast(pl.Int32)


def _single(rows: pl.DataFrame, duplicates: Duplicates) -> pl.DataFrame:
    """Keep one coded row of each (user, item) pair."""
    ordered = rows.sort("time", maintain_order=True) if "time" in rows.columns else rows
    pair = ordered["user"].to_numpy().astype(np.int64) * 2**32 + ordered["item"].to_numpy()
    # Sorted by numpy: half the memory of a table of pairs.
    order = np.argsort(pair, kind="stable")
    same = np.diff(pair[order]) == 0
    if not same.any():
        return rows
    if duplicates == "mean":
        # Sorted, so that the sum's rounding does not depend on the order of the source.
        paired = ordered.with_columns(pair=pl.Series(pair))
        ordered = paired.with_columns(pl.col("label").sort().mean().over("pair")).drop("pair")
    kept = np.append(True, ~same) if duplicates == "first" else np.append(~same, True)
    return ordered[np.sort(order[kept])]


def _entities(ids: pl.Series, table: pl.DataFrame | None, kinds: Kinds) -> Entities:
    """Ids in code order, with their features in the order of the features' names."""
    names = np.array(ids.to_list(), dtype=np.str_)
    if table is None:
        return Entities(names)
    key = table.columns[0]
    aligned = ids.to_frame(key).join(table, on=key, how="left", maintain_order="left")
    features = {}
    for feature in sorted(table.columns[1:]):
        name, settings = kinds.get(feature) or (stored(aligned[feature].dtype).name, {})
        features[feature] = Column(name, kind_of(name).reading.raw(aligned[feature]), settings=settings)
    return Entities(names, features)


def _counts(name: str, side: str, ids: pl.Series, table: pl.DataFrame | None) -> dict[str, int]:
    """Count ids, ids without a feature row, and feature rows without an interaction.

    Raises:
        UserError: there are features, and none of their ids has an interaction.
    """
    if table is None:
        return {f"{side}s": len(ids)}
    known = table.to_series(0)
    both = len(ids.to_frame("id").join(known.to_frame("id"), on="id", how="semi"))
    if not both and len(known):
        raise UserError(
            f"{name}: none of the {len(known):,} {side}s of the feature table has an interaction; there ids are as "
            f"{known[0]!r}, in the interactions as {ids[0]!r}: write them alike"
        )
    return {
        f"{side}s": len(ids),
        f"{side}s_without_features": len(ids) - both,
        f"{side}_rows_without_interactions": len(known) - both,
    }


def _losses(counts: Mapping[str, int], duplicates: Duplicates) -> Iterator[str]:
    """Describe dropped rows and missing features, a line each."""
    if counts["duplicates"]:
        kept = {"last": "the latest", "first": "the earliest", "mean": "the latest, with the mean label,"}[duplicates]
        yield f"{counts['duplicates']} of {counts['rows']} rows repeat a (user, item) pair: {kept} of each is kept"
    for side in ("user", "item"):
        if unknown := counts.get(f"{side}s_without_features"):
            yield f"{unknown} of {counts[f'{side}s']} {side}s have no row in the feature file: unknown features"
        if unused := counts.get(f"{side}_rows_without_interactions"):
            yield f"{unused} rows of the {side} feature file have no interaction and are left out"


def _parts(data: Interactions) -> Iterator[tuple[str, bytes]]:
    """List the hashed content as named bytes: JSON, or little-endian numbers."""
    yield "scale", json_bytes([*data.label_range, data.like])
    for side, entities in (("users", data.users), ("items", data.items)):
        yield f"{side}.ids", json_bytes(entities.ids.tolist())
        for feature, column in sorted(entities.features.items()):
            yield f"{side}.{column.kind}.{feature}", kind_of(column.kind).reading.content(column.values)
            if column.settings:
                yield f"{side}.settings.{feature}", json_bytes(dict(sorted(column.settings.items())))
    yield "user", number_bytes(data.user, "<i4")
    yield "item", number_bytes(data.item, "<i4")
    yield "label", number_bytes(data.label, "<f4")
    if data.time is not None:
        yield "time", number_bytes(data.time, "<i8")
    # What is not there adds nothing, so that the hash of data without it is what it was before there was any.
    for name, values in (("weight", data.weight), ("propensity", data.propensity)):
        if values is not None:
            yield name, number_bytes(values, "<f4")
    if data.part is not None:
        yield "part", number_bytes(data.part, "<i1")
    for name, relation in sorted(data.relations.items()):
        yield f"relation.{'.'.join(relation.sides)}.{name}", json_bytes([len(relation.source)])
        yield f"relation.source.{name}", number_bytes(relation.source, "<i4")
        yield f"relation.target.{name}", number_bytes(relation.target, "<i4")
        yield f"relation.weight.{name}", number_bytes(relation.weight, "<f4")
