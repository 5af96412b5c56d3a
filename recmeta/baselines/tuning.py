"""Baselines: fitted on meta-train, their settings chosen on meta-validation, tested beside every learner."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from recmeta.baselines import blend
from recmeta.evaluation.calibration import Calibration, calibrate, calibrated
from recmeta.evaluation.predict import baseline_predictions, baseline_scores
from recmeta.evaluation.score import (
    Predictions,
    Scored,
    fold,
    jit_undefined,
    make_scored,
    rank,
    score_tasks,
    task_scores,
)
from recmeta.fitted.threads import workers
from recmeta.metrics import Metric
from recmeta.metrics.lists import Aggregate
from recmeta.types import Baseline, Batch, Candidates, Features, Problem, Query, Task


class Tuned(NamedTuple):
    """A fitted baseline, and its settings as meta-validation chose them.

    Attributes:
        baseline, state: the method, fitted.
        settings: the value of each setting at each of the problem's support sizes ``[C]``.
        tried: how many combinations of settings.
        by: the metric that chose; None where there was nothing to choose.
        seconds: that fitting and trying took, compiling included.
        calibration: from predictions to what metrics read; None: they read predictions as they are.
        validated: each metric's mean over meta-validation, at each support size.
    """

    baseline: Baseline
    state: PyTree
    settings: Mapping[str, Float[np.ndarray, "C"]]
    tried: int
    by: str | None
    seconds: float
    calibration: Calibration | None = None
    validated: Mapping[str, Float[np.ndarray, "C"]] = MappingProxyType({})


Tuning = Mapping[str, Tuned]
"""Tuned baselines by name."""


def tune_baselines(
    baselines: Mapping[str, Baseline],
    problem: Problem,
    metrics: Sequence[Metric],
    metric: Metric,
    *,
    calibrates: bool = True,
) -> dict[str, Tuned]:
    """Fit baselines on meta-train; choose their settings and fit their maps on meta-validation at each support size.

    Args:
        baselines: by name.
        problem: what to fit to.
        metrics: all that are measured.
        metric: the one that chooses. For a baseline that only ranks, while this one reads labels, it is the first of
            ``metrics`` that judges rankings; where there is none, or it is undefined, the first combination is taken.
        calibrates: whether to fit maps from predictions to what metrics read.
    """
    ranking = next((each for each in metrics if each.reads == "score" and not each.shows), None)
    key, scored = jax.random.key(0), make_scored(metrics, problem.spec)
    alone = {name: each for name, each in baselines.items() if not each.combines}
    tuned = {}
    # One thread each: of two cores that share the work on small matrices, both mostly wait.
    with workers() as pool:
        fits = _begin_fits(pool, alone, problem)
        for name, each in alone.items():
            state, seconds = fits[name].result()
            found = _tune(each, state, problem, metric, ranking)
            tuned[name] = found._replace(seconds=found.seconds + seconds)
    predictions = predict_baselines(tuned, problem, key, problem.validation)
    for name in baselines.keys() - alone.keys():
        tuned[name], predictions[name] = _blend(tuned, predictions, problem)
    calibrates = calibrates and any(each.reads == "prediction" for each in metrics)
    for name, each in tuned.items():
        if calibrates and each.baseline.rates:
            maps = calibrate(predictions[name], problem.validation, problem.spec)
            tuned[name] = each._replace(calibration=maps)
    ranked = rank_baselines(tuned, problem, key, metrics, "validation", problem.validation)
    for name, each in tuned.items():
        found = _scores(each, predictions[name], problem.validation, scored) | ranked.get(name, {})
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of none but NaN, the mean is that
            means = {of: np.nanmean(np.asarray(values, np.float64), axis=-1) for of, values in found.items()}
        tuned[name] = each._replace(validated=means)
    return {name: tuned[name] for name in baselines}


def _begin_fits(
    pool: ThreadPoolExecutor, baselines: Mapping[str, Baseline], problem: Problem
) -> dict[str, Future[tuple[PyTree, float]]]:
    """Begin to fit baselines beside each other: each one's state and seconds; those that share a fit have one state."""

    def fit(baseline: Baseline) -> tuple[PyTree, float]:
        begin = time.monotonic()
        return baseline.fit(problem), time.monotonic() - begin

    by_fit: dict[int, Future[tuple[PyTree, float]]] = {}
    for each in baselines.values():
        if id(each.fit) not in by_fit:
            by_fit[id(each.fit)] = pool.submit(fit, each)
    return {name: by_fit[id(each.fit)] for name, each in baselines.items()}


def _tune(baseline: Baseline, state: PyTree, problem: Problem, metric: Metric, ranking: Metric | None) -> Tuned:
    """Choose the settings of a fitted baseline; its seconds are those of trying."""
    begin = time.monotonic()
    by = metric if baseline.rates or metric.reads == "score" else ranking
    names = list(baseline.grid)
    combinations = np.array(list(product(*baseline.grid.values())), np.float32)
    if len(combinations) == 1 or by is None:
        chosen = combinations[np.zeros(len(problem.shots), int)]
    else:
        chosen = combinations[best(_try(baseline, state, problem, by), by)]
    settings = dict(zip(names, chosen.T, strict=True))
    seconds = time.monotonic() - begin
    return Tuned(baseline, state, settings, len(combinations), by.name if names and by else None, seconds)


