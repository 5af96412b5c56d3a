"""The training of the points of a program: those that leave before its end make room, and the others go on."""

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

from recmeta import checkpoint, members, phases, provenance, train
from recmeta.points import Open, Points, Prune, each
from recmeta.types import MakeLearner, Numbers, UserError
from recmeta.work import Point, Work


class Training(NamedTuple):
    """The training of all points as far as it is, and where its progress is kept.

    Attributes:
        learner, optimizer: make what is trained.
        numbers: of each member (`train.TrainState`).
        progress: fresh, or restored.
        step: how many steps of it are done.
        save: ``(step, progress)``, of all members that there were at the start.
        where: that writes to.
    """

    learner: MakeLearner
    optimizer: train.MakeOptimizer
    numbers: Numbers
    progress: train.Progress
    step: int
    save: Callable[[int, PyTree], None]
    where: Path


def begin(points: Sequence[Point], work: Work, where: Path, fresh: bool, stack: ExitStack) -> Training | None:
    """The training to start or to go on with, its checkpoints closed by the stack; None for the baselines alone."""
    if work.learner is None or work.optimizer is None:
        return None
    checkpoints = checkpoint.open(where, fresh=fresh)
    stack.callback(checkpoints.close)
    numbers, seeds = numbered(points)
    progress = train.start(work.learner, work.optimizer, numbers, seeds, work.parts.metric.goal)
    if work.start:
        params = phases.graft(work.start, progress.state.params, seeds)
        progress = train.start_with(params, progress, work.optimizer, numbers)
    progress, step = checkpoints.restore(progress) or (progress, 0)
    return Training(work.learner, work.optimizer, numbers, progress, step, checkpoints.save, where)


def numbered(points: Sequence[Point]) -> tuple[Numbers, list[int]]:
    """The numbers and the seed of every member of a program: the seeds of one point after the other's."""
    seeds = [(point.parts.numbers, seed) for point in points for seed in point.config["seeds"]]
    numbers = jax.tree.map(lambda *each: jnp.array(each, jnp.float32), *(numbers for numbers, _ in seeds))
    return numbers, [seed for _, seed in seeds]


def trained(
    points: Points, work: Work, training: Training, spent: Callable[[int], Any], prune: Prune
) -> tuple[Training, float | None]:
    """Train to the end, and say the tasks per second of all chunks but each program's first, which compiles.

    Points may be given up, and leave. Every size of a program is compiled anew, so that one of half the size takes over
    only where it holds all that are left.

    Args:
        points: those that are open.
        work, training: with what.
        spent: told how many points there were, after each chunk.
        prune: gives points up.

    Returns:
        The training, with the members of its last program: `Open.members` are places among these.
    """
    config, parts = next(iter(points.opened.values())).point.config, work.parts
    chunk = train.make_chunk(
        training.learner, work.objective, training.optimizer, work.problem, parts.metrics, metric=parts.metric,
        steps=config["eval_every"], total=config["steps"], batch=config["batch"], patience=config["patience"],
    )  # fmt: skip
    whole = jax.tree.map(lambda leaf: np.array(checkpoint.to_numpy(leaf)), training.progress)
    places, warm = np.arange(len(whole.best.stopped)), []
    programs: dict[int, Any] = {}  # by their size
    on, problem = (), work.problem
    give_up(points, training.step, {}, prune)
    each(points, partial(check_in_step, training))
    while points.opened:
        clock, there = provenance.stopwatch(), len(points.opened)
        training, places = closed_up(points, training, places)
        begun, numbers, size = training.progress, training.numbers, len(places)
        if members.devices(size) != on:
            on, problem = members.devices(size), work.problem  # what lies on other devices is let go of first
            shown, validation = members.shared((problem.train, problem.validation), size)
            problem = problem._replace(train=shown, validation=validation)
        stopped, tasks = np.asarray(begun.best.stopped), config["batch"] * config["eval_every"] * seeds(points)
        if cold := size not in programs:
            lowered = chunk.lower(begun, numbers, problem.train, problem.validation)
            programs[size] = lowered.compile()
            if there > 1 and len(programs) == 1:  # a smaller one needs no more
                train.check_memory(programs[size], size)
        for progress, reported in train.train(begun, programs[size], numbers, problem, steps=config["steps"]):
            training, seconds = training._replace(progress=progress), clock()
            warm += [] if cold else [(tasks, seconds)]
            spent(there)
            # Logged first: what was logged after the checkpoint that a run resumes from is dropped, and logged again.
            each(points, partial(log, reported, stopped, tasks / seconds))
            if reported.step < config["steps"]:
                give_up(points, reported.step, values(points, reported), prune)
            put(whole, points, places, progress)
            training.save(reported.step, whole)
            stopped, clock, cold = reported.stopped, provenance.stopwatch(), False
            if len(points.opened) < there:
                break
        else:
            break
    return training, sum(tasks for tasks, _ in warm) / sum(seconds for _, seconds in warm) if warm else None


