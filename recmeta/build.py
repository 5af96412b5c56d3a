"""Config to objects: the only call of Hydra's instantiate, and every check that needs no data."""

from __future__ import annotations

import inspect
import math
import pickle
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from annotated_types import Ge, Gt, Lt
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from recmeta.baselines import BASELINES
from recmeta.cleaning import blocks, clean
from recmeta.measure import bounds
from recmeta.metrics import Metric, aggregate, check, check_cutoff, check_floor
from recmeta.metrics import metric as parse_metric
from recmeta.metrics.lists import Aggregate
from recmeta.model import make_model
from recmeta.outer import SCHEDULES
from recmeta.types import (
    Baseline,
    Interactions,
    Learner,
    MakeLearner,
    Numbers,
    Objective,
    Params,
    Problem,
    Reporter,
    Traced,
    UserError,
)  # fmt: skip

SUPPLIED: Mapping[str, tuple[str, ...]] = {
    "dataset": (),
    "protocol": ("interactions",),
    "encoder": ("spec", "rngs"),
    "scorer": ("widths", "rngs"),
    "learner": ("spec", "model", "objective"),
    "objective": (),
    "optimizer": (),
}
"""What Python passes to each group's component; everything else it takes stands in its yaml."""

TRACED = ("learner", "optimizer")
"""The groups whose settings may be traced."""

KEPT = 256
"""How many components are kept: the points of a sweep share most, and to make those of one config takes 16 ms."""

_NO_CHOICE = (
    "metric={}: it asks what is shown and not what is liked, so nothing can be chosen by it; "
    "report it in metrics, and choose by another"
)

SEEDS = 2**32
"""Seeds are below this: JAX's keys are made of 32 bits."""

OPTIMIZER_RANGES: Mapping[str, Any] = {
    **dict.fromkeys(("learning_rate", "trust_coefficient"), Annotated[float, Gt(0), Traced]),
    **dict.fromkeys(
        ("b1", "b2", "b3", "momentum", "decay", "decay_rate", "rho"), Annotated[float, Ge(0), Lt(1), Traced]
    ),
    **dict.fromkeys(
        ("weight_decay", "weight_decay_rate", "eps", "eps_root", "min_norm"), Annotated[float, Ge(0), Traced]
    ),
}
"""The range of a number, by the name that optax gives to it in every optimizer: its own annotations tell none."""


class Parts(NamedTuple):
    """The components as partials, each checked against its signature; ``learner`` is None for the baselines alone.

    ``numbers`` are the learner's and the optimizer's settings that may be traced; the partials have them too.
    """

    dataset: Callable[[], Interactions]
    cleaning: Callable[[Interactions], Interactions]
    protocol: Callable[[Interactions], Problem]
    encoder: Callable[..., Any]
    scorer: Callable[..., Any]
    learner: Callable[..., Learner] | None
    objective: Callable[[], Objective]
    optimizer: Callable[[], optax.GradientTransformation]
    reporters: tuple[Callable[[], Reporter], ...]
    baselines: Mapping[str, Baseline]
    metrics: tuple[Metric, ...]
    metric: Metric
    aggregates: tuple[Aggregate, ...]
    numbers: Numbers


