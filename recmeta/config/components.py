"""Turn blocks of the config into components, with all checks that need no data."""

from __future__ import annotations

import inspect
import math
import pickle
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge, Gt, Lt
from hydra.errors import InstantiationException

from recmeta.config import versions
from recmeta.config.moved import new_name
from recmeta.config.values import checked, fields
from recmeta.features.kinds import place
from recmeta.runs.files import one_line
from recmeta.types import Traced, UserError

SUPPLIED: Mapping[str, tuple[str, ...]] = {
    "dataset": (),
    "text": (),
    "protocol": ("interactions",),
    "encoder": ("spec", "rngs", "background", "transform"),
    "scorer": ("widths", "rngs"),
    "learner": ("spec", "model", "objective", "cross_fit"),
    "objective": ("spec",),
    "augmentation": (),
    "optimizer": (),
}
"""What Python passes to each group's component; everything else it takes stands in its yaml."""

MAY_BE_NONE = ("text", "learner", "augmentation")
"""The groups that may have no target: nothing is made then."""

TRACED = ("learner", "optimizer")
"""The groups whose settings may be traced."""

KEPT = 256
"""How many components are kept: the points of a sweep share most, and to make those of one config takes 16 ms."""

OPTIMIZER_RANGES: Mapping[str, Any] = {
    **dict.fromkeys(("learning_rate", "adam_learning_rate", "trust_coefficient"), Annotated[float, Gt(0), Traced]),
    **dict.fromkeys(
        ("b1", "b2", "b3", "momentum", "decay", "decay_rate", "rho"), Annotated[float, Ge(0), Lt(1), Traced]
    ),
    **dict.fromkeys(
        ("weight_decay", "weight_decay_rate", "eps", "eps_root", "min_norm"), Annotated[float, Ge(0), Traced]
    ),
}
"""The range of a number, by the name that optax gives to it in every optimizer: its own annotations tell none."""


def component(group: str, block: Any, given: tuple[str, ...]) -> Callable[..., Any] | None:
    """Make the partial of one component and check it against its signature.

    Args:
        group: where it stands in the config, for messages.
        block: ``_target_``, ``_partial_: true``, ``_convert_: all``, and its settings.
        given: the names of the arguments that Python will pass.

    Returns:
        The partial, its settings converted to the annotated types; None for a group of `MAY_BE_NONE` without one.

    Raises:
        UserError: for a block that is none, and for a setting that is unknown, missing, or of a wrong type or range.
    """
    if not isinstance(block, Mapping):
        raise UserError(f"{group}={block}: must be a block with a _target_")
    if block.get("_target_") is None:
        if group in MAY_BE_NONE:
            return None
        raise UserError(f"{group}._target_ is missing: it names what to make")
    _check_finite(group, block)
    return _made(group, pickle.dumps(dict(block)), given)


@lru_cache(KEPT)
def located(target: str) -> str:
    """The full name of a target: where it names a module, the function of the same name in it.

    >>> located("recmeta.learners.maml"), located("optax.adam")
    ('recmeta.learners.maml.maml', 'optax.adam')
    """
    return ".".join(place(target)) if "." in target else target


@lru_cache(KEPT)
def _made(group: str, pickled: bytes, given: tuple[str, ...]) -> Callable[..., Any]:
    """Make the component of a block, once for all runs of a sweep that have the same.

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
    made.keywords.update(
        {key: checked(f"{group}.{key}", value, hints.get(key)) for key, value in made.keywords.items()}
    )
    return made


def _check_finite(where: str, value: Any) -> None:
    """Refuse nan and infinity, also inside lists and blocks: no comparison with a range refuses nan."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_finite(f"{where}.{key}", inner)
    elif isinstance(value, list):
        for item in value:
            _check_finite(where, item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}={value}: must be a finite number")


def _instantiated(group: str, block: Mapping[str, Any], given: tuple[str, ...]) -> Any:
    """Instantiate a block with Hydra: the partial."""
    if block.get("_partial_") is not True:
        raise UserError(f"{group}._partial_ must be true: recmeta passes {', '.join(given) or 'nothing'} itself")
    if block.get("_convert_") != "all":
        raise UserError(f"{group}._convert_ must be all: components take plain values")
    try:
        made = versions.make({**block, "_target_": located(str(block["_target_"]))})
    except (InstantiationException, TypeError) as error:
        cause = error.__cause__ or error
        raise UserError(f"{group}._target_={block['_target_']}: {one_line(cause)}") from error
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
                new_name(f"{group}.{key}", settings)
                or f"{group}.{key}: {_name(block)} has no such setting; it has {', '.join(settings) or 'none'}"
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
    """The type of an optimizer's setting: a number in its range, or a schedule; others have their own annotation."""
    number = OPTIMIZER_RANGES.get(key)
    if number is None and type(parameter.default) in (int, float):
        number = int | float
    if number is None:
        return hint
    # The number first: a message is about the first that did not fit.
    allowed = number | Callable[..., Any]
    return allowed | None if parameter.default is None else allowed


@lru_cache(KEPT)
def traceable(group: str, made: Any) -> Mapping[str, float]:
    """The settings of a component that may be traced: numbers that are marked `Traced`, by dotted name.

    Args:
        group: one of `TRACED`.
        made: its partial. An optimizer that can't be made of tracers, as one that asks in Python whether a number is
            above 0, has none.
    """
    hints = OPTIMIZER_RANGES if group == "optimizer" else _hints(made.func)
    found = {
        key: value
        for key, value, hint in fields(made.keywords, hints)
        if isinstance(value, float) and any(Traced in marks for marks in _marks(hint))
    }
    if group == "optimizer":
        try:
            jax.eval_shape(lambda numbers: try_optimizer(made(**numbers)), found)
        except (TypeError, ValueError, AttributeError):
            return {}
    return found


def try_optimizer(optimizer: optax.GradientTransformation) -> Any:
    """Update once from gradients and parameters alone, which is all that an outer optimizer is given."""
    params = {"weight": jnp.ones((2, 2))}
    return optimizer.update(params, optimizer.init(params), params)


def _marks(hint: Any) -> list[tuple[Any, ...]]:
    """The annotations of a type, or of each type of a union."""
    return [getattr(each, "__metadata__", ()) for each in (hint, *typing.get_args(hint))]
