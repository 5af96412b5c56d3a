"""Parse separated text, JSON lines and years in titles into columns, at the speed of polars."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import polars as pl

from recmeta.types import UserError

BLOCK = 1 << 26
"""Bytes of JSON lines parsed at a time."""

_RARE = "\x1f"
"""The ASCII "unit separator", which replaces a separator of several characters, as polars does not take one."""


def read_columns(
    content: bytes,
    names: Sequence[str] | None = None,
    *,
    separator: str = "\t",
    quote: str | None = None,
    encoding: str = "utf-8",
) -> pl.DataFrame:
    """Read columns of text, "" as null.

    Args:
        content: the file.
        names: column names, where the file has no header; None where it has one.
        separator: one or more characters.
        quote: quote character around values that hold separators; None for files without quotes.
        encoding: of the file.

    Raises:
        UserError: there are more or fewer columns than names.
        pl.exceptions.PolarsError, UnicodeDecodeError: the file has another format.
    """
    if encoding != "utf-8":
        content = content.decode(encoding).encode()
    if len(separator) > 1:
        content, separator = content.replace(separator.encode(), _RARE.encode()), _RARE
    frame = pl.read_csv(content, separator=separator, has_header=names is None, quote_char=quote, infer_schema=False)
    if names is None:
        return frame
    if len(names) != frame.width:
        raise UserError(f"{frame.width} columns where {', '.join(names)} should be; give an unchanged copy")
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def read_lines(content: bytes, encoding: str = "utf-8") -> pl.Series:
    """The lines of a text, without line ends and without empty lines."""
    text = content.decode(encoding).replace("\r\n", "\n")
    lines = pl.Series("line", [text]).str.split("\n").explode()
    return lines.filter(lines != "")


def read_json_lines(file: IO[bytes], schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    """Read the fields of ``schema`` from a JSON object per line, in blocks: files may exceed the memory."""
    frames = [pl.read_ndjson(io.BytesIO(block), schema=dict(schema)) for block in _blocks(file)]
    return pl.concat(frames) if frames else pl.DataFrame(schema=dict(schema))


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield blocks of complete lines."""
    rest = b""
    while piece := file.read(BLOCK):
        whole, end, rest = (rest + piece).rpartition(b"\n")
        if end:
            yield whole
    if rest.strip():
        yield rest


def year_in(title: pl.Expr) -> pl.Expr:
    """The year in the last brackets of a title that hold one, the first of a span: "Title (1976-1979)" is 1976."""
    return title.str.extract(r"^.*\((\d{4})(?:[^)\d]\d{0,4})?\)").cast(pl.Float64)


def without_year(title: pl.Expr) -> pl.Expr:
    """Strip the year in brackets, and any brackets after it, off the end of a title: "Title (1995) (V)" is "Title"."""
    return title.str.replace(r"\s*\(\d{4}(?:[^)\d]\d{0,4})?\)(?:\s*\([^()]*\))*\s*$", "").str.strip_chars()


def split_known(values: pl.Expr, separator: str, unknown: str) -> pl.Expr:
    """Split values into lists, without the value that means none."""
    return values.str.split(separator).list.eval(pl.element().filter(pl.element() != unknown))


def shared(pairs: pl.DataFrame, key: str, value: str, least: int) -> pl.DataFrame:
    """Group (key, value) pairs into a list of values per key, of values that ``least`` keys or more have."""
    distinct = pairs.select(key, value).unique()
    common = distinct.filter(pl.len().over(value) >= least)
    return common.group_by(key).agg(pl.col(value)).sort(key)
