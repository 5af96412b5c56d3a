"""An experiment, from start to end: train, choose, touch the test tasks once, report.

The points of a sweep that share a compiled program are run together, and a lone run is one point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from recmeta import checkpoint, evaluate, provenance, run_directory, train
from recmeta.members import gathered
from recmeta.points import Open, Outcome, Points, Prune, close_all, each, keep_all
from recmeta.reporters import compose, files
from recmeta.summary import Learned, settings_lines, summarised, validated, verdicts
from recmeta.training import Training, begin, trained
from recmeta.types import Diverged, Numbers, Params, Reporter, Run, UserError
from recmeta.work import Config, Point, Work, assemble, hashes, load, plan, standing


def run(config: Config, overrides: Sequence[str], *, multirun: bool = False) -> dict[str, Any]:
    """Run an experiment, or skip it where it is done, or resume it where it was interrupted.

    Both only where the data and the split are those that it was started with; ``force=true`` discards what is there.

    Args:
        config: resolved, as plain values.
        overrides: what was typed.
        multirun: whether this is one point of a sweep.

    Returns:
        The summary (DESIGN section 5).

    Raises:
        UserError: for anything the user can put right; before training, nothing is written then.
    """
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    point = plan(config, overrides, multirun=multirun)
    work = assemble(config, point.parts, *load(point.parts))
    there = standing(point, work)
    if there.summary is not None:
        said = f"already done, skipped: {point.directory} (force=true runs it again)"
        reporter = reporter_of(point)
        for line in (said, *there.told, *verdicts(there.summary)):
            reporter.note(line)
        return there.summary
    where = point.directory / run_directory.CHECKPOINTS
    (outcome,) = run_together([point], work, where, clock, compiled)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run_together(
    points: Sequence[Point],
    work: Work,
    checkpoints: Path,
    clock: Callable[[], float],
    compiled: Callable[[], provenance.Compilations],
    prune: Prune = keep_all,
) -> list[Outcome]:
    """Run points that differ in no more than seeds and `Numbers`.

    Args:
        points: at least one. Of those that are done, nothing is done again.
        work: made of one of them.
        checkpoints: where the progress of all is kept; each point's own is written to its directory at the end.
        clock, compiled: since when seconds and compilations are the points': each has its share.
        prune: gives points up before their end.

    Returns:
        What came of each.

    Raises:
        MemoryError: where there is more than one, and not memory enough.
        Exception: what else fails for all of them.
    """
    run = Points({}, {})
    with ExitStack() as stack:
        fresh = hold(points, work, run, stack)
        # Closed last, and told of any error, that of closing the checkpoints included.
        stack.push(lambda kind, error, trace: close_all(run, error))
        if run.opened:
            training = begin(points, work, checkpoints, fresh, stack)
            each(run, lambda one: start(one, work, training.step if training else 0))
            measured(run, work, training, shares(clock, compiled, len(points)), prune)
    return [run.outcomes[place] for place in range(len(points))]


def shares(
    clock: Callable[[], float], compiled: Callable[[], provenance.Compilations], points: int
) -> Callable[[int], dict[str, Any]]:
    """What counts the cost of one of several points: its share of the seconds, while so many are there.

    Args:
        clock, compiled: since when seconds and compilations are the points'.
        points: how many there are at the start.

    Returns:
        ``(how many there were since the last call) -> cost`` of one that is there; the programs and the memory are
        everyone's.
    """
    own, before = {"wall_s": 0.0, "compile_s": 0.0}, {"wall_s": 0.0, "compile_s": 0.0}

    def share(there: int) -> dict[str, Any]:
        cost = provenance.cost(clock, compiled)
        for key in own:
            own[key] += (cost[key] - before[key]) / there
            before[key] = cost[key]
        return {**cost, **own, "points": points}

    return share


def reporter_of(point: Point) -> Reporter:
    """The run directory's files and, after them, what the config names."""
    return compose(files(), *(make() for make in point.parts.reporters))


def hold(points: Sequence[Point], work: Work, into: Points, stack: ExitStack) -> bool:
    """Open the points that are to be run, and hold their directories; whether what is there is to be discarded."""
    fresh, first = False, 0
    for place, point in enumerate(points):
        members = slice(first, first + len(point.config["seeds"]))
        first = members.stop
        try:
            there = standing(point, work)  # what is refused makes no directory
            if there.summary is not None:
                into.outcomes[place] = there.summary
                continue
            reporter = reporter_of(point)
            run_directory.make(point.directory)
            with ExitStack() as lock:
                unlocked = lock.enter_context(run_directory.held(point.directory))
                there = standing(point, work)  # again: until now, another process may have run it
                if there.summary is not None:
                    into.outcomes[place] = there.summary
                    continue
                stack.push(lock.pop_all())
        except UserError as error:
            into.outcomes[place] = error
            continue
        fresh |= there.fresh
        facts = provenance_of(point, work)
        into.opened[place] = Open(point, reporter, members, (*unlocked, *there.told), facts)
    return fresh


def start(one: Open, work: Work, step: int) -> None:
    """Tell a point's reporter what it is to report, and what the user should know before the numbers."""
    point = one.point
    about = Run(
        name=point.config["name"], directory=point.directory, config=point.config, overrides=point.overrides,
        hashes=one.facts["hashes"], seeds=point.config["seeds"], steps=point.config["steps"] if work.learner else 0,
        step=step, provenance=one.facts, multirun=point.multirun,
    )  # fmt: skip
    one.reporter.start(about)
    for line in (*one.told, *notes(point, work)):
        one.reporter.note(line)


