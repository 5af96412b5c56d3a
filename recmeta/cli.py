"""What the command line needs beside Hydra: errors in one line, and where compiled programs are kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import jax
import platformdirs
from hydra.errors import MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


def configure_jax() -> None:
    """Keep compiled programs on disk between runs, in the user's cache unless JAX_COMPILATION_CACHE_DIR says where."""
    where = os.environ.get("JAX_COMPILATION_CACHE_DIR", platformdirs.user_cache_dir("recmeta/jax"))
    jax.config.update("jax_compilation_cache_dir", where)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def refuse(error: BaseException) -> int:
    """Say an error in one line on standard error; returns the exit code."""
    print(f"recmeta: {explain(error)}", file=sys.stderr)
    return 2


def explain(error: BaseException) -> str:
    """One line: what, where, and what is allowed instead."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={choice}: no such choice; there are {', '.join(error.options)}"
    for cause in _causes(error):
        if isinstance(cause, OmegaConfBaseException):
            return f"{_override(error)}{_line(cause)}{_allowed(cause)}"
    return _line(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _line(error: BaseException) -> str:
    """The first line of a message: OmegaConf puts its internals below it."""
    return str(error).strip().partition("\n")[0]


def _override(error: BaseException) -> str:
    """The override a composition error is about, from Hydra's own message."""
    first = _line(error)
    marks = first.split("'")
    return f"{marks[1]}: " if first.startswith(("Could not override", "Error merging override")) and len(marks) > 1 else ""


def _allowed(cause: OmegaConfBaseException) -> str:
    parent = cause.parent_node
    if "not in struct" not in str(cause) or not isinstance(parent, DictConfig):
        return ""
    return f"; there are {', '.join(str(key) for key in parent if not str(key).startswith('_'))}"
