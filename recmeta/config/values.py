"""Check settings against annotated types: values, and blocks of settings whose type is a NamedTuple."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from recmeta.config.moved import MOVED
from recmeta.types import UserError


def checked(where: str, value: Any, hint: Any) -> Any:
    """Convert a setting to its annotated type, strictly: text is no number, 0.5 is no whole number.

    Args:
        where: its dotted key, for messages.
        value: a plain value, as YAML has it; a mapping where the type is a NamedTuple.
        hint: the type; None: any.

    Raises:
        UserError: for a value of another type or out of range, and for an unknown or missing key of a block.
    """
    if hint is None:
        return value
    if is_block(hint):
        return value if isinstance(value, hint) else _block(where, value, hint)
    if (named := _block_by_name(hint)) and isinstance(value, Mapping):
        return {name: checked(f"{where}.{name}", block, named) for name, block in value.items()}
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
        raise UserError(f"{where}={shown}: {said[0].lower()}{said[1:]}") from error


def is_block(hint: Any) -> bool:
    """Whether a type is a NamedTuple, which a block of settings is converted to."""
    return isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields")


def _block_by_name(hint: Any) -> Any:
    """The NamedTuple of a type ``Mapping[str, NamedTuple]``, or of that or None; else None."""
    for one in (hint, *typing.get_args(hint)):
        arguments = typing.get_args(one)
        if len(arguments) == 2 and is_block(arguments[1]):
            return arguments[1]
    return None


def _block(where: str, value: Any, hint: Any) -> Any:
    """Convert a block of settings, each to the type of its field."""
    if not isinstance(value, Mapping):
        if where in MOVED and value is not None:
            raise UserError(f"{where}={value} is {MOVED[where]}={value} now")
        raise UserError(f"{where}={value}: must be a block of settings; it has {', '.join(hint._fields)}")
    for key in value:
        if key not in hint._fields:
            raise UserError(f"{where}.{key}: no such setting; {where} has {', '.join(hint._fields)}")
    for key in hint._fields:
        if key not in value and key not in hint._field_defaults:
            raise UserError(f"{where}.{key} is missing")
    hints = typing.get_type_hints(hint, include_extras=True)
    return hint(**{key: checked(f"{where}.{key}", each, hints[key]) for key, each in value.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def fields(settings: Mapping[str, Any], hints: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """All settings with their dotted names and types, those within blocks too.

    >>> list(fields({"rate": 0.1}, {"rate": float}))
    [('rate', 0.1, <class 'float'>)]
    """
    for key, value in settings.items():
        yield key, value, hints.get(key)
        if is_block(type(value)):
            inside = typing.get_type_hints(type(value), include_extras=True)
            for name, one, hint in fields(value._asdict(), inside):
                yield f"{key}.{name}", one, hint


def replaced(made: Any, values: Mapping[str, Any]) -> partial[Any]:
    """A component's partial with other values of some settings.

    Args:
        made: the partial, as `recmeta.config.components.component` makes it.
        values: by dotted name: ``{"inner_rate": 0.1, "inner.clip": 1.0}``.
    """
    settings = dict(made.keywords)
    for key, value in values.items():
        first, _, rest = key.partition(".")
        settings[first] = _put(settings[first], rest, value) if rest else value
    return partial(made.func, **settings)


def _put(block: Any, key: str, value: Any) -> Any:
    first, _, rest = key.partition(".")
    return block._replace(**{first: _put(getattr(block, first), rest, value) if rest else value})


def without(block: Mapping[str, Any], keys: typing.Collection[str], path: str = "") -> dict[str, Any]:
    """A config's block less the settings at some dotted keys.

    >>> without({"rate": 1, "inner": {"clip": 2, "remat": False}}, ["inner.clip"])
    {'rate': 1, 'inner': {'remat': False}}
    """
    return {
        key: without(value, keys, f"{path}{key}.") if isinstance(value, Mapping) else value
        for key, value in block.items()
        if f"{path}{key}" not in keys
    }
