"""From task scores to intervals, tests and a verdict. On the host; reads no training code.

The table of task scores is a polars frame, one row per (scenario, method, seed, shots, task): the columns `KEYS` and
``n_query``, then one Float64 column per metric, NaN or null where it is undefined or where the method does not predict
what the metric reads. ``method`` is "model" or a baseline's name; ``seed`` is null for methods without one.

Tests are of tasks, given the seeds that were run: a difference is first averaged over the seeds (and over the splits in
which a task appears), so that a user counts once, however often the experiment was repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats

KEYS = ("scenario", "method", "seed", "shots", "task")
"""What identifies a row of the task scores."""

LEVEL = 0.05
"""The error rate of tests and intervals."""

POWER = 0.8
"""The power at which a difference is called detectable."""

SMALL = 0.2
"""Cohen's bound below which an effect is less than small."""


class Comparison(NamedTuple):
    """A paired comparison over units (tasks).

    Attributes:
        mean: mean difference, in the metric's units; NaN without units.
        lo, hi: 95 % bootstrap interval of the mean; NaN with fewer than two units.
        p: two-sided, of the paired t-test; 1 with fewer than two units: then nothing was tested.
        n: how many units.
        effect_size: Cohen's dz, the mean over the standard deviation of the differences; NaN with fewer than two units.
        detectable: the smallest mean difference that the test finds with 80 % power; NaN with fewer than two units.
    """

    mean: float
    lo: float
    hi: float
    p: float
    n: int
    effect_size: float
    detectable: float


def bootstrap(values: Float[np.ndarray, "S N"], seed: int = 0, draws: int = 2000) -> tuple[float, float, float]:
    """Mean, and its 95 % percentile interval by a bootstrap of seeds and, crossed with them, tasks.

    Each draw resamples the seeds, then the tasks, the same tasks for all drawn seeds. With one seed it resamples tasks
    alone. With few seeds that differ much, percentile intervals are too narrow: five seeds are better than two.

    Args:
        values: a row per seed and a column per task; NaN cells are ignored.
        seed: of the resampling.
        draws: how many resamples.

    Returns:
        mean, low, high. All NaN without any value; low and high NaN with values for fewer than two tasks.

    Reference:
        Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007.
    """
    known = ~np.isnan(values)
    values, known = (part[known.any(axis=1)][:, known.any(axis=0)] for part in (values, known))
    if not values.size:
        return float("nan"), float("nan"), float("nan")
    filled = np.where(known, values, 0.0)
    seeds, tasks = values.shape
    mean = float(filled.sum() / known.sum())
    if tasks < 2:
        return mean, float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means, chunk = [], max(1, 2_000_000 // tasks)  # chunks bound the memory: a draw holds an index per task
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        times = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size).astype(float)
        drawn = rng.integers(0, tasks, (size, tasks))
        total = np.take_along_axis(times @ filled, drawn, axis=1).sum(axis=1)
        count = np.take_along_axis(times @ known, drawn, axis=1).sum(axis=1)
        means.append(total[count > 0] / count[count > 0])
    lo, hi = np.quantile(np.concatenate(means), [LEVEL / 2, 1 - LEVEL / 2])
    return mean, float(lo), float(hi)


def paired(difference: Float[np.ndarray, "N"]) -> Comparison:
    """Paired t-test, bootstrap interval, effect size and detectable difference.

    Args:
        difference: one per unit (`differences`), in the metric's units; NaN units are left out.

    Returns:
        The comparison. Without any spread, p is 1 where all differences are 0, and 0 otherwise.
    """
    difference = difference[~np.isnan(difference)]
    n = len(difference)
    mean, lo, hi = bootstrap(difference[None, :])
    if n < 2:
        return Comparison(mean, lo, hi, 1.0, n, float("nan"), float("nan"))
    # Up to rounding: a t-test divides by the spread.
    if np.ptp(difference) <= 1e-12 * np.abs(difference).max():
        same = mean == 0
        return Comparison(mean, lo, hi, 1.0 if same else 0.0, n, 0.0 if same else float(np.copysign(np.inf, mean)), 0.0)
    deviation = float(difference.std(ddof=1))
    test: Any = stats.ttest_1samp(difference, 0.0)
    reach = stats.t.ppf(1 - LEVEL / 2, n - 1) + stats.t.ppf(POWER, n - 1)
    return Comparison(mean, lo, hi, float(test.pvalue), n, mean / deviation, float(reach * deviation / np.sqrt(n)))


