"""Words of a vocabulary with a weight each: the terms of a text by TF-IDF, tags by how often they were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Bool, Float, Int
from scipy.sparse import csr_array

from recmeta.features.categorical import coded, vocabulary_of, vocabulary_size
from recmeta.features.kind import Arrays, Cells, Kind, Reading, Settings, State, Values, json_bytes, no_text
from recmeta.features.multi import multi
from recmeta.types import Column, UserError

PAIR = r"^.+:\s*\d+(\.\d*)?([eE][+-]?\d+)?$"
"""A word and its weight in a file: ``war:0.5``."""

SEVERAL = r":\s*\d+(\.\d*)?([eE][+-]?\d+)?\s*[,;| ]\s*\S.*:"
"""Two words, each with its weight, where another separator stands between them."""


def _parse(cells: Cells, settings: Settings) -> pl.Series:
    words = multi.reading.parse(cells, settings)
    pairs = words.list.eval(pl.element().str.contains(PAIR)).list.all().fill_null(True)
    cells.refuse(~pairs, "has a word without a weight; write each as word:weight, with a weight of at least 0")
    several = words.list.eval(pl.element().str.contains(SEVERAL)).list.any().fill_null(False)
    cells.refuse(several, "has several weights in one word: the separator is another one")
    named = words.list.eval(pl.element().str.extract(r"^(.*):", 1).str.strip_chars())
    cells.refuse(named.list.n_unique() < named.list.len(), "has a word twice")
    weight = words.list.eval(pl.element().str.extract(r":\s*([^:]*)$", 1).cast(pl.Float32, strict=False))
    cells.refuse(~weight.list.eval(pl.element().is_finite()).list.all().fill_null(True), "has a weight without bounds")
    return words


def _raw(values: pl.Series | Sequence[Any]) -> Values:
    """Tuples of (word, weight) ``[N]``, sorted by word; () where missing."""
    if isinstance(values, pl.Series):
        entries = [dict(_pair(text) for text in entry or ()) for entry in values.to_list()]
    else:
        entries = [_checked(value) for value in values]
    made = np.empty(len(entries), dtype=object)
    made[:] = [tuple(sorted((word, weight) for word, weight in entry.items() if word and weight)) for entry in entries]
    return made


def _pair(text: str) -> tuple[str, float]:
    word, _, weight = text.rpartition(":")
    return word.strip(), float(weight)


def _checked(value: Any) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UserError(f"{value!r} is no weight for each word; give one, as {{'a': 0.5}}")
    for word, weight in value.items():
        if not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise UserError(f"{word!r} has no weight of at least 0, but {weight!r}")
    return {str(word): float(weight) for word, weight in value.items()}


def _fit(column: Column, seen: Bool[np.ndarray, "N"]) -> State:
    """Fit the vocabulary on meta-train; the padding width is that of all entities."""
    vocabulary = vocabulary_of({word for entry in column.values[seen] for word, _ in entry})
    known = set(vocabulary)
    width = max((sum(word in known for word, _ in entry) for entry in column.values), default=0)
    return {"vocabulary": vocabulary, "width": width}


def _encode(state: State, values: Values) -> Float[np.ndarray, "N m 2"]:
    vocabulary = coded(state)
    known = [[(vocabulary[word], weight) for word, weight in entry if word in vocabulary] for entry in values]
    encoded = np.zeros((len(known), max(1, state["width"], *map(len, known)), 2), np.float32)
    for row, pairs in zip(encoded, known, strict=True):
        row[: len(pairs)] = np.reshape(pairs, (len(pairs), 2))
    return encoded


def _codes(x: Array) -> Int[Array, "*n m"]:
    """Convert the codes back to whole numbers, which single precision holds exactly below 2^24."""
    return x[..., 0].astype(jnp.int32)


def _embed(x: Array, looked_up: Array | None, own: Array | None) -> Float[Array, "*n width"]:
    """Average the embeddings of known words by their weights."""
    assert looked_up is not None
    weight = x[..., 1]
    total = weight.sum(-1, keepdims=True)
    return (looked_up * weight[..., None]).sum(-2) / jnp.where(total > 0, total, 1)


def _design(x: Array, size: int) -> Float[Array, "N size"]:
    rows = jnp.arange(len(x))[:, None]
    return jnp.zeros((len(x), size), x.dtype).at[rows, _codes(x)].add(x[..., 1])


def _product(x: Array, z: Array, weight: Array) -> Float[Array, "K n"]:
    return ((_design(x, len(weight)) * weight)[:, _codes(z)] * z[..., 1]).sum(-1)


def _columns(x: np.ndarray, size: int) -> csr_array:
    row, place = np.nonzero(x[..., 1])
    return csr_array((x[row, place, 1], (row, x[row, place, 0].astype(int))), shape=(len(x), size))


def _vectors(x: Array, size: int) -> Float[Array, "N d"]:
    """Scale design rows to unit length, so that one weighs as much as a category; zero where nothing is known."""
    design = _design(x, size)[..., 1:]
    length = jnp.linalg.norm(design, axis=-1, keepdims=True)
    return design / jnp.where(length > 0, length, 1)


weighted = Kind(
    name="weighted",
    reading=Reading(
        # Only where declared: a colon followed by a number stands in many texts.
        infers=lambda values: False,
        parse=_parse,
        guess=multi.reading.guess,
        stores=lambda dtype: False,
        raw=_raw,
        known=lambda values: np.array([len(entry) for entry in values], int),
        content=lambda values: json_bytes(values.tolist()),
        settings={"separator": no_text},
    ),
    arrays=Arrays(
        fit=_fit,
        size=vocabulary_size,
        encode=_encode,
        complete=lambda x: np.asarray((x[..., 1] > 0).any(axis=1)),
        rows=lambda size: size,
        inputs=lambda size: 0,
        embed=_embed,
        linear=lambda x, weights: (weights[_codes(x)] * x[..., 1:]).sum(-2),
        product=_product,
        square=lambda x, weight: (weight[_codes(x)] * x[..., 1] ** 2).sum(-1),
        columns=_columns,
        vectors=_vectors,
        codes=_codes,
    ),
)
"""Raw: tuples of (word, weight) ``[N]``, weights above 0, () = missing. Array: float32 ``[N, m, 2]``: code and weight
of each word that meta-train has, 0 and 0 where there is none."""
