"""A number each: an age, a year, a price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Array, Bool, Float
from scipy.sparse import csr_array

from recmeta.features.kind import Arrays, Cells, Kind, Reading, Settings, State, Values, not_lists, number_bytes
from recmeta.types import Column, UserError


def as_numbers(values: pl.Series) -> pl.Series:
    """Text as Float64; null where it is no number."""
    return values.str.strip_chars().cast(pl.Float64, strict=False)


def _infers(values: pl.Series) -> bool:
    if values.dtype != pl.String:
        return False
    known = values.drop_nulls()
    # "00123" is a code: a number is not written so.
    code = known.str.contains(r"^\s*[+-]?0\d")
    return bool(as_numbers(known).is_not_null().all()) and not code.any()


def _parse(cells: Cells, settings: Settings) -> pl.Series:
    del settings
    not_lists(cells, "multi or vector")
    numbers = as_numbers(cells.values)
    no_number = f"is not a number; correct it, or declare {cells.where}.missing, or .kind=categorical"
    cells.refuse(cells.values.is_not_null() & numbers.is_null(), no_number)
    cells.refuse(numbers.is_infinite(), "is not finite; leave it empty if it is unknown")
    return numbers.fill_nan(None)


def _raw(values: pl.Series | Sequence[Any]) -> Values:
    """Floats ``[N]``, NaN where missing."""
    if isinstance(values, pl.Series):
        return values.fill_null(np.nan).to_numpy()
    return np.array([_one(value) for value in values], np.float64)


def _one(value: Any) -> float:
    try:
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError):
        raise UserError(f"{value!r} is not a number") from None
    if math.isinf(number):
        raise UserError(f"{value!r} is not finite; leave it out if it is unknown")
    return number


def _fit(column: Column, seen: Bool[np.ndarray, "N"]) -> State:
    """Mean and standard deviation; 0 and 1 for a column that is scaled already (``settings["standard"]`` is false)."""
    values = np.asarray(column.values, np.float64)
    fitted = values[seen & ~np.isnan(values) & column.settings.get("standard", True)]
    mean = fitted.mean() if fitted.size else 0.0
    # A column that is constant but for rounding carries nothing: dividing by one leaves it near zero.
    spread = fitted.std() if fitted.size else 0.0
    spread = spread if spread > 1e-6 * max(1.0, abs(mean)) else 1.0
    return {"mean": float(mean), "spread": float(spread)}


def _encode(state: State, values: Values) -> Float[np.ndarray, "N 2"]:
    values = np.asarray(values, np.float64)
    missing = np.isnan(values)
    standard = np.where(missing, 0.0, (values - state["mean"]) / state["spread"])
    return np.stack([standard, missing], axis=-1).astype(np.float32)


def _embed(x: Array, looked_up: Array | None, own: Array | None) -> Float[Array, "*n width"]:
    assert own is not None
    return x @ own


numeric = Kind(
    name="numeric",
    reading=Reading(
        infers=_infers,
        parse=_parse,
        stores=lambda dtype: dtype == pl.Float64,
        raw=_raw,
        known=lambda values: (~np.isnan(values)).astype(int),
        content=lambda values: number_bytes(values, "<f8"),
    ),
    arrays=Arrays(
        fit=_fit,
        size=lambda state: 2,
        encode=_encode,
        complete=lambda x: x[:, -1] == 0,
        rows=lambda size: 0,
        inputs=lambda size: size,
        embed=_embed,
        linear=lambda x, weights: x @ weights,
        product=lambda x, z, weight: (x * weight) @ z.T,
        square=lambda x, weight: (x**2 * weight).sum(-1),
        columns=lambda x, size: csr_array(x),
        # None: between standardised numbers a cosine means nothing.
        vectors=None,
    ),
    numbers=True,
)
"""Raw: floats ``[N]``, NaN = missing. Array: float32 ``[N, 2]``: less the mean and over the standard deviation (0 if
missing), and 1 if missing."""
