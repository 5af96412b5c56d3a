"""Run an experiment from start to end: plan, prepare, train, choose, touch the test tasks once, summarise.

The runs of a sweep that share a compiled program are one block, and a lone run is a block of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from recmeta.config.schema import FITTED, RAW
from recmeta.evaluation import predict
from recmeta.evaluation.calibration import Calibration
from recmeta.experiment.block import Block, OpenRun, Outcome, Prune, close_all, for_each, keep_all
from recmeta.experiment.loop import Training, begin, train
from recmeta.experiment.prepare import PlannedRun, Prepared, hashes, load, plan, prepare, status
from recmeta.experiment.summary import (
    Learned,
    baseline_lines,
    goals,
    maps_report,
    shrinkage_line,
    summarise,
    validation,
    verdict_lines,
)
from recmeta.features import transform
from recmeta.reporters.several import compose
from recmeta.results.labels import typed_choice
from recmeta.runs import directory as run_directory
from recmeta.runs import layout, provenance
from recmeta.runs.files import disk_errors, to_json, write
from recmeta.runs.layout import Summary
from recmeta.runs.record import record
from recmeta.training import checkpoint
from recmeta.training.chunk import Progress
from recmeta.training.devices import on_one_device
from recmeta.types import Diverged, Numbers, Params, Reporter, Run, UserError


def run(config: Mapping[str, Any], overrides: Sequence[str], *, multirun: bool = False, title: str = "") -> Summary:
    """Run an experiment, skip it where it is done, or resume it where it was interrupted.

    Both only where the data and the split are those that it was started with; ``force=true`` discards what is there.

    Args:
        config: resolved, as plain values.
        overrides: what was typed.
        multirun: whether this is one run of a sweep.
        title: its name on the console; the experiment's by default.

    Raises:
        UserError: for anything the user can put right; before training, nothing is written then.
    """
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    planned = plan(config, overrides, multirun=multirun)
    reporter = reporter_of(planned)
    named = f"{title or config['name']}: {about(config, overrides, title)}"
    reporter.note(f"{named}: reading the data and building the model")
    prepared = prepare(planned, *load(planned.parts))
    there = status(planned, prepared, planned.previous)
    if there.summary is not None:
        skipped = f"already done, skipped: {planned.directory} (force=true runs it again)"
        for line in (skipped, *there.messages, *verdict_lines(there.summary)):
            reporter.note(line)
        return there.summary
    (outcome,) = run_block([planned], prepared, planned.directory / layout.CHECKPOINTS, clock, compiled)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def about(config: Mapping[str, Any], overrides: Sequence[str], title: str) -> str:
    """The choices that a run is mostly of, as they are typed, less those that its title has."""
    choices = [f"{group}={typed_choice(group, config, overrides)}" for group in ("dataset", "protocol", "learner")]
    return " ".join(text for text in choices if text not in title.split())


def run_block(
    runs: Sequence[PlannedRun],
    prepared: Prepared,
    checkpoints: Path,
    clock: Callable[[], float],
    compiled: Callable[[], provenance.Compilations],
    prune: Prune = keep_all,
) -> list[Outcome]:
    """Run a block: runs that differ in nothing but seeds and traced hyper-parameters.

    Args:
        runs: at least one. Of those that are done, nothing is done again.
        prepared: of one of them.
        checkpoints: where the progress of all is kept; each run's own is written to its directory at the end.
        clock, compiled: since when seconds and compilations are the block's: each run has its share.
        prune: stops runs early.

    Returns:
        The outcome of each.

    Raises:
        MemoryError: where there is more than one, and not memory enough.
        Exception: what else fails for all of them.
    """
    block = Block({}, {})
    made: dict[int, list[Path]] = {}
    with ExitStack() as stack:
        # Called when all else is closed.
        stack.callback(lambda: discard_refused(runs, block, made))
        fresh = open_runs(runs, prepared, block, stack, made)
        # Closed last, and told of any error, that of closing the checkpoints included.
        stack.push(lambda kind, error, trace: close_all(block, error))
        if block.open:
            training = begin(runs, prepared, checkpoints, fresh, stack)
            for_each(block, lambda one: start(one, prepared, training))
            train_and_test(block, prepared, training, cost_shares(clock, compiled, len(runs)), prune)
    return [block.outcomes[place] for place in range(len(runs))]


def cost_shares(
    clock: Callable[[], float], compiled: Callable[[], provenance.Compilations], runs: int
) -> Callable[[int], dict[str, Any]]:
    """Share the cost of a block between its runs: of the seconds, each has its part while it is there.

    Args:
        clock, compiled: since when seconds and compilations are the block's.
        runs: how many there are at the start.

    Returns:
        ``(how many runs there were since the last call) -> cost`` of one that is there; programs and memory are
        everyone's.
    """
    own, before = {"wall_s": 0.0, "compile_s": 0.0}, {"wall_s": 0.0, "compile_s": 0.0}

    def share(there: int) -> dict[str, Any]:
        cost = provenance.cost(clock, compiled)
        for key in own:
            own[key] += (cost[key] - before[key]) / there
            before[key] = cost[key]
        return {**cost, **own, "points": runs}

    return share


def reporter_of(planned: PlannedRun) -> Reporter:
    """The run directory's record and, after it, the config's reporters."""
    return compose(record(), *(make() for make in planned.parts.reporters))


def discard_refused(runs: Sequence[PlannedRun], block: Block, made: Mapping[int, Sequence[Path]]) -> None:
    """Remove the directories of runs that were refused before their first step: nothing is left of them."""
    for place, folders in made.items():
        refused = isinstance(outcome := block.outcomes.get(place), UserError) and not isinstance(outcome, Diverged)
        log = runs[place].directory / layout.METRICS
        if refused and not (log.exists() and log.stat().st_size):
            run_directory.discard(folders)


def open_runs(
    runs: Sequence[PlannedRun], prepared: Prepared, block: Block, stack: ExitStack, made: dict[int, list[Path]]
) -> bool:
    """Lock and open pending runs. Returns whether to discard old checkpoints.

    Args:
        runs, prepared: to be run.
        block: gets the open ones, and the outcomes of the others.
        stack: holds their locks.
        made: gets the folders that are made for each.
    """
    fresh, first = False, 0
    for place, planned in enumerate(runs):
        replicas = slice(first, first + len(planned.settings.seeds))
        first = replicas.stop
        try:
            there = status(planned, prepared, planned.previous)  # what is refused makes no directory
            if there.summary is not None:
                block.outcomes[place] = there.summary
                continue
            reporter = reporter_of(planned)
            reporter.check()
            made[place] = run_directory.make(planned.directory)
            with ExitStack() as lock:
                unlocked = lock.enter_context(run_directory.locked(planned.directory))
                # Read again under the lock: until now, another process may have run it.
                there = status(planned, prepared, run_directory.read(planned.directory, planned.config_hash))
                if there.summary is not None:
                    block.outcomes[place] = there.summary
                    continue
                stack.push(lock.pop_all())
        except UserError as error:
            block.outcomes[place] = error
            continue
        fresh |= there.fresh
        facts = provenance_of(planned, prepared)
        block.open[place] = OpenRun(planned, reporter, replicas, (*unlocked, *there.messages), facts)
    return fresh


def start(one: OpenRun, prepared: Prepared, training: Training | None) -> None:
    """Start a run's reporter, and note all that the user should know before the numbers."""
    run, settings = one.run, one.run.settings
    about = Run(
        name=settings.name, directory=run.directory, config=run.config, overrides=run.overrides,
        hashes=one.provenance["hashes"], seeds=settings.seeds, steps=settings.steps if prepared.learner else 0,
        step=training.step if training else 0, provenance=one.provenance, multirun=run.multirun, goals=goals(run.parts),
        metric=run.parts.metric.name,
    )  # fmt: skip
    one.reporter.start(about)
    for line in (*one.messages, *(training.messages if training else ()), *notes(run, prepared)):
        one.reporter.note(line)