def provenance_of(point: Point, work: Work) -> dict[str, Any]:
    """What a point's numbers depend on."""
    data, split = work.data, work.problem.split
    return {
        "hashes": hashes(point, work),
        **work.environment,
        "data": {"name": data.name, "counts": dict(data.counts), "notes": list(data.notes)},
        "split": {"counts": dict(split.counts), "leak": dict(split.leak), "notes": list(split.notes)},
    }


def notes(point: Point, work: Work) -> list[str]:
    """What the user should know before the numbers: the data, what was dropped, what leaks, what is not used."""
    data, split = work.data, work.problem.split
    lines = [*data.notes]
    lines.append(f"{data.name}: " + ", ".join(f"{name} {count:,}" for name, count in data.counts.items()))
    lines.append("split: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in split.counts.items()))
    lines += split.notes
    for name, share in split.leak.items():
        lines.append(f"leak: {name.replace('_', ' ')}: {share:.0%}")
    for group in work.unused:
        target = str(point.config[group]["_target_"]).rpartition(".")[2]
        lines.append(f"{group}={target} has no part in this learner: its choice changes nothing")
    return lines


def measured(
    points: Points, work: Work, training: Training | None, spent: Callable[[int], dict[str, Any]], prune: Prune
) -> None:
    """Train, choose, then touch the test tasks, once; and finish each point.

    Args:
        points: those that are run.
        work, training: with what.
        spent: from `shares`.
        prune: gives points up before their end.
    """
    speed: dict[str, float | None] = {"train_tasks_per_s": None, "eval_tasks_per_s": None}
    learned: Callable[[Open], Learned | None] = no_learner
    whole: Any = None
    if training:
        training, speed["train_tasks_per_s"] = trained(points, work, training, spent, prune)
        progress = training.progress
        best = jax.device_get((progress.best.value, progress.best.step))
        finite = np.isfinite(best[0])
        each(points, lambda one: check_converged(finite[one.members].tolist(), one.point.config["seeds"]))
        if points.opened:
            # Open points come first; what stands behind them fills the program up.
            last = max(one.members.stop for one in points.opened.values())
            params, numbers = jax.tree.map(lambda leaf: leaf[:last], gathered((progress.best.params, training.numbers)))
            tested, speed["eval_tasks_per_s"] = test(work, training, params, numbers)
            learned = partial(report, work, tested, best)
            whole = jax.tree.map(checkpoint.to_numpy, progress)
    if not points.opened:
        return
    reference = work.reference()

    def finish(one: Open) -> dict[str, Any]:
        for line in settings_lines(reference.settings, work.problem.headline):
            one.reporter.note(line)
        name, hashes = one.point.config["name"], one.facts["hashes"]
        summary, scores = summarised(name, hashes, work.parts, work.data, work.problem, learned(one), reference)
        if training and training.where != one.point.directory / run_directory.CHECKPOINTS:
            keep(whole, one)
        cost = spent(len(points.opened))
        summary["speed"] = speed | {key: cost[key] for key in ("compile_s", "wall_s", "peak_mb", "points")}
        one.reporter.finish(summary, scores, {**one.facts, **cost})
        return summary

    each(points, finish)


def keep(progress: train.Progress, one: Open) -> None:
    """Write a point's own progress, out of that of all, to where a lone run has it."""
    own = jax.tree.map(lambda values: values[one.members], progress)
    checkpoints = checkpoint.open(one.point.directory / run_directory.CHECKPOINTS, fresh=True)
    checkpoints.save(int(own.state.step[0]), own)
    checkpoints.close()


def no_learner(one: Open) -> None:
    """What `report` gives of the baselines alone."""


def report(
    work: Work, tested: Mapping[str, evaluate.Tested], best: tuple[np.ndarray, np.ndarray], one: Open
) -> Learned:
    """What a point's learner did."""
    own, (value, step) = jax.tree.map(lambda values: values[one.members], (tested, best))
    frame, adaptation = evaluate.learner_report(own, work.problem, one.point.config["seeds"])
    aggregates = {scenario: found.aggregates for scenario, found in own.items()}
    return Learned(frame, aggregates, adaptation, validated(value, step, work.parts.metric))


def test(work: Work, training: Training, params: Params, numbers: Numbers) -> tuple[dict[str, evaluate.Tested], float]:
    """Test every member, and say how fast: a row of task scores is a task adapted to at one support size by one seed;
    the shallower depths are part of what it costs."""
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    tested = evaluate.evaluate_learner(
        training.learner,
        work.objective,
        work.problem,
        params,
        numbers,
        work.parts.metrics,
        work.parts.aggregates,
        work.scored,
    )
    rows = sum(next(iter(found.scores.values())).size for found in tested.values())
    return tested, rows / (clock() - compiled().seconds)


def check_converged(sound: Sequence[bool], seeds: Sequence[int]) -> None:
    """Refuse seeds that never made a prediction that is a number; that the metric is defined was checked before.

    One such seed fails the run: a mean over the seeds that happen to do well is no result. What the others did is not
    lost, for a seed's numbers do not depend on which run beside it.

    Args:
        sound: per seed, whether a meta-validation had a value.
        seeds: the seeds.

    Raises:
        Diverged: naming the seeds, and those that are sound.
    """
    bad = [seed for seed, good in zip(seeds, sound, strict=True) if not good]
    rest = [seed for seed in seeds if seed not in bad]
    if bad:
        others = f", or run the others alone, whose numbers stay the same: seeds={listed(rest)}" if rest else ""
        raise Diverged(
            f"training diverged at seeds={listed(bad)}: no meta-validation had numbers for predictions; lower "
            f"optimizer.learning_rate or learner.inner_rate{others}"
        )


def listed(seeds: Sequence[int]) -> str:
    """Seeds as they are typed."""
    return f"[{','.join(map(str, seeds))}]"
