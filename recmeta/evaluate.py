"""Adapt on the support, score the query, keep one row per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from recmeta.metrics import Metric, oracle, query_view, random_floor
from recmeta.types import Baseline, Batch, DataSpec, Learner, Objective, Params, Problem, Support

TASKS_AT_ONCE = 64
"""Tasks adapted together; more are taken in turns inside the program: memory does not grow with their number."""


Scored = Callable[["Predictions", Batch], dict[str, Array]]
"""Each metric of each task, for the predictions of one method and one seed at all support sizes."""


class Predictions(NamedTuple):
    """Query scores of many tasks, and the labels they stand for (within the label range)."""

    score: Float[Array, "... T n"]
    label: Float[Array, "... T n"]


def shown(support: Support, shots: int | Array) -> Support:
    """The support's first ``shots`` rows: supports of different size are nested."""
    return support._replace(mask=support.mask & (jnp.arange(support.mask.shape[-1]) < shots))


def _per_task(function: Callable, batch: Batch, *more: Array) -> Array:
    """Map a function of one task over a batch, a block of tasks at a time."""
    tasks = len(batch.label)
    blocks = -(-tasks // TASKS_AT_ONCE)
    width = -(-tasks // blocks)

    def in_blocks(values: Array) -> Array:
        # Filled up with tasks that are there already: all blocks are of one size, and compiled once.
        full = jnp.concatenate([values, values[: blocks * width - tasks]])
        return full.reshape(blocks, width, *values.shape[1:])

    mapped = jax.lax.map(jax.vmap(lambda task: function(*task)), jax.tree.map(in_blocks, (batch.task, *more)))
    return mapped.reshape(blocks * width, *mapped.shape[2:])[:tasks]


def learner_predictions(
    learner: Learner,
    objective: Objective,
    spec: DataSpec,
    params: Params,
    batch: Batch,
    shots: Int[Array, "C"],
    depths: Int[Array, "D"],
) -> Predictions:
    """Predict a batch at several support sizes and adaptation depths.

    Args:
        learner, objective, spec: what predicts, and in which units.
        params: of one seed.
        batch: T tasks; their labels are not read.
        shots: support sizes.
        depths: numbers of adaptation steps.

    Returns:
        Predictions ``[C, D, T, n]``.
    """

    def one(task) -> Array:
        def at(shots: Array, depth: Array) -> Array:
            return learner.predict(learner.adapt(params, task.context, shown(task.support, shots), depth), task.query)

        # Depths in turns: each holds adapted parameters of its own.
        return jax.lax.map(lambda depth: jax.vmap(at, (0, None))(shots, depth), depths)

    score = jnp.transpose(_per_task(one, batch), (2, 1, 0, 3))
    return Predictions(score, jnp.clip(objective.predict(score), spec.low, spec.high))


def baseline_predictions(
    baseline: Baseline,
    state: PyTree,
    settings: Mapping[str, Float[Array, "C"] | Float[Array, ""]],
    key: PRNGKeyArray,
    spec: DataSpec,
    batch: Batch,
    shots: Int[Array, "C"],
) -> Predictions:
    """Predict a batch at several support sizes by a closed-form method.

    Args:
        baseline, state: what predicts, fitted.
        settings: the value of each setting at each support size, or the one for all of them: what depends on nothing
            else is then worked out once per task.
        key: randomness.
        spec, batch, shots: as for `learner_predictions`.

    Returns:
        Predictions ``[C, T, n]``; labels are NaN where the baseline only ranks.
    """

    def one(task, key: PRNGKeyArray) -> Array:
        def at(shots: Array, settings: Mapping[str, Array]) -> Array:
            return baseline.predict(state, settings, key, task.context, shown(task.support, shots), task.query)

        return jax.vmap(at, (0, {name: 0 if jnp.ndim(value) else None for name, value in settings.items()}))(
            shots, settings
        )

    score = jnp.moveaxis(_per_task(one, batch, jax.random.split(key, len(batch.label))), 0, 1)
    rated = score if baseline.rates else jnp.full_like(score, jnp.nan)
    return Predictions(score, jnp.clip(rated, spec.low, spec.high))


def measure(
    metrics: Sequence[Metric], spec: DataSpec, predictions: Predictions, batch: Batch
) -> dict[str, Float[Array, "... T"]]:
    """Each metric of each task, for predictions with any leading axes. This is where query labels are read."""
    leading = predictions.score.shape[:-2]
    flat = jax.tree.map(lambda values: values.reshape(-1, *values.shape[-2:]), predictions)

    def one(scored: Predictions, label: Array, mask: Array) -> dict[str, Array]:
        view = query_view(scored.score, scored.label, label, mask, like=spec.like, low=spec.low, high=spec.high)
        return {metric.name: metric.of(view) for metric in metrics}

    measured = jax.vmap(jax.vmap(one), (0, None, None))(flat, batch.label, batch.task.query.mask)
    return jax.tree.map(lambda values: values.reshape(*leading, -1), measured)


class Bounds(NamedTuple):
    """What a random order of a task's candidates scores in expectation, and what its own labels score."""

    floor: Float[Array, "T"]
    oracle: Float[Array, "T"]


def bounds(metrics: Sequence[Metric], spec: DataSpec, batch: Batch) -> dict[str, Bounds]:
    """The room that each task leaves to each metric; the floor of one that reads predictions is NaN."""

    def one(label: Array, mask: Array) -> dict[str, Bounds]:
        view = query_view(label, label, label, mask, like=spec.like, low=spec.low, high=spec.high)
        nothing = jnp.full((), jnp.nan)
        return {
            metric.name: Bounds(
                random_floor(metric, view) if metric.reads == "score" else nothing,
                oracle(metric, view),
            )
            for metric in metrics
        }

    return jax.jit(jax.vmap(one))(batch.label, batch.task.query.mask)


def mean_over_tasks(values: Float[Array, "S ... T n"], batch: Batch) -> Float[Array, "..."]:
    """The mean over a task's query rows, then over tasks and seeds."""
    mask = batch.task.query.mask
    return (jnp.where(mask, values, 0).sum(-1) / mask.sum(-1)).mean((0, -1))


def task_scores(
    scores: Mapping[str, Float[np.ndarray, "S C T"]],
    *,
    scenario: str,
    method: str,
    seeds: Sequence[int | None],
    shots: Sequence[int],
    tasks: Sequence[str],
    queries: Sequence[int],
) -> pl.DataFrame:
    """Lay scores out as one row per (seed, shots, task) and a column per metric."""
    shape = (len(seeds), len(shots), len(tasks))
    seed, shot, task = (axis.ravel() for axis in np.indices(shape))
    columns = {
        "scenario": pl.Series([scenario] * len(seed), dtype=pl.String),
        "method": pl.Series([method] * len(seed), dtype=pl.String),
        "seed": pl.Series([seeds[i] for i in seed], dtype=pl.Int64),
        "shots": pl.Series([shots[i] for i in shot], dtype=pl.Int64),
        "task": pl.Series([tasks[i] for i in task], dtype=pl.String),
        "n_query": pl.Series([queries[i] for i in task], dtype=pl.Int64),
    }
    values = {name: np.asarray(score, np.float64).reshape(shape).ravel() for name, score in scores.items()}
    return pl.DataFrame(columns | values)


def make_scored(metrics: Sequence[Metric], spec: DataSpec) -> Scored:
    """Compile-ready `measure`. One program serves every method and seed: made once, and passed to all."""
    return jax.jit(partial(measure, metrics, spec))


def evaluate_learner(
    learner: Learner, objective: Objective, problem: Problem, params: Params, seeds: Sequence[int], scored: Scored
) -> tuple[pl.DataFrame, dict[str, dict]]:
    """Test a learner at all support sizes and all depths, on each scenario.

    Args:
        learner, objective, problem: what is tested, on what.
        params: with a leading seeds axis.
        seeds: the seeds, in that axis' order.
        scored: from `make_scored`.

    Returns:
        The task scores at full depth, and per scenario the adaptation report of DESIGN section 5.
    """
    spec, shots = problem.spec, jnp.array(problem.shots)
    depths = jnp.arange(learner.steps + 1)

    @jax.jit
    def test(params: Params, batch: Batch):
        predict = partial(learner_predictions, learner, objective, spec)
        predictions = jax.vmap(predict, (0, None, None, None))(params, batch, shots, depths)
        full = jax.tree.map(lambda values: values[:, :, -1], predictions)
        error = mean_over_tasks(jnp.abs(predictions.label - batch.label), batch)
        change = mean_over_tasks(jnp.abs(full.label - predictions.label[:, :, 0]), batch)
        return full, error, change

    frames, reports = [], {}
    for scenario, batch in problem.test.items():
        full, error, change = test(params, batch)
        each = [scored(jax.tree.map(lambda values, at=at: values[at], full), batch) for at in range(len(seeds))]
        scores = jax.tree.map(lambda *values: np.stack(values), *jax.device_get(each))
        frames.append(
            task_scores(
                scores, scenario=scenario, method="model", seeds=seeds, shots=problem.shots,
                tasks=problem.names[scenario], queries=np.asarray(batch.task.query.mask.sum(1)).tolist(),
            )
        )  # fmt: skip
        moved = float(change[problem.shots.index(problem.headline)])
        reports[scenario] = {
            "shots": list(problem.shots),
            "steps": depths.tolist(),
            "mae": error.astype(float).tolist(),
            "mean_abs_change": moved,
            "no_op": learner.steps > 0 and moved < NO_OP * (spec.high - spec.low),
        }
    return pl.concat(frames), reports


NO_OP = 0.001 / 4
"""An inner loop that moves predictions by less than this share of the label range (0.001 star of 1 to 5) is idle."""


class Tuned(NamedTuple):
    """A fitted baseline, and what was chosen on meta-validation.

    Attributes:
        baseline, state: the method, fitted.
        settings: the value of each setting at each of the problem's support sizes ``[C]``.
        tried: how many combinations of settings.
        by: the metric that chose; None where there was nothing to choose.
    """

    baseline: Baseline
    state: PyTree
    settings: Mapping[str, Float[np.ndarray, "C"]]
    tried: int
    by: str | None


def tune_baselines(
    baselines: Mapping[str, Baseline], problem: Problem, metrics: Sequence[Metric], metric: Metric
) -> dict[str, Tuned]:
    """Fit baselines on meta-train, and choose their settings on meta-validation at each support size.

    Args:
        baselines: by name.
        problem: what to fit to.
        metrics: all that are measured.
        metric: the one that chooses. For a baseline that only ranks, while this one reads labels, it is the first of
            ``metrics`` that reads rankings; where there is none, the first combination is taken.
    """
    ranking = next((each for each in metrics if each.reads == "score"), None)

    def tune(baseline: Baseline) -> Tuned:
        state = baseline.fit(problem)
        by = metric if baseline.rates or metric.reads == "score" else ranking
        names = list(baseline.grid)
        combinations = np.array(list(product(*baseline.grid.values())), np.float32)
        if len(combinations) == 1 or by is None:
            chosen = combinations[np.zeros(len(problem.shots), int)]
        else:
            values = _try(baseline, state, names, combinations, problem, by)
            chosen = combinations[np.nanargmin(values if by.goal == "min" else -values, axis=0)]
        settings = dict(zip(names, chosen.T, strict=True))
        return Tuned(baseline, state, settings, len(combinations), by.name if names and by else None)

    return {name: tune(baseline) for name, baseline in baselines.items()}


def _try(
    baseline: Baseline, state: PyTree, names: Sequence[str], combinations: np.ndarray, problem: Problem, by: Metric
) -> Float[np.ndarray, "G C"]:
    """The mean of a metric over meta-validation, for each combination of settings at each support size."""
    shots, validation = jnp.array(problem.shots), problem.validation

    @jax.jit
    def values(state: PyTree, combinations: Array, validation: Batch) -> Array:
        def value(combination: Array) -> Array:
            settings = dict(zip(names, combination, strict=True))
            key = jax.random.key(0)
            predictions = baseline_predictions(baseline, state, settings, key, problem.spec, validation, shots)
            return jnp.nanmean(measure([by], problem.spec, predictions, validation)[by.name], axis=-1)

        return jax.lax.map(value, combinations)

    return np.asarray(values(state, jnp.asarray(combinations), validation))


def evaluate_baselines(tuned: Mapping[str, Tuned], problem: Problem, key: PRNGKeyArray, scored: Scored) -> pl.DataFrame:
    """Test fitted baselines at all support sizes, on each scenario."""
    spec, shots = problem.spec, jnp.array(problem.shots)
    fitted = {name: (each.state, each.settings) for name, each in tuned.items()}

    @jax.jit
    def test(
        fitted: Mapping[str, tuple[PyTree, Mapping[str, Array]]], key: PRNGKeyArray, batch: Batch
    ) -> dict[str, Predictions]:
        return {
            name: baseline_predictions(each.baseline, *fitted[name], key, spec, batch, shots)
            for name, each in tuned.items()
        }

    frames = []
    for scenario, batch in problem.test.items():
        predictions = test(fitted, key, batch)
        # A dict comes out of a compiled function with its keys sorted; the table keeps the order asked for.
        for name in tuned:
            scores = jax.device_get(scored(predictions[name], batch))
            frames.append(
                task_scores(
                    {metric: values[None] for metric, values in scores.items()}, scenario=scenario, method=name,
                    seeds=[None], shots=problem.shots, tasks=problem.names[scenario],
                    queries=np.asarray(batch.task.query.mask.sum(1)).tolist(),
                )
            )  # fmt: skip
    return pl.concat(frames)


def settings_report(tuned: Mapping[str, Tuned], shots: Sequence[int]) -> dict[str, dict]:
    """What was chosen for each baseline that has settings: the number tried, the metric, and the values by shots."""
    return {
        name: {
            "tried": each.tried,
            "by": each.by,
            "shots": list(shots),
            **{setting: np.asarray(values, float).tolist() for setting, values in each.settings.items()},
        }
        for name, each in tuned.items()
        if each.settings
    }