def build(config: Mapping[str, Any]) -> Parts:
    """Make the components of a resolved config.

    Args:
        config: plain values, the groups under their names.

    Raises:
        UserError: for a setting that a component does not take, lacks, or that is of the wrong type or range.
    """
    _check_root(config)
    if aggregate(config["metric"]):
        raise UserError(_NO_CHOICE.format(config["metric"]))
    aggregates = {name: found for name in config["metrics"] if (found := aggregate(name))}
    metrics = tuple(parse_metric(name) for name in config["metrics"] if name not in aggregates)
    metric = parse_metric(config["metric"])
    if metric not in metrics:
        raise UserError(f"metric={metric.name} is not one of metrics=[{','.join(config['metrics'])}]; add it there")
    # Any: None where a group has no target, which only the learner's may lack.
    groups: dict[str, Any] = {group: component(group, config[group], given) for group, given in SUPPLIED.items()}
    # Any: only the learner's block may lack a target, and give None.
    steps: Any = tuple(component(where, block, ("interactions",)) for where, block in blocks(config["cleaning"]))
    groups["cleaning"] = partial(clean, steps=steps)
    # One that is set to null is off.
    chosen = {f"reporter.{name}": block for name, block in config["reporter"].items() if block is not None}
    reporters: Any = tuple(component(name, block, ()) for name, block in chosen.items())
    unknown = [name for name in config["baselines"] if name not in BASELINES]
    if unknown:
        raise UserError(f"baselines={unknown[0]}: no such baseline; there are {', '.join(BASELINES)}")
    baselines = {name: BASELINES[name] for name in config["baselines"]}
    if groups["learner"] is None and not baselines:
        raise UserError("learner=none and baselines=[]: there is nothing to run; name a baseline or a learner")
    numbers = {group: traceable(group, groups[group]) for group in TRACED if groups["learner"]}
    return Parts(
        **groups, reporters=reporters, baselines=baselines, metrics=metrics, metric=metric,
        aggregates=tuple(aggregates.values()), numbers=numbers,
    )  # fmt: skip


def _check_root(config: Mapping[str, Any]) -> None:
    seeds = config["seeds"]
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= SEEDS:
        raise UserError(
            f"seeds={seeds}: give one or more different whole numbers from 0 to {SEEDS - 1}, as seeds=[0,1,2]"
        )
    for key in ("steps", "eval_every", "batch"):
        if config[key] < 1:
            raise UserError(f"{key}={config[key]}: must be at least 1")
    if config["steps"] % config["eval_every"]:
        raise UserError(f"steps={config['steps']} is not a multiple of eval_every={config['eval_every']}")
    if config["patience"] is not None and config["patience"] < 1:
        raise UserError(f"patience={config['patience']}: must be at least 1, or null for no early stopping")
    if config["clip"] is not None and not 0 < config["clip"] < math.inf:
        raise UserError(f"clip={config['clip']}: must be above 0, or null for no clipping")
    if config["schedule"] not in SCHEDULES:
        raise UserError(f"schedule={config['schedule']}: there are {', '.join(SCHEDULES)}")


def component(group: str, block: Any, given: tuple[str, ...]) -> Callable[..., Any] | None:
    """Make the partial of one component and check it against its signature.

    Args:
        group: where it stands in the config, for messages.
        block: ``_target_``, ``_partial_: true``, ``_convert_: all``, and its settings.
        given: the names of the arguments that Python will pass.

    Returns:
        The partial, its settings converted to the annotated types; None for the learner that has no target.

    Raises:
        UserError: for a block that is none, and for a setting that is unknown, missing, or of a wrong type or range.
    """
    if not isinstance(block, Mapping):
        raise UserError(f"{group}={block}: must be a block with a _target_")
    if block.get("_target_") is None:
        if group == "learner":
            return None
        raise UserError(f"{group}._target_ is missing: it names what to make")
    _check_finite(group, block)
    return _made(group, pickle.dumps(dict(block)), given)


@lru_cache(KEPT)
def _made(group: str, pickled: bytes, given: tuple[str, ...]) -> Callable[..., Any]:
    """What `component` makes of a block, once for all points of a sweep that have the same.

    Same in its bytes: 1, 1.0 and True are equal, and no more than one of them is what a setting takes.
    """
    block = pickle.loads(pickled)
    made = _instantiated(group, block, given)
    parameters = inspect.signature(made.func).parameters
    settings = [name for name in parameters if name not in given]
    _check_names(group, block, made, settings, parameters)
    hints = _hints(made.func)
    if group == "optimizer":
        hints = {key: _range(key, parameter, hints.get(key)) for key, parameter in parameters.items()}
    made.keywords.update({key: _checked(group, key, value, hints.get(key)) for key, value in made.keywords.items()})
    return made


