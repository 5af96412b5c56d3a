"""Adapt on the support, score the query: learners and baselines, on every scenario, at every support size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from recmeta.evaluation.calibration import Calibration, calibrate, calibrated
from recmeta.evaluation.score import (
    Predictions,
    Scored,
    fold,
    jit_undefined,
    mean_over_tasks,
    per_task,
    rank,
    task_scores,
)
from recmeta.metrics import Metric
from recmeta.metrics.lists import Aggregate
from recmeta.types import (
    Baseline,
    Batch,
    Candidates,
    Constants,
    DataSpec,
    Features,
    Learner,
    MakeLearner,
    Numbers,
    Objective,
    Params,
    Problem,
    Query,
    Support,
    Task,
)  # fmt: skip

Replicas = tuple[tuple[Params, Numbers], Constants]
"""Parameters and numbers of each, with a leading axis ``R``, and the constants of all."""

NO_OP = 0.001 / 4
"""An inner loop that moves predictions by less than this share of the label range (0.001 star of 1 to 5) is idle; of
scores that only rank, one that changes the order of fewer of the pairs."""


def first_shots(support: Support, shots: int | Array) -> Support:
    """The support's first ``shots`` rows: supports of different size are nested."""
    return support._replace(mask=support.mask & (jnp.arange(support.mask.shape[-1]) < shots))


def learner_scores(
    learner: Learner, params: Params, shots: Int[Array, "C"], task: Task, query: Query, depth: Array | None = None
) -> Float[Array, "C n"]:
    """Score rows for one task, adapted to at several support sizes."""
    return learner_outputs(learner, params, shots, task, query, depth)[0]


def learner_outputs(
    learner: Learner, params: Params, shots: Int[Array, "C"], task: Task, query: Query, depth: Array | None = None
) -> tuple[Float[Array, "C n"], Float[Array, "C n L"] | None]:
    """Score rows for one task, adapted to at several support sizes; with the log-shares of levels where it has some."""

    def at(shots: Array) -> tuple[Array, Array | None]:
        fast = learner.adapt(params, task.context, first_shots(task.support, shots), depth)
        return learner.predict(fast, query), learner.distribution and learner.distribution(fast, query)

    return jax.vmap(at)(shots)


