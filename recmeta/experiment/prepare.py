"""Prepare an experiment: plan its run, load and split the data, build the learner, and detect finished runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import optax

from recmeta import statistics
from recmeta.baselines import tuning
from recmeta.config import compatibility, schema
from recmeta.config.components import SUPPLIED, try_optimizer
from recmeta.config.parts import Parts, make_parts, supplied
from recmeta.config.sources import component_files
from recmeta.config.values import replaced
from recmeta.evaluation import score
from recmeta.experiment.summary import Reference, aggregate_cells
from recmeta.features.kinds import sources
from recmeta.fitted.folds import CrossFitted, cross_fit
from recmeta.models import probe
from recmeta.models.model import hash_constants, make_model, with_constants
from recmeta.results.labels import choice
from recmeta.runs import directory as run_directory
from recmeta.runs import provenance
from recmeta.runs.directory import Previous
from recmeta.runs.files import one_line
from recmeta.runs.hashing import code_hash, components_hash, config_hash, file_hash
from recmeta.runs.layout import Summary
from recmeta.texts.noting import files_hash, with_texts
from recmeta.training import warm_start
from recmeta.training.chunk import MakeOptimizer
from recmeta.training.optimizer import Schedule, outer_optimizer
from recmeta.types import (
    Constants,
    Interactions,
    Learner,
    MakeLearner,
    Numbers,
    Objective,
    Params,
    Problem,
    UserError,
)  # fmt: skip

FITS = "fits"
"""Where the constants of a program have what is fitted for its learner."""

FITTED: WeakKeyDictionary[Any, dict[str, CrossFitted]] = WeakKeyDictionary()
"""What was fitted to a problem, which its background stands for: programs of other structure read the same fits."""


class PlannedRun(NamedTuple):
    """A run as it was asked for: nothing is loaded yet.

    Attributes:
        config: resolved, as plain values.
        config_hash: of it.
        settings: its scalars.
        parts: its components, checked.
        overrides: what was typed.
        directory: where it is written.
        previous: what is there already.
        multirun: whether it is one run of a sweep.
        components: of its components that are not recmeta's, the hash of each source file.
    """

    config: Mapping[str, Any]
    config_hash: str
    settings: schema.Root
    parts: Parts
    overrides: Sequence[str]
    directory: Path
    previous: Previous
    multirun: bool
    components: Mapping[str, str]


class Prepared(NamedTuple):
    """The parts that runs share which differ in nothing but seeds and traced hyper-parameters.

    Attributes:
        settings, parts: of one of them.
        data, problem: loaded, and split.
        objective: made.
        learner, optimizer: make these of traced hyper-parameters; None for the baselines alone.
        constants: of the learner's model.
        hashes: of data, protocol and code; of the start, the constants, and the files that texts are encoded by, where
            there are some.
        scored: from `recmeta.evaluation.score.make_scored`.
        reference: what the baselines do; worked out at the first call.
        unused: the groups whose component the learner makes no use of.
        notes: lines about what of a batch has no part in the learner.
        components: of components and kinds of feature that are not recmeta's, the hash of each source file.
        environment: from `provenance.environment`.
        start: the run to begin with; None: none.
        shapes: of one replica's parameters; None for the baselines alone.
        shrinks: whether the learner corrects something, and meta-validation chooses how much.
        departs: what makes the learner another method than the paper's of its name, as tables print it.
    """

    settings: schema.Root
    parts: Parts
    data: Interactions
    problem: Problem
    objective: Objective
    learner: MakeLearner | None
    optimizer: MakeOptimizer | None
    constants: Constants
    hashes: Mapping[str, str]
    scored: score.Scored
    reference: Callable[[], Reference]
    unused: Sequence[str]
    notes: Sequence[str]
    components: Mapping[str, str]
    environment: Mapping[str, Any]
    start: warm_start.Start | None
    shapes: Params
    departs: Mapping[str, str]
    shrinks: bool = False


class Status(NamedTuple):
    """The status of a run: done, to be resumed, or to be started over.

    Attributes:
        summary: of a run that is done; None where there is something to do.
        fresh: whether to discard what is there.
        messages: lines for the user.
    """

    summary: Summary | None
    fresh: bool
    messages: Sequence[str]


def plan(config: Mapping[str, Any], overrides: Sequence[str], *, multirun: bool) -> PlannedRun:
    """Make the components of a config, and read its run directory.

    Raises:
        UserError: for anything that can be refused before the data are loaded.
    """
    schema.check_complete(config)
    parts, digest = make_parts(config), config_hash(config)
    directory = run_directory.place(config, digest)
    previous = run_directory.read(directory, digest)
    components = {name: file_hash(path) for name, path in component_files(config).items()}
    settings = schema.Root(**config)
    return PlannedRun(config, digest, settings, parts, overrides, directory, previous, multirun, components)


def load(parts: Parts) -> tuple[Interactions, Problem]:
    """Load the data, note how its texts become features, and split it."""
    # First: what it lacks is refused before anything is fetched.
    text = None if parts.text is None else compatibility.check_text(parts.text())
    data = parts.cleaning(parts.dataset())
    if text is not None:
        data = with_texts(data, text)
    return data, parts.protocol(data)


def prepare(run: PlannedRun, data: Interactions, problem: Problem) -> Prepared:
    """Build all that is built once, and run the checks that need the data but not the seeds.

    Args:
        run: whose components and settings are used.
        data, problem: from `load`.

    Raises:
        UserError: for a combination that cannot work.
    """
    parts, settings = run.parts, run.settings
    objective = make_objective(parts, problem)
    compatibility.check_problem(parts, problem, objective)
    fits: dict[str, CrossFitted] = {}
    learner, constants = make_learner(parts, problem, objective, fits)
    optimizer = shapes = start = None
    hashes = {"data": data.sha256, "protocol": problem.split.sha256, "code": code_hash()}
    hashes |= {"text": files} if (files := files_hash(data)) else {}
    # Kinds of feature that are not recmeta's are known with the data alone.
    components = {**run.components, **{path.name: file_hash(path) for path in sources(data)}}
    hashes |= {"components": components_hash(components)} if components else {}
    unused, said, departs, shrinks = [], [], {}, False
    if learner:
        made = learner(parts.numbers, constants)
        shapes = jax.eval_shape(made.init, jax.random.key(0))
        compatibility.check_adaptation(made, shapes, problem)
        unused = [*compatibility.unused_parts(shapes), *made.ignores]
        said, departs = list(made.notes), departures(made, run.config)
        shrinks = made.shrink is not None
        # What is fitted follows from data, split and code, whose hashes are there.
        own = {name: values for name, values in constants.items() if name != FITS}
        hashes |= {"constants": hash_constants(own)} if own else {}
        optimizer = make_optimizer(parts, settings, shapes)
        if settings.start is not None:
            start = warm_start.read(settings.start, settings.output)
            hashes["start"] = start.identity
    scored = score.make_scored(parts.metrics, problem.spec)
    calibrates = settings.point == schema.FITTED
    reference = cache(partial(tune_and_test_baselines, parts, problem, scored, calibrates=calibrates))
    notes = (
        [*said, *check_batches(parts, problem, objective, shapes, fits), *left_out(parts, problem)] if learner else []
    )
    return Prepared(
        settings, parts, data, problem, objective, learner, optimizer, constants, hashes, scored, reference, unused,
        notes, components, provenance.environment(), start, shapes, departs, shrinks,
    )  # fmt: skip


def departures(learner: Learner, config: Mapping[str, Any]) -> dict[str, str]:
    """List all that makes a learner another method than the paper's of its name: its own, and the outer optimizer."""
    outer = choice(config["optimizer"])
    others = {"optimizer": f"{outer} outside"} if learner.outer not in ("", outer) else {}
    return dict(learner.departs) | others


