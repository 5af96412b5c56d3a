"""The search space, parsed from overrides: the values of each searched setting, and the fixed settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from recmeta.runs.hashing import WITHOUT_EFFECT
from recmeta.types import UserError

EDGE = 0.05
"""Share of a range, in its own scale, within which a value is at the range's edge."""

COMPARED = ("seeds", "metric", "dataset", "cleaning", "protocol")
"""Root keys that change the meaning of the value on meta-validation: trials that differ in them can't be compared."""

UNSEARCHED = (*COMPARED, *WITHOUT_EFFECT)
"""Root keys that cannot be searched: these, and those that change no number."""

EXCEPT = tuple(f"protocol.episodes.{name}" for name in ("train_shots", "train_query", "negatives"))
"""Keys below them that can be searched, since only training reads them."""

Value = str | float
"""Value of a setting: text as typed for choices, else a number."""


class Space(NamedTuple):
    """A search space.

    Attributes:
        fixed: overrides of all trials.
        searched: setting -> its possible values. Choices are text, as typed.
    """

    fixed: Sequence[str]
    searched: Mapping[str, BaseDistribution]


def space(typed: Sequence[str], loader: Any = None) -> Space:
    """Parse overrides: ``interval``, ``int(interval)``, ``range`` and ``choice`` (or ``a,b``) are searched.

    Args:
        typed: overrides; the later ones of a setting count. ``tag(log, …)`` makes a range logarithmic.
        loader: Hydra's, for ``glob``.

    Raises:
        UserError: nothing is searched, a range is invalid, or trials could not be compared.

    >>> found = space(["learner=maml", "learner.inner_rate=tag(log,interval(0.01,1))"])
    >>> found.fixed, found.searched
    (['learner=maml'], {'learner.inner_rate': FloatDistribution(high=1.0, log=True, low=0.01, step=None)})
    """
    fixed: dict[str, str] = {}
    searched: dict[str, BaseDistribution] = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(list(typed)):
        key = override.get_key_element()
        fixed.pop(key, None)
        searched.pop(key, None)
        if override.is_sweep_override():
            _check_comparable(override)
            searched[key] = _distribution(key, override)
        else:
            fixed[key] = str(override.input_line)
    if not searched:
        raise UserError(
            "hydra/sweeper=optuna: nothing is searched; give a setting several values, as "
            "'learner.inner_rate=tag(log,interval(0.01,1))' or encoder.width=16,32"
        )
    return Space(list(fixed.values()), searched)


def _check_comparable(override: Override) -> None:
    """Refuse to search settings that make values incomparable, or that change no number."""
    key = override.key_or_group
    root = key.partition(".")[0].partition("/")[0].partition("@")[0]
    if root not in UNSEARCHED or any(f"{key}.".startswith(f"{name}.") for name in EXCEPT):
        return
    why = "trials that differ in it can't be compared" if root in COMPARED else "it changes no number"
    raise UserError(f"{override.input_line}: a search can't go over {key}: {why}; give it one value")


def _distribution(key: str, override: Override) -> BaseDistribution:
    """The values of an override as an Optuna distribution."""
    value: Any = override.value()
    log = isinstance(value, IntervalSweep | RangeSweep) and "log" in value.tags
    try:
        if isinstance(value, IntervalSweep):
            if isinstance(value.start, int) and isinstance(value.end, int):
                return IntDistribution(value.start, value.end, log=log)
            return FloatDistribution(float(value.start or 0), float(value.end or 0), log=log)
        if isinstance(value, RangeSweep):
            steps = list(value.range())
            if not steps:
                raise ValueError("no value is in it")
            if all(isinstance(step, int) for step in steps):
                return IntDistribution(min(steps), max(steps), log=log, step=1 if log else abs(int(value.step)))
            return FloatDistribution(min(steps), max(steps), log=log, step=None if log else abs(float(value.step)))
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    except ValueError as error:
        raise UserError(f"{override.input_line}: {' '.join(str(error).split())}") from error


def typed(params: Mapping[str, Value]) -> list[str]:
    """Overrides that give these values.

    >>> typed({"learner.inner_rate": 0.1, "encoder.width": 16, "learner": "maml"})
    ['learner.inner_rate=0.1', 'encoder.width=16', 'learner=maml']
    """
    return [f"{key}={value}" for key, value in params.items()]


