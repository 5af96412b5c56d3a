"""The table of task scores: its columns, and the values that tests take from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

KEYS = ("scenario", "method", "seed", "shots", "task")
"""Columns that identify a row of the task scores."""

ABOUT = ("activity", "popularity", "new_items", "completeness")
"""Columns that describe a task and are no metrics, although they may be fractions.

``activity``: the length of its history; ``popularity``: how often its query's rows were seen in training, on average;
``new_items``: the share of them that training has not seen; ``completeness``: the share of its features that are known.

The length of its history; how often its query's rows were seen in training, on average; the share of them that training
has not seen; the share of its features that are known.
"""


def metric_names(frame: pl.DataFrame) -> list[str]:
    """The metric columns of a frame of task scores, in their order."""
    taken = (*KEYS, *ABOUT, "n_query")
    return [name for name, kind in frame.schema.items() if name not in taken and kind.is_float()]


def about_names(frame: pl.DataFrame) -> list[str]:
    """The columns of a frame of task scores that describe its tasks, in their order."""
    return [name for name in frame.columns if name not in (*KEYS, *metric_names(frame))]


def per_task(frame: pl.DataFrame, metric: str, over: Sequence[str] = ()) -> pl.DataFrame:
    """One value per task: the mean over seeds within each cell of ``over``, then the mean over those.

    Args:
        frame: task scores of one scenario, method and number of shots.
        metric: a metric column.
        over: columns that were repeated besides the seeds ("split").
    Returns:
        The columns "task" and ``metric``, in the order of task ids; tasks without a value are left out.
    """
    return _over_cells(_over_seeds(frame, metric, over), pl.col(metric))


def matrix(frame: pl.DataFrame, metric: str, over: Sequence[str] = ()) -> Float[np.ndarray, "S N"]:
    """Task scores of ONE method as a full matrix.

    Args:
        frame: task scores of one scenario, method and number of shots.
        metric: a metric column.
        over: columns that were repeated besides the seeds ("split"); a task's values are averaged over them.

    Returns:
        A row per seed and a column per task that has a value, in the metric's units. Where not every cell has every
        seed (other splits were run with other seeds), one row: `per_task`.
    """
    known = frame.select("seed", "task", *over, _value(metric)).drop_nulls(metric)
    seeds = known["seed"].n_unique()
    if seeds < 2 or (known.group_by("task", *over).len()["len"] != seeds).any():
        return per_task(frame, metric, over)[metric].to_numpy()[None, :]
    rows = [per_task(part, metric, over)[metric].to_numpy() for _, part in sorted(known.group_by("seed"), key=_first)]
    return np.stack(rows)


def differences(
    frame: pl.DataFrame, reference: pl.DataFrame, metric: str, over: Sequence[str] = ()
) -> Float[np.ndarray, "N"]:
    """One difference per task between two methods, over the tasks for which both have a value.

    Args:
        frame: task scores of one method, in one scenario, at one number of shots.
        reference: of the other method.
        metric: a metric column.
        over: columns that must be equal within a pair besides the task ("split"). Scores are averaged over seeds, then
            paired, then the differences are averaged over ``over``.

    Returns:
        frame minus reference, in the metric's units, in the order of task ids.
    """
    keys = ["task", *over]
    left, right = (_over_seeds(side, metric, over) for side in (frame, reference))
    pairs = left.join(right, on=keys, suffix=" of reference").sort(keys)
    return _over_cells(pairs, pl.col(metric) - pl.col(f"{metric} of reference"))[metric].to_numpy()


def _over_seeds(frame: pl.DataFrame, metric: str, over: Sequence[str]) -> pl.DataFrame:
    """The mean over seeds in each cell that has one. Sorted: a sum of floats depends on its order."""
    keys = ["task", *over]
    known = frame.select(*keys, "seed", _value(metric)).drop_nulls(metric).sort(*keys, "seed")
    return known.group_by(keys, maintain_order=True).agg(pl.col(metric).mean())


def _over_cells(cells: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    """The mean of a task's cells, which are sorted."""
    return cells.group_by("task", maintain_order=True).agg(value.mean())


def _value(metric: str) -> pl.Expr:
    """A metric column with null for NaN: polars' means skip nulls only."""
    return pl.col(metric).cast(pl.Float64).fill_nan(None)


def _first(part: tuple[tuple, pl.DataFrame]) -> tuple:
    return part[0]
