"""Clean ids: the same user or item is written in one way in all files."""

from __future__ import annotations

import polars as pl

from recmeta.datasets.sheet import Sheet
from recmeta.features.missing import is_missing

ROUNDED = r"^\d(?:\.\d+)?[eE]\+\d{2,}$|^\d\.\d+[eE]\d{2,}$"
"""Long ids as spreadsheets and floats write them: 1.23E+17, 1.8446744073709552e19."""


INVISIBLE = r"^[\s\u200b-\u200f\u2060\ufeff]+|[\s\u200b-\u200f\u2060\ufeff]+$"
"""Blanks, and characters of no width, at the ends of a text."""


def cleaned(ids: pl.Series) -> pl.Series:
    """Take blanks and invisible characters off both ends of ids, and write accents in one way (Unicode's NFC).

    >>> cleaned(pl.Series(["1", " 1 ", "e\\u0301"])).to_list()
    ['1', '1', 'é']
    """
    bare = ids.str.strip_chars()
    ascii_only = bare.str.len_bytes().sum() == bare.str.len_chars().sum()
    return bare if ascii_only else bare.str.replace_all(INVISIBLE, "").str.normalize("NFC")


def alike(ids: pl.Series) -> tuple[str, str, int] | None:
    """Find ids that differ in case, quotes, leading zeros or ".0" alone: two of them, and how many there are.

    >>> alike(pl.Series(["U1", "u1", "u2"]))
    ('U1', 'u1', 2)
    """
    frame = (
        ids.unique()
        .sort()
        .to_frame("id")
        .with_columns(
            key=pl.col("id")
            .str.to_lowercase()
            .str.strip_chars("\"'")
            .str.replace(r"^0+(\d)", "$1")
            .str.replace(r"^(\d+)\.0+$", "$1")
        )
    )
    same = frame.filter(pl.len().over("key") > 1)
    if same.is_empty():
        return None
    one, other = same.filter(pl.col("key") == same["key"][0])["id"].head(2)
    return one, other, same.height


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
    if same := alike(ids):
        one, other, number = same
        notes.append(
            f"{place}: {number:,} ids differ from another in case, quotes, leading zeros or '.0' alone, as {one!r} and "
            f"{other!r}; each is taken for an id of its own"
        )
    if odd := int((marked := is_missing(ids)).sum()):
        found = ", ".join(sorted(ids.filter(marked).unique()))
        notes.append(
            f"{place}: {odd:,} rows have the {role} {found}, which is taken for an id; drop them if it is none"
        )
    return ids, notes