def holm(p: Sequence[float] | Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
    """p-values corrected for how many there are, by Holm's step-down procedure.

    >>> holm([0.02, 0.021, 0.04]).round(3).tolist()
    [0.06, 0.06, 0.06]

    Args:
        p: p-values of one family of tests, each in [0, 1].

    Returns:
        Corrected p-values in the same order: rejecting those below a level keeps the family's error rate below it.

    Reference:
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def metric_names(frame: pl.DataFrame) -> list[str]:
    """The metric columns of a frame of task scores, in their order."""
    return [name for name, kind in frame.schema.items() if name not in (*KEYS, "n_query") and kind.is_float()]


def matrix(frame: pl.DataFrame, metric: str, over: str = "seed") -> Float[np.ndarray, "S N"]:
    """Task scores of ONE method as a matrix: a row per value of ``over``, a column per task, NaN where there is none.

    Args:
        frame: task scores of one scenario, method and number of shots.
        metric: a metric column.
        over: the column that makes the rows; cells that several rows of the frame fall into are averaged.

    Returns:
        Values in the metric's units.
    """
    if frame.is_empty():
        return np.empty((0, 0))
    wide = frame.with_columns(_value(metric)).pivot(
        on=over, index="task", values=metric, aggregate_function="mean", sort_columns=True
    )
    return wide.sort("task").drop("task").cast(pl.Float64).fill_null(float("nan")).to_numpy().T


def differences(
    frame: pl.DataFrame, reference: pl.DataFrame, metric: str, over: Sequence[str] = ()
) -> Float[np.ndarray, "N"]:
    """One difference per task between two methods, over the tasks for which both have a value.

    Args:
        frame: task scores of one method, in one scenario, at one number of shots.
        reference: of the other.
        metric: a metric column.
        over: columns that must be equal within a pair besides the task ("split"). Scores are averaged over seeds, then
            paired, then the differences are averaged over ``over``.

    Returns:
        frame minus reference, in the metric's units, in the order of task ids.
    """
    keys = ["task", *over]
    left, right = (side.group_by(keys).agg(_value(metric).mean()).drop_nulls(metric) for side in (frame, reference))
    pairs = left.join(right, on=keys, suffix=" of reference")
    # Sorted: polars groups in no fixed order, and a sum of floats depends on it.
    pairs = pairs.sort(keys).group_by("task", maintain_order=True)
    return pairs.agg((pl.col(metric) - pl.col(f"{metric} of reference")).mean())[metric].to_numpy()


def summarise(frame: pl.DataFrame, shots: int) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Mean and interval of every metric, for every scenario and method, at one number of shots.

    Args:
        frame: task scores.
        shots: the headline support size.

    Returns:
        ``{scenario: {method: {metric: {"mean", "ci95": [lo, hi], "tasks", "seeds"}}}}``, ready for JSON: None where
        there is no number. "seeds" is 0 for methods without one.

    Raises:
        ValueError: no row has that many shots, or two rows are about the same.
    """
    frame = _at(frame, shots)
    return {
        scenario: {
            method: {metric: _cell(scores, metric) for metric in metric_names(frame)}
            for method, scores in _parts(of_scenario, "method")
        }
        for scenario, of_scenario in _parts(frame, "scenario")
    }


def verdict(frame: pl.DataFrame, metric: str, goal: str, shots: int) -> dict[str, dict[str, Any]]:
    """Whether the model beats the best baseline, in numbers and in words.

    The best baseline is the one with the best mean. As it is chosen on the tasks that it is then compared on, the
    comparison is, if anything, hard on the model.

    Args:
        frame: task scores.
        metric: a metric column.
        goal: "min" or "max".
        shots: the headline support size.

    Returns:
        ``{scenario: {"best_baseline", "difference", "ci95", "p", "text"}}``, ready for JSON: None where there is no
        number. ``difference`` is model minus baseline. A scenario without a model is left out.

    Raises:
        ValueError: no row has that many shots, or two rows are about the same.
    """
    return {
        scenario: _verdict(dict(_parts(of_scenario, "method")), metric, goal)
        for scenario, of_scenario in _parts(_at(frame, shots), "scenario")
        if "model" in of_scenario["method"]
    }


def _verdict(scores: dict[str, pl.DataFrame], metric: str, goal: str) -> dict[str, Any]:
    """The verdict of one scenario, from the scores of its methods."""
    baselines = {name: part for name, part in scores.items() if name != "model"}
    best = best_of({name: bootstrap(matrix(part, metric), draws=1)[0] for name, part in baselines.items()}, goal)
    if best is None:
        text = f"the table has no baseline with {metric.upper()}: no verdict is possible"
        return {"best_baseline": None, "difference": None, "ci95": [None, None], "p": None, "text": text}
    comparison = paired(differences(scores["model"], baselines[best], metric))
    missing = _tasks(baselines[best], metric) - comparison.n
    return {
        "best_baseline": best,
        "difference": _plain(comparison.mean),
        "ci95": [_plain(comparison.lo), _plain(comparison.hi)],
        "p": comparison.p if comparison.n > 1 else None,
        "text": wording(comparison, best, metric, goal)
        + (f"; tasks with {best} but not the model: {missing}" if missing else ""),
    }


def best_of(means: Mapping[str, float], goal: str) -> str | None:
    """The name with the best mean, the first of equals; None where all are NaN.

    >>> best_of({"a": 1.0, "b": float("nan"), "c": 0.5}, "min")
    'c'
    """
    known = {name: value for name, value in means.items() if not np.isnan(value)}
    return (min if goal == "min" else max)(known, key=known.__getitem__) if known else None


def wording(
    comparison: Comparison, reference: str, metric: str, goal: str, p: float | None = None, family: int = 1
) -> str:
    """A comparison in plain words; a weak result is said to be weak.

    Args:
        comparison: method minus reference.
        reference: the reference's name.
        metric: the metric's name.
        goal: "min" or "max".
        p: corrected p-value; None for the comparison's own.
        family: how many comparisons p was corrected for.

    Returns:
        One line without a full stop.
    """
    p = comparison.p if p is None else p
    if comparison.n < 2:
        return f"not compared with {reference}: a test needs two tasks in common, there is {comparison.n or 'none'}"
    kind = "p" if family == 1 else f"p (Holm over {family})"
    chance = f"{kind} < 0.001" if p < 0.001 else f"{kind} = {p:.3f}"
    interval = f"95 % interval {number(comparison.lo)} … {number(comparison.hi)}, {chance}"
    if not p < LEVEL:
        return (
            f"not distinguishable from {reference} (difference {number(comparison.mean)} {metric.upper()}, {interval}; "
            f"with {comparison.n} tasks, only {number(comparison.detectable)} or more is likely to show)"
        )
    side = "below" if comparison.mean < 0 else "above"
    better = "better" if (comparison.mean < 0) == (goal == "min") else "worse"
    small = f", but by little (dz = {number(comparison.effect_size)})" if abs(comparison.effect_size) < SMALL else ""
    return f"{side} {reference} by {number(abs(comparison.mean))} {metric.upper()} ({interval}): {better}{small}"


def number(value: float | None) -> str:
    """A number in text: three decimals, two digits if it is smaller, a dash if there is none.

    >>> number(0.76661), number(0.00012), number(None)
    ('0.767', '0.00012', '-')
    """
    if value is None or np.isnan(value):
        return "-"
    size = abs(value)
    digits = f"{size:.3f}" if size == 0 or size >= 0.001 else f"{size:.2g}"
    return f"\N{MINUS SIGN}{digits}" if value < 0 else digits


def _cell(scores: pl.DataFrame, metric: str) -> dict[str, Any]:
    """One cell of the summary."""
    mean, lo, hi = bootstrap(matrix(scores, metric))
    return {
        "mean": _plain(mean),
        "ci95": [_plain(lo), _plain(hi)],
        "tasks": _tasks(scores, metric),
        "seeds": scores["seed"].drop_nulls().n_unique(),
    }


def _at(frame: pl.DataFrame, shots: int) -> pl.DataFrame:
    """The rows at that many shots, each of which must be about something else."""
    chosen = frame.filter(pl.col("shots") == shots)
    if chosen.is_empty():
        raise ValueError(f"no task scores at {shots} shots; there are {sorted(frame['shots'].unique().to_list())}")
    if (double := chosen.filter(chosen.select(KEYS).is_duplicated())).height:
        raise ValueError(f"{double.height} task scores are about the same; the first: {double.row(0, named=True)}")
    return chosen


def _parts(frame: pl.DataFrame, column: str) -> list[tuple[str, pl.DataFrame]]:
    """The frame by the values of a column, in their order of appearance."""
    return [(name, part) for (name,), part in frame.group_by(column, maintain_order=True)]


def _tasks(scores: pl.DataFrame, metric: str) -> int:
    """How many tasks have a value."""
    return scores.select("task", _value(metric)).drop_nulls(metric)["task"].n_unique()


def _value(metric: str) -> pl.Expr:
    """A metric column with null for NaN: polars' means skip nulls only."""
    return pl.col(metric).fill_nan(None)


def _plain(value: float) -> float | None:
    """A number as JSON knows it: None for NaN."""
    return None if np.isnan(value) else float(value)