def make_objective(parts: Parts, problem: Problem) -> Objective:
    """Make the objective; one that asks for ``spec`` is given it.

    Raises:
        UserError: where it is none, or its loss does not take what a loss is given.
    """
    objective = supplied(parts.objective, "spec")(problem.spec)
    compatibility.check_objective(objective)
    return objective


def make_learner(
    parts: Parts, problem: Problem, objective: Objective, fits: dict[str, CrossFitted]
) -> tuple[MakeLearner | None, dict[str, Constants]]:
    """Build the model for a problem, and make the fits that its learner asks for.

    Args:
        parts, problem, objective: of which.
        fits: what is cross-fitted to the problem, by name; gets what is missing.

    Returns:
        A learner factory, ``(traced hyper-parameters, constants) -> learner``, and the constants: the model's, and
        under `FITS` the learner's. None for the baselines alone.

    Raises:
        UserError: for a model that can't be adapted so; before anything is written.
    """
    build = parts.learner
    if build is None:
        return None, {}
    made = make_model(parts.encoder, parts.scorer, problem.spec, objective, problem.background, problem.transform)
    model = probe.probe(made, problem.validation.task)

    def make(numbers: Numbers, constants: Mapping[str, Constants]) -> Learner:
        bound = with_constants(model, constants)
        fit = partial(cross_fitted, problem, fits, constants.get(FITS, {}))
        learner = supplied(replaced(build, numbers["learner"]), *SUPPLIED["learner"])
        return learner(problem.spec, bound, objective, fit)

    make(parts.numbers, dict(model.constants))  # what it refuses is refused before anything is written
    return make, {**model.constants, **({FITS: fits} if fits else {})}


def cross_fitted(
    problem: Problem, fits: dict[str, CrossFitted], constants: Mapping[str, CrossFitted], prepare: Callable[..., Any]
) -> CrossFitted:
    """Cross-fit for a learner: once, and then read the fits from the constants, which are tracers in a program.

    Args:
        problem: to fit to.
        fits: gets what is missing.
        constants: the same, as arguments of the program.
        prepare: see `recmeta.fitted.folds.CrossFit`.
    """
    plain = prepare if isinstance(prepare, partial) else partial(prepare)
    if not inspect.isfunction(plain.func):
        raise UserError("learner: cross_fit takes a function of the problem, or a partial of one")
    name = f"{plain.func.__module__}.{plain.func.__qualname__}{plain.args}{sorted(plain.keywords.items())}"
    if name in constants:
        return constants[name]
    if name not in fits:
        made = FITTED.setdefault(problem.background, {})
        fits[name] = made[name] if name in made else made.setdefault(name, cross_fit(problem, prepare))
    return fits[name]


