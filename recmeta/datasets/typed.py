"""Read Parquet and JSON lines, whose values have types, as columns of text."""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl

from recmeta.types import UserError

EXACT = 2**53
"""Floats of this size or more no longer hold every whole number."""


def read_parquet(path: Path, data: bytes) -> tuple[pl.DataFrame, frozenset[str]]:
    """Read a Parquet file as text; columns that have none stay as they are.

    Returns:
        The columns, and the names of those that are dates or times.

    Raises:
        UserError: it is no Parquet file.
    """
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    dates = frozenset(name for name, dtype in frame.schema.items() if dtype in (pl.Date, pl.Datetime))
    return pl.DataFrame([as_text(column) for column in frame.get_columns()]), dates


def read_json(path: Path, data: bytes) -> pl.DataFrame:
    """Read a JSON object per line, or one list of objects, as text; a key that a row lacks is empty.

    Raises:
        UserError: a line is no JSON object, with its number.
    """
    text = data.lstrip()
    if text.startswith(b"["):
        data = _lines_of_list(path, text)
    if not data.strip():
        return pl.DataFrame()
    try:
        found = pl.read_ndjson(io.BytesIO(data), infer_schema_length=None).schema
        # As text from the start, so that a large number keeps all its digits.
        schema = {name: dtype if dtype.is_nested() else pl.String for name, dtype in found.items()}
        frame = pl.read_ndjson(io.BytesIO(data), schema=schema)
    except pl.exceptions.PolarsError as error:
        raise UserError(_bad_line(path, data) or f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    return pl.DataFrame([as_text(column) for column in frame.get_columns()])


def _lines_of_list(path: Path, data: bytes) -> bytes:
    try:
        rows = json.loads(data)
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from error
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def _bad_line(path: Path, data: bytes) -> str | None:
    """Describe the first line that is no JSON object."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            if isinstance(json.loads(line, parse_constant=_no_constant), dict):
                continue
            problem = "must be an object, as {...}"
        except ValueError as error:
            problem = str(error)
        return f"{path}, line {number}: not a JSON object ({problem})"
    return None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON; write null")


def as_text(values: pl.Series) -> pl.Series:
    """Convert a column to text as in a CSV.

    Dates and times become seconds since 1970 (UTC), lists become lists of text or Float64. What has no text
    (structures, bytes, durations) stays as it is.
    """
    dtype = values.dtype
    if isinstance(dtype, pl.List | pl.Array) and not dtype.inner.is_nested():
        return values.cast(pl.List(pl.Float64 if dtype.inner.is_float() else pl.String))
    if dtype in (pl.Date, pl.Datetime):
        return values.dt.epoch("s").cast(pl.String)
    if dtype.is_float():
        known = values.fill_nan(None)
        # Whole numbers with gaps come as floats from some writers: the id 7 must not become "7.0".
        whole = bool(((known == known.round()) & (known.abs() < EXACT)).all())
        return (known.cast(pl.Int64) if whole else known).cast(pl.String)
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Duration):
        return values
    return values.cast(pl.String)