def provenance_of(run: PlannedRun, prepared: Prepared) -> dict[str, Any]:
    """Collect the provenance of a run: hashes, versions, device, counts of data and split."""
    data, split = prepared.data, prepared.problem.split
    return {
        "hashes": hashes(run, prepared),
        **({"components": dict(prepared.components)} if prepared.components else {}),
        **prepared.environment,
        "data": {"name": data.name, "counts": dict(data.counts), "notes": list(data.notes)},
        "split": {"counts": dict(split.counts), "leak": dict(split.leak), "notes": list(split.notes)},
    }


def notes(run: PlannedRun, prepared: Prepared) -> list[str]:
    """List the notes to a run: the data, dropped rows, leaks in time, unused components."""
    data, split = prepared.data, prepared.problem.split
    lines = [*data.notes]
    lines.append(f"{data.name}: " + ", ".join(f"{name} {count:,}" for name, count in data.counts.items()))
    lines.append("split: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in split.counts.items()))
    lines += split.notes
    for name, share in split.leak.items():
        lines.append(f"leak: {name.replace('_', ' ')}: {share:.0%}")
    for group in prepared.unused:
        target = str(run.config[group]["_target_"]).rpartition(".")[2]
        lines.append(f"{group}={target} has no part in this learner: its choice changes nothing")
    if run.settings.point == RAW:
        lines.append("point=raw: error metrics read predictions as they are")
    return [*lines, *prepared.notes]


def train_and_test(
    block: Block, prepared: Prepared, training: Training | None, cost: Callable[[int], dict[str, Any]], prune: Prune
) -> None:
    """Train, choose, then touch the test tasks, once; and finish each run.

    Args:
        block: the runs.
        prepared, training: with what.
        cost: from `cost_shares`.
        prune: stops runs early.
    """
    speed: dict[str, float | None] = {"train_tasks_per_s": None, "eval_tasks_per_s": None}
    learned: Callable[[OpenRun], Learned | None] = no_learner
    progress: Any = None
    if training:
        training, speed["train_tasks_per_s"] = train(block, prepared, training, cost, prune)
        found = training.progress.best
        best = jax.device_get((found.value, found.step, found.share))
        for_each(block, lambda one: check_converged(best[0][one.replicas], one.run.settings.seeds))
        if prepared.shrinks:
            for_each(block, lambda one: one.reporter.note(shrinkage_line(best[2][one.replicas])))
        if block.open:
            # Open runs come first; what stands behind them fills the program up.
            last = max(one.replicas.stop for one in block.open.values())
            chosen = on_one_device((training.progress.best.params, training.numbers))
            params, numbers = jax.tree.map(lambda leaf: leaf[:last], chosen)
            maps = calibrate(prepared, training, params, numbers)
            results, speed["eval_tasks_per_s"] = test(prepared, training, params, numbers, maps)
            learned = partial(report, prepared, results, best, maps)
            progress = jax.tree.map(checkpoint.to_numpy, training.progress)
    if not block.open:
        return
    if training is None:  # nothing else is seen meanwhile
        for_each(block, lambda one: one.reporter.note("tuning and testing the baselines"))
    reference = prepared.reference()

    def finish(one: OpenRun) -> Summary:
        for line in baseline_lines(reference.settings, prepared.problem.headline):
            one.reporter.note(line)
        name, hashed, own = one.run.settings.name, one.provenance["hashes"], learned(one)
        summary, scores = summarise(
            name, hashed, prepared.parts, prepared.data, prepared.problem, own, reference,
            rates=training is None or prepared.objective.rates,
        )  # fmt: skip
        if training and training.where != one.run.directory / layout.CHECKPOINTS:
            save_own(progress, one)
        spent = cost(len(block.open))
        if prepared.departs:
            summary["departs"] = prepared.departs
        total: Any = speed | {key: spent[key] for key in ("compile_s", "wall_s", "peak_mb", "points")}
        summary["speed"] = total
        if maps := maps_report(own, reference, prepared.problem):
            with disk_errors(one.run.directory):
                write(one.run.directory / layout.CALIBRATION, to_json(maps))
        if prepared.problem.transform:
            transform.save(prepared.problem.transform, one.run.directory / layout.FEATURES)
        one.reporter.finish(summary, scores, {**one.provenance, **spent})
        return summary

    for_each(block, finish)


def save_own(progress: Progress, one: OpenRun) -> None:
    """Write a run's own progress, out of that of its block, to where a lone run has it."""
    own = jax.tree.map(lambda values: values[one.replicas], progress)
    checkpoints = checkpoint.open(one.run.directory / layout.CHECKPOINTS, fresh=True)
    checkpoints.save(int(own.state.step[0]), own)
    checkpoints.close()


def no_learner(one: OpenRun) -> None:
    """Report no learner, where baselines alone are run."""


def report(
    prepared: Prepared,
    results: Mapping[str, predict.TestResult],
    best: tuple[np.ndarray, np.ndarray, np.ndarray],
    maps: Calibration | None,
    one: OpenRun,
) -> Learned:
    """Report a run's learner: task scores, adaptation, the value that chose its checkpoints."""
    own, (value, step, share), mapped = jax.tree.map(lambda values: values[one.replicas], (results, best, maps))
    seeds, rates = one.run.settings.seeds, prepared.objective.rates
    frame, adaptation = predict.learner_report(own, prepared.problem, seeds, rates=rates)
    aggregates = {scenario: found.aggregates for scenario, found in own.items()}
    each = mapped and [jax.tree.map(lambda values, seed=seed: values[seed], mapped) for seed in range(len(seeds))]
    chosen = validation(value, step, prepared.parts.metric, share if prepared.shrinks else None)
    return Learned(frame, aggregates, adaptation, chosen, each)


def calibrate(prepared: Prepared, training: Training, params: Params, numbers: Numbers) -> Calibration | None:
    """Fit every replica's maps on meta-validation; None where no metric would read them."""
    reads = any(metric.reads == "prediction" for metric in prepared.parts.metrics)
    if prepared.settings.point != FITTED or not (reads and prepared.objective.rates):
        return None
    return predict.calibrate_learner(
        training.learner, prepared.objective, prepared.problem, params, numbers, prepared.constants
    )


def test(
    prepared: Prepared, training: Training, params: Params, numbers: Numbers, maps: Calibration | None
) -> tuple[dict[str, predict.TestResult], float]:
    """Test every replica, and measure the rows of task scores per second.

    A row is a task adapted to at one support size by one seed; the shallower depths are part of its cost.
    """
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    results = predict.test_learner(
        training.learner,
        prepared.objective,
        prepared.problem,
        params,
        numbers,
        prepared.parts.metrics,
        prepared.parts.aggregates,
        prepared.scored,
        prepared.constants,
        maps,
    )
    rows = sum(next(iter(found.scores.values())).size for found in results.values())
    return results, rows / (clock() - compiled().seconds)


def check_converged(best: np.ndarray, seeds: Sequence[int]) -> None:
    """Refuse seeds that never made a finite prediction; that the metric is defined was checked before.

    One such seed fails the run: a mean over the seeds that happen to do well is no result. What the others did is not
    lost, for a seed's numbers do not depend on which run beside it.

    Args:
        best: per seed, the best value on meta-validation; not finite where none had a value.
        seeds: the seeds.

    Raises:
        Diverged: naming the seeds that diverged, and those that did not.
    """
    bad = [seed for seed, good in zip(seeds, np.isfinite(best).tolist(), strict=True) if not good]
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
