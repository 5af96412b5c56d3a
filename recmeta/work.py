"""What a run works with, made of its config and checked, and whether there is anything to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax

from recmeta import build, measure, phases, provenance, run_directory, statistics, train, tune
from recmeta.outer import outer
from recmeta.summary import Reference, at_once
from recmeta.types import Interactions, MakeLearner, Objective, Params, Problem

Config = Mapping[str, Any]


class Point(NamedTuple):
    """One run: a lone one, or one of a sweep's.

    Attributes:
        config: resolved, as plain values.
        overrides: what was typed.
        parts: made of the config, and checked.
        directory: of the run.
        multirun: whether it is one of a sweep's.
    """

    config: Config
    overrides: Sequence[str]
    parts: build.Parts
    directory: Path
    multirun: bool


class Work(NamedTuple):
    """What is made once of a config, also for several points: those that differ in no more than seeds and `Numbers`.

    Attributes:
        parts: the components.
        data, problem: loaded, and split.
        objective: made.
        learner, optimizer: make these of numbers; None for the baselines alone.
        hashes: of data, protocol and code, and of the start.
        scored: from `measure.make_scored`.
        reference: what the baselines do; worked out at the first call.
        unused: the groups whose component the learner makes no use of.
        environment: from `provenance.environment`.
        start: the run to begin with; None: none.
        shapes: of one member's parameters; None for the baselines alone.
    """

    parts: build.Parts
    data: Interactions
    problem: Problem
    objective: Objective
    learner: MakeLearner | None
    optimizer: train.MakeOptimizer | None
    hashes: Mapping[str, str]
    scored: measure.Scored
    reference: Callable[[], Reference]
    unused: Sequence[str]
    environment: Mapping[str, Any]
    start: phases.Start | None
    shapes: Params


class Standing(NamedTuple):
    """What a run directory means to a point.

    Attributes:
        summary: of a run that is done and stands; None where there is something to do.
        fresh: whether what is there is to be discarded.
        told: lines for the user.
    """

    summary: dict[str, Any] | None
    fresh: bool
    told: Sequence[str]


def plan(config: Config, overrides: Sequence[str], *, multirun: bool) -> Point:
    """Make the components of a config, and look where its run is to be."""
    parts = build.build(config)
    directory = run_directory.place(config)
    run_directory.read(directory, config)  # what can't be read is refused before the data are
    return Point(config, overrides, parts, directory, multirun)


def load(parts: build.Parts) -> tuple[Interactions, Problem]:
    """Load the data, and split it."""
    data = parts.cleaning(parts.dataset())
    return data, parts.protocol(data)


def assemble(config: Config, parts: build.Parts, data: Interactions, problem: Problem) -> Work:
    """Make what is made once, and check all that needs the data but not the seeds.

    Args:
        config: whose ``start`` is taken, and what `outer` puts around the optimizer.
        parts: made of it.
        data, problem: from `load`.
    """
    objective = parts.objective()
    build.check_problem(parts, problem, objective)
    learner = build.make_learner(parts, problem, objective)
    optimizer = shapes = start = None
    hashes = {"data": data.sha256, "protocol": problem.split.sha256, "code": provenance.code_hash()}
    if learner:
        shapes = jax.eval_shape(learner(parts.numbers).init, jax.random.key(0))
        around = {key: config[key] for key in ("clip", "schedule", "steps", "freeze")}
        optimizer = _within(partial(outer, shapes=shapes, **around), build.make_optimizer(parts))
        optimizer(parts.numbers)  # what it refuses is refused before anything is written
        if config["start"] is not None:
            start = phases.read(config["start"], config["output"])
            hashes["start"] = start.identity
    scored = measure.make_scored(parts.metrics, problem.spec)
    reference = cache(partial(refer, parts, problem, scored))
    unused = build.unused_parts(shapes) if learner else []
    environment = provenance.environment()
    return Work(
        parts, data, problem, objective, learner, optimizer, hashes, scored, reference, unused, environment, start,
        shapes,
    )  # fmt: skip


def _within(
    around: Callable[[optax.GradientTransformation], optax.GradientTransformation], make: train.MakeOptimizer
) -> train.MakeOptimizer:
    """What makes the optimizer, with what is around it."""
    return lambda numbers: around(make(numbers))


def refer(parts: build.Parts, problem: Problem, scored: measure.Scored) -> Reference:
    """Tune the baselines on meta-validation, and test them."""
    bounds = measure.mean_bounds(parts.metrics, problem)
    if not parts.baselines:
        return Reference(None, {}, {}, bounds)
    tuned = tune.tune_baselines(parts.baselines, problem, parts.metrics, parts.metric)
    frame = tune.evaluate_baselines(tuned, problem, jax.random.key(0), parts.metrics, scored)
    scores = statistics.summarise(frame, problem.headline)
    for scenario, methods in tune.fold_baselines(tuned, problem, jax.random.key(0), parts.aggregates).items():
        for method, found in methods.items():
            scores[scenario][method] |= at_once({name: [value] for name, value in found.items()}, problem, scenario, 0)
    return Reference(frame, scores, tune.settings_report(tuned, problem.shots), bounds)


def hashes(point: Point, work: Work) -> dict[str, str]:
    """Of config, data, protocol and code, and of the start."""
    return {"config": provenance.config_hash(point.config), **work.hashes}


def standing(point: Point, work: Work) -> Standing:
    """Whether a point is done, or to be resumed, or to be started over: now, since other processes may run it too.

    Raises:
        UserError: where its directory holds a run of other data, or it can't begin with its start.
    """
    begun = phases.check(work.start, work.shapes, point.config["seeds"], work.hashes) if work.start else []
    before = run_directory.read(point.directory, point.config)
    fresh = run_directory.starts_over(before, work.hashes, force=point.config["force"])
    told = [] if fresh else run_directory.differences(before, work.hashes, point.directory)
    summary = None if fresh else before.summary
    return Standing(summary, fresh, told if summary else [*told, *begun])