def check_batches(
    parts: Parts, problem: Problem, objective: Objective, shapes: Params, fits: dict[str, CrossFitted]
) -> list[str]:
    """Check an augmentation, and the parts of a batch that reach the loss; see `compatibility.check_batch`."""
    if parts.augmentation:
        compatibility.check_augmentation(parts.augmentation(), problem)

    def make(objective: Objective) -> Learner:
        learner, constants = make_learner(parts, problem, objective, fits)
        assert learner is not None
        return learner(parts.numbers, constants)

    return compatibility.check_batch(make, objective, problem, shapes)


def left_out(parts: Parts, problem: Problem) -> list[str]:
    """Count the pairs of each relation that an encoder of the background does not see, a line each."""
    if problem.background is None or "background" not in inspect.signature(parts.encoder).parameters:
        return []
    dropped = problem.background().dropped
    return [
        f"relation {name}: {count:,} pairs left out, with an item that meta-train has not seen"
        for name, count in dropped.items()
        if count
    ]


def make_optimizer(parts: Parts, settings: schema.Root, shapes: Params) -> MakeOptimizer:
    """Build an optimizer factory: traced hyper-parameters -> optimizer, with clipping, schedule and frozen parts.

    It is tried, on shapes: it must update from gradients and parameters.

    Raises:
        UserError: where it does not, as one that also wants the loss, or where a frozen part is not there; where the
            schedule gives no number for a step.
    """
    try:
        jax.eval_shape(lambda: try_optimizer(parts.optimizer()))
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"optimizer: it can't be made, or needs more than gradients: {one_line(error)}") from error

    if parts.schedule:
        check_schedule(parts.schedule, settings.steps)

    def make(numbers: Numbers) -> optax.GradientTransformation:
        return outer_optimizer(
            parts.optimizer(**numbers["optimizer"]), shapes, clip=settings.clip, schedule=parts.schedule,
            steps=settings.steps, freeze=settings.freeze,
        )  # fmt: skip

    make(parts.numbers)  # what it refuses is refused before anything is written
    return make


def check_schedule(schedule: Schedule, steps: int) -> None:
    """Refuse a schedule that gives no number for a step.

    Raises:
        UserError: so.
    """
    try:
        shape = jax.eval_shape(lambda step: jnp.multiply(schedule(steps)(step), 1.0), jnp.array(0)).shape
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"schedule: it must return a function of the step: {one_line(error)}") from error
    if shape != ():
        raise UserError(f"schedule: it must give one number for a step, and gives {list(shape)}")


def tune_and_test_baselines(parts: Parts, problem: Problem, scored: score.Scored, *, calibrates: bool) -> Reference:
    """Tune and calibrate the baselines on meta-validation, and test them."""
    bounds = score.mean_bounds(parts.metrics, problem)
    if not parts.baselines:
        return Reference(None, {}, {}, bounds, {}, {})
    key = jax.random.key(0)
    tuned = tuning.tune_baselines(parts.baselines, problem, parts.metrics, parts.metric, calibrates=calibrates)
    frame = tuning.evaluate_baselines(tuned, problem, key, parts.metrics, scored)
    scores = statistics.summarise(frame, problem.headline)
    for scenario, methods in tuning.aggregate_baselines(tuned, problem, key, parts.aggregates).items():
        for method, found in methods.items():
            values = {name: [value] for name, value in found.items()}
            scores[scenario][method] |= aggregate_cells(values, problem, scenario, 0)
    maps = {name: each.calibration for name, each in tuned.items() if each.calibration}
    validated = {name: each.validated for name, each in tuned.items()}
    return Reference(frame, scores, tuning.settings_report(tuned, problem.shots), bounds, maps, validated)


def hashes(run: PlannedRun, prepared: Prepared) -> dict[str, str]:
    """The hashes of config, data, protocol and code, of components from elsewhere, and of the start."""
    return {"config": run.config_hash, **prepared.hashes}


def status(run: PlannedRun, prepared: Prepared, previous: Previous) -> Status:
    """Decide if a run is done, to be resumed, or to be started over.

    Args:
        run, prepared: what is asked for.
        previous: what its directory holds; read again where another process may have been there since.

    Raises:
        UserError: where the directory holds a run of other data, or it can't begin with its start.
    """
    start, seeds = prepared.start, run.settings.seeds
    begins = warm_start.check(start, prepared.shapes, seeds, prepared.hashes) if start else []
    fresh = run_directory.starts_over(previous, prepared.hashes, force=run.settings.force)
    messages = [] if fresh else run_directory.check_same(previous, prepared.hashes, run.directory)
    if not fresh and (files := run_directory.edited(previous, prepared.components)):
        fresh, messages = True, [f"{', '.join(files)} changed since {run.directory} was started: it is run again"]
    summary: Any = None if fresh else previous.summary
    return Status(summary, fresh, messages if summary else [*messages, *begins])
