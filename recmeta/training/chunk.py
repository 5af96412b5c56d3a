"""Compile and run the training chunk: outer steps, meta-validation, the best parameters, early stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from recmeta.evaluation.predict import learner_predictions, learner_scores
from recmeta.evaluation.score import measure, rank
from recmeta.metrics import Metric
from recmeta.training.devices import chosen, map_replicas, over_devices, shard
from recmeta.types import (
    Augmentation,
    Batch,
    Constants,
    Learner,
    MakeLearner,
    Numbers,
    Objective,
    Params,
    Problem,
    Tasks,
)  # fmt: skip

MakeOptimizer = Callable[[Numbers], optax.GradientTransformation]
"""Optimizer factory: traced hyper-parameters -> optax optimizer. Inside a compiled program they are tracers."""


ENCODER = 0x656E63
"""What the keys of encoders are derived by from a step's key."""

AUGMENTS = 2**32 - 1
"""What a replica's key is folded with for the augmentation: no step is that late."""


class TrainState(NamedTuple):
    """The training state of one replica; with a leading axis ``R``, of all replicas of a program.

    A replica is a seed with its own traced hyper-parameters. A lone run has one for each of its seeds; the runs of a
    block have theirs beside each other.
    """

    params: Params
    opt_state: PyTree
    key: PRNGKeyArray
    step: Int[Array, "*R"]


class Best(NamedTuple):
    """The best parameters on meta-validation, their value and step, and whether early stopping has ended the search.

    ``share`` is how much is kept of a learner's correction, which the parameters have already; 1 where it corrects
    nothing (`recmeta.types.Learner.shrink`).
    """

    params: Params
    value: Float[Array, "*R"]
    step: Int[Array, "*R"]
    stopped: Bool[Array, "*R"]
    share: Float[Array, "*R"]


class Progress(NamedTuple):
    """All that a checkpoint must hold for a run to resume."""

    state: TrainState
    best: Best


class ChunkReport(NamedTuple):
    """The report of a chunk, of each replica.

    Mean training metrics, meta-validation metrics, the best value so far of the metric that chooses, and whether it has
    stopped early.
    """

    step: int
    train: dict[str, Float[Array, "R"]]
    validation: dict[str, Float[Array, "R"]]
    best: Float[Array, "R"]
    stopped: Bool[Array, "R"]


def initial_progress(
    learner: MakeLearner,
    optimizer: MakeOptimizer,
    numbers: Numbers,
    seeds: Sequence[int],
    goal: str,
    constants: Constants = (),
) -> Progress:
    """Initialise every replica. Its results depend on its own seed and hyper-parameters, not on those beside it.

    Args:
        learner, optimizer: make the parts.
        numbers: traced hyper-parameters of each replica, arrays ``[R]``.
        seeds: of each replica.
        goal: "min" or "max".
        constants: of the learner's model, the same for all.
    """

    def one(constants: Constants, numbers: Numbers, seed: Array) -> Progress:
        key_init, key = jax.random.split(jax.random.key(seed))
        params = learner(numbers, constants).init(key_init)
        # Strong types: a weak one would come out of the first chunk strong, and the second chunk compile anew.
        worst = jnp.array(jnp.inf if goal == "min" else -jnp.inf, float)
        zero = jnp.array(0, jnp.int32)
        state = TrainState(params, optimizer(numbers).init(params), key, zero)
        return Progress(state, Best(jax.tree.map(jnp.copy, params), worst, zero, jnp.array(False), jnp.array(1, float)))

    return shard(jax.jit(jax.vmap(one, (None, 0, 0)))(constants, numbers, jnp.array(seeds, jnp.uint32)))


def progress_from(params: Params, progress: Progress, optimizer: MakeOptimizer, numbers: Numbers) -> Progress:
    """Replace the parameters that every replica was initialised with.

    Args:
        params: of all replicas, ``[R, ...]``.
        progress: from `initial_progress`.
        optimizer: makes the optimizer, whose state begins afresh.
        numbers: traced hyper-parameters of each replica, arrays ``[R]``.
    """
    opt_state = jax.jit(jax.vmap(lambda numbers, params: optimizer(numbers).init(params)))(numbers, params)
    state = progress.state._replace(params=params, opt_state=opt_state)
    return shard(Progress(state, progress.best._replace(params=jax.tree.map(jnp.copy, params))))


