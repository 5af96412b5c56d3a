"""Turn any error into the one line that the user reads (mistyped key, wrong type, unknown name), and record it."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from recmeta.config import schema
from recmeta.config.moved import new_name
from recmeta.runs import directory as run_directory
from recmeta.types import Diverged, UserError

_NO_NAME = "Config group override must be"
"""How Hydra's ValueError for a group that is set to what is no name (``learner=3``, ``=3``) begins."""


class Failure(NamedTuple):
    """A failed run: the reason in one line, and the exit code, 2 for an error of the user, 1 for all others."""

    line: str
    code: int


failed: list[Failure] = []
"""The failures of this process."""

made: list[list[Path]] = []
"""The folders that were made for them, and for nothing else; of each run, from `recmeta.runs.directory.make`."""


def record(error: Exception, config: Mapping[str, Any], overrides: Sequence[str], title: str = "") -> None:
    """Record that a run of a sweep failed: print it, and write it where the run would be.

    Args:
        error: why it failed.
        config, overrides: of the run.
        title: its name on the screen; the overrides by default.
    """
    before = failed[-1].line if failed else ""
    failed.append(failure(error))
    if failed[-1].line != before:  # a setting that is wrong in all runs is one line
        say(f"{title or ' '.join(overrides)}: {failed[-1].line}")
    made.append(run_directory.record_failure(config, overrides, error, failed[-1].code))


def is_defect(error: BaseException) -> bool:
    """Whether an error of a job is a defect of recmeta, and no error of the user."""
    return not isinstance(error, UserError | OmegaConfBaseException)


def failure(error: Exception) -> Failure:
    """The failure that an error makes; of a defect, the traceback is printed."""
    if is_defect(error):
        traceback.print_exception(error)
    return Failure(explain(error), 1 if is_defect(error) or isinstance(error, Diverged) else 2)


def say(line: str) -> None:
    """Print a line on standard error."""
    print(f"recmeta: {line}", file=sys.stderr)


def explain(error: BaseException) -> str:
    """Explain an error in one line: the setting, its value, and the allowed ones."""
    if isinstance(error, MissingConfigException):
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={choice}: no such choice; there are {_listed(error.options or schema.choices(group))}"
    if str(error).startswith(_NO_NAME):
        return _no_name(sys.argv[1:])
    if isinstance(error, OverrideParseException):
        reason = _line(error)
        # The grammar's own word for a character that it has no use for says nothing to the user.
        why = "" if reason.startswith("Lexer") else f" ({reason})"
        return f"{error.override}: can't be read{why}; {_readable(str(error.override))}"
    typed = _override(error)
    for cause in _causes(error):
        if isinstance(cause, OmegaConfBaseException):
            return _no_key(typed, cause) or _wrong_type(typed) or f"{typed}: {_line(cause)}".removeprefix(": ")
    return " ".join(str(error).split())


def _readable(text: str) -> str:
    """Advice on an override that Hydra can't read: quotes, where it has a key and a value."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        return "write key=value"
    quoted = value.strip("'\"").replace("\\", "\\\\").replace('"', '\\"')
    return f"a value with such characters needs quotes inside quotes: '{key}=\"{quoted}\"'"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _line(error: BaseException) -> str:
    """The first line of a message: OmegaConf puts its internals below it."""
    return str(error).strip().partition("\n")[0]


def _listed(names: object) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) and names else "none"


def _override(error: BaseException) -> str:
    """The override a composition error is about, from Hydra's own message."""
    found = re.search(r"^To append to your config use \+(.+)|^Error merging override (.+)", str(error), re.MULTILINE)
    return (found[1] or found[2]) if found else ""


def _no_key(typed: str, cause: OmegaConfBaseException) -> str:
    """Explain a key that does not exist: list those that do."""
    parent = cause.parent_node
    if not re.search(r"not in (struct|'Root')", str(cause)) or not isinstance(parent, DictConfig):
        return ""
    where = str(cause.full_key).rpartition(".")[0]
    keys = [str(key) for key in parent if not str(key).startswith("_") and key != "hydra"]
    if moved := new_name(str(cause.full_key), keys):
        return moved
    return f"{typed or cause.full_key}: no such key; {where or 'the config'} has {_listed(keys)}"


def _wrong_type(typed: str) -> str:
    """Explain a root key of a wrong type: name the right one."""
    key, _, value = typed.partition("=")
    kind = schema.kind(key) if value else ""
    return kind and f"{typed}: must be {kind}"


def _no_name(typed: list[str]) -> str:
    """Explain a group that is set to no name, or a key that is no group."""
    for text in typed:
        key, equals, _ = text.partition("=")
        if equals and key in ("", *schema.GROUPS, "experiment"):
            override = OverridesParser.create().parse_override(text)
            if not isinstance(override.value(), str | list):
                there = f"there are {_listed(schema.choices(key))}" if key else "write key=value"
                return f"{text}: no such choice; {there}"
    return "a group is chosen by name, as learner=ridge"
