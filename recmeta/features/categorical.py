"""One value of a vocabulary each: a job, a country, a code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Bool, Float, Int
from scipy.sparse import csr_array

from recmeta.features.kind import (
    Arrays,
    Cells,
    Kind,
    Reading,
    Settings,
    State,
    Values,
    Words,
    json_bytes,
    not_lists,
    text_of,
)
from recmeta.types import Column, UserError


def _infers(values: pl.Series) -> bool:
    # A text that no two rows share says who it is, not what it is like.
    return values.dtype == pl.String and values.drop_nulls().n_unique() < len(values)


def _parse(cells: Cells, settings: Settings) -> pl.Series:
    del settings
    not_lists(cells, "multi or vector")
    return cells.values


def _raw(values: pl.Series | Sequence[Any]) -> Values:
    """Text ``[N]``, "" where missing."""
    if isinstance(values, pl.Series):
        return np.array(values.fill_null("").to_list(), dtype=np.str_)
    if nested := [value for value in values if isinstance(value, list | tuple | dict)]:
        raise UserError(f"{nested[0]!r} is not one value")
    return np.array([text_of(value) for value in values], dtype=np.str_)


def _words(values: Values) -> list[tuple[str, ...]]:
    return [(value,) if value else () for value in values.tolist()]


def _made(words: Sequence[Sequence[str]]) -> Values:
    return np.array(["".join(entry) for entry in words], dtype=np.str_)


def vocabulary_of(words: set[str]) -> list[str]:
    """Sort words into a vocabulary, without "". A word's code is its place, from 1; 0 is unknown."""
    return sorted(words - {""})


def coded(state: State) -> Mapping[str, int]:
    """Map words to codes."""
    return {word: code for code, word in enumerate(state["vocabulary"], start=1)}


def vocabulary_size(state: State) -> int:
    """Count the codes, the unknown one included."""
    return len(state["vocabulary"]) + 1


def _fit(column: Column, seen: Bool[np.ndarray, "N"]) -> State:
    return {"vocabulary": vocabulary_of(set(column.values[seen].tolist()))}


def _encode(state: State, values: Values) -> Int[np.ndarray, "N"]:
    codes = coded(state)
    return np.array([codes.get(value, 0) for value in values.tolist()], np.int32)


def _embed(x: Array, looked_up: Array | None, own: Array | None) -> Float[Array, "*n width"]:
    assert looked_up is not None
    return looked_up * (x > 0)[..., None]


def _linear(x: Array, weights: Array) -> Float[Array, "*n s"]:
    return jnp.where((x > 0)[..., None], weights[x], 0)


def _product(x: Array, z: Array, weight: Array) -> Float[Array, "K n"]:
    return jnp.where((x[:, None] == z[None, :]) & (x > 0)[:, None], weight[x][:, None], 0)


def code_columns(x: np.ndarray, size: int) -> csr_array:
    """Convert codes ``[N]`` or ``[N, m]`` to sparse one-hot columns, without one for 0.

    >>> code_columns(np.array([[2, 0], [1, 2]]), 3).toarray().tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    codes = x.reshape(len(x), -1)
    row, place = np.nonzero(codes)
    return csr_array((np.ones(len(row)), (row, codes[row, place])), shape=(len(x), size))


categorical = Kind(
    name="categorical",
    reading=Reading(
        infers=_infers,
        parse=_parse,
        stores=lambda dtype: dtype == pl.String,
        raw=_raw,
        known=lambda values: (values != "").astype(int),
        content=lambda values: json_bytes(values.tolist()),
    ),
    arrays=Arrays(
        fit=_fit,
        size=vocabulary_size,
        encode=_encode,
        complete=lambda x: x > 0,
        rows=lambda size: size,
        inputs=lambda size: 0,
        embed=_embed,
        linear=_linear,
        product=_product,
        square=lambda x, weight: jnp.where(x > 0, weight[x], 0),
        columns=code_columns,
        vectors=lambda x, size: jax.nn.one_hot(x, size)[..., 1:],
    ),
    words=Words(_words, _made),
)
"""Raw: text ``[N]``, "" = missing. Array: int32 ``[N]``, 0 = missing, or a value that meta-train has not seen."""
