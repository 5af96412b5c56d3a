"""Import scores of other systems from a file, to compare them with the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from recmeta.statistics import KEYS, metric_names
from recmeta.types import UserError

KEY_COLUMNS = ("task", "seed", "split", "shots", "scenario", "method")
"""Columns of an imported file that are no metrics; all but the first may be left out."""

NAMED = 3
"""Most tasks named in a message; the others are counted."""


def read(path: Path) -> pl.DataFrame:
    """Read an imported file; ids stay text.

    Args:
        path: CSV (with a header line) or Parquet.

    Raises:
        UserError: the file can't be read or has no column "task".
    """
    try:
        parquet = path.suffix == ".parquet"
        frame = pl.read_parquet(path) if parquet else pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"--import {path}: cannot be read ({' '.join(str(error).split())})") from error
    if "task" not in frame.columns:
        raise UserError(f"--import {path}: has no column task; it has {', '.join(frame.columns)}")
    # Ids are text everywhere, or 7 and "007" would be two users.
    return frame.with_columns(pl.col(name).cast(pl.String) for name in KEY_COLUMNS if name in frame.columns)


def fit(path: Path, pooled: pl.DataFrame, seeds: Mapping[str, object], shots: int) -> tuple[pl.DataFrame, list[str]]:
    """Turn an imported file into rows of the pooled task scores.

    Args:
        path: the file.
        pooled: the runs' scores, from `recmeta.results.pool.pool`.
        seeds: the seed of each split.
        shots: the support size of rows without a column "shots".

    Returns:
        Rows of kind "imported", labelled by the column "method" or else by the file's name; and notes on unused
        columns.

    Raises:
        UserError: a row names a task, split, scenario or support size that the runs don't have, or duplicates another;
            a value is no number; no column is one of the runs' metrics.
    """
    raw, metrics = read(path), metric_names(pooled)
    there = [name for name in raw.columns if name in metrics]
    if not there:
        raise UserError(f"--import {path}: has none of the runs' metrics {', '.join(metrics)}")
    splits = {split: split for split in seeds} | {str(seed): split for split, seed in seeds.items() if seed is not None}
    frame = raw.select(
        pl.col("task"),
        *(
            [_number(path, raw, "seed").cast(pl.Int64)]
            if "seed" in raw.columns
            else [pl.lit(None, pl.Int64).alias("seed")]
        ),
        _column(path, raw, "split", splits, _only(list(seeds))),
        _column(path, raw, "shots", {str(k): str(k) for k in pooled["shots"].unique()}, str(shots)).cast(pl.Int64),
        _column(path, raw, "scenario", {s: s for s in pooled["scenario"].unique()}, _only(pooled["scenario"])),
        _column(path, raw, "method", None, path.stem).alias("row"),
        *(_number(path, raw, name) for name in there),
    ).with_columns(kind=pl.lit("imported"), method="row")
    _check(path, frame, pooled)
    ignored = [name for name in raw.columns if name not in (*there, *KEY_COLUMNS)]
    return frame, [f"{path.name}: not used: {', '.join(ignored)}"] if ignored else []


def _column(
    path: Path, raw: pl.DataFrame, name: str, allowed: Mapping[str, str] | None, default: str | None
) -> pl.Expr:
    """A key column, each value translated by the mapping of allowed values."""
    if name not in raw.columns:
        if default is None and allowed is not None:
            raise UserError(f"--import {path}: the runs have several of {name}: add a column {name} ({_list(allowed)})")
        return pl.lit(default, dtype=pl.String).alias(name)
    if allowed is None:
        return pl.col(name)
    if unknown := [value for value in raw[name].unique() if value not in allowed]:
        raise UserError(f"--import {path}: {name}={unknown[0]}: the runs have {_list(allowed)}")
    return pl.col(name).replace_strict(allowed, return_dtype=pl.String)


def _number(path: Path, raw: pl.DataFrame, name: str) -> pl.Expr:
    made = raw[name].cast(pl.Float64, strict=False)
    wrong = raw.filter(made.is_null() & raw[name].is_not_null())
    if wrong.height:
        raise UserError(f"--import {path}: {name} of task {wrong['task'][0]} is no number: {wrong[name][0]}")
    return pl.col(name).cast(pl.Float64).fill_nan(None)


def _check(path: Path, frame: pl.DataFrame, pooled: pl.DataFrame) -> None:
    """Refuse rows about tasks that the runs don't have, and duplicate rows."""
    if taken := sorted(set(frame["row"]) & set(pooled["row"])):
        raise UserError(f"--import {path}: method {taken[0]} is in the runs already; give it another name")
    cell = ["scenario", "split", "task"]
    if (unknown := frame.join(pooled, on=cell, how="anti")).height:
        tasks = sorted(set(unknown["task"]))
        more = f" and {len(tasks) - NAMED} more" if len(tasks) > NAMED else ""
        raise UserError(f"--import {path}: no test tasks of the runs: {', '.join(tasks[:NAMED])}{more}")
    keys = ["row", "split", *(key for key in KEYS if key != "method")]
    if (double := frame.filter(frame.select(keys).is_duplicated())).height:
        raise UserError(
            f"--import {path}: several rows are about task {double['task'][0]} and no column distinguishes them"
        )


def _only(values: Sequence[str] | pl.Series) -> str | None:
    """The only distinct value; None if there are several."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _list(allowed: Mapping[str, str]) -> str:
    return ", ".join(sorted(allowed, key=lambda name: (len(name), name)))