def _blend(tuned: Tuning, predictions: Mapping[str, Predictions], problem: Problem) -> tuple[Tuned, Predictions]:
    """Combine all tuned baselines that predict labels: the weighted sum, and its predictions for meta-validation."""
    begin = time.monotonic()
    members = {name: each for name, each in tuned.items() if each.baseline.rates and not each.baseline.combines}
    scores = np.stack([np.asarray(predictions[name].score) for name in members])
    batch, spec = problem.validation, problem.spec
    weights, constant = blend.weigh(scores, np.asarray(batch.label), np.asarray(batch.task.query.mask))
    settings = {blend.CONSTANT: constant, **dict(zip(members, weights.T, strict=True))}
    for name, each in members.items():
        settings |= {f"{name}.{of}": values for of, values in each.settings.items()}
    settings = {name: np.asarray(values, np.float32) for name, values in settings.items()}
    total = blend.of_predictions(settings, {name: predictions[name].score for name in members})
    made = blend.combined({name: each.baseline for name, each in members.items()})
    states = {name: each.state for name, each in members.items()}
    found = Tuned(made, states, settings, 1, None, time.monotonic() - begin)
    return found, Predictions(total, jnp.clip(total, spec.low, spec.high))


def best(values: Float[np.ndarray, "G C"], by: Metric) -> Int[np.ndarray, "C"]:
    """The place of the best combination at each support size; the first where the metric is defined for no task."""
    worst = np.inf if by.goal == "min" else -np.inf
    known = np.where(np.isnan(values), worst, values)
    return np.argmin(known if by.goal == "min" else -known, axis=0)


def _try(baseline: Baseline, state: PyTree, problem: Problem, by: Metric) -> Float[np.ndarray, "G C"]:
    """The mean of a metric over meta-validation, for each combination of settings at each support size."""
    spec, shots = problem.spec, jnp.array(problem.shots)
    candidates = problem.candidates.get("validation") if by.reads == "score" else None
    many = len(shots) * math.prod(map(len, baseline.grid.values()))

    @jit_undefined
    def values(state: PyTree, validation: Batch, entities: Features) -> Array:
        keys = jax.random.split(jax.random.key(0), len(validation.label))

        def scores(task: Task, query: Query, key: PRNGKeyArray) -> Array:
            def at(settings: Mapping[str, Array]) -> Array:
                return baseline_scores(baseline, state, settings, shots, task, query, key)

            found = over_grid(at, baseline.grid)
            return found.reshape(-1, found.shape[-1])

        if candidates:
            found = rank([by], spec, scores, validation, candidates, entities, keys)[by.name]
        else:
            found = score_tasks(by, spec, scores, validation, keys, rates=baseline.rates, many=many)
        return jnp.nanmean(found, axis=-1).reshape(-1, len(shots))

    return np.asarray(values(state, problem.validation, problem.train.entities))


def over_grid(function: Callable[[Mapping[str, Array]], Array], grid: Mapping[str, Sequence[float]]) -> Array:
    """Call a function of settings at all combinations of a grid, the last setting varying fastest.

    Mapped over one setting at a time: what does not depend on a setting is worked out once for all of its values.

    Args:
        function: ``settings -> array [...]``.
        grid: setting -> its values.

    Returns:
        An array ``[values of the first setting, ..., values of the last, ...]``.
    """

    def at(*values: Array) -> Array:
        return function(dict(zip(grid, values, strict=True)))

    for place in reversed(range(len(grid))):
        at = jax.vmap(at, [0 if other == place else None for other in range(len(grid))])
    return at(*(jnp.asarray(values, jnp.float32) for values in grid.values()))


def predict_baselines(tuned: Tuning, problem: Problem, key: PRNGKeyArray, batch: Batch) -> dict[str, Predictions]:
    """Predict a batch by fitted baselines, at all support sizes; nothing is calibrated.

    Args:
        tuned: their settings.
        problem: its sizes.
        key: randomness.
        batch: T tasks; their labels are not read.
    """
    spec, shots = problem.spec, jnp.array(problem.shots)
    alone = {name: each for name, each in tuned.items() if not each.baseline.combines}

    @jit_undefined
    def predict(fitted: Mapping[str, tuple[PyTree, Mapping[str, Array]]], key: PRNGKeyArray, batch: Batch):
        return {
            name: baseline_predictions(each.baseline, *fitted[name], key, spec, batch, shots)
            for name, each in alone.items()
        }

    predictions = predict(_fitted(alone), key, batch)
    for name, each in tuned.items():
        if each.baseline.combines:
            # Of predictions that are there already: its members are not predicted by once more.
            total = blend.of_predictions(each.settings, {of: one.score for of, one in predictions.items()})
            predictions[name] = Predictions(total, jnp.clip(total, spec.low, spec.high))
    return predictions


