"""Find run directories and read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from recmeta.statistics import KEYS
from recmeta.types import UserError

MARKERS = ("config.yaml", "summary.json", "failure.json")
"""A directory with any of these is a run's."""


@dataclass(frozen=True)
class Finished:
    """A complete run.

    Attributes:
        directory: where it is.
        config: the resolved config.
        hashes: of config, data, protocol (the split) and code.
        metric: the name of the metric that the run is judged by.
        goal: of that metric, "min" or "max".
        scores: the table of task scores.
    """

    directory: Path
    config: Mapping[str, Any]
    hashes: Mapping[str, str]
    metric: str
    goal: str
    scores: pl.DataFrame


@dataclass(frozen=True)
class Missing:
    """A run without results.

    Attributes:
        directory: where it is.
        status: "failed" or "unfinished".
        overrides: what was typed, as far as it was recorded.
        reason: why it failed, as far as it was recorded.
    """

    directory: Path
    status: str
    overrides: Sequence[str]
    reason: str


def find(paths: Sequence[Path]) -> tuple[list[Finished], list[Missing]]:
    """Read every run at or under some paths.

    Args:
        paths: run directories, or folders above them.

    Returns:
        The complete runs and the others, each once, in the order of their paths.

    Raises:
        UserError: a path does not exist or holds no run, or a run's files are damaged.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such path")
        under = list(_directories(path))
        if not under:
            raise UserError(f"{path}: holds no run; give a run directory or a folder of them, as outputs/NAME")
        found |= {directory.resolve(): directory for directory in under if directory.resolve() not in found}
    finished = {directory: _complete(directory) for directory in found.values()}
    runs = [_read(directory, summary) for directory, summary in finished.items() if summary is not None]
    return runs, [_missing(directory) for directory, summary in finished.items() if summary is None]


def _directories(path: Path) -> Iterator[Path]:
    """Directories of runs at or under a path; a run holds no other, and what is hidden (.hydra) is none."""
    if any((path / marker).is_file() for marker in MARKERS):
        yield path
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            if child.is_dir() and not child.name.startswith("."):
                yield from _directories(child)


def _complete(directory: Path) -> Mapping[str, Any] | None:
    """The summary of a complete run."""
    path = directory / "summary.json"
    summary = _json(path) if path.exists() else {}
    return summary if summary.get("status") == "complete" else None


def _read(directory: Path, summary: Mapping[str, Any]) -> Finished:
    path = directory / "task_scores.parquet"
    try:
        scores = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read ({_line(error)}); run it again with force=true") from error
    if lacking := [name for name in KEYS if name not in scores.columns]:
        raise UserError(f"{path}: lacks the columns {', '.join(lacking)}; run it again with force=true")
    hashes, metric = summary.get("hashes", {}), summary.get("metric", {})
    if lacking := [name for name in ("data", "protocol") if not hashes.get(name)]:
        raise UserError(f"{directory / 'summary.json'}: lacks the hash of {' and '.join(lacking)}; run it again")
    config = _yaml(directory / "config.yaml") or {}
    return Finished(directory, config, hashes, metric.get("name", ""), metric.get("goal", ""), scores)


def _missing(directory: Path) -> Missing:
    failure, overrides = directory / "failure.json", directory / "overrides.yaml"
    typed = _yaml(overrides) if overrides.exists() else None
    if not failure.exists():
        return Missing(directory, "unfinished", tuple(typed or ()), "")
    return Missing(directory, "failed", tuple(typed or ()), _line(_json(failure).get("error", "")))


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({_line(error)})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: is no JSON object")
    return value


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({_line(error)})") from error


def _line(said: object) -> str:
    """One line of whatever was said."""
    return " ".join(str(said).split())
