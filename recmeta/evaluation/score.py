"""Score predictions: each metric of each task, and one row per task. Query labels are read here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Float, PyTree

from recmeta.metrics import Metric, catalogue_view, oracle, query_view, random_floor
from recmeta.metrics.lists import Aggregate, feature_vectors, top
from recmeta.types import Batch, Candidates, DataSpec, Features, Problem, Query, Task

TASKS_AT_ONCE = 64
"""Tasks adapted together; more are taken in turns inside the program: memory does not grow with their number."""

ROWS_AT_ONCE = 1 << 15
"""Where a catalogue is ranked: how many rows are scored together; fewer tasks are then taken together."""

SCORES_AT_ONCE = 1 << 20
"""Where tasks are scored in many ways: how many scores are there together; fewer tasks are then taken together."""


class Predictions(NamedTuple):
    """Query scores of many tasks, and their predicted labels, within the label range.

    Attributes:
        score: as the method has it.
        label: the expected label.
        median: what absolute error reads; None: the label (`recmeta.evaluation.calibration`).
        log_shares: of the label's levels, of a method that predicts a distribution; None: it predicts a number.
    """

    score: Float[Array, "... T n"]
    label: Float[Array, "... T n"]
    median: Float[Array, "... T n"] | None = None
    log_shares: Float[Array, "... T n L"] | None = None


Scored = Callable[[Predictions, Batch], dict[str, Array]]
"""Each metric of each task, for the predictions of one method and one seed at all support sizes."""


def jit_undefined(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Compile a function that returns NaN where it is undefined: JAX_DEBUG_NANS=1 is not to report those."""
    compiled = jax.jit(function)

    def call(*arguments: PyTree) -> PyTree:
        with jax.debug_nans(False):
            return compiled(*arguments)

    return call


def per_task(function: Callable[..., PyTree], batch: Batch, *more: PyTree, at_once: int = TASKS_AT_ONCE) -> PyTree:
    """Map a function of one task over a batch, a block of tasks at a time.

    Args:
        function: ``(task, *more) -> pytree``.
        batch: T tasks; their labels are not read.
        more: further arguments, with a leading axis of tasks.
        at_once: the most tasks of a block.
    """
    blocks = _in_blocks((batch.task, *more), len(batch.label), at_once)
    mapped = jax.lax.map(jax.vmap(lambda task: function(*task)), blocks)
    return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:])[: len(batch.label)], mapped)