def baseline_scores(
    baseline: Baseline,
    state: PyTree,
    settings: Mapping[str, Float[Array, "C"] | Float[Array, ""]],
    shots: Int[Array, "C"],
    task: Task,
    query: Query,
    key: PRNGKeyArray,
    of: Callable[..., Array] | None = None,
) -> Float[Array, "C n *L"]:
    """Score rows for one task by a closed-form method, at several support sizes; or call ``of`` on the same."""

    def at(shots: Array, settings: Mapping[str, Array]) -> Array:
        return (of or baseline.predict)(state, settings, key, task.context, first_shots(task.support, shots), query)

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
        Predictions ``[C, D, T, n]``; labels are NaN where scores only rank.
    """

    def one(task: Task) -> tuple[Array, Array | None]:
        # Depths in turns: each holds adapted parameters of its own.
        return jax.lax.map(partial(learner_outputs, learner, params, shots, task, task.query), depths)

    score, log_shares = jax.tree.map(lambda values: jnp.moveaxis(values, (2, 1, 0), (0, 1, 2)), per_task(one, batch))
    rated = objective.predict(score) if objective.rates else jnp.full_like(score, jnp.nan)
    if objective.distribution and log_shares is None and "objective" not in learner.ignores:
        log_shares = objective.distribution(score)
    return Predictions(score, jnp.clip(rated, spec.low, spec.high), log_shares=log_shares)


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

    def one(task: Task, key: PRNGKeyArray) -> tuple[Array, Array | None]:
        more = (baseline, state, settings, shots, task, task.query, key)
        if baseline.distribution is None or not spec.discrete:
            return baseline_scores(*more), None
        return baseline_scores(*more), baseline_scores(*more, of=baseline.distribution)

    found = per_task(one, batch, jax.random.split(key, len(batch.label)))
    score, log_shares = jax.tree.map(lambda values: jnp.moveaxis(values, 0, 1), found)
    rated = score if baseline.rates else jnp.full_like(score, jnp.nan)
    return Predictions(score, jnp.clip(rated, spec.low, spec.high), log_shares=log_shares)


class TestResult(NamedTuple):
    """Test results of every replica of a program on one scenario, on the host.

    Attributes:
        scores: each metric of each task at each support size, at full depth.
        error: at each support size and depth the mean absolute error; of scores that only rank, the share of pairs of
            query rows in the wrong order.
        change: at each support size what adaptation moved a prediction by, on average; of scores that only rank, the
            share of pairs whose order it changed.
        aggregates: each metric of all tasks at once, at the headline support size.
    """

    scores: Mapping[str, Float[np.ndarray, "R C T"]]
    error: Float[np.ndarray, "R C D"]
    change: Float[np.ndarray, "R C"]
    aggregates: Mapping[str, Float[np.ndarray, "R"]]


def test_learner(
    learner: MakeLearner,
    objective: Objective,
    problem: Problem,
    params: Params,
    numbers: Numbers,
    metrics: Sequence[Metric],
    aggregates: Sequence[Aggregate],
    scored: Scored,
    constants: Constants,
    calibration: Calibration | None,
) -> dict[str, TestResult]:
    """Test a learner at all support sizes and all depths, on each scenario.

    Args:
        learner, objective, problem: what is tested, on what.
        params: of each replica, a leading axis ``R``.
        numbers: of each replica, arrays ``[R]``.
        metrics, aggregates: what is measured, of a task and of all at once.
        scored: from `make_scored`, of the same metrics.
        constants: of the learner's model.
        calibration: of each replica, from `calibrate_learner`; None: metrics read predictions as they are.
    """
    ranking = [metric for metric in metrics if metric.reads == "score"]
    test, ranked, folded = test_programs(learner, objective, problem, ranking, aggregates)
    replicas = (params, numbers), constants

    def tested(scenario: str, batch: Batch, place: Array) -> TestResult:
        full, error, change = test(replicas, place, batch)
        if calibration:
            full = calibrated(jax.tree.map(lambda values: values[int(place)], calibration), full)
        scores: Any = scored(full, batch)
        at_once = {}
        if candidates := problem.candidates.get(scenario):
            catalogue = (replicas, place, batch, candidates, problem.train.entities)
            scores |= ranked(*catalogue) if ranking else {}
            at_once = folded(*catalogue) if aggregates else {}
        return jax.device_get(TestResult(scores, error, change, at_once))

    # In turns: memory does not grow with their number, and the tests of one are work enough for a device.
    places = jnp.arange(len(jax.tree.leaves(params)[0]))
    return {
        scenario: jax.tree.map(lambda *each: np.stack(each), *(tested(scenario, batch, place) for place in places))
        for scenario, batch in problem.test.items()
    }


def calibrate_learner(
    learner: MakeLearner,
    objective: Objective,
    problem: Problem,
    params: Params,
    numbers: Numbers,
    constants: Constants,
) -> Calibration:
    """Fit the maps of every replica to its predictions for meta-validation, at full depth and all support sizes.

    Args:
        learner, objective, problem, params, numbers, constants: as for `test_learner`.

    Returns:
        The maps, with a leading axis ``R``.
    """
    shots = jnp.array(problem.shots)

    @jax.jit
    def predict(replicas: Replicas, place: Array, batch: Batch) -> Predictions:
        own, made = nth_replica(learner, replicas, place)
        found = learner_predictions(made, objective, problem.spec, own, batch, shots, jnp.array([made.steps]))
        return jax.tree.map(lambda values: values[:, 0], found)

    places = jnp.arange(len(jax.tree.leaves(params)[0]))
    predicted = (predict(((params, numbers), constants), place, problem.validation) for place in places)
    maps = [calibrate(jax.device_get(each), problem.validation, problem.spec) for each in predicted]
    return jax.tree.map(lambda *each: np.stack(each), *maps)


def nth_replica(learner: MakeLearner, replicas: Replicas, place: Array) -> tuple[Params, Learner]:
    """One replica out of several: its parameters, and the learner made of its numbers."""
    own, constants = replicas
    params, numbers = jax.tree.map(lambda values: values[place], own)
    return params, learner(numbers, constants)


def test_programs(
    learner: MakeLearner,
    objective: Objective,
    problem: Problem,
    ranking: Sequence[Metric],
    aggregates: Sequence[Aggregate],
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Build the tests of one replica out of several: predictions, rankings of a catalogue, metrics of all tasks.

    Args:
        learner, objective, problem: as for `test_learner`.
        ranking: metrics that read scores.
        aggregates: metrics of all tasks at once.
    """
    spec, shots = problem.spec, jnp.array(problem.shots)
    nth = partial(nth_replica, learner)

    @jax.jit
    def test(replicas: Replicas, place: Array, batch: Batch):
        params, made = nth(replicas, place)
        depths = jnp.arange(made.steps + 1)
        predictions = learner_predictions(made, objective, spec, params, batch, shots, depths)
        full = jax.tree.map(lambda values: values[:, -1], predictions)
        return full, *adaptation(objective, predictions, batch)

    @jit_undefined
    def ranked(replicas: Replicas, place: Array, batch: Batch, candidates: Candidates, entities: Features):
        params, made = nth(replicas, place)
        return rank(ranking, spec, partial(learner_scores, made, params, shots), batch, candidates, entities)

    @jit_undefined
    def folded(replicas: Replicas, place: Array, batch: Batch, candidates: Candidates, entities: Features):
        params, made = nth(replicas, place)
        headline = jnp.array([problem.headline])
        score = lambda task, query: learner_scores(made, params, headline, task, query)[0]  # noqa: E731
        return fold(aggregates, score, batch, candidates, entities)

    return test, ranked, folded