def seeds(points: Points) -> int:
    """How many members are seeds of open points."""
    return sum(one.members.stop - one.members.start for one in points.opened.values())


def values(points: Points, reported: train.Chunk) -> dict[Path, float]:
    """What a search would be told of each open point were its training to end here; not of those that have stopped."""
    return {
        one.point.directory: float(reported.best[one.members].mean())
        for one in points.opened.values()
        if not reported.stopped[one.members].all()
    }


def give_up(points: Points, step: int, values: Mapping[Path, float], prune: Prune) -> None:
    """Let those points go that are given up by a step; each has that as its outcome."""
    given_up = prune(step, values)

    def leave(one: Open) -> None:
        if (why := given_up.get(one.point.directory)) is not None:
            raise why

    each(points, leave)


def check_in_step(training: Training, one: Open) -> None:
    """Refuse to go on with a point whose block went on without it: all members of a program are at one step.

    Raises:
        UserError: so.
    """
    steps = np.asarray(training.progress.state.step)[one.members]
    if (steps != training.step).any():
        raise UserError(
            f"{one.point.directory} left a block that is at step {training.step}, and was last kept at {steps.min()}; "
            "the same command, once more, runs it from the start"
        )


def closed_up(
    points: Points, training: Training, places: Int[np.ndarray, "S"]
) -> tuple[Training, Int[np.ndarray, "R"]]:
    """Put the members of open points side by side, in a program of the same size, or half of it, a quarter, …

    What is left of it, so that all devices have the same number, is filled with members that have stopped: of points
    that are gone, or copies.

    Args:
        points: their `Open.members` become those of the new program.
        training: with the members as they are.
        places: of each member among all that there were at the start.
    """
    there = np.zeros(len(places), bool)
    for one in points.opened.values():
        there[one.members] = True
    size = len(places)
    while 2 * there.sum() <= size:
        size = (size + 1) // 2
    size = members.even(size)
    if there.all() and size == len(places):
        return training, places
    chosen, first = np.resize(np.argsort(~there, kind="stable"), size), 0
    for place, one in points.opened.items():
        own = slice(first, first + one.members.stop - one.members.start)
        points.opened[place], first = one._replace(members=own), own.stop
    gathered = members.gathered((training.progress, training.numbers))
    progress, numbers = jax.tree.map(lambda leaf: leaf[chosen], gathered)
    stopped = progress.best.stopped | (jnp.arange(size) >= first)
    progress = progress._replace(best=progress.best._replace(stopped=stopped))
    progress, numbers = members.placed((progress, numbers))
    return training._replace(progress=progress, numbers=numbers), places[chosen]


def put(whole: train.Progress, points: Points, places: Int[np.ndarray, "S"], progress: train.Progress) -> None:
    """Write the progress of open points' members into that of all, on the host.

    Those that are gone stay as they were, and so behind: a block that resumes tells them by that.
    """
    open_ones = [place for one in points.opened.values() for place in range(one.members.start, one.members.stop)]
    for kept, now in zip(jax.tree.leaves(whole), jax.tree.leaves(progress), strict=True):
        kept[places[open_ones]] = checkpoint.to_numpy(now)[open_ones]


def log(reported: train.Chunk, stopped: Any, rate: float, one: Open) -> None:
    """Tell a point's reporter of a chunk, unless all of its seeds had stopped before: then a lone run would be over.

    Args:
        reported: of all members.
        stopped: which of them had.
        rate: tasks per second of the whole program. What a point's seeds are said to have, all have in its share of the
            time.
        one: the point.
    """
    if stopped[one.members].all():
        return
    own, validation = jax.tree.map(lambda values: values[one.members], (reported.train, reported.validation))
    seeds = len(one.point.config["seeds"])
    one.reporter.log(reported.step, "train", per_seed(own) | {"tasks_per_s": [rate / seeds] * seeds})
    one.reporter.log(reported.step, "validation", per_seed(validation))


def per_seed(values: Mapping[str, Any]) -> dict[str, list[float]]:
    """Plain lists, a value per seed."""
    return {name: value.astype(float).tolist() for name, value in values.items()}
