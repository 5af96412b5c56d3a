"""Train the runs of a block: the host loop around the compiled chunk. Runs that end early make room for the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PyTree

from recmeta.experiment.block import Block, OpenRun, Prune, for_each
from recmeta.experiment.prepare import PlannedRun, Prepared
from recmeta.runs import provenance
from recmeta.training import checkpoint, devices, warm_start
from recmeta.training.chunk import (
    ChunkReport,
    MakeOptimizer,
    Progress,
    check_memory,
    initial_progress,
    make_chunk,
    progress_from,
    run_chunks,
)
from recmeta.types import MakeLearner, Numbers, UserError


class Training(NamedTuple):
    """The training of a block as far as it is, and where its progress is kept.

    Attributes:
        learner, optimizer: make what is trained.
        numbers: the traced hyper-parameters of each replica, arrays ``[R]``.
        progress: fresh, or restored.
        step: how many steps of it are done.
        save: ``(step, progress)``, of all replicas that there were at the start.
        where: the folder that ``save`` writes to.
        messages: lines for the user.
    """

    learner: MakeLearner
    optimizer: MakeOptimizer
    numbers: Numbers
    progress: Progress
    step: int
    save: Callable[[int, PyTree], None]
    where: Path
    messages: Sequence[str] = ()


def begin(
    runs: Sequence[PlannedRun], prepared: Prepared, where: Path, fresh: bool, stack: ExitStack
) -> Training | None:
    """Start or resume a training; its checkpoints are closed by the stack. None for the baselines alone."""
    if prepared.learner is None or prepared.optimizer is None:
        return None
    checkpoints = checkpoint.open(where, fresh=fresh)
    stack.callback(checkpoints.close)
    numbers, seeds = replicas(runs)
    progress = initial_progress(
        prepared.learner, prepared.optimizer, numbers, seeds, prepared.parts.metric.goal, prepared.constants
    )
    if prepared.start:
        params = warm_start.replace_params(prepared.start, progress.state.params, seeds)
        progress = progress_from(params, progress, prepared.optimizer, numbers)
    found = checkpoints.restore(progress) or checkpoint.Restored(progress, 0, ())
    messages = [
        f"the checkpoint of step {step} in {where} can't be read: training resumes from step {found.step}"
        for step in found.damaged
    ]
    return Training(
        prepared.learner, prepared.optimizer, numbers, found.state, found.step, checkpoints.save, where, messages
    )


def replicas(runs: Sequence[PlannedRun]) -> tuple[Numbers, list[int]]:
    """The traced hyper-parameters and the seed of every replica of a program: the seeds of one run after another's."""
    pairs = [(run.parts.numbers, seed) for run in runs for seed in run.settings.seeds]
    numbers = jax.tree.map(lambda *values: jnp.array(values, jnp.float32), *(numbers for numbers, _ in pairs))
    return numbers, [seed for _, seed in pairs]


def train(
    block: Block, prepared: Prepared, training: Training, cost: Callable[[int], Any], prune: Prune
) -> tuple[Training, float | None]:
    """Train to the end. Returns also the tasks per second of all chunks but each program's first, which compiles.

    Runs may be stopped early, and leave. Every size of a program is compiled anew, so that one of half the size takes
    over only where it holds all that are left.

    Args:
        block: the runs that are open.
        prepared, training: with what.
        cost: told how many runs there were, after each chunk.
        prune: stops runs early.

    Returns:
        The training, with the replicas of its last program: `OpenRun.replicas` are places among these.
    """
    settings, parts = prepared.settings, prepared.parts
    chunk = make_chunk(
        training.learner, prepared.objective, training.optimizer, prepared.problem, parts.metrics,
        metric=parts.metric, steps=settings.eval_every, total=settings.steps, batch=settings.batch,
        patience=settings.patience, augmentation=parts.augmentation() if parts.augmentation else None,
    )  # fmt: skip
    everyone = jax.tree.map(lambda leaf: np.array(checkpoint.to_numpy(leaf)), training.progress)
    places, warm = np.arange(len(everyone.best.stopped)), []
    programs: dict[int, Any] = {}  # by their size
    on, problem, constants = (), prepared.problem, prepared.constants
    close_pruned(block, training.step, {}, prune)
    for_each(block, partial(check_in_step, training))
    while block.open:
        clock, there = provenance.stopwatch(), len(block.open)
        training, places = compact(block, training, places)
        begun, numbers, size = training.progress, training.numbers, len(places)
        if devices.chosen(size) != on:
            # Free buffers on the previous devices first.
            on, problem, constants = devices.chosen(size), prepared.problem, prepared.constants
            tasks, validation, constants = devices.replicate((problem.train, problem.validation, constants), size)
            problem = problem._replace(train=tasks, validation=validation)
        stopped, visited = np.asarray(begun.best.stopped), settings.batch * settings.eval_every * block.seeds
        if cold := size not in programs:
            programs[size] = chunk.lower(begun, numbers, problem.train, problem.validation, constants).compile()
            if there > 1 and len(programs) == 1:  # a smaller one needs no more
                check_memory(programs[size], size)
        chunks = run_chunks(begun, programs[size], numbers, problem, steps=settings.steps, constants=constants)
        for progress, reported in chunks:
            training, seconds = training._replace(progress=progress), clock()
            warm += [] if cold else [(visited, seconds)]
            cost(there)
            # Logged first: what was logged after the checkpoint that a run resumes from is dropped, and logged again.
            for_each(block, partial(log, reported, stopped, visited / seconds))
            if reported.step < settings.steps:
                close_pruned(block, reported.step, values(block, reported), prune)
            update_open(everyone, block, places, progress)
            training.save(reported.step, everyone)
            stopped, clock, cold = reported.stopped, provenance.stopwatch(), False
            if len(block.open) < there:
                break
        else:
            break
    return training, sum(tasks for tasks, _ in warm) / sum(seconds for _, seconds in warm) if warm else None