def adaptation(
    objective: Objective, predictions: Predictions, batch: Batch
) -> tuple[Float[Array, "C D"], Float[Array, "C"]]:
    """Measure adaptation on a batch: see `TestResult.error` and `TestResult.change`.

    Args:
        objective: says whether scores stand for labels.
        predictions: ``[C, D, T, n]``, from depth 0 to the full depth.
        batch: T tasks and their labels.
    """
    first = jax.tree.map(lambda values: values[:, 0], predictions)
    last = jax.tree.map(lambda values: values[:, -1], predictions)
    if objective.rates:
        error = mean_over_tasks(jnp.abs(predictions.label - batch.label), batch)
        return error, mean_over_tasks(jnp.abs(last.label - first.label), batch)
    there = batch.task.query.mask
    pairs = there[:, :, None] & there[:, None, :] & ~jnp.eye(there.shape[1], dtype=bool)
    rated = pairs & (batch.label[:, :, None] != batch.label[:, None, :])
    error = disagreement(predictions.score, batch.label, rated)
    return error, disagreement(last.score, first.score, pairs)


def disagreement(
    score: Float[Array, "*D T n"], other: Float[Array, "*#D T n"], pairs: Bool[Array, "T n n"]
) -> Float[Array, "*D"]:
    """The share of a task's pairs of rows that two scores order differently, a tie in one of them being half.

    Of many tasks, the mean over those that have pairs.

    >>> score, other = jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[3.0, 1.0, 2.0]])
    >>> f"{disagreement(score, other, jnp.ones((1, 3, 3), bool) & ~jnp.eye(3, dtype=bool)):.3f}"
    '0.333'
    """
    number = pairs.sum((-1, -2))

    def order(score: Array) -> Array:
        return jnp.sign(score[..., :, None] - score[..., None, :])

    def one(both: tuple[Array, Array]) -> Array:
        apart = jnp.where(pairs, jnp.abs(order(both[0]) - order(both[1])) / 2, 0).sum((-1, -2))
        share = jnp.where(number > 0, apart / jnp.maximum(number, 1), 0)
        return share.sum() / jnp.maximum((number > 0).sum(), 1)

    # In turns: the pairs of all support sizes and depths at once are many.
    leading = score.shape[:-2]
    flat = [values.reshape(-1, *values.shape[-2:]) for values in (score, jnp.broadcast_to(other, score.shape))]
    return jax.lax.map(one, tuple(flat)).reshape(leading)


def learner_report(
    tested: Mapping[str, TestResult], problem: Problem, seeds: Sequence[int], *, rates: bool = True
) -> tuple[pl.DataFrame, dict[str, dict]]:
    """Lay out the test results of some replicas as one method.

    Args:
        tested: of these replicas alone.
        problem: what they were tested on.
        seeds: of each replica.
        rates: whether scores stand for labels.

    Returns:
        The task scores at full depth, and per scenario the adaptation report: the error at each support size after each
        step (`recmeta.runs.layout.ADAPTATION_ERRORS`), and how much adaptation changed.
    """
    frames, reports = [], {}
    low, high = problem.spec.low, problem.spec.high
    error, change, least = ("mae", "mean_abs_change", NO_OP * (high - low))
    if not rates:
        error, change, least = "wrong_pairs", "pairs_changed", NO_OP
    for scenario, found in tested.items():
        frames.append(task_scores(found.scores, problem, scenario=scenario, method="model", seeds=seeds))
        moved = float(found.change.mean(0)[problem.shots.index(problem.headline)])
        steps = found.error.shape[-1] - 1
        reports[scenario] = {
            "shots": list(problem.shots),
            "steps": list(range(steps + 1)),
            error: found.error.mean(0).astype(float).tolist(),
            change: moved,
            "no_op": steps > 0 and moved < least,
        }
    return pl.concat(frames), reports