def _check_finite(where: str, value: Any) -> None:
    """Refuse nan and infinity wherever they stand: no comparison with a range refuses nan."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_finite(f"{where}.{key}", inner)
    elif isinstance(value, list):
        for item in value:
            _check_finite(where, item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}={value}: must be a finite number")


def _instantiated(group: str, block: Mapping[str, Any], given: tuple[str, ...]) -> Any:
    """The partial that Hydra makes of a block."""
    if block.get("_partial_") is not True:
        raise UserError(f"{group}._partial_ must be true: recmeta passes {', '.join(given) or 'nothing'} itself")
    if block.get("_convert_") != "all":
        raise UserError(f"{group}._convert_ must be all: components take plain values")
    try:
        made = instantiate(dict(block))
    except (InstantiationException, TypeError) as error:
        cause = error.__cause__ or error
        raise UserError(f"{group}._target_={block['_target_']}: {_line(cause)}") from error
    if made.args:
        raise UserError(f"{group}._args_: name each setting instead")
    return made


def _check_names(
    group: str, block: Mapping[str, Any], made: Any, settings: list[str], parameters: Mapping[str, inspect.Parameter]
) -> None:
    """Refuse a setting that the component does not take, and the lack of one that it needs."""
    for key in made.keywords:
        if key not in settings and not _takes_any(parameters):
            raise UserError(
                f"{group}.{key}: {_name(block)} has no such setting; it has {', '.join(settings) or 'none'}"
            )
    for key in settings:
        parameter = parameters[key]
        keyword = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if keyword and parameter.default is parameter.empty and key not in made.keywords:
            raise UserError(f"{group}.{key} is missing: {_name(block)} needs it")


def _name(block: Mapping[str, Any]) -> str:
    return str(block["_target_"]).rpartition(".")[2]


def _takes_any(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        # Another package's annotations may name what it imports for type checkers only, and its functions be partials.
        return {}


def _range(key: str, parameter: inspect.Parameter, hint: Any) -> Any:
    """What an optimizer's setting must be: a number in its range, or a schedule; what is no number has its own hint."""
    number = OPTIMIZER_RANGES.get(key)
    if number is None and type(parameter.default) in (int, float):
        number = int | float
    if number is None:
        return hint
    # The number first: a message is about the first that did not fit.
    allowed = number | Callable[..., Any]
    return allowed | None if parameter.default is None else allowed