def default(space: Space, at: Mapping[str, Any]) -> dict[str, Value] | None:
    """The values of the default config; None where one of them is not in the search space.

    Args:
        space: the search space.
        at: setting -> its value in the config.
    """
    found: dict[str, Value] = {}
    for key, distribution in space.searched.items():
        value: Any = _text(at.get(key)) if isinstance(distribution, CategoricalDistribution) else at.get(key)
        if not _holds(distribution, value):
            return None
        found[key] = value
    return found


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value is possible under a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not distribution.low <= value <= distribution.high
    ):
        return False
    steps = (value - distribution.low) / (distribution.step or 1)
    return (distribution.step is None or math.isclose(steps, round(steps))) and (
        isinstance(distribution, FloatDistribution) or isinstance(value, int)
    )


def each_once(space: Space) -> list[dict[str, Value]]:
    """Trials in which each choice occurs once, and each range at its lower end.

    >>> each_once(Space([], {"a": CategoricalDistribution(["x", "y"]), "b": IntDistribution(1, 3)}))
    [{'a': 'x', 'b': 1}, {'a': 'y', 'b': 1}]
    """
    values: dict[str, list[Any]] = {
        key: list(one.choices) if isinstance(one, CategoricalDistribution) else [one.low]  # pyright: ignore
        for key, one in space.searched.items()
    }
    most = max(map(len, values.values()))
    return [{key: some[min(place, len(some) - 1)] for key, some in values.items()} for place in range(most)]


def _text(value: Any) -> str | None:
    """A value as typed on the command line."""
    plain = {None: "null", True: "true", False: "false"}
    return plain[value] if value is None or isinstance(value, bool) else str(value)


def grid(space: Space) -> dict[str, list[Value]]:
    """List all values of each setting.

    Raises:
        UserError: a setting has infinitely many.
    """
    found: dict[str, list[Value]] = {}
    for key, distribution in space.searched.items():
        if isinstance(distribution, CategoricalDistribution):
            found[key] = list(distribution.choices)  # pyright: ignore[reportArgumentType]
        elif isinstance(distribution, IntDistribution) and not distribution.log:
            found[key] = list(range(distribution.low, distribution.high + 1, distribution.step))
        elif isinstance(distribution, FloatDistribution) and distribution.step:
            many = round((distribution.high - distribution.low) / distribution.step) + 1
            found[key] = [distribution.low + place * distribution.step for place in range(many)]
        else:
            raise UserError(f"hydra.sweeper.sampler=grid: {key} has infinitely many values; give a range or a choice")
    return found


def edges(space: Space, params: Mapping[str, Value]) -> list[str]:
    """List the values that are at an edge of the search space, in words.

    >>> edges(space(["a=tag(log,interval(0.01,1))", "b=16,32,64", "c=x,y"]), {"a": 0.95, "b": "32", "c": "x"})
    ['a=0.95 is at the upper edge of 0.01 to 1']
    """
    found = []
    for key, distribution in space.searched.items():
        scale = _scale(distribution)
        if scale is None:
            continue
        low, high, log = scale
        place = [math.log(float(value)) if log else float(value) for value in (low, params[key], high)]
        share = (place[1] - place[0]) / (place[2] - place[0])
        if share <= EDGE or share >= 1 - EDGE:
            found.append(
                f"{key}={params[key]} is at the {'lower' if share <= EDGE else 'upper'} edge of {low:g} to {high:g}"
            )
    return found


def _scale(distribution: BaseDistribution) -> tuple[float, float, bool] | None:
    """The ends of a range, and whether it is logarithmic; None for unordered choices or a single value."""
    if isinstance(distribution, CategoricalDistribution):
        try:
            numbers = [float(str(choice)) for choice in distribution.choices]
        except ValueError:
            return None
        low, high, log = min(numbers), max(numbers), False
    else:
        assert isinstance(distribution, IntDistribution | FloatDistribution)
        low, high, log = distribution.low, distribution.high, distribution.log
    return (low, high, log) if low < high else None


def described(space: Space) -> dict[str, Any]:
    """A space as plain values: equal for equal spaces."""
    return {key: distribution_to_json(distribution) for key, distribution in space.searched.items()}
