"""Read overrides as typed: values in Python's syntax, and choices that Hydra takes without a message."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from recmeta.config import schema
from recmeta.types import UserError

_SWEEPS = ("hydra/launcher", "hydra/sweeper")
_SEVERAL = ("reporter",)
"""Groups of which several choices go together."""


def plain_values(typed: Sequence[str]) -> list[str]:
    """Write Python's values in Hydra's grammar: W&B's sweeps and other tools print None, and names in quotes.

    >>> plain_values(["clip=None", "learner.adapts={'lora': 4}", "metrics=['mae']", "name=None of it", "-m"])
    ['clip=null', 'learner.adapts={lora: 4}', "metrics=['mae']", 'name=None of it', '-m']
    """
    parts = (text.partition("=") for text in typed)
    return [f"{key}={_plain(value)}" if equals else key for key, equals, value in parts]


def _plain(value: str) -> str:
    if value[:1] not in ("{", "["):
        return re.sub(r"(^|,)None(?=,|$)", r"\1null", value)
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value  # Hydra's own form
    return written(read) if _is_foreign(read) else value


def _is_foreign(value: Any) -> bool:
    """Whether Hydra reads a value otherwise than Python: a mapping with quoted names, or None."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and re.fullmatch(r"[A-Za-z_][\w.]*", key) for key in value)
    return value is None or (isinstance(value, list) and any(map(_is_foreign, value)))


def written(value: Any) -> str:
    """Write a value in Hydra's grammar, as it is typed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_./-][\w./-]*", value):
        return value
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def check_typed(overrides: Sequence[str], choices: Mapping[str, Any], *, multirun: bool) -> None:
    """Refuse several choices of one group, and a launcher or sweeper without a sweep.

    Args:
        overrides: as typed, those of one run.
        choices: group -> what was chosen, Hydra's own groups too.
        multirun: whether this is one run of a sweep.

    Raises:
        UserError: several choices of a group that has one; a launcher or sweeper without ``-m``.
    """
    parser = OverridesParser.create()
    for text in overrides:
        override = parser.parse_override(text)
        key, value = override.key_or_group, override.value()
        if key in schema.GROUPS and key not in _SEVERAL and isinstance(value, list):
            several = ",".join(map(str, value))
            raise UserError(f"{text}: a run has one {key}, as {key}={value[0]}; for a run of each: -m {key}={several}")
    for group in _SWEEPS:
        if not multirun and choices.get(group) not in (None, "basic"):
            raise UserError(f"{group}={choices[group]}: it is for sweeps, and this is one run; add -m")
