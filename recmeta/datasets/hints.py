"""Describe columns of a feature file that are left out, or read as categories and look like numbers."""

from __future__ import annotations

import polars as pl

from recmeta.datasets.times import moments

MOSTLY = 0.9
"""The share of numbers from which a column is probably one of numbers, with a few cells that are wrong."""

WORDY = 3
"""How many blanks a value has on average in a column of text."""

_NUMBER = r"^[+-]?\d+(?:\.\d+)?$"

_DRESSED = r"^[+-]?[$€£]?\s*[+-]?\d[\d,]*(?:\.\d+)?\s*%?$"
"""Numbers with a currency, a percent sign or thousands separators."""


def written_otherwise(values: pl.Series) -> str:
    """Describe a column whose values are numbers or dates in another form, or numbers but for a few; "" if none is.

    Args:
        values: String, null where missing.

    >>> written_otherwise(pl.Series(["$1.99", "$12.00"]))
    "numbers written as '$1.99': write plain numbers"
    >>> written_otherwise(pl.Series(["War", "Drama"]))
    ''
    """
    known = values.drop_nulls().str.strip_chars()
    if known.is_empty():
        return ""
    number = known.str.contains(_NUMBER)
    code = known.str.contains(r"^[+-]?0\d").any()
    if number.all() or code:
        return ""
    first = known.filter(~number)[0]
    if known.str.contains(_DRESSED).all():
        comma = ", or set dataset.decimal=comma" if known.str.contains(r"^[+-]?\d+,\d+$").all() else ""
        return f"numbers written as {first!r}: write plain numbers{comma}"
    if number.mean() >= MOSTLY:  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
        return f"{number.sum():,} of {len(known):,} cells are numbers, and {first!r} is none: correct it"
    if moments(known).is_not_null().all():
        return "dates: write the year, or another number"
    return ""


def identifier(values: pl.Series) -> str:
    """Describe a column of which no two values are alike: text, or names.

    >>> identifier(pl.Series(["A tale of two towns", "The man who was not there"]))
    'text: declare its kind to use it'
    """
    known = values.drop_nulls()
    blanks = known.str.strip_chars().str.count_matches(r"\s+").mean()
    return "text: declare its kind to use it" if blanks >= WORDY else "an identifier"  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
