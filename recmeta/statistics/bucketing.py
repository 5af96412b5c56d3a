"""Sort tasks into buckets by activity, popularity, or any other column that describes them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl

PARTS = 3
"""Buckets of a numeric column, of about as many tasks each."""

FEW = 5
"""Most distinct values for which a column has a bucket per value."""

UNKNOWN = "unknown"
"""The bucket of tasks whose value is unknown."""


def buckets(frame: pl.DataFrame, column: str) -> dict[str, list[str]]:
    """Sort tasks into buckets, each task into exactly one, so that the buckets' means average to the overall mean.

    A number that differs between a task's rows (as it may between splits) is averaged; of other values the smallest is
    taken.

    Args:
        frame: task scores with that column; null where unknown.
        column: numeric: `PARTS` buckets between quantiles over tasks, or one per value where these are few. Anything
            else: one per value.

    Returns:
        Bucket -> its tasks, in the order of the values; "unknown" last.
    """
    numeric = frame[column].dtype.is_numeric()
    value = pl.col(column).cast(pl.Float64).fill_nan(None).mean() if numeric else pl.col(column).cast(pl.String).min()
    tasks = frame.group_by("task").agg(value=value).sort("value", "task", nulls_last=True)
    known = tasks.drop_nulls("value")
    levels = known["value"].unique(maintain_order=True).to_list()
    if not numeric or len(levels) <= FEW:
        named = {_text(level): known.filter(pl.col("value") == level)["task"].to_list() for level in levels}
    else:
        named = _between(known["value"].to_numpy(), known["task"].to_list())
    rest = tasks.filter(pl.col("value").is_null())["task"].to_list()
    return named | ({UNKNOWN: rest} if rest else {})


def _between(values: np.ndarray, tasks: list[str]) -> dict[str, list[str]]:
    """Cut sorted values at their quantiles; equal ones stay together."""
    cuts = np.searchsorted(values, np.quantile(values, np.arange(1, PARTS) / PARTS), side="right")
    edges = sorted({0, *cuts.tolist(), len(values)})
    return {f"{_text(values[lo])} … {_text(values[hi - 1])}": tasks[lo:hi] for lo, hi in pairwise(edges)}


def _text(level: object) -> str:
    return f"{level:.4g}" if isinstance(level, float) else str(level)
