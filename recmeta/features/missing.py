"""Words for a missing value in files."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

MISSING = (
    "NA", "N/A", "N.A.", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "NaT", "NULL", "Null", "null", "None", "\\N",
)  # fmt: skip
"""Cells that mark a missing value, unless ``missing`` is declared: as pandas, R, SQL and spreadsheets write them."""

IN_NUMBERS = (
    *MISSING, "-", "--", "?", ".", "*", "none", "NONE", "na", "unknown", "Unknown", "UNKNOWN", "missing", "Missing",
    "nil", "#VALUE!", "#DIV/0!", "1.#IND", "-1.#IND", "1.#QNAN",
)  # fmt: skip
"""What marks a missing value in a column that otherwise holds numbers; elsewhere they may be values of their own."""


def is_missing(values: pl.Series, markers: Sequence[str] = MISSING) -> pl.Series:
    """Find cells that are empty, blank or a marker of a missing value.

    >>> is_missing(pl.Series(["1", " ", "NA", None])).to_list()
    [False, True, True, True]
    """
    return values.str.strip_chars().is_in(["", *markers]).fill_null(True)
