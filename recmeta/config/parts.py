"""Make all components of a config; metrics, baselines and the schedule by their names, or by blocks with a _target_."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

import optax

from recmeta.baselines.panel import BASELINES, COMBINED
from recmeta.cleaning import blocks, clean
from recmeta.config import schema
from recmeta.config.components import KEPT, SUPPLIED, TRACED, component, traceable
from recmeta.metrics import Metric, aggregate, is_name, sound
from recmeta.metrics import metric as metric_of_name
from recmeta.metrics.lists import Aggregate
from recmeta.runs.layout import LEARNER
from recmeta.training.optimizer import SCHEDULES, Schedule
from recmeta.types import (
    Augmentation,
    Baseline,
    Interactions,
    Learner,
    Numbers,
    Objective,
    Preparation,
    Problem,
    Reporter,
    UserError,
)  # fmt: skip

T = TypeVar("T")

NO_CHOICE = (
    "metric={}: it asks what is shown and not what is liked, so nothing can be chosen by it; "
    "report it in metrics, and choose by another"
)


class Parts(NamedTuple):
    """All components of a config as partials, each checked; metrics, baselines and the schedule are made.

    ``learner`` is None for the baselines alone, ``text``, ``augmentation`` and ``schedule`` where there is none.
    ``numbers`` are the learner's and the optimizer's settings that may be traced; the partials have them too.
    """

    dataset: Callable[[], Interactions]
    cleaning: Callable[[Interactions], Interactions]
    text: Callable[[], Preparation] | None
    protocol: Callable[[Interactions], Problem]
    encoder: Callable[..., Any]
    scorer: Callable[..., Any]
    learner: Callable[..., Learner] | None
    objective: Callable[..., Objective]
    augmentation: Callable[[], Augmentation] | None
    optimizer: Callable[[], optax.GradientTransformation]
    schedule: Schedule | None
    reporters: tuple[Callable[[], Reporter], ...]
    baselines: Mapping[str, Baseline]
    metrics: tuple[Metric, ...]
    metric: Metric
    aggregates: tuple[Aggregate, ...]
    numbers: Numbers


def make_parts(config: Mapping[str, Any]) -> Parts:
    """Make all components of a resolved config.

    Args:
        config: plain values, the groups under their names.

    Raises:
        UserError: for a setting that a component does not take, lacks, or that is of the wrong type or range.
    """
    schema.check(config)
    schedule = make_schedule(config["schedule"])
    measured = make_metrics(config["metrics"])
    metric = choosing_metric(config["metric"], config["metrics"], measured)
    # Any: None where a group has no target, which only those of `MAY_BE_NONE` may lack.
    groups: dict[str, Any] = {group: component(group, config[group], given) for group, given in SUPPLIED.items()}
    steps: Any = tuple(component(where, block, ("interactions",)) for where, block in blocks(config["cleaning"]))
    groups["cleaning"] = partial(clean, steps=steps)
    # One that is set to null is off.
    chosen = {f"reporter.{name}": block for name, block in config["reporter"].items() if block is not None}
    reporters: Any = tuple(component(name, block, ()) for name, block in chosen.items())
    baselines = make_baselines(config["baselines"])
    if groups["learner"] is None and not baselines:
        raise UserError("learner=none and baselines=[]: there is nothing to run; name a baseline or a learner")
    if groups["learner"] is None and config["start"] is not None:
        raise UserError(f"start={config['start']}: with learner=none nothing is trained that could begin with it")
    numbers = {group: traceable(group, groups[group]) for group in TRACED if groups["learner"]}
    return Parts(
        **groups, schedule=schedule, reporters=reporters, baselines=baselines, metric=metric,
        metrics=tuple(dict.fromkeys(each for each in measured if isinstance(each, Metric))),
        aggregates=tuple(dict.fromkeys(each for each in measured if isinstance(each, Aggregate))), numbers=numbers,
    )  # fmt: skip


def make_schedule(value: Any) -> Schedule | None:
    """The learning-rate schedule of a name, or of a block whose target is given ``steps`` and returns a schedule."""
    if isinstance(value, Mapping):
        return supplied(inline("schedule", value, ("steps",)), "steps")
    if value not in SCHEDULES:
        raise UserError(f"schedule={value}: there are {', '.join(SCHEDULES)}, or a block with a _target_")
    return SCHEDULES[value]


def make_metrics(values: Sequence[Any]) -> list[Metric | Aggregate]:
    """The metrics of a list of names and blocks; a block's target returns a `Metric` or an `Aggregate`.

    Raises:
        UserError: for what is neither, and where two have one name.
    """
    made = [_metric(value) for value in values]
    _check_distinct("metrics", [each.name for each, value in zip(made, values, strict=True) if is_block(value)])
    return made


def choosing_metric(value: Any, values: Sequence[Any], measured: Sequence[Metric | Aggregate]) -> Metric:
    """The metric that chooses: one of those that are measured, by its name or by its block.

    Args:
        value: the name or the block.
        values, measured: names and blocks of all that are measured, and the metrics.

    Raises:
        UserError: where it is none of them, or nothing can be chosen by it.
    """
    names = [each.name for each in measured]
    if value in values:
        found = measured[list(values).index(value)]
    elif value in names:
        found = measured[names.index(value)]
    else:
        name = _metric(value, "metric").name
        raise UserError(f"metric={name} is not one of metrics=[{','.join(names)}]; add it there")
    if isinstance(found, Aggregate):
        raise UserError(NO_CHOICE.format(found.name))
    if found.distribution:
        raise UserError(
            f"metric={found.name}: methods that predict a number have none, so nothing can be chosen by it; report it "
            "in metrics, and choose by another"
        )
    return found


def make_baselines(values: Sequence[Any]) -> dict[str, Baseline]:
    """The baselines of a list of names and blocks, by the name that tables give them.

    A block's target returns a `Baseline`; its name is the target's, followed by its settings: ``always(value=3)``.

    Raises:
        UserError: for what is neither, where two have one name, and where a library that one needs is missing.
    """
    _check_distinct(
        "baselines", [called(value) for value in values if is_block(value)], (*BASELINES, *COMBINED, LEARNER)
    )
    made = {
        called(value): made_of(Baseline, f"baselines.{called(value)}", value) if is_block(value) else _baseline(value)
        for value in values
    }
    combining = [name for name, each in made.items() if each.combines]
    if combining and not any(each.rates for each in made.values() if not each.combines):
        raise UserError(f"baselines: {combining[0]} combines others that predict labels; name some beside it")
    for baseline in made.values():
        baseline.check()
    return made


def is_block(value: Any) -> bool:
    """Whether an entry of a list is a block with a target, and no name."""
    return isinstance(value, Mapping)


def called(block: Any) -> str:
    """The name of a part in tables: its target's, and the settings; of a name, itself.

    >>> called({"_target_": "mine.always", "value": 3})
    'always(value=3)'
    """
    if not isinstance(block, Mapping):
        return str(block)
    name = str(block.get("_target_")).rpartition(".")[2]
    settings = ", ".join(f"{key}={value}" for key, value in block.items() if not str(key).startswith("_"))
    return f"{name}({settings})" if settings else name


def inline(where: str, block: Mapping[str, Any], given: tuple[str, ...] = ()) -> Callable[..., Any]:
    """The checked partial of a block in a list, where ``_partial_`` need not be written."""
    made = component(where, {**block, "_partial_": True, "_convert_": "all"}, given)
    assert made is not None  # only a group may lack its target
    return made


def supplied(made: Callable[..., T], *given: str) -> Callable[..., T]:
    """Pass a component those of the available arguments that it asks for by name.

    Args:
        made: its partial.
        given: the names of what it is called with, in order.
    """
    takes = [name for name in given if name in _parameters(made)]
    return lambda *values: made(**{name: value for name, value in zip(given, values, strict=True) if name in takes})


def made_of(kind: type[T] | tuple[type[T], ...], where: str, block: Mapping[str, Any]) -> T:
    """Call a block's target, which must return a value of a type.

    Raises:
        UserError: where it returns another.
    """
    made = _called(inline(where, block))
    if not isinstance(made, kind):
        wanted = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
        raise UserError(f"{where}: {block['_target_']} must return a {wanted}, and returned a {type(made).__name__}")
    return made


@lru_cache(KEPT)
def _called(made: Callable[..., T]) -> T:
    """Call a partial, once: programs are compiled once for one and the same metric."""
    return made()


@lru_cache(KEPT)
def _parameters(made: Any) -> frozenset[str]:

    return frozenset(inspect.signature(made.func).parameters)


def _metric(value: Any, where: str = "metrics") -> Metric | Aggregate:
    """The metric of a name, or of a block."""
    if not is_block(value):
        return aggregate(str(value)) or metric_of_name(str(value))
    where = f"{where}.{called(value)}"
    made = made_of((Metric, Aggregate), where, value)
    if is_name(made.name):
        raise UserError(f"{where}: {made.name} is the name of one of recmeta's metrics; give it another")
    return sound(made) if isinstance(made, Metric) else made


def _baseline(name: Any) -> Baseline:
    known = BASELINES | COMBINED
    if name not in known:
        raise UserError(f"baselines={name}: no such baseline; there are {', '.join(known)}")
    return known[name]


def _check_distinct(where: str, names: Sequence[str], taken: Sequence[str] = ()) -> None:
    """Refuse a component of a block that has the name of another."""
    for place, name in enumerate(names):
        if name in (*taken, *names[:place]):
            raise UserError(f"{where}: there are two called {name}; give each a name of its own")
