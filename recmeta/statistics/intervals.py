"""Means of a method's scores and how far chance may have moved them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

LEVEL = 0.05
"""The error rate of tests and intervals."""

AT_ONCE = 2_000_000
"""Numbers that resampling holds at a time: a draw needs one per task."""


def mean_of(values: Float[np.ndarray, "S N"]) -> float:
    """The mean over tasks of a task's mean over seeds; NaN without any value.

    >>> mean_of(np.array([[1.0, 2.0], [3.0, 4.0]]))
    2.5
    """
    return float(values.mean(axis=0).mean()) if values.size else float("nan")


def bootstrap(values: Float[np.ndarray, "S N"], seed: int = 0, draws: int = 2000) -> tuple[float, float, float]:
    """Mean, and its 95 % percentile interval by a bootstrap of tasks and, crossed with them, seeds.

    Each draw resamples the tasks, each with all that it holds (a task that was tested in several splits brings the
    average of its cells: a cluster bootstrap), and the seeds, the same ones for all drawn tasks. With one seed it
    resamples tasks alone.

    Crossed resampling is for a FULL matrix. In one that is nearly empty it would count the variance of a cell three
    times (Owen 2007): what is not full is averaged over the seeds before it comes here (`matrix`).

    Args:
        values: a row per seed and a column per task, without NaN.
        seed: of the resampling.
        draws: how many resamples.

    Returns:
        mean, low, high, in the unit of ``values``. All NaN without any value; low and high NaN with fewer than two
        tasks.

    Reference:
        Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007; for the weights of seeds Rao and Wu,
        Resampling inference with complex survey data, Journal of the American Statistical Association 1988.
    """
    mean = mean_of(values)
    seeds, tasks = values.shape
    if not values.size or tasks < 2:
        return mean, float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means, chunk = [], max(1, AT_ONCE // tasks)
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        times = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size)
        drawn = rng.integers(0, tasks, (size, tasks))
        # Drawing S of S seeds understates how much they vary, by (S - 1) / S: half of it with two.
        weight = 1 + np.sqrt(seeds / max(1, seeds - 1)) * (times - 1.0)
        means.append(np.take_along_axis(weight @ values, drawn, axis=1).mean(axis=1) / seeds)
    lo, hi = np.quantile(np.concatenate(means), [LEVEL / 2, 1 - LEVEL / 2])
    return mean, float(lo), float(hi)
