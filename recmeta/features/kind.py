"""The interface of a kind of feature: how a column is read, hashed, fitted, encoded, embedded and compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Array, Bool, Float, Int, Shaped
from scipy.sparse import csr_array

from recmeta.types import Column

Values = Shaped[np.ndarray, "N *more"]
"""Raw values of a column, one entry per user or item, as the kind represents them and its missing values."""

Settings = Mapping[str, Any]
"""Settings in the declaration of a feature, besides its kind."""

State = Mapping[str, Any]
"""Quantities fitted on meta-train: plain values (as in JSON) and numpy arrays."""


class Cells(NamedTuple):
    """A column of a file, not yet read as any kind.

    Attributes:
        values: String, or List or Array of String or Float64; null where the cell is empty.
        refuse: ``(bad, problem)``: raise a `UserError` that names file, line and column of the first bad cell, if any.
        where: the setting that declares the feature, for messages.
    """

    values: pl.Series
    refuse: Callable[[pl.Series, str], None]
    where: str


class Loaded(NamedTuple):
    """A feature that has a file of its own: ids (String, unique) and their values (of the kind's polars type)."""

    ids: pl.Series
    values: pl.Series


class Reading(NamedTuple):
    """Functions that read, check and hash raw values.

    Attributes:
        infers: whether a column of a file, of which nothing is declared, is of this kind. Kinds are asked in the order
            of `recmeta.features.kinds.KINDS`.
        parse: ``(cells, settings) -> Series`` of a polars type that ``raw`` takes.
        stores: whether a column of this polars type, in a loader's table, is of this kind.
        raw: a Series of such a type, or plain Python values with None for missing (of one new user) -> raw values.
        known: how many values each entity has; 0: missing.
        content: raw values -> bytes for the data hash, the same on any platform.
        settings: what a declaration may set for ``parse`` and ``load`` -> a function that describes the fault of a
            value, None if it has none.
        load: ``(settings, where) -> Loaded``, where a declaration may name a file of its own (``file``).
        guess: ``values -> settings`` that a declaration lacks, as the values look; they are passed to ``parse``.
    """

    infers: Callable[[pl.Series], bool]
    parse: Callable[[Cells, Settings], pl.Series]
    stores: Callable[[pl.DataType], bool]
    raw: Callable[[pl.Series | Sequence[Any]], Values]
    known: Callable[[Values], Int[np.ndarray, "N"]]
    content: Callable[[Values], bytes]
    settings: Mapping[str, Callable[[Any], str | None]] = {}
    load: Callable[[Settings, str], Loaded] | None = None
    guess: Callable[[pl.Series], Settings] = lambda values: {}


class Arrays(NamedTuple):
    """Functions that fit and encode raw values, and that embed and compare the resulting arrays.

    Below, ``x`` has any leading axes unless stated, and ``size`` is `recmeta.types.Field.size`. The *design row* of a
    value is what a linear model reads: one-hot for a vocabulary, the numbers themselves for numbers.

    Attributes:
        fit: ``(column, seen) -> state``; seen: bool ``[N]``, True where meta-train has the entity. Nothing may be
            fitted to the others, but for the padding of ragged values.
        size: state -> how many columns a design row has, column 0 of a vocabulary being the unknown value.
        encode: ``(state, raw values) -> [N, ...]``, of entities that it was fitted on and of new ones alike.
        complete: ``[N, ...] -> bool [N]``: which have a value that a model can read.
        rows: size -> how many rows of the shared embedding table the kind needs. Where there are any, ``codes(x)`` are
            the rows to look up.
        inputs: size -> how many inputs a linear map of its own has; 0: none.
        embed: ``(x, looked up [..., width] or None, map [inputs, width] or None) -> [..., width]``; zero for what is
            unknown.
        linear: ``(x, weights [size, s]) -> [..., s]``: the design row times weights.
        product: ``(x [K, ...], z [n, ...], weight [size]) -> [K, n]``: weighted inner products of design rows.
        square: ``(x [K, ...], weight [size]) -> [K]``: the weighted inner product of each with itself.
        columns: ``(x [N, ...], size) -> sparse [N, size]``: design rows on the host.
        vectors: ``(x [N, ...], size) -> [N, d]``: what a cosine between items may be taken of; None: nothing.
        codes: x -> integers, the rows of the table that it looks up; x itself, unless it holds more than these.
    """

    fit: Callable[[Column, Bool[np.ndarray, "N"]], State]
    size: Callable[[State], int]
    encode: Callable[[State, Values], np.ndarray]
    complete: Callable[[np.ndarray], Bool[np.ndarray, "N"]]
    rows: Callable[[int], int]
    inputs: Callable[[int], int]
    embed: Callable[[Array, Array | None, Array | None], Float[Array, "*n width"]]
    linear: Callable[[Array, Array], Float[Array, "*n s"]]
    product: Callable[[Array, Array, Array], Float[Array, "K n"]]
    square: Callable[[Array, Array], Float[Array, "K"]]
    columns: Callable[[np.ndarray, int], csr_array]
    vectors: Callable[[Array, int], Float[Array, "N d"]] | None = None
    codes: Callable[[Array], Array] = lambda x: x


class Words(NamedTuple):
    """Functions from raw values to the words of each entity, and back."""

    read: Callable[[Values], Sequence[Sequence[str]]]
    make: Callable[[Sequence[Sequence[str]]], Values]


class Kind(NamedTuple):
    """A kind of feature.

    Attributes:
        name: what a declaration, `recmeta.types.Column` and `recmeta.types.Field` call it. Of a kind from elsewhere,
            where Python finds it ("mine.angle"): `recmeta.features.kinds.kind_of` sees to that.
        reading: raw values.
        arrays: what models and baselines read; None: nothing, until a preparation makes another kind of it.
        words: where its values are words of a vocabulary; None: they are not.
        numbers: whether raw values are floats ``[N]``, NaN where missing: what can be clipped, scaled and bucketed.
        settings: what a declaration may set for ``arrays.fit`` -> as in `Reading.settings`. They are plain values, stay
            with the column (`recmeta.types.Column.settings`), and are hashed with it.
    """

    name: str
    reading: Reading
    arrays: Arrays | None
    words: Words | None = None
    numbers: bool = False
    settings: Mapping[str, Callable[[Any], str | None]] = {}


def json_bytes(value: object) -> bytes:
    """Encode plain values as bytes for a hash."""
    return json.dumps(value, separators=(",", ":")).encode()


def number_bytes(values: np.ndarray, dtype: str) -> bytes:
    """Encode numbers as little-endian bytes for a hash, with one bit pattern for each value.

    Minus zero becomes zero, and every NaN the same NaN.
    """
    values = values.astype(dtype)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values + 0.0).astype(dtype)
    return values.tobytes()


def text_of(value: Any) -> str:
    """Convert a plain value to text as files have it: None to "", and 3.0 to "3".

    >>> [text_of(value) for value in (None, "nurse", 3, 3.0, True)]
    ['', 'nurse', '3', '3', 'true']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def no_text(value: Any) -> str | None:
    """Describe the fault of a setting that must be text; None if it has none."""
    return None if isinstance(value, str) and value else "must be at least one character"


def not_lists(cells: Cells, alternatives: str) -> None:
    """Refuse a column of lists.

    Raises:
        UserError: naming the kinds that take one.
    """
    if cells.values.dtype.is_nested():
        cells.refuse(cells.values.is_not_null(), f"is a list; declare {cells.where}.kind={alternatives}")
