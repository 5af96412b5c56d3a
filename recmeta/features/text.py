"""Free text: a title, an abstract. A preparation makes something of it that a model can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from recmeta.features.kind import Cells, Kind, Reading, Settings, Values, json_bytes, not_lists
from recmeta.types import UserError


def _parse(cells: Cells, settings: Settings) -> pl.Series:
    del settings
    not_lists(cells, "multi or vector")
    return cells.values


def _raw(values: pl.Series | Sequence[Any]) -> Values:
    """Text ``[N]`` of any length, "" where missing."""
    entries = values.to_list() if isinstance(values, pl.Series) else list(values)
    if other := [value for value in entries if not isinstance(value, str | None)]:
        raise UserError(f"{other[0]!r} is no text")
    texts = np.empty(len(entries), dtype=object)
    texts[:] = [value or "" for value in entries]
    return texts


text = Kind(
    name="text",
    reading=Reading(
        # Nothing is taken for free text unless it is declared: most columns that look like it are names.
        infers=lambda values: False,
        parse=_parse,
        stores=lambda dtype: False,
        raw=_raw,
        known=lambda values: np.array([bool(value) for value in values], int),
        content=lambda values: json_bytes(values.tolist()),
    ),
    arrays=None,
)
"""Raw: text ``[N]`` (dtype object: texts differ much in length), "" = missing. It has no array: a preparation
(`recmeta.types.Preparation`) maps it to a column of another kind, or it is left out of the model."""