def _checked(group: str, key: str, value: Any, hint: Any) -> Any:
    """Convert a setting to its annotated type, strictly: text is no number, 0.5 is no whole number."""
    if hint is None:
        return value
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticSchemaGenerationError:
        return value
    try:
        # Through Python's types a list is no tuple; YAML knows lists alone.
        return adapter.validate_python(_tuples(value), strict=True)
    except ValidationError as error:
        # Of a choice between types: what was found furthest in is about the one that was meant.
        said = (
            max(error.errors(), key=lambda one: len(one["loc"]))["msg"]
            .replace("tuple", "list")
            .replace("Tuple", "list")
        )
        shown = "null" if value is None else value
        raise UserError(f"{group}.{key}={shown}: {said[0].lower()}{said[1:]}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


@lru_cache(KEPT)
def traceable(group: str, made: Any) -> Mapping[str, float]:
    """The settings of a component that may be traced: numbers that are marked `Traced`.

    Args:
        group: one of `TRACED`.
        made: its partial. An optimizer that can't be made of tracers, as one that asks in Python whether a number is
            above 0, has none.
    """
    hints = OPTIMIZER_RANGES if group == "optimizer" else _hints(made.func)
    found = {
        key: value
        for key, value in made.keywords.items()
        if isinstance(value, float) and any(Traced in marks for marks in _marks(hints.get(key)))
    }
    if group == "optimizer":
        try:
            jax.eval_shape(lambda numbers: _try_optimizer(made(**numbers)), found)
        except (TypeError, ValueError, AttributeError):
            return {}
    return found


def _marks(hint: Any) -> list[tuple[Any, ...]]:
    """What is annotated to a type, or to each of a union's."""
    return [getattr(each, "__metadata__", ()) for each in (hint, *typing.get_args(hint))]


def check_problem(parts: Parts, problem: Problem, objective: Objective) -> None:
    """Check the rules between components that need the data.

    Raises:
        UserError: for a combination that cannot work.
    """
    spec = problem.spec
    if objective.binary and not set(spec.levels) <= {0.0, 1.0}:
        raise UserError(
            f"objective: this one needs labels of 0 and 1, and there are labels from {spec.low:g} to {spec.high:g}; "
            "set protocol.labels=liked, or objective=mse"
        )
    few = bool(np.isin(np.asarray(problem.train.label), np.asarray(spec.levels, np.float32)).all())
    for metric in parts.metrics:
        check(metric, spec.low, spec.high, few=few)
    if parts.metric.name.startswith("legacy."):
        raise UserError(
            f"metric={parts.metric.name}: a published mistake is no metric to choose by; it may be reported"
        )
    if parts.metric.shows:
        raise UserError(_NO_CHOICE.format(parts.metric.name))
    _check_shown(parts, problem)
    _check_room(parts, problem)


def _check_shown(parts: Parts, problem: Problem) -> None:
    """Refuse metrics of what is shown where there is no catalogue to show, or nothing to tell its entities apart by."""
    catalogued = [metric for metric in parts.metrics if metric.shows]
    if (asked := [*catalogued, *parts.aggregates]) and not problem.candidates:
        raise UserError(
            f"metrics={asked[0].name}: it asks what is shown of a catalogue, and a task's query rows are none; set "
            "protocol.candidates=full"
        )
    for metric in catalogued:
        kinds = [field.kind for field in problem.spec.row if field.name != "id"]
        if metric.shows == "vectors" and not {"categorical", "multi"} & set(kinds):
            raise UserError(
                f"metrics={metric.name}: it compares items by their categorical and multi-valued features, and there "
                "are none; give the data set some, or leave it out"
            )


def _check_room(parts: Parts, problem: Problem) -> None:
    """Refuse rankings whose candidates leave no room to tell methods apart, and a choice by an undefined metric."""
    batch, candidates = problem.validation, problem.candidates.get("validation")
    ranking = [metric for metric in parts.metrics if metric.reads == "score"]
    room = bounds(ranking, problem.spec, batch, candidates)
    number = batch.task.query.mask.sum(1) if candidates is None else candidates.allowed.sum(1)
    for metric in (*ranking, *parts.aggregates):
        check_cutoff(metric, np.asarray(number))
    for metric in ranking:
        check_floor(metric, np.asarray(room[metric.name].floor))
    # A metric that reads predictions is defined wherever there is a row.
    chosen = parts.metric.reads == "score" and parts.learner is not None
    if chosen and bool(jnp.isnan(room[parts.metric.name].floor).all()):
        raise UserError(
            f"metric={parts.metric.name} is undefined for every meta-validation task: each one's query rows are all "
            f"liked (from {problem.spec.like:g} on) or all not; choose by another metric, or change what is liked"
        )


def make_optimizer(parts: Parts) -> Callable[[Numbers], optax.GradientTransformation]:
    """What makes the optimizer of its numbers. It is tried, on shapes: it must update from gradients and parameters.

    Raises:
        UserError: where it does not, as one that also wants the loss.
    """
    try:
        jax.eval_shape(lambda: _try_optimizer(parts.optimizer()))
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"optimizer: it can't be made, or needs more than gradients: {_line(error)}") from error
    return lambda numbers: parts.optimizer(**numbers["optimizer"])


def _try_optimizer(optimizer: optax.GradientTransformation) -> Any:
    params = {"weight": jnp.ones((2, 2))}
    return optimizer.update(params, optimizer.init(params), params)


def make_learner(parts: Parts, problem: Problem, objective: Objective) -> MakeLearner | None:
    """Build the model for a problem: what makes the learner of its numbers. None for the baselines alone."""
    if parts.learner is None:
        return None
    model = make_model(parts.encoder, parts.scorer, problem.spec, objective)
    make = partial(parts.learner, spec=problem.spec, model=model, objective=objective)
    make(**parts.numbers["learner"])  # what it refuses is refused before anything is written
    return lambda numbers: make(**numbers["learner"])


def unused_parts(shapes: Params) -> list[str]:
    """The groups whose component the learner makes no use of, by the parameters that it has."""
    return [group for group in ("encoder", "scorer") if group not in shapes]
