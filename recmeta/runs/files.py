"""Read and write files of a run's directory: atomic writes, valid JSON, one line for errors of the disk."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from recmeta.runs.layout import METRICS
from recmeta.types import UserError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where there is one: of a thousand configs it takes a tenth of the time."""


@contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """Turn errors of the disk into one line.

    Raises:
        UserError: for any `OSError` inside.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"no space left for {directory}: free some, and the same command resumes") from error
        why = error.strerror or error
        raise UserError(f"can't write {directory} ({why}); make it writable, or give another output=") from error


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: beside its place first, then into it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as stream:
            stream.write(content.encode("utf-8") if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def to_json(value: Any) -> str:
    """Valid JSON, indented; a value that is not finite is null."""
    return json.dumps(plain(value), indent=2, allow_nan=False) + "\n"


def to_line(entry: Mapping[str, Any]) -> str:
    """Valid JSON on one line; a value that is not finite is null."""
    return json.dumps(plain(entry), allow_nan=False) + "\n"


def to_yaml(value: Any) -> str:
    """Plain values as YAML, in their order, which OmegaConf and PyYAML read alike."""
    from omegaconf import OmegaConf  # here: whoever only reads runs does without

    return OmegaConf.to_yaml(OmegaConf.create(value))


def plain(value: Any) -> Any:
    """Plain values of arrays, numpy scalars, tuples, mappings and paths; None for a number that is not finite.

    >>> plain({"a": (np.float32(0.5), float("nan")), 1: np.arange(2)})
    {'a': [0.5, None], '1': [0, 1]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist())
    return str(value) if isinstance(value, Path) else value


def read_object(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where there is no file.

    Raises:
        OSError: it can't be read.
        ValueError: it is no JSON object.
    """
    value = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{path.name} is no JSON object")
    return value


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where there is no file.

    Raises:
        UserError: it can't be read, or is no JSON object.
    """
    try:
        return read_object(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)})") from error


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain values; None where there is no file.

    Raises:
        UserError: it can't be read.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), LOADER) if path.exists() else None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)})") from error


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """Read the metrics of a run: an object per line, without a last line that an interrupt cut short.

    Raises:
        UserError: a line before the last is not JSON.
    """
    path = directory / METRICS
    try:
        complete = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in complete]
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({one_line(error)}); remove the folder, or run it again with force=true"
        ) from error


def one_line(message: object) -> str:
    """A message on one line."""
    return " ".join(str(message).split())
