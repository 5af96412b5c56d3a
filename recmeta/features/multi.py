"""A set of values of a vocabulary each: genres, tags, authors."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Bool, Float, Int

from recmeta.features.categorical import code_columns, coded, vocabulary_of, vocabulary_size
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
    no_text,
    text_of,
)
from recmeta.types import Column, UserError

SEPARATOR = "|"
"""Separator of values, unless declared or guessed."""

OTHERS = (";", ",")
"""Separators that are guessed where no value holds the first."""

REPEATED = ("/", "^", "&")
"""Separators that are guessed where words repeat, and only there: titles and names have them too."""

BRACKETS = ("[]", "()", "{}")
"""Brackets around a list in text: of Python, JSON or numpy; a tuple; a set, or an array as databases print it."""

REPEATS = 1.5
"""How often a word must occur on average for a column of text with separators to be taken for words."""

LOOK_UP = 8
"""How many comparisons of codes take as long as looking one number up, or writing it."""


def in_brackets(values: pl.Series) -> pl.Series:
    """Find texts written as a list: ``['Action', 'Drama']``, ``('Action',)``, ``{Action,Drama}``."""
    stripped = values.str.strip_chars()
    found = [stripped.str.starts_with(opened) & stripped.str.ends_with(closed) for opened, closed in BRACKETS]
    return found[0] | found[1] | found[2]


def _infers(values: pl.Series) -> bool:
    if values.dtype.is_nested():
        return True
    known = values.drop_nulls()
    return bool(in_brackets(known).all()) or _separates(known) is not None


def _separates(known: pl.Series) -> str | None:
    """Find the separator of a column of words; None where it looks like none.

    Words repeat, and rows have different numbers of them; the parts of titles, names and places do not.
    """
    if known.str.contains(SEPARATOR, literal=True).any():
        return SEPARATOR
    for separator in (*OTHERS, *REPEATED):
        if not known.str.contains(separator, literal=True).any():
            continue
        parts = known.str.split(separator)
        words = parts.explode(empty_as_null=False).str.strip_chars()
        distinct = words.n_unique()
        if parts.list.len().n_unique() > 1 and distinct <= known.n_unique() and len(words) >= REPEATS * distinct:
            return separator
    return None


def _guess(values: pl.Series) -> Settings:
    """Guess the separator of a column that is known to hold words; nothing where it is the usual one."""
    if values.dtype != pl.String:
        return {}
    known = values.drop_nulls()
    if in_brackets(known).any():
        return {}
    held = [each for each in (SEPARATOR, *OTHERS) if known.str.contains(each, literal=True).any()]
    found = _separates(known) or next(iter(held), SEPARATOR)
    return {} if found == SEPARATOR else {"separator": found}


def _parse(cells: Cells, settings: Settings) -> pl.Series:
    values, separator = cells.values, settings.get("separator")
    if values.dtype.is_nested():
        return values.cast(pl.List(pl.String))
    split = values.str.split(separator or SEPARATOR).list.eval(pl.element().str.strip_chars())
    listed = in_brackets(values).fill_null(False)
    if separator is not None or not listed.any():
        return split
    lists = [_listed(cell) if written else None for cell, written in zip(values, listed, strict=True)]
    read = pl.Series(values.name, lists, dtype=pl.List(pl.String))
    cells.refuse(listed & read.is_null(), f"is no list; write ['a', 'b'], or declare {cells.where}.separator")
    return read.zip_with(listed, split)


def _listed(text: str) -> list[str] | None:
    """Parse a list, a tuple or a set in the notation of Python, JSON, numpy or a database; None if it is not one.

    >>> _listed("['War' 'Drama']"), _listed("{War,Drama}"), _listed("[{'id': 1, 'name': 'War'}]"), _listed("[War]")
    (['War', 'Drama'], ['War', 'Drama'], ['War'], None)
    """
    text = text.strip()
    quoted = r"""'[^']*'|"[^"]*\""""
    if re.fullmatch(rf"\[\s*(?:{quoted})(?:\s+(?:{quoted}))+\s*\]", text):
        return [word[1:-1].strip() for word in re.findall(quoted, text)]  # numpy: Python would join the words
    for parse in (ast.literal_eval, json.loads):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list | tuple | set):
            return [_name(value) for value in found if value is not None]
    if text.startswith("{") and ":" not in text:
        return [word.strip() for word in next(csv.reader([text[1:-1]], skipinitialspace=True), [])]
    return None


