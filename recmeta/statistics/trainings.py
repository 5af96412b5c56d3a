"""Estimate how much of a mean is the luck of its trainings: of seeds on the same tasks, and of splits.

A mean over tasks varies with the tasks, and with the trainings: another seed, or another split of the users, shifts the
scores of all tasks at once. With several trainings both can be estimated, and are added up (`spread`); with one, all
inference is about this training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from recmeta.statistics.spread import NO_LUCK, Luck, spread


class Block(NamedTuple):
    """Scores of one split: a row per seed, and a column per task that has them all.

    Attributes:
        task: which tasks.
        values: in the metric's units.
        split: which split.
        seeded: whether the method has seeds: another would give other values.
    """

    task: np.ndarray
    values: Float[np.ndarray, "S N"]
    split: tuple = ()
    seeded: bool = False


def blocks(frame: pl.DataFrame, metric: str, over: Sequence[str] = ()) -> list[Block]:
    """The scores of one method as a block per split, tasks in the order of their ids.

    Args:
        frame: task scores of one scenario, method and number of shots.
        metric: a metric column.
        over: columns that were repeated besides the seeds ("split").
    """
    value = pl.col(metric).cast(pl.Float64).fill_nan(None)
    known = frame.select("task", "seed", *over, value).drop_nulls(metric)
    parts = sorted(known.group_by(over), key=lambda group: group[0]) if over else [((), known)]
    found = []
    for split, part in parts:
        if part.is_empty():
            continue
        wide = part.sort("task").pivot("seed", index="task", values=metric, aggregate_function="mean")
        task, values = wide["task"].to_numpy(), wide.drop("task")
        # Where some task lacks a seed, seeds can't be told from tasks: each task's mean, as if of one seed.
        full = values.drop_nulls().height == values.height
        rows = values.to_numpy().T if full else values.mean_horizontal().to_numpy()[None]
        found.append(Block(task, rows, split, part["seed"].null_count() < part.height))
    return found


def shares(tasks: Sequence[np.ndarray]) -> Float[np.ndarray, "C"]:
    """The weight of each split in a mean over tasks, each of which is averaged over its splits first."""
    every, number = np.unique(np.concatenate(tasks), return_counts=True)
    times = dict(zip(every.tolist(), number.tolist(), strict=True))
    return np.array([sum(1 / times[task] for task in some.tolist()) / len(every) for some in tasks])


def luck_of_seeds(some: Sequence[Block], share: Float[np.ndarray, "C"]) -> Luck:
    """The luck of seeds, by the analysis of variance of seeds crossed with tasks within every split.

    Args:
        some: a block per split.
        share: of each, from `shares`.

    Reference:
        Searle, Casella and McCulloch, Variance components, 1992, section 4.3.
    """
    within, total, freedom = 0.0, 0.0, 0
    for block in some:
        seeds, tasks = block.values.shape
        if seeds < 2 or tasks < 2:
            continue
        of_seed = block.values.mean(axis=1)
        rest = block.values - of_seed[:, None] - block.values.mean(axis=0) + of_seed.mean()
        total += (seeds - 1) * of_seed.var(ddof=1)
        within += (rest**2).sum() / (tasks - 1) / tasks
        freedom += seeds - 1
    number = sum(len(block.values) for block in some)
    if not freedom:
        return NO_LUCK._replace(trainings=number)
    scale = float((share**2 / [len(block.values) for block in some]).sum()) / freedom
    return Luck(float(total) * scale, float(within) * scale, float(freedom), number)


def luck_of_splits(values: Sequence[Float[np.ndarray, "N"]], share: Float[np.ndarray, "C"]) -> Luck:
    """The luck of splits: differences between their means, beyond those that the sampling of tasks explains.

    Args:
        values: each split's values, one per task.
        share: of each split, from `shares`.
    """
    if len(values) < 2 or min(map(len, values)) < 2:
        return NO_LUCK
    between = float(np.var([each.mean() for each in values], ddof=1))
    within = float(np.mean([each.var(ddof=1) / len(each) for each in values]))
    scale = float((share**2).sum())
    return Luck(between * scale, within * scale, len(values) - 1.0, len(values), cautious=True)


def luck(some: Sequence[Block]) -> Luck:
    """The luck of a mean: of its splits or of its seeds, whichever is estimated to be more."""
    if sum(len(block.values) for block in some) < 2:
        return NO_LUCK
    share = shares([block.task for block in some])
    of_seeds = luck_of_seeds(some, share)
    return worst(of_seeds, luck_of_splits([block.values.mean(axis=0) for block in some], share))


def luck_of_difference(left: Sequence[Block], right: Sequence[Block]) -> Luck:
    """The luck of a mean difference between two methods, over the tasks of the splits that both have.

    Args:
        left, right: a block per split; splits of one alone are left out.
    """
    pairs, theirs = [], {block.split: block for block in right}
    for one, other in ((one, theirs[one.split]) for one in left if one.split in theirs):
        _, at, there = np.intersect1d(one.task, other.task, return_indices=True)
        if at.size:
            pairs.append(
                tuple(
                    side._replace(task=side.task[kept], values=side.values[:, kept])
                    for side, kept in ((one, at), (other, there))
                )
            )
    number = [sum(len(pair[side].values) for pair in pairs) for side in (0, 1)]
    if max(number) < 2:
        return NO_LUCK
    lone = any(count == 1 and pairs[0][side].seeded for side, count in enumerate(number))
    share = shares([one.task for one, _ in pairs])
    # Seeds of two methods are drawn independently: their variances add up.
    own, others = (luck_of_seeds([pair[side] for pair in pairs], share) for side in (0, 1))
    total = own.total + others.total
    # Satterthwaite's degrees of freedom: those of the larger, up to the sum of both.
    parts = [each.total**2 / each.freedom for each in (own, others)]
    freedom = total**2 / sum(parts) if total else 1.0
    seeds = Luck(total, own.within + others.within, freedom, max(number))
    gaps = [one.values.mean(axis=0) - other.values.mean(axis=0) for one, other in pairs]
    return worst(seeds, luck_of_splits(gaps, share))._replace(trainings=max(number), lone=lone)


def worst(one: Luck, other: Luck) -> Luck:
    """The luck that is estimated to be more, of all the trainings.

    Where both estimates are positive, each supports the other: their degrees of freedom add up.
    """
    first, second = (each.total - each.within for each in (one, other))
    most = other if other.total and (second > first or not one.total) else one
    freedom = one.freedom + other.freedom if min(first, second) > 0 else most.freedom
    return most._replace(freedom=freedom, trainings=max(one.trainings, other.trainings))


def mean_interval(frame: pl.DataFrame, metric: str, over: Sequence[str] = ()) -> tuple[float, float, float]:
    """The mean of one method's scores over tasks, with a 95 % interval over tasks and trainings.

    Args:
        frame, metric, over: as for `blocks`.

    Returns:
        mean, low, high, in the metric's units; NaN without any value, low and high NaN with fewer than two tasks.
    """
    return interval_of(blocks(frame, metric, over))


def interval_of(some: Sequence[Block]) -> tuple[float, float, float]:
    """`mean_interval` of blocks.

    >>> [round(value, 2) for value in interval_of([Block(np.arange(3), np.array([[1.0, 2.0, 3.0]]))])]
    [2.0, -0.48, 4.48]
    """
    nan = float("nan")
    if not some:
        return nan, nan, nan
    values = per_task_mean(some)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, nan, nan
    half = spread(values, luck(some)).half()
    return mean, mean - half, mean + half


def per_task_mean(some: Sequence[Block]) -> Float[np.ndarray, "N"]:
    """A task's mean over seeds, then over the splits that it is in; in the order of task ids."""
    every: tuple[np.ndarray, Int[np.ndarray, "m"]] = np.unique(
        np.concatenate([block.task for block in some]), return_inverse=True
    )
    values = np.concatenate([block.values.mean(axis=0) for block in some])
    return np.bincount(every[1], values) / np.bincount(every[1])
