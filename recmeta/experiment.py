"""One experiment from config to summary: load, split, train, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import polars as pl
from jaxtyping import PyTree

from recmeta import build, checkpoint, evaluate, measure, phases, provenance, run_directory, statistics, train, tune
from recmeta.outer import outer
from recmeta.reporters import compose, files
from recmeta.types import Interactions, Learner, Objective, Problem, Reporter, Run, UserError

Config = Mapping[str, Any]


class Work(NamedTuple):
    """All that a run works with, checked: nothing of it is made a second time.

    Attributes:
        config: resolved, as plain values.
        parts: the components.
        data, problem: loaded, and split.
        objective: made.
        learner, optimizer: made; None for the baselines alone.
        hashes: of config, data, protocol and code, and of the start.
        start: the run to begin with, checked; None: none.
        told: what the user is to know of that.
        directory: of the run.
    """

    config: Config
    parts: build.Parts
    data: Interactions
    problem: Problem
    objective: Objective
    learner: Learner | None
    optimizer: optax.GradientTransformation | None
    hashes: Mapping[str, str]
    directory: Path
    start: phases.Start | None = None
    told: Sequence[str] = ()


class Training(NamedTuple):
    """A learner's training as far as it is, and where its progress is kept.

    Attributes:
        learner, optimizer: what is trained.
        progress: fresh, or restored.
        step: how many steps of it are done.
        save: ``(step, progress)``.
    """

    learner: Learner
    optimizer: optax.GradientTransformation
    progress: train.Progress
    step: int
    save: Callable[[int, PyTree], None]


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
    parts = build.build(config)
    reporter = compose(files(), *(make() for make in parts.reporters))
    directory = run_directory.place(config)
    before = run_directory.read(directory, config)
    work = assemble(config, parts, directory)
    fresh = run_directory.starts_over(before, work.hashes, force=config["force"])
    told = [] if fresh else run_directory.differences(before, work.hashes, directory)
    if before.summary is not None and not fresh:
        for line in (
            f"already done, skipped: {directory} (force=true runs it again)",
            *told,
            *verdicts(before.summary),
        ):
            reporter.note(line)
        return before.summary

    run_directory.make(directory)
    with run_directory.held(directory) as unlocked, ExitStack() as stack:
        # Closed last, and told of any error, that of closing the checkpoints included.
        stack.push(lambda kind, error, trace: reporter.close(error))
        training = begin(work, fresh, stack)
        about = describe(work, overrides, training.step if training else 0, multirun)
        reporter.start(about)
        for line in (*unlocked, *told, *notes(work)):
            reporter.note(line)
        numbers, scores = measured(work, training, reporter)
        cost = provenance.cost(clock, compiled)
        summary = summarised(work, numbers, scores, cost)
        reporter.finish(summary, scores, {**about.provenance, **cost})
        return summary


def assemble(config: Config, parts: build.Parts, directory: Path) -> Work:
    """Load, split, and make what is made once; every check that needs the data."""
    data = parts.cleaning(parts.dataset())
    problem = parts.protocol(data)
    objective = parts.objective()
    build.check_problem(parts, problem, objective)
    learner = build.make_learner(parts, problem, objective)
    hashes = {
        "config": provenance.config_hash(config), "data": data.sha256, "protocol": problem.split.sha256,
        "code": provenance.code_hash(),
    }  # fmt: skip
    if learner is None:
        return Work(config, parts, data, problem, objective, None, None, hashes, directory)
    shapes = jax.eval_shape(learner.init, jax.random.key(0))
    optimizer = outer(build.make_optimizer(parts), shapes, clip=config["clip"], freeze=config["freeze"])
    work = Work(config, parts, data, problem, objective, learner, optimizer, hashes, directory)
    if config["start"] is None:
        return work
    start = phases.read(config["start"], config["output"])
    told = phases.check(start, shapes, config["seeds"], hashes)
    return work._replace(start=start, told=told, hashes=hashes | {"start": start.identity})


def begin(work: Work, fresh: bool, stack: ExitStack) -> Training | None:
    """The training to start or to go on with, its checkpoints closed by the stack; None for the baselines alone."""
    if work.learner is None or work.optimizer is None:
        return None
    checkpoints = checkpoint.open(work.directory / run_directory.CHECKPOINTS, fresh=fresh)
    stack.callback(checkpoints.close)
    seeds = work.config["seeds"]
    progress = train.start(work.learner, work.optimizer, seeds, work.parts.metric.goal)
    if work.start:
        params = phases.graft(work.start, progress.state.params, seeds)
        progress = train.start_with(params, progress, work.optimizer)
    progress, step = checkpoints.restore(progress) or (progress, 0)
    return Training(work.learner, work.optimizer, progress, step, checkpoints.save)


def describe(work: Work, overrides: Sequence[str], step: int, multirun: bool) -> Run:
    """What reporters are told at the start."""
    data, split, config = work.data, work.problem.split, work.config
    facts = {
        "hashes": work.hashes,
        **provenance.environment(),
        "data": {"name": data.name, "counts": dict(data.counts), "notes": list(data.notes)},
        "split": {"counts": dict(split.counts), "leak": dict(split.leak), "notes": list(split.notes)},
    }
    return Run(
        name=config["name"], directory=work.directory, config=config, overrides=overrides, hashes=work.hashes,
        seeds=config["seeds"], steps=config["steps"] if work.learner else 0, step=step, provenance=facts,
        multirun=multirun,
    )  # fmt: skip


def notes(work: Work) -> list[str]:
    """What the user should know before the numbers: the data, what was dropped, what leaks, what is not used."""
    data, split = work.data, work.problem.split
    lines = [*work.told, *data.notes]
    lines.append(f"{data.name}: " + ", ".join(f"{name} {count:,}" for name, count in data.counts.items()))
    lines.append("split: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in split.counts.items()))
    lines += split.notes
    for name, share in split.leak.items():
        lines.append(f"leak: {name.replace('_', ' ')}: {share:.0%}")
    for group in build.unused_parts(work.learner) if work.learner else ():
        target = str(work.config[group]["_target_"]).rpartition(".")[2]
        lines.append(f"{group}={target} has no part in this learner: its choice changes nothing")
    return lines


def measured(work: Work, training: Training | None, reporter: Reporter) -> tuple[dict[str, Any], pl.DataFrame]:
    """Train, choose, then touch the test tasks, once: what was measured, and the task scores."""
    parts, problem = work.parts, work.problem
    frames: list[pl.DataFrame] = []
    numbers: dict[str, Any] = {
        "adaptation": {},
        "baselines": {},
        "bounds": measure.mean_bounds(parts.metrics, problem),
    }
    speed: dict[str, float | None] = {"train_tasks_per_s": None, "eval_tasks_per_s": None}
    scored = measure.make_scored(parts.metrics, problem.spec)
    if training:
        best, speed["train_tasks_per_s"] = trained(work, training, reporter)
        clock, compiled = provenance.stopwatch(), provenance.count_compilations()
        scores, numbers["adaptation"] = evaluate.evaluate_learner(
            training.learner, work.objective, problem, best.params, work.config["seeds"], parts.metrics, scored
        )
        # A row is a task adapted to at one support size by one seed; the shallower depths are part of what it costs.
        speed["eval_tasks_per_s"] = len(scores) / (clock() - compiled().seconds)
        frames.append(scores)
    if parts.baselines:
        tuned = tune.tune_baselines(parts.baselines, problem, parts.metrics, parts.metric)
        numbers["baselines"] = tune.settings_report(tuned, problem.shots)
        for line in settings_lines(numbers["baselines"], problem.headline):
            reporter.note(line)
        frames.append(tune.evaluate_baselines(tuned, problem, jax.random.key(0), parts.metrics, scored))
    return numbers | {"speed": speed}, pl.concat(frames)


def trained(work: Work, training: Training, reporter: Reporter) -> tuple[train.Best, float | None]:
    """Train to the end, and say the tasks per second of all chunks but the first, which compiles."""
    config, parts, seeds = work.config, work.parts, len(work.config["seeds"])
    chunk = train.make_chunk(
        training.learner, work.objective, training.optimizer, work.problem, parts.metrics, metric=parts.metric,
        steps=config["eval_every"], total=config["steps"], batch=config["batch"], patience=config["patience"],
    )  # fmt: skip
    progress, seconds = training.progress, []
    clock = provenance.stopwatch()
    per_chunk = config["batch"] * config["eval_every"] * seeds
    for latest, reported in train.train(progress, chunk, work.problem, steps=config["steps"]):
        progress = latest
        seconds.append(clock())
        rate = {"tasks_per_s": [per_chunk / seconds[-1] / seeds] * seeds}
        # Logged first: what was logged after the checkpoint that a run resumes from is dropped, and logged again.
        reporter.log(reported.step, "train", per_seed(reported.train) | rate)
        reporter.log(reported.step, "validation", per_seed(reported.validation))
        training.save(reported.step, progress)
        clock = provenance.stopwatch()
    check_converged(np.isfinite(progress.best.value).tolist(), config["seeds"])
    warm = seconds[1:]
    return progress.best, per_chunk * len(warm) / sum(warm) if warm else None


def check_converged(sound: Sequence[bool], seeds: Sequence[int]) -> None:
    """Refuse seeds that never made a prediction that is a number; that the metric is defined was checked before.

    One such seed fails the run: a mean over the seeds that happen to do well is no result. What the others did is not
    lost, for a seed's numbers do not depend on which run beside it.

    Args:
        sound: per seed, whether a meta-validation had a value.
        seeds: the seeds.

    Raises:
        UserError: naming the seeds, and those that are sound.
    """
    bad = [seed for seed, good in zip(seeds, sound, strict=True) if not good]
    rest = [seed for seed in seeds if seed not in bad]
    if bad:
        others = f", or run the others alone, whose numbers stay the same: seeds={listed(rest)}" if rest else ""
        raise UserError(
            f"training diverged at seeds={listed(bad)}: no meta-validation had numbers for predictions; lower "
            f"optimizer.learning_rate or learner.inner_rate{others}"
        )


def listed(seeds: Sequence[int]) -> str:
    """Seeds as they are typed."""
    return f"[{','.join(map(str, seeds))}]"


def summarised(work: Work, numbers: Mapping[str, Any], scores: pl.DataFrame, cost: Mapping[str, Any]) -> dict[str, Any]:
    """The summary (DESIGN section 5) of what was measured, and of what it cost."""
    metric, problem = work.parts.metric, work.problem
    table = statistics.summarise(scores, problem.headline)
    scenario = next(iter(problem.test))
    value = table[scenario].get("model", {}).get(metric.name, {}).get("mean")
    known = attainable(work.data, problem)
    return {
        "schema": 1,
        "status": "complete",
        "name": work.config["name"],
        "hashes": work.hashes,
        "metric": {
            "name": metric.name, "goal": metric.goal, "scenario": scenario, "value": value, "shots": problem.headline,
        },
        "scores": table,
        **numbers,
        "verdict": statistics.verdict(scores, metric.name, metric.goal, problem.headline),
        "speed": numbers["speed"] | {name: cost[name] for name in ("compile_s", "wall_s", "peak_mb")},
        **({"attainable": known} if known else {}),
    }  # fmt: skip


def attainable(data: Interactions, problem: Problem) -> dict[str, float]:
    """The best errors possible, where they are known: "mae" at the headline support size, and each under its own name.

    There is no plain "rmse": the one known is of all rows pooled, while tables hold the mean of each user's own. Empty
    where the labels are no longer the data's, and what is known of them is in other units.
    """
    if not data.attainable or (problem.spec.low, problem.spec.high) != tuple(data.label_range):
        return {}
    sized = {name: value for name, value in data.attainable.items() if "@" in name}
    headline = sized.get(f"mae@{problem.headline}")
    return sized if headline is None else {"mae": headline, **sized}


def settings_lines(settings: Mapping[str, Any], headline: int) -> list[str]:
    """What was chosen for each baseline at the headline support size, out of how many."""
    lines = []
    for name, chosen in settings.items():
        place = chosen["shots"].index(headline)
        numbers = {key: chosen[key][place] for key in chosen if key not in ("tried", "by", "shots")}
        said = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in numbers.items())
        lines.append(f"{name}: {said} at K = {headline}, the best of {chosen['tried']} by meta-validation")
    return lines


def per_seed(values: Mapping[str, Any]) -> dict[str, list[float]]:
    """Plain lists, a value per seed."""
    return {name: value.astype(float).tolist() for name, value in values.items()}


def verdicts(summary: Config) -> list[str]:
    """The verdict lines of a summary."""
    return [f"{scenario}: {verdict['text']}" for scenario, verdict in summary["verdict"].items()]
