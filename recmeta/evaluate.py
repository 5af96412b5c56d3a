"""Adapt on the support, score the query, keep one row per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Float, Int, PRNGKeyArray

from recmeta.metrics import Metric
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
    baseline: Baseline, state, key: PRNGKeyArray, spec: DataSpec, batch: Batch, shots: Int[Array, "C"]
) -> Predictions:
    """Predict a batch at several support sizes by a closed-form method; for the arguments see `learner_predictions`."""

    def one(task, key: PRNGKeyArray) -> Array:
        def at(shots: Array) -> Array:
            return baseline.predict(state, key, task.context, shown(task.support, shots), task.query)

        return jax.vmap(at)(shots)

    score = jnp.moveaxis(_per_task(one, batch, jax.random.split(key, len(batch.label))), 0, 1)
    rated = score if baseline.rates else jnp.full_like(score, jnp.nan)
    return Predictions(score, jnp.clip(rated, spec.low, spec.high))


def measure(
    metrics: Sequence[Metric], spec: DataSpec, predictions: Predictions, batch: Batch
) -> dict[str, Float[Array, "... T"]]:
    """Each metric of each task, for predictions with any leading axes. This is where query labels are read."""
    leading = predictions.score.shape[:-2]
    flat = jax.tree.map(lambda values: values.reshape(-1, *values.shape[-2:]), predictions)

    def value(metric: Metric) -> Array:
        read = {"prediction": flat.label, "score": flat.score}[metric.reads]

        def one(values: Array, label: Array, mask: Array) -> Array:
            return metric.value(values, label, mask, spec.like)

        tasks = jax.vmap(jax.vmap(one), (0, None, None))(read, batch.label, batch.task.query.mask)
        return tasks.reshape(*leading, -1)

    return {metric.name: value(metric) for metric in metrics}


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


def evaluate_baselines(
    baselines: Mapping[str, Baseline], problem: Problem, key: PRNGKeyArray, scored: Scored
) -> pl.DataFrame:
    """Fit baselines on meta-train and meta-validation, and test them at all support sizes, on each scenario."""
    spec, shots = problem.spec, jnp.array(problem.shots)
    states = {name: baseline.fit(problem) for name, baseline in baselines.items()}

    @jax.jit
    def test(states, key: PRNGKeyArray, batch: Batch) -> dict[str, Predictions]:
        predict = partial(baseline_predictions, key=key, spec=spec, batch=batch, shots=shots)
        return {name: predict(baseline, states[name]) for name, baseline in baselines.items()}

    frames = []
    for scenario, batch in problem.test.items():
        predictions = test(states, key, batch)
        # A dict comes out of a compiled function with its keys sorted; the table keeps the order asked for.
        for name in baselines:
            scores = jax.device_get(scored(predictions[name], batch))
            frames.append(
                task_scores(
                    {metric: values[None] for metric, values in scores.items()}, scenario=scenario, method=name,
                    seeds=[None], shots=problem.shots, tasks=problem.names[scenario],
                    queries=np.asarray(batch.task.query.mask.sum(1)).tolist(),
                )
            )  # fmt: skip
    return pl.concat(frames)
