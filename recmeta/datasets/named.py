"""Load a data set by a file or a name, and settings, as typed on a command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from pydantic import ConfigDict, TypeAdapter, ValidationError

from recmeta.datasets.registry import DATASETS
from recmeta.features.kinds import located
from recmeta.types import Interactions, UserError


def load_typed(typed: Sequence[str]) -> Interactions:
    """Load a data set.

    Args:
        typed: a file of interactions (of ``dataset=table``), or a name of the registry; and settings of its loader, as
            ``columns.label=stars`` or ``dataset.columns.label=stars``.

    Raises:
        UserError: several names, an unknown setting, one of another type, or whatever the loader refuses.
    """
    names = [one for one in typed if "=" not in one]
    settings = _nested(one for one in typed if "=" in one)
    name = settings.pop("dataset", None)
    if len(names) + (name is not None) > 1:
        raise UserError(f"{' '.join(names)}: name one file of interactions; others are settings, as items=movies.csv")
    if names and names[0] not in DATASETS:
        settings["interactions"] = names[0]
    name = str(name or (names[0] if names and names[0] in DATASETS else "table"))
    if name not in DATASETS:
        raise UserError(f"dataset={name}: must be one of {', '.join(DATASETS)}")
    loader = located(f"recmeta.datasets.{name}")
    return loader(**_checked(name, loader, settings))


def _nested(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse ``a.b=1`` into nested settings.

    >>> _nested(["dataset.columns.label=stars", "label_range=[1, 5]"])
    {'columns': {'label': 'stars'}, 'label_range': [1, 5]}
    """
    found: dict[str, Any] = {}
    parser = OverridesParser.create()
    for one in assignments:
        key, _, text = one.partition("=")
        try:
            # As a run's command line reads it: "on" is a word there, not true.
            value = parser.parse_override(f"key={text}").value()
        except HydraException:
            raise UserError(f"{one}: put quotes around the value, as '{key}=\"{text}\"'") from None
        *folders, last = key.lstrip("+").removeprefix("dataset.").split(".")
        place = found
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return found


def _checked(name: str, loader: Callable[..., Interactions], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Convert settings to the types that a loader's arguments are annotated with."""
    hints = get_type_hints(loader, include_extras=True)
    made = {}
    for key, value in settings.items():
        if key not in hints or key == "return":
            there = ", ".join(hint for hint in hints if hint != "return")
            raise UserError(f"dataset.{key}: {name} has no such setting; it has {there}")
        try:
            adapter = TypeAdapter(hints[key], config=ConfigDict(arbitrary_types_allowed=True))
            made[key] = adapter.validate_python(value)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise UserError(f"dataset.{key}={value}: {message[0].lower()}{message[1:]}") from error
    return made