def make_chunk(
    learner: MakeLearner,
    objective: Objective,
    optimizer: MakeOptimizer,
    problem: Problem,
    metrics: Sequence[Metric],
    *,
    metric: Metric,
    steps: int,
    total: int,
    batch: int,
    patience: int | None,
    augmentation: Augmentation | None = None,
) -> Any:
    """Compile-ready chunk: ``steps`` outer steps, then meta-validation, then the choice of the best so far.

    Replicas are sharded over the devices, tasks are drawn inside, and nothing returns to the host in between.

    Args:
        learner, objective, optimizer, problem: the parts, or what makes them.
        metrics: reported on meta-validation, at the headline support size.
        metric: the one that chooses.
        steps: outer steps per chunk.
        total: outer steps in all: the end of what learners anneal.
        batch: tasks per outer step.
        patience: chunks without a better value after which a replica stops (early stopping); None: never.
        augmentation: changes the batches that are trained on; nothing else is passed through it.

    Returns:
        A jitted ``(progress, numbers, tasks, validation, constants=()) -> (progress, training metrics, meta-validation
        metrics)``.
    """
    sign = 1 if metric.goal == "min" else -1
    everything = {measured.name: measured for measured in (*metrics, metric)}
    validate = make_validation(objective, problem, list(everything.values()))

    def one(replica: tuple[Progress, Numbers], shares: Array, tasks: Tasks, validation: Batch, constants: Constants):
        (state, best), numbers = replica
        learned = learner(numbers, constants)
        even = 2 * (state.step + jnp.arange(steps))
        keys = jax.vmap(partial(jax.random.fold_in, state.key))(even)
        # Drawn for the whole chunk at once: row positions are drawn one after the other, and that is paid once here.
        drawn = jax.vmap(lambda key: problem.draw(key, tasks, batch))(keys)
        step = partial(outer_step, learned, optimizer(numbers), partial(problem.gather, tasks), augmentation)
        state, reported = jax.lax.scan(step, state, (drawn, shares))
        kept = shrunk(learned, state.params, lambda params: validate(learned, params, tasks, validation), metric)
        best = choose(best, state, kept, metric.name, sign, None if patience is None else patience * steps)
        scores = kept.scores | ({"kept": kept.share} if learned.shrink else {})
        return Progress(state, best), jax.tree.map(jnp.mean, reported), scores

    def on_device(replicas: tuple[Progress, Numbers], *same: PyTree):
        # One number for all replicas, which are at the same step: were it mapped, a learner that branches on it would
        # compute both branches.
        shares = (replicas[0].state.step[0] + jnp.arange(steps)) / total
        return map_replicas(lambda replica: one(replica, shares, *same), replicas)

    def chunk(progress: Progress, numbers: Numbers, tasks: Tasks, validation: Batch, constants: Constants = ()):
        return over_devices(on_device, (progress, numbers), tasks, validation, constants)

    return jax.jit(chunk, donate_argnums=0)


def outer_step(
    learner: Learner,
    optimizer: optax.GradientTransformation,
    gather: Callable[[PyTree], Batch],
    augmentation: Augmentation | None,
    state: TrainState,
    visit: tuple[PyTree, Array],
) -> tuple[TrainState, dict[str, Array]]:
    """Take one outer step of one replica: fetch the drawn tasks, augment them, update the parameters.

    Args:
        learner, optimizer: made of the replica's hyper-parameters.
        gather: fetches drawn tasks.
        augmentation: changes the batch; None: nothing does.
        state: before the step.
        visit: a draw of tasks, and the share of training that is done.

    Returns:
        The state after the step, and the training metrics.
    """
    drawn, share = visit
    key = jax.random.fold_in(state.key, 2 * state.step + 1)
    visited = gather(drawn)._replace(progress=share)
    if augmentation:
        visited = augmentation(jax.random.fold_in(jax.random.fold_in(state.key, AUGMENTS), state.step), visited)
    visited = with_keys(visited, key)
    gradient, reported = learner.meta_grad(state.params, visited, key)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return TrainState(params, opt_state, state.key, state.step + 1), reported


def make_validation(
    objective: Objective, problem: Problem, metrics: Sequence[Metric]
) -> Callable[[Learner, Params, Tasks, Batch], dict[str, Array]]:
    """Build the meta-validation of one replica: the mean of each metric at the headline support size.

    A metric may be undefined for a task, which is then left out; a prediction that is not finite makes all NaN.
    """
    # A score that only ranks has no metric that reads ratings.
    metrics = [metric for metric in metrics if objective.rates or metric.reads == "score"]
    ranking = [metric for metric in metrics if metric.reads == "score"]
    candidates = problem.candidates.get("validation")

    def validate(learner: Learner, params: Params, tasks: Tasks, validation: Batch) -> dict[str, Array]:
        shots, depths = jnp.array([problem.headline]), jnp.array([learner.steps])
        predictions = learner_predictions(learner, objective, problem.spec, params, validation, shots, depths)
        full = jax.tree.map(lambda values: values[:, 0], predictions)
        scores = measure(metrics, problem.spec, full, validation)
        if ranking and candidates:
            score = partial(learner_scores, learner, params, shots)
            scores |= rank(ranking, problem.spec, score, validation, candidates, tasks.entities)
        finite = (jnp.isfinite(predictions.score) | ~validation.task.query.mask).all()
        return {name: jnp.where(finite, jnp.nanmean(values), jnp.nan) for name, values in scores.items()}

    return validate


SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""How much of a correction may be kept; of equally good ones the first."""


class Kept(NamedTuple):
    """The parameters that correct by the share that is best on meta-validation, the share, and their scores."""

    params: Params
    share: Float[Array, ""]
    scores: dict[str, Array]


def shrunk(learner: Learner, params: Params, validated: Callable[[Params], dict[str, Array]], metric: Metric) -> Kept:
    """Keep as much of a learner's correction as meta-validation has best; all, of a learner that corrects nothing.

    Args:
        learner: made of the replica's hyper-parameters.
        params: as trained.
        validated: the metrics of some parameters on meta-validation.
        metric: the one that chooses.
    """
    if learner.shrink is None:
        return Kept(params, jnp.array(1, float), validated(params))
    shares, shrink = jnp.array(SHARES), learner.shrink
    found = jax.lax.map(lambda share: validated(shrink(params, share)), shares)
    value = found[metric.name] if metric.goal == "min" else -found[metric.name]
    first = jnp.argmin(jnp.where(jnp.isnan(value), jnp.inf, value))
    return Kept(shrink(params, shares[first]), shares[first], {name: each[first] for name, each in found.items()})


def with_keys(batch: Batch, key: PRNGKeyArray) -> Batch:
    """Give each task of a batch a key of its own, for its encoder's dropout: the same in all steps of an inner loop."""
    # Another key than a learner derives from its own, which is the same one.
    keys = jax.random.split(jax.random.fold_in(key, ENCODER), len(batch.label))
    return batch._replace(task=batch.task._replace(support=batch.task.support._replace(key=keys)))


def check_memory(program: Any, replicas: int) -> None:
    """Refuse a compiled program that needs more memory than is free: on a CPU the system would end the process.

    Args:
        program: compiled; it says what one device needs.
        replicas: how many it has.

    Raises:
        MemoryError: saying how much.
    """
    needs, free = program.memory_analysis(), free_memory()
    if needs is None or free is None:
        return
    needed = needs.temp_size_in_bytes + needs.output_size_in_bytes - needs.alias_size_in_bytes
    if jax.default_backend() == "cpu":  # where all devices share the memory
        needed *= len(chosen(replicas))
    if needed > free:
        raise MemoryError(f"a program needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")


def free_memory() -> int | None:
    """Bytes that are free on the device, or on the host where that is the device; None where it is not known."""
    if stats := jax.devices()[0].memory_stats():
        return stats["bytes_limit"] - stats["bytes_in_use"]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def choose(best: Best, state: TrainState, kept: Kept, metric: str, sign: int, patience: int | None) -> Best:
    """Keep the better parameters of one replica, and stop early after ``patience`` steps without any.

    A value that is not a number is never better. A replica that has stopped stays as it is, so that its result does
    not depend on how long others go on beside it.
    """
    value = kept.scores[metric]
    better = (sign * value < sign * best.value) & ~best.stopped
    params, value, step, share = jax.tree.map(
        partial(jnp.where, better),
        (kept.params, value, state.step, kept.share),
        (best.params, best.value, best.step, best.share),
    )
    stopped = best.stopped if patience is None else best.stopped | (state.step - step >= patience)
    return Best(params, value, step, stopped, share)


def run_chunks(
    progress: Progress,
    chunk: Callable,
    numbers: Numbers,
    problem: Problem,
    *,
    steps: int,
    constants: Constants = (),
) -> Iterator[tuple[Progress, ChunkReport]]:
    """Run chunks until the steps are done or every replica has stopped.

    Args:
        progress: from `initial_progress`, or restored; it is donated.
        chunk: from `make_chunk`.
        numbers: traced hyper-parameters of each replica, arrays ``[R]``.
        problem: its tasks.
        steps: outer steps in all; a multiple of the chunk's.
        constants: of the learner's model.

    Yields:
        The progress after each chunk (valid until the next is asked for), and what to report.
    """
    # Read on the host: an array that lies on several devices is not computed with.
    while np.asarray(progress.state.step)[0] < steps and not np.asarray(progress.best.stopped).all():
        progress, reported, scores = chunk(progress, numbers, problem.train, problem.validation, constants)
        reported, scores, best = jax.device_get((reported, scores, (progress.best.value, progress.best.stopped)))
        yield progress, ChunkReport(int(np.asarray(progress.state.step)[0]), reported, scores, *best)