def _in_blocks(values: PyTree, tasks: int, at_once: int) -> PyTree:
    """Arrays ``[tasks, ...]`` as ``[blocks, width, ...]``, blocks as even as can be."""
    blocks = -(-tasks // at_once)
    width = -(-tasks // blocks)

    def cut(values: Array) -> Array:
        # Filled up with tasks that are there already: all blocks are of one size, and compiled once.
        full = jnp.concatenate([values, values[: blocks * width - tasks]])
        return full.reshape(blocks, width, *values.shape[1:])

    return jax.tree.map(cut, values)


def measure(
    metrics: Sequence[Metric], spec: DataSpec, predictions: Predictions, batch: Batch
) -> dict[str, Float[Array, "... T"]]:
    """Each metric of each task, for predictions with any leading axes. This is where query labels are read."""
    leading = predictions.score.shape[:-2]
    flat = jax.tree.map(lambda values: values.reshape(-1, *values.shape[len(leading) :]), predictions)
    one = partial(_measure_one, metrics, spec)
    measured = jax.vmap(jax.vmap(one), (0, None, None))(flat, batch.label, batch.task.query.mask)
    return jax.tree.map(lambda values: values.reshape(*leading, -1), measured)


def _measure_one(
    metrics: Sequence[Metric], spec: DataSpec, predictions: Predictions, label: Array, mask: Array
) -> dict[str, Array]:
    """Each metric of one task, for predictions ``[n]``."""
    own = {"median": predictions.median, "log_shares": predictions.log_shares}
    view = query_view(predictions.score, predictions.label, label, mask, **own, **_scale(spec))
    # What is shown of a catalogue is not told by the query's rows.
    return {metric.name: jnp.array(jnp.nan) if metric.shows else metric.of(view) for metric in metrics}


def score_tasks(
    metric: Metric,
    spec: DataSpec,
    score: Callable[..., Float[Array, "C n"]],
    batch: Batch,
    *more: PyTree,
    rates: bool,
    many: int,
) -> Float[Array, "C T"]:
    """One metric of each task, its query rows scored in many ways; no score of a task outlives it.

    Args:
        metric: any.
        spec: label range, and what is liked.
        score: ``(task, query, *more) -> [C, n]``: scores of rows for one task, in each way.
        batch: T tasks and their labels.
        more: further arguments of ``score``, with a leading axis of tasks.
        rates: whether scores are expected labels.
        many: C, the number of ways: with many of them, fewer tasks are taken together.
    """

    def one(task: Task, label: Array, *more: PyTree) -> Array:
        scores = score(task, task.query, *more)
        rated = jnp.clip(scores, spec.low, spec.high) if rates else jnp.full_like(scores, jnp.nan)
        measured = jax.vmap(partial(_measure_one, [metric], spec), (0, None, None))
        return measured(Predictions(scores, rated), label, task.query.mask)[metric.name]

    at_once = int(np.clip(SCORES_AT_ONCE // (many * batch.label.shape[1]), 1, TASKS_AT_ONCE))
    return per_task(one, batch, batch.label, *more, at_once=at_once).T


def rank(
    metrics: Sequence[Metric],
    spec: DataSpec,
    score: Callable[..., Float[Array, "C N"]],
    batch: Batch,
    candidates: Candidates,
    entities: Features,
    *more: PyTree,
) -> dict[str, Float[Array, "C T"]]:
    """Each ranking metric of each task, its query rows ranked among a catalogue.

    Args:
        metrics: which read scores, or look at what is shown.
        spec: label range, and what is liked.
        score: ``(task, query, *more) -> [C, N]``: scores of any rows for one task, at each support size.
        batch: T tasks and their labels.
        candidates, entities: the catalogue, and the table of its features.
        more: further arguments of ``score``, with a leading axis of tasks.
    """
    catalogue = _catalogue(candidates, entities)
    known = {"information": candidates.information}
    if any(metric.shows == "vectors" for metric in metrics):
        known["vectors"] = feature_vectors(catalogue.x, spec.row)

    def one(task: Task, label: Array, ranked: tuple[Array, Array, Array], *more: PyTree) -> dict[str, Array]:
        allowed, position, there = ranked

        def value(score: Array) -> dict[str, Array]:
            view = catalogue_view(score, allowed, position, label, label, there & task.query.mask, **_scale(spec))
            return {
                metric.name: metric.of(top(score, allowed, metric.cutoff or 1), known[metric.shows])
                if metric.shows
                else metric.of(view)
                for metric in metrics
            }

        return jax.vmap(value)(score(task, catalogue, *more))

    ranked = (candidates.allowed, candidates.position, candidates.there)
    found = per_task(one, batch, batch.label, ranked, *more, at_once=_tasks_at_once(candidates))
    return jax.tree.map(lambda values: values.T, found)


def fold(
    aggregates: Sequence[Aggregate],
    score: Callable[..., Float[Array, "N"]],
    batch: Batch,
    candidates: Candidates,
    entities: Features,
    *more: PyTree,
) -> dict[str, Float[Array, ""]]:
    """Each metric of many tasks at once, of the first k of a catalogue; query labels are not read.

    Args:
        aggregates: which.
        score: ``(task, query, *more) -> [N]``: scores of any rows for one task.
        batch: T tasks.
        candidates, entities: as for `rank`.
        more: further arguments of ``score``, with a leading axis of tasks.
    """
    catalogue, tasks = _catalogue(candidates, entities), len(batch.label)

    def add(states: dict[str, PyTree], block: PyTree) -> tuple[dict[str, PyTree], None]:
        number, allowed, task, *rest = block
        # A task that only fills up a block has no candidates.
        allowed = allowed & (number < tasks)[:, None]
        scores = jax.vmap(lambda task, *more: score(task, catalogue, *more))(task, *rest)
        shown = {each.name: jax.vmap(partial(top, k=each.cutoff))(scores, allowed) for each in aggregates}
        return {each.name: each.add(states[each.name], shown[each.name], allowed) for each in aggregates}, None

    at_once = _tasks_at_once(candidates)
    blocks = _in_blocks((candidates.allowed, batch.task, *more), tasks, at_once)
    numbers = jnp.arange(blocks[0].shape[0] * blocks[0].shape[1]).reshape(blocks[0].shape[:2])
    start = {each.name: each.start(len(candidates.entity)) for each in aggregates}
    states, _ = jax.lax.scan(add, start, (numbers, *blocks))
    return {each.name: each.value(states[each.name]) for each in aggregates}


def _scale(spec: DataSpec) -> dict[str, Any]:
    """The label range and levels that a view needs."""
    return {"like": spec.like, "low": spec.low, "high": spec.high, "levels": spec.levels}


def _catalogue(candidates: Candidates, entities: Features) -> Query:
    """All entities that may be candidates, as rows to be scored."""
    x = {name: values[candidates.entity] for name, values in entities.items()}
    return Query(x, jnp.ones(len(candidates.entity), bool))


def _tasks_at_once(candidates: Candidates) -> int:
    return int(np.clip(ROWS_AT_ONCE // max(len(candidates.entity), 1), 1, TASKS_AT_ONCE))


class Bounds(NamedTuple):
    """The expected score of a random order of a task's candidates, and the score of its own labels."""

    floor: Float[Array, "T"]
    oracle: Float[Array, "T"]


def bounds(
    metrics: Sequence[Metric], spec: DataSpec, batch: Batch, candidates: Candidates | None = None
) -> dict[str, Bounds]:
    """The room that each task leaves to each metric; the floor of one that reads predictions is NaN.

    Of a metric that looks at what is shown whatever the labels, both are NaN: it is no room.

    Args:
        metrics: any.
        spec: label range, and what is liked.
        batch: T tasks and their labels.
        candidates: the catalogue that ranking metrics rank; None for the query itself.
    """
    scale = _scale(spec)

    def among(label: Array, mask: Array, ranked) -> dict[str, Bounds]:
        itself = query_view(label, label, label, mask, **scale)
        nothing = jnp.full((), jnp.nan)
        view = itself
        if ranked is not None:
            allowed, position, there = ranked
            view = catalogue_view(jnp.zeros(allowed.shape), allowed, position, label, label, there & mask, **scale)
        return {
            metric.name: Bounds(random_floor(metric, view), oracle(metric, view))
            if metric.reads == "score" and not metric.shows
            else Bounds(nothing, nothing if metric.shows else oracle(metric, itself))
            for metric in metrics
        }

    ranked = candidates and (candidates.allowed, candidates.position, candidates.there)
    return jit_undefined(jax.vmap(among))(batch.label, batch.task.query.mask, ranked)


def mean_bounds(metrics: Sequence[Metric], problem: Problem) -> dict[str, dict[str, dict[str, float | None]]]:
    """Per scenario and metric, the mean over test tasks of the random floor and of the oracle; None where undefined."""
    found = {}
    for scenario, batch in problem.test.items():
        each = bounds(metrics, problem.spec, batch, problem.candidates.get(scenario))
        found[scenario] = {
            name: {"floor": _mean(each[name].floor), "oracle": _mean(each[name].oracle)} for name in each
        }
    return found


def _mean(values: Array) -> float | None:
    defined = np.asarray(values, np.float64)
    defined = defined[~np.isnan(defined)]
    return float(defined.mean()) if defined.size else None


def make_scored(metrics: Sequence[Metric], spec: DataSpec) -> Scored:
    """Compile-ready `measure`. One program serves every method and seed: made once, and passed to all."""
    return jit_undefined(partial(measure, metrics, spec))


def mean_over_tasks(values: Float[Array, "... T n"], batch: Batch) -> Float[Array, "..."]:
    """The mean over a task's query rows, then over tasks."""
    mask = batch.task.query.mask
    return (jnp.where(mask, values, 0).sum(-1) / mask.sum(-1)).mean(-1)


def task_scores(
    scores: Mapping[str, Float[np.ndarray, "S C T"]],
    problem: Problem,
    *,
    scenario: str,
    method: str,
    seeds: Sequence[int | None],
) -> pl.DataFrame:
    """Lay scores out as one row per (seed, shots, task), with facts about the task and a column per metric."""
    shots, tasks = problem.shots, problem.names[scenario]
    queries = np.asarray(problem.test[scenario].task.query.mask.sum(1)).tolist()
    shape = (len(seeds), len(shots), len(tasks))
    seed, shot, task = (axis.ravel() for axis in np.indices(shape))
    columns = {
        "scenario": pl.Series([scenario] * len(seed), dtype=pl.String),
        "method": pl.Series([method] * len(seed), dtype=pl.String),
        "seed": pl.Series([seeds[i] for i in seed], dtype=pl.Int64),
        "shots": pl.Series([shots[i] for i in shot], dtype=pl.Int64),
        "task": pl.Series([tasks[i] for i in task], dtype=pl.String),
        "n_query": pl.Series([queries[i] for i in task], dtype=pl.Int64),
        **{name: pl.Series(values[task]) for name, values in problem.about.get(scenario, {}).items()},
    }
    values = {name: np.asarray(score, np.float64).reshape(shape).ravel() for name, score in scores.items()}
    return pl.DataFrame(columns | values)
