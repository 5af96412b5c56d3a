"""Means of a method's scores, and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float, UInt8

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
    """Mean with a 95 % percentile interval, by a bootstrap of tasks crossed with seeds.

    Each draw resamples the tasks, each with all its values (a task that was tested in several splits counts with the
    average of its cells: a cluster bootstrap), and the seeds, the same ones for all drawn tasks. With one seed it
    resamples tasks alone.

    Crossed resampling is for a FULL matrix. In one that is nearly empty it would count the variance of a cell three
    times (Owen 2007): an incomplete matrix is averaged over the seeds beforehand (`matrix`).

    Args:
        values: a row per seed and a column per task, without NaN.
        seed: of the resampling.
        draws: number of resamples.

    Returns:
        mean, low, high, in the unit of ``values``. All NaN without any value; low and high NaN with fewer than two
        tasks.

    Reference:
        Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007; for the weights of seeds Rao and Wu,
        Resampling inference with complex survey data, Journal of the American Statistical Association 1988.
    """
    (found,) = bootstraps([values], seed, draws)
    return found


def bootstraps(
    several: Sequence[Float[np.ndarray, "S N"]], seed: int = 0, draws: int = 2000
) -> list[tuple[float, float, float]]:
    """`bootstrap` of each of several methods or metrics: the same numbers, those of one shape resampled at once."""
    alone = {at: values for at, values in enumerate(several) if values.size and values.shape[1] > 1}
    ends: dict[int, tuple[float, float]] = {}
    for shape in dict.fromkeys(values.shape for values in alone.values()):
        alike = [at for at, values in alone.items() if values.shape == shape]
        stacked = np.stack([alone[at] for at in alike])  # [M, S, N]
        means = np.concatenate([_resample(stacked, *chunk) for chunk in _resampled(seed, draws, *shape)])
        lo, hi = np.quantile(means, [LEVEL / 2, 1 - LEVEL / 2], axis=0)
        ends |= dict(zip(alike, zip(lo.tolist(), hi.tolist(), strict=True), strict=True))
    nan = (float("nan"), float("nan"))
    return [(mean_of(values), *ends.get(at, nan)) for at, values in enumerate(several)]


def _resample(
    values: Float[np.ndarray, "M S N"], weight: Float[np.ndarray, "r S"], times: UInt8[np.ndarray, "r N"]
) -> Float[np.ndarray, "r M"]:
    """The mean of each of M matrices in each resample. By products, many times as fast as by indexing."""
    _, seeds, tasks = values.shape
    drawn = times.astype(float)
    of_seed = (drawn @ values[:, at].T * weight[:, at, None] for at in range(seeds))
    return sum(of_seed) / (seeds * tasks)


@lru_cache(maxsize=16)
def _resampled(
    seed: int, draws: int, seeds: int, tasks: int
) -> list[tuple[Float[np.ndarray, "r S"], UInt8[np.ndarray, "r N"]]]:
    """Draw resamples in chunks: the weight of each seed, and the count of each task.

    Cached for all shapes of a table: metrics that are undefined for some tasks have shapes of their own. Counts are
    bytes, which is enough: a task is drawn once on average.
    """
    rng = np.random.default_rng(seed)
    chunks, chunk = [], max(1, AT_ONCE // tasks)
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        times = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size)
        # Drawing S of S seeds understates how much they vary, by (S - 1) / S: half of it with two.
        weight = 1 + np.sqrt(seeds / max(1, seeds - 1)) * (times - 1.0)
        drawn = rng.integers(0, tasks, (size, tasks)) + tasks * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * tasks).reshape(size, tasks)
        chunks.append((weight, counts.astype(np.uint8)))
    return chunks