def values(block: Block, reported: ChunkReport) -> dict[Path, float]:
    """The value of each open run for a search, were its training to end here; not of those that have stopped."""
    return {
        one.run.directory: float(reported.best[one.replicas].mean())
        for one in block.open.values()
        if not reported.stopped[one.replicas].all()
    }


def close_pruned(block: Block, step: int, values: Mapping[Path, float], prune: Prune) -> None:
    """Close the runs that are pruned at a step; each has that as its outcome."""
    pruned = prune(step, values)

    def leave(one: OpenRun) -> None:
        if (why := pruned.get(one.run.directory)) is not None:
            raise why

    for_each(block, leave)


def check_in_step(training: Training, one: OpenRun) -> None:
    """Refuse to go on with a run whose block went on without it: all replicas of a program are at one step.

    Raises:
        UserError: so.
    """
    steps = np.asarray(training.progress.state.step)[one.replicas]
    if (steps != training.step).any():
        raise UserError(
            f"{one.run.directory} left a block that is at step {training.step}, and was last kept at {steps.min()}; "
            "the same command, once more, runs it from the start"
        )


def compact(block: Block, training: Training, places: Int[np.ndarray, "R"]) -> tuple[Training, Int[np.ndarray, "r"]]:
    """Compact the replicas of open runs into a program of the same size, or a half, a quarter, … of it.

    What is left of it, so that all devices have the same number, is filled with replicas that have stopped: of runs
    that are gone, or copies.

    Args:
        block: its `OpenRun.replicas` become those of the new program.
        training: with the replicas as they are.
        places: of each replica among all that there were at the start.
    """
    there = np.zeros(len(places), bool)
    for one in block.open.values():
        there[one.replicas] = True
    size = len(places)
    while 2 * there.sum() <= size:
        size = (size + 1) // 2
    size = devices.even_size(size)
    if there.all() and size == len(places):
        return training, places
    chosen, first = np.resize(np.argsort(~there, kind="stable"), size), 0
    for place, one in block.open.items():
        own = slice(first, first + one.replicas.stop - one.replicas.start)
        block.open[place], first = one._replace(replicas=own), own.stop
    gathered = devices.on_one_device((training.progress, training.numbers))
    progress, numbers = jax.tree.map(lambda leaf: leaf[chosen], gathered)
    stopped = progress.best.stopped | (jnp.arange(size) >= first)
    progress = progress._replace(best=progress.best._replace(stopped=stopped))
    progress, numbers = devices.shard((progress, numbers))
    return training._replace(progress=progress, numbers=numbers), places[chosen]


def update_open(everyone: Progress, block: Block, places: Int[np.ndarray, "R"], progress: Progress) -> None:
    """Write the progress of open runs' replicas into that of all, on the host.

    Those that are gone stay as they were, and so behind: a block that resumes tells them by that.
    """
    open_ones = [place for one in block.open.values() for place in range(one.replicas.start, one.replicas.stop)]
    for kept, now in zip(jax.tree.leaves(everyone), jax.tree.leaves(progress), strict=True):
        kept[places[open_ones]] = checkpoint.to_numpy(now)[open_ones]


def log(reported: ChunkReport, stopped: Any, rate: float, one: OpenRun) -> None:
    """Report a chunk to a run's reporter, unless all of its seeds had stopped before: then a lone run would be over.

    Args:
        reported: of all replicas.
        stopped: which of them had.
        rate: tasks per second of the whole program. What a run's seeds are said to have, all have in its share of the
            time.
        one: the run.
    """
    if stopped[one.replicas].all():
        return
    own, validation = jax.tree.map(lambda values: values[one.replicas], (reported.train, reported.validation))
    seeds = len(one.run.settings.seeds)
    one.reporter.log(reported.step, "train", per_seed(own) | {"tasks_per_s": [rate / seeds] * seeds})
    one.reporter.log(reported.step, "validation", per_seed(validation))


def per_seed(values: Mapping[str, Any]) -> dict[str, list[float]]:
    """Plain lists, a value per seed."""
    return {name: value.astype(float).tolist() for name, value in values.items()}