def _name(value: Any) -> str:
    """The text of a list's value: the name of one that has a name, as ``{"id": 28, "name": "Action"}``."""
    return text_of(value["name"] if isinstance(value, dict) and "name" in value else value).strip()


def _raw(values: pl.Series | Sequence[Any]) -> Values:
    """Tuples of text ``[N]``, sorted, each value once; () where missing."""
    entries = values.to_list() if isinstance(values, pl.Series) else [_one(value) for value in values]
    # A set has no order: sorting makes equal sets equal.
    return _made([sorted({value for value in entry or () if value}) for entry in entries])


def _one(value: Any) -> list[str]:
    if isinstance(value, list | tuple | set | frozenset):
        return [text_of(each) for each in value]
    if value is None:
        return []
    raise UserError(f"{value!r} is no list of values; give one, as ['a', 'b']")


def _made(words: Sequence[Sequence[str]]) -> Values:
    several = np.empty(len(words), dtype=object)
    several[:] = [tuple(entry) for entry in words]
    return several


def _fit(column: Column, seen: Bool[np.ndarray, "N"]) -> State:
    """Fit the vocabulary on meta-train; the padding width is that of all entities."""
    vocabulary = vocabulary_of({word for words in column.values[seen] for word in words})
    known = set(vocabulary)
    return {
        "vocabulary": vocabulary,
        "width": max((sum(w in known for w in words) for words in column.values), default=0),
    }


def _encode(state: State, values: Values) -> Int[np.ndarray, "N m"]:
    vocabulary = coded(state)
    known = [[vocabulary[word] for word in words if word in vocabulary] for words in values]
    codes = np.zeros((len(known), max(1, state["width"], *map(len, known))), np.int32)
    for row, words in zip(codes, known, strict=True):
        row[: len(words)] = words
    return codes


def _embed(x: Array, looked_up: Array | None, own: Array | None) -> Float[Array, "*n width"]:
    """Average the embeddings of known values."""
    assert looked_up is not None
    there = x > 0
    return (looked_up * there[..., None]).sum(-2) / jnp.maximum(there.sum(-1), 1)[..., None]


def _product(x: Array, z: Array, weight: Array) -> Float[Array, "K n"]:
    """Compare all pairs of values, or where that is more, look z's values up in design rows of x."""
    (rows, held), (others, asked), size = x.shape, z.shape, len(weight)
    values = jnp.where(x > 0, weight[x], 0)
    if rows * others * asked * held <= rows * size + LOOK_UP * rows * (held + others * asked):
        same = x[:, None, :, None] == z[None, :, None, :]
        return jnp.where(same, values[:, None, :, None], 0).sum((2, 3))
    design = jnp.zeros((rows, size), weight.dtype).at[jnp.arange(rows)[:, None], x].add(values)
    return design[:, z].sum(-1)


multi = Kind(
    name="multi",
    reading=Reading(
        infers=_infers,
        parse=_parse,
        stores=lambda dtype: dtype == pl.List(pl.String),
        raw=_raw,
        known=lambda values: np.array([len(words) for words in values], int),
        content=lambda values: json_bytes(values.tolist()),
        settings={"separator": no_text},
        guess=_guess,
    ),
    arrays=Arrays(
        fit=_fit,
        size=vocabulary_size,
        encode=_encode,
        complete=lambda x: np.asarray((x > 0).any(axis=1)),
        rows=lambda size: size,
        inputs=lambda size: 0,
        embed=_embed,
        linear=lambda x, weights: jnp.where((x > 0)[..., None], weights[x], 0).sum(-2),
        product=_product,
        square=lambda x, weight: jnp.where(x > 0, weight[x], 0).sum(-1),
        columns=code_columns,
        vectors=lambda x, size: jax.nn.one_hot(x, size)[..., 1:].max(-2),
    ),
    words=Words(lambda values: values.tolist(), _made),
)
"""Raw: tuples of text ``[N]``, () = missing. Array: int32 ``[N, m]``, 0 = nothing there."""
