"""Adapt on the support, score the query: learners and baselines, on every scenario, at every support size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from recmeta.measure import Predictions, Scored, mean_over_tasks, per_task, rank, task_scores
from recmeta.metrics import Metric
from recmeta.types import Baseline, Batch, DataSpec, Learner, Objective, Params, Problem, Query, Support, Task

NO_OP = 0.001 / 4
"""An inner loop that moves predictions by less than this share of the label range (0.001 star of 1 to 5) is idle."""


def shown(support: Support, shots: int | Array) -> Support:
    """The support's first ``shots`` rows: supports of different size are nested."""
    return support._replace(mask=support.mask & (jnp.arange(support.mask.shape[-1]) < shots))


def learner_scores(
    learner: Learner, params: Params, shots: Int[Array, "C"], task: Task, query: Query, depth: Array | None = None
) -> Float[Array, "C n"]:
    """Score rows for one task, adapted to at several support sizes."""

    def at(shots: Array) -> Array:
        return learner.predict(learner.adapt(params, task.context, shown(task.support, shots), depth), query)

    return jax.vmap(at)(shots)


def baseline_scores(
    baseline: Baseline,
    state: PyTree,
    settings: Mapping[str, Float[Array, "C"] | Float[Array, ""]],
    shots: Int[Array, "C"],
    task: Task,
    query: Query,
    key: PRNGKeyArray,
) -> Float[Array, "C n"]:
    """Score rows for one task by a closed-form method, at several support sizes."""

    def at(shots: Array, settings: Mapping[str, Array]) -> Array:
        return baseline.predict(state, settings, key, task.context, shown(task.support, shots), query)

    return jax.vmap(at, (0, {name: 0 if jnp.ndim(value) else None for name, value in settings.items()}))(
        shots, settings
    )


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

    def one(task: Task) -> Array:
        # Depths in turns: each holds adapted parameters of its own.
        return jax.lax.map(partial(learner_scores, learner, params, shots, task, task.query), depths)

    score = jnp.transpose(per_task(one, batch), (2, 1, 0, 3))
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

    def one(task: Task, key: PRNGKeyArray) -> Array:
        return baseline_scores(baseline, state, settings, shots, task, task.query, key)

    score = jnp.moveaxis(per_task(one, batch, jax.random.split(key, len(batch.label))), 0, 1)
    rated = score if baseline.rates else jnp.full_like(score, jnp.nan)
    return Predictions(score, jnp.clip(rated, spec.low, spec.high))


def evaluate_learner(
    learner: Learner,
    objective: Objective,
    problem: Problem,
    params: Params,
    seeds: Sequence[int],
    metrics: Sequence[Metric],
    scored: Scored,
) -> tuple[pl.DataFrame, dict[str, dict]]:
    """Test a learner at all support sizes and all depths, on each scenario.

    Args:
        learner, objective, problem: what is tested, on what.
        params: with a leading seeds axis.
        seeds: the seeds, in that axis' order.
        metrics: what is measured.
        scored: from `make_scored`, of the same metrics.

    Returns:
        The task scores at full depth, and per scenario the adaptation report of DESIGN section 5.
    """
    spec, shots = problem.spec, jnp.array(problem.shots)
    depths = jnp.arange(learner.steps + 1)
    ranking = [metric for metric in metrics if metric.reads == "score"]

    @jax.jit
    def test(params: Params, batch: Batch):
        predict = partial(learner_predictions, learner, objective, spec)
        predictions = jax.vmap(predict, (0, None, None, None))(params, batch, shots, depths)
        full = jax.tree.map(lambda values: values[:, :, -1], predictions)
        error = mean_over_tasks(jnp.abs(predictions.label - batch.label), batch)
        change = mean_over_tasks(jnp.abs(full.label - predictions.label[:, :, 0]), batch)
        return full, error, change

    @jax.jit
    def ranked(params: Params, batch: Batch, candidates, entities):
        score = partial(learner_scores, learner)
        # Seeds in turns: a catalogue is large.
        return jax.lax.map(
            lambda own: rank(ranking, spec, partial(score, own, shots), batch, candidates, entities), params
        )

    frames, reports = [], {}
    for scenario, batch in problem.test.items():
        full, error, change = test(params, batch)
        each = [scored(jax.tree.map(lambda values, at=at: values[at], full), batch) for at in range(len(seeds))]
        scores = jax.tree.map(lambda *values: np.stack(values), *jax.device_get(each))
        if ranking and scenario in problem.candidates:
            scores |= jax.device_get(ranked(params, batch, problem.candidates[scenario], problem.train.entities))
        frames.append(task_scores(scores, problem, scenario=scenario, method="model", seeds=seeds))
        moved = float(change[problem.shots.index(problem.headline)])
        reports[scenario] = {
            "shots": list(problem.shots),
            "steps": depths.tolist(),
            "mae": error.astype(float).tolist(),
            "mean_abs_change": moved,
            "no_op": learner.steps > 0 and moved < NO_OP * (spec.high - spec.low),
        }
    return pl.concat(frames), reports
