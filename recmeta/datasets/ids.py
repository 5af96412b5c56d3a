"""Clean ids: the same user or item is written in one way in all files."""

from __future__ import annotations

import polars as pl

from recmeta.datasets.sheet import Sheet
from recmeta.features.missing import is_missing

ROUNDED = r"^\d(?:\.\d+)?[eE]\+\d{2,}$|^\d\.\d+[eE]\d{2,}$"
"""Long ids as spreadsheets and floats write them: 1.23E+17, 1.8446744073709552e19."""


def cleaned(ids: pl.Series) -> pl.Series:
    """Take blanks off both ends of ids, and write accents in one way (Unicode's NFC).

    >>> cleaned(pl.Series(["1", " 1 ", "e\\u0301"])).to_list()
    ['1', '1', 'é']
    """
    bare = ids.str.strip_chars()
    ascii_only = bare.str.len_bytes().sum() == bare.str.len_chars().sum()
    return bare if ascii_only else bare.str.normalize("NFC")


def read_ids(sheet: Sheet, column: str, role: str) -> tuple[pl.Series, list[str]]:
    """Read a column of ids.

    Args:
        sheet, column: of the ids.
        role: what they are of, for messages.

    Returns:
        Text, none of it empty; and lines for the user.

    Raises:
        UserError: an id is empty, a list, or a number that has lost digits.
    """
    given = sheet.column(column, f"dataset.columns.{role}")
    if given.dtype.is_nested():
        sheet.refuse(given.is_not_null(), column, f"is a list; a {role} must be a single value")
    ids, notes = cleaned(given), []
    sheet.refuse(ids.is_null() | (ids == ""), column, f"is no {role}; every row needs one")
    rounded = "has lost digits: a spreadsheet or a data frame has written it as a rounded number; write ids as text"
    sheet.refuse(ids.str.contains(ROUNDED), column, rounded)
    place = f"{sheet.path.name}, column {column!r}"
    if changed := int((ids != given).sum()):
        notes.append(f"{place}: blanks around ids, or accents in two writings, are put in order in {changed:,} rows")
    if odd := int((marked := is_missing(ids)).sum()):
        found = ", ".join(sorted(ids.filter(marked).unique()))
        notes.append(
            f"{place}: {odd:,} rows have the {role} {found}, which is taken for an id; drop them if it is none"
        )
    return ids, notes