def rank_baselines(
    tuned: Tuning, problem: Problem, key: PRNGKeyArray, metrics: Sequence[Metric], which: str, batch: Batch
) -> dict[str, dict[str, Array]]:
    """Each ranking metric of each task among a catalogue ``[C, T]``; empty where query rows alone are ranked.

    Args:
        tuned, problem, key: as for `predict_baselines`.
        metrics: any.
        which, batch: the scenario, or "validation", and its tasks.
    """
    ranking, shots = [metric for metric in metrics if metric.reads == "score"], jnp.array(problem.shots)
    if not ranking or which not in problem.candidates:
        return {}

    @jit_undefined
    def ranked(fitted, key: PRNGKeyArray, batch: Batch, candidates: Candidates, entities: Features):
        keys = jax.random.split(key, len(batch.label))
        found = {}
        for name, each in tuned.items():
            score = partial(baseline_scores, each.baseline, *fitted[name], shots)
            found[name] = rank(ranking, problem.spec, score, batch, candidates, entities, keys)
        return found

    catalogue = problem.candidates[which], problem.train.entities
    return jax.device_get(ranked(_fitted(tuned), key, batch, *catalogue))


def _fitted(tuned: Tuning) -> dict[str, tuple[PyTree, Mapping[str, np.ndarray]]]:
    return {name: (each.state, each.settings) for name, each in tuned.items()}


def _scores(each: Tuned, predictions: Predictions, batch: Batch, scored: Scored) -> dict[str, Array]:
    """Each metric of each task ``[C, T]``, of calibrated predictions."""
    if each.calibration:
        predictions = calibrated(each.calibration, predictions)
    return jax.device_get(scored(predictions, batch))


def evaluate_baselines(
    tuned: Tuning, problem: Problem, key: PRNGKeyArray, metrics: Sequence[Metric], scored: Scored
) -> pl.DataFrame:
    """Test fitted baselines at all support sizes, on each scenario.

    Args:
        tuned: from `tune_baselines`.
        problem: what to test on.
        key: randomness.
        metrics: what is measured.
        scored: from `make_scored`, of the same metrics.
    """
    frames = []
    for scenario, batch in problem.test.items():
        predictions = predict_baselines(tuned, problem, key, batch)
        among = rank_baselines(tuned, problem, key, metrics, scenario, batch)
        # A dict comes out of a compiled function with its keys sorted; the table keeps the order asked for.
        for name, each in tuned.items():
            scores: Any = _scores(each, predictions[name], batch, scored) | among.get(name, {})
            one_seed = {metric: values[None] for metric, values in scores.items()}
            frames.append(task_scores(one_seed, problem, scenario=scenario, method=name, seeds=[None]))
    return pl.concat(frames)


def aggregate_baselines(
    tuned: Tuning, problem: Problem, key: PRNGKeyArray, aggregates: Sequence[Aggregate]
) -> dict[str, dict[str, dict[str, float]]]:
    """Each metric of all test tasks at once, by scenario, baseline and name, at the headline support size.

    Args:
        tuned, problem, key: as for `evaluate_baselines`.
        aggregates: what is measured.
    """
    place = [problem.shots.index(problem.headline)]
    fitted = {name: (each.state, {of: at[place] for of, at in each.settings.items()}) for name, each in tuned.items()}

    @jit_undefined
    def folded(fitted, key: PRNGKeyArray, batch: Batch, candidates: Candidates, entities: Features):
        keys, headline = jax.random.split(key, len(batch.label)), jnp.array([problem.headline])

        def of(name: str, each: Tuned) -> dict[str, Array]:
            scores = partial(baseline_scores, each.baseline, *fitted[name], headline)
            score = lambda task, query, key: scores(task, query, key)[0]  # noqa: E731
            return fold(aggregates, score, batch, candidates, entities, keys)

        return {name: of(name, each) for name, each in tuned.items()}

    return {
        scenario: jax.tree.map(float, jax.device_get(folded(fitted, key, batch, candidates, problem.train.entities)))
        for scenario, batch in problem.test.items()
        if aggregates and (candidates := problem.candidates.get(scenario))
    }


def settings_report(tuned: Tuning, shots: Sequence[int]) -> dict[str, dict]:
    """Report the settings chosen for each baseline that has settings, and the grid they were chosen from.

    The number tried, the metric, the seconds, the grid, and under its own name each setting's value by shots.
    """
    return {
        name: {
            "tried": each.tried,
            "by": each.by,
            "seconds": each.seconds,
            "grid": {setting: list(values) for setting, values in each.baseline.grid.items()},
            "shots": list(shots),
            # A blend has its members' settings too, which stand with these.
            **{of: np.asarray(values, float).tolist() for of, values in each.settings.items() if "." not in of},
        }
        for name, each in tuned.items()
        if each.settings
    }
