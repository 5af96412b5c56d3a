"""A fixed number of numbers each: an embedding of a text, an image or a graph that another model made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Bool, Float

from recmeta.features.kind import (
    Cells,
    Kind,
    Loaded,
    Reading,
    Settings,
    State,
    Values,
    json_bytes,
    no_text,
    number_bytes,
)
from recmeta.features.multi import in_brackets
from recmeta.features.numeric import numeric
from recmeta.types import Column, UserError

SEPARATORS = (" ", ";", ",", "|")
"""Separators of vectors without brackets that are guessed."""

FLOAT = r"\d\.\d|\d[eE]"
"""What at least one number of a vector has: whole numbers are codes more often."""

THOUSANDS = r"^\d{1,3}(,\d{3})+(\.\d+)?$"
"""One number, with separators of thousands."""


def _infers(values: pl.Series) -> bool:
    dtype = values.dtype
    if isinstance(dtype, pl.List | pl.Array):
        # Lists of whole numbers are codes more often than measurements: those are multi unless declared.
        return dtype.inner.is_float()
    known = values.drop_nulls()
    if known.is_empty() or not known.str.contains(FLOAT).any():
        return False
    return _bare_separator(known) is not None or bool(in_brackets(known).all() and _all_numbers(known, None))


def _all_numbers(known: pl.Series, separator: str | None) -> bool:
    return bool(_numbers(known, separator).list.eval(pl.element().is_not_null()).list.all().all())


def _bare_separator(known: pl.Series) -> str | None:
    """Find the separator of vectors without brackets: as many numbers in each row; None where they are none.

    >>> _bare_separator(pl.Series(["0.1 0.2", "1 0"])), _bare_separator(pl.Series(["1,234.5", "2,000.0"]))
    (' ', None)
    """
    for separator in SEPARATORS:
        if not known.str.contains(separator, literal=True).all() or known.str.contains(THOUSANDS).all():
            continue
        if _all_numbers(known, separator) and _numbers(known, separator).list.len().n_unique() == 1:
            return separator
    return None


def _guess(values: pl.Series) -> Settings:
    """Guess the separator of a column that is known to hold vectors without brackets."""
    found = _bare_separator(values.drop_nulls()) if values.dtype == pl.String else None
    return {} if found is None else {"separator": found}


def _numbers(values: pl.Series, separator: str | None) -> pl.Series:
    """Parse texts as lists of Float64, with null for anything but a number."""
    if separator is None:
        values = values.str.strip_chars("[](){} \t\n").str.replace_all(r"[\s,]+", " ")
    parts = values.str.split(separator or " ").list.eval(pl.element().str.strip_chars())
    return parts.list.eval(pl.element().filter(pl.element() != "").cast(pl.Float64, strict=False))


def _parse(cells: Cells, settings: Settings) -> pl.Series:
    values, separator = cells.values, settings.get("separator")
    if values.dtype == pl.String:
        if separator is None:
            bare = f"is no list; write [0.1, 0.2], or declare {cells.where}.separator"
            cells.refuse(~in_brackets(values), bare)
        values = _numbers(values, separator)
    lists = values.cast(pl.List(pl.Float64), strict=False)
    absent = lists.list.eval(pl.element().is_nan()).list.all().fill_null(True) & (lists.list.len() > 0)
    lists = lists.to_frame().select(pl.when(~absent).then(pl.first())).to_series()
    finite = lists.list.eval(pl.element().is_finite().fill_null(False)).list.all()
    cells.refuse(~finite, "is not all finite numbers; leave the cell empty if the vector is unknown")
    width = lists.list.len().drop_nulls()
    if width.is_empty() or width[0] == 0:
        raise UserError(f"{cells.where}: no row has a vector; leave the feature out")
    ragged = f"has another length than the first, {width[0]}; all vectors of a feature must have the same"
    cells.refuse(lists.list.len() != width[0], ragged)
    return lists.cast(pl.Array(pl.Float64, int(width[0])))


def _raw(values: pl.Series | Sequence[Any]) -> Values:
    """Floats ``[N, d]``, all NaN where missing."""
    lists = _as_lists(values)
    there, known = lists.is_not_null().to_numpy(), lists.drop_nulls()
    width = int(known.list.len()[0]) if len(known) else 0
    odd = (known.list.len() != width) | ~known.list.eval(pl.element().is_finite().fill_null(False)).list.all()
    if odd.any():
        raise UserError(f"{known.filter(odd)[0].to_list()!r} is not {width} finite numbers, as the first vector is")
    made = np.full((len(lists), width), np.nan)
    if width:
        made[there] = known.cast(pl.Array(pl.Float64, width)).to_numpy()
    return made


def _as_lists(values: pl.Series | Sequence[Any]) -> pl.Series:
    """Lists of Float64, null where missing.

    Raises:
        UserError: a value is no list of numbers.
    """
    if isinstance(values, pl.Series):
        return values.cast(pl.List(pl.Float64))
    rows = [None if value is None else np.asarray(value).tolist() for value in values]
    try:
        return pl.Series(rows, dtype=pl.List(pl.Float64))
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{rows[0]!r} is no list of numbers") from error


def _fit(column: Column, seen: Bool[np.ndarray, "N"]) -> State:
    """Fit one divisor for all vectors: the root of their mean squared length.

    A vector is then about as long as a one-hot row, and angles and relative lengths are those of whoever made them:
    scaling each component by itself would change them.
    """
    values = column.values
    fitted = values[seen & _there(values)]
    length = float(np.sqrt((fitted**2).sum(1).mean())) if len(fitted) else 0.0
    return {"width": int(values.shape[1]), "length": length or 1.0}


def _there(values: Values) -> Bool[np.ndarray, "N"]:
    return ~np.isnan(values).any(axis=1) & (values.shape[1] > 0)


def _encode(state: State, values: Values) -> Float[np.ndarray, "N d+1"]:
    there, width = _there(values), state["width"]
    if there.any() and values.shape[1] != width:
        raise UserError(f"a vector of {values.shape[1]} numbers, where those trained on have {width}")
    encoded = np.zeros((len(values), width + 1), np.float32)
    if there.any():
        encoded[there, :width] = values[there] / state["length"]
    encoded[:, width] = ~there
    return encoded


def _vectors(x: Array, size: int) -> Float[Array, "N d"]:
    """Scale vectors to unit length, so that one weighs as much as a category; zero where missing."""
    vectors = x[..., : size - 1]
    length = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / jnp.where(length > 0, length, 1)


def _load(settings: Settings, where: str) -> Loaded:
    """Read a numpy matrix with a row per id, and a text file with one id a line in the order of the rows.

    Raises:
        UserError: a file is missing or is none of that; they differ in length; an id is empty or repeated; a row is
            partly not finite. A row that is all NaN is missing.
    """
    path = Path(settings["file"]).expanduser()
    if "ids" not in settings:
        raise UserError(
            f"{where}.ids is not set: name a text file with an id a line, in the order of the rows of {path}"
        )
    names = Path(settings["ids"]).expanduser()
    try:
        matrix = np.load(path, allow_pickle=False)
        lines = names.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; a relative path starts at {Path.cwd()}") from error
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{where}: cannot be read ({str(error).splitlines()[0]}); give a .npy file, and text"
        ) from error
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or not matrix.shape[1]:
        raise UserError(f"{path}: must hold a matrix of numbers, a row per id")
    ids = pl.Series("id", [line.strip() for line in lines], dtype=pl.String)
    if len(ids) != len(matrix):
        raise UserError(f"{names}: {len(ids)} ids, but {path} has {len(matrix)} rows; make them equal")
    for bad, problem in ((ids == "", "is no id"), (~ids.is_first_distinct(), "occurs a second time")):
        if bad.any():
            line = int(bad.arg_true()[0])
            raise UserError(f"{names}, line {line + 1}: {ids[line]!r} {problem}")
    matrix = matrix.astype(np.float64)
    partly = ~np.isfinite(matrix).all(axis=1) & ~np.isnan(matrix).all(axis=1)
    if partly.any():
        row = int(np.argmax(partly))
        raise UserError(f"{path}, row {row + 1}: is not all finite numbers; make it all NaN if the vector is unknown")
    values = pl.Series("values", matrix, dtype=pl.Array(pl.Float64, matrix.shape[1]))
    missing = pl.Series("missing", np.asarray(np.isnan(matrix).all(axis=1)))
    return Loaded(ids, values.to_frame().select(pl.when(~missing).then(pl.first())).to_series())


_reused = numeric.arrays
assert _reused is not None

vector = Kind(
    name="vector",
    reading=Reading(
        infers=_infers,
        parse=_parse,
        stores=lambda dtype: isinstance(dtype, pl.List | pl.Array) and dtype.inner.is_float(),
        raw=_raw,
        known=lambda values: _there(values).astype(int),
        content=lambda values: json_bytes(list(values.shape)) + number_bytes(values, "<f8"),
        settings={"separator": no_text, "file": no_text, "ids": no_text},
        load=_load,
        guess=_guess,
    ),
    # As a number, whose last column too says what is missing.
    arrays=_reused._replace(fit=_fit, size=lambda state: state["width"] + 1, encode=_encode, vectors=_vectors),
)
"""Raw: floats ``[N, d]``, all NaN = missing. Array: float32 ``[N, d + 1]``: over the root of the mean squared length (0
if missing), and 1 if missing."""
