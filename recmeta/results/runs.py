"""Find run directories and read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recmeta.runs import layout
from recmeta.runs.directory import is_locked
from recmeta.runs.files import one_line, read_json, read_metrics, read_yaml
from recmeta.statistics import KEYS
from recmeta.types import UserError


@dataclass(frozen=True)
class Finished:
    """A complete run.

    Attributes:
        directory: where it is.
        config: the resolved config.
        summary: contents of ``summary.json``.
        log: the lines of ``metrics.jsonl``.
        scores: the table of task scores.
    """

    directory: Path
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]
    scores: pl.DataFrame

    @property
    def hashes(self) -> Mapping[str, str]:
        """Hashes of config, data, protocol (the split) and code."""
        return self.summary["hashes"]

    @property
    def metric(self) -> str:
        """Name of the metric that the run is judged by; "" where not recorded."""
        return self.summary.get("metric", {}).get("name", "")

    @property
    def goal(self) -> str:
        """Goal of that metric, "min" or "max"; "" where not recorded."""
        return self.summary.get("metric", {}).get("goal", "")

    @property
    def goals(self) -> Mapping[str, str]:
        """Goal of each metric, "min" or "max", where the summary records it."""
        own = {self.metric: self.goal} if self.metric and self.goal else {}
        return own | dict(self.summary.get("goals", {}))

    @property
    def departs(self) -> Mapping[str, str]:
        """Departures of the learner from the paper of its name (`recmeta.types.Learner.departs`), where recorded."""
        return self.summary.get("departs", {})

    @property
    def trains(self) -> bool:
        """Whether it has a learner besides the baselines."""
        return layout.LEARNER in self.scores["method"]

    @property
    def validated(self) -> dict[int, float]:
        """Best value on meta-validation of each seed that has one, by the run's own metric."""
        best = min if self.goal == "min" else max
        lines = [line[self.metric] for line in self.log if line.get("split") == "validation" and self.metric in line]
        by_seed = zip(self.config.get("seeds") or [], zip(*lines, strict=True), strict=False)
        known = {seed: [value for value in values if value is not None] for seed, values in by_seed}
        return {seed: best(values) for seed, values in known.items() if values}

    @property
    def train_seconds(self) -> float:
        """Seconds of training with meta-validation, with the first chunk's compilation; NaN if not logged."""
        return _train_seconds(self.config, self.log)


@dataclass(frozen=True)
class Missing:
    """A run without results.

    Attributes:
        directory: where it is.
        status: "failed", "pruned" (stopped early by a search), "running" (its lock is held), "unfinished", or
            "damaged" (a file of it can't be read).
        overrides: the overrides on the command line, if recorded.
        reason: why it failed, if recorded; what is damaged.
        config: the resolved config; empty where it was not written.
        log: the lines of ``metrics.jsonl`` so far.
    """

    directory: Path
    status: str
    overrides: Sequence[str]
    reason: str
    config: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]

    @property
    def train_seconds(self) -> float:
        """Seconds of training with meta-validation so far; 0 where it did not begin."""
        return _train_seconds(self.config, self.log) if self.log else 0.0


def _train_seconds(config: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> float:
    """Sum the seconds of all chunks from their tasks per second; NaN if not logged."""
    rates = [line["tasks_per_s"][0] for line in log if line.get("tasks_per_s")]
    per_chunk = config.get("batch", 0) * config.get("eval_every", 0)
    return sum(per_chunk / rate for rate in rates if rate) if rates and per_chunk else float("nan")


def find(paths: Sequence[Path]) -> tuple[list[Finished], list[Missing]]:
    """Read every run at or under some paths.

    Args:
        paths: run directories, or folders above them.

    Returns:
        The complete runs and the others, each once, in the order of their paths; damaged ones are among the others.

    Raises:
        UserError: a path does not exist or holds no run.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such path")
        under = list(directories(path))
        if not under:
            raise UserError(f"{path}: holds no run; give a run directory or a folder of them, as outputs/NAME")
        found |= {directory.resolve(): directory for directory in under if directory.resolve() not in found}
    read = [read_run(directory) for directory in found.values()]
    return [run for run in read if isinstance(run, Finished)], [run for run in read if isinstance(run, Missing)]


def read_run(directory: Path) -> Finished | Missing:
    """Read a run directory; one with a damaged file is listed as such, so that it hides no other run."""
    try:
        summary = complete(directory)
        return without_results(directory) if summary is None else _read(directory, summary)
    except UserError as error:
        return damaged(directory, error)


def damaged(directory: Path, error: UserError) -> Missing:
    """Describe a run with a damaged file: all that can be read of it."""
    try:
        overrides = typed(directory)
    except UserError:
        overrides = ()
    return Missing(directory, "damaged", overrides, one_line(error).removeprefix(f"{directory}/"), {}, [])


def directories(path: Path) -> Iterator[Path]:
    """Yield the run directories at or under a path; runs are not nested, and hidden folders (.hydra) are skipped."""
    if any((path / marker).is_file() for marker in layout.MARKERS):
        yield path
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            if child.is_dir() and not child.name.startswith("."):
                yield from directories(child)


def complete(directory: Path) -> Mapping[str, Any] | None:
    """The summary of a complete run; None of any other."""
    summary = read_json(directory / layout.SUMMARY) or {}
    return summary if summary.get("status") == layout.COMPLETE else None


def _read(directory: Path, summary: Mapping[str, Any]) -> Finished:
    path = directory / layout.TASK_SCORES
    try:
        scores = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}); run it again with force=true") from error
    if lacking := [name for name in KEYS if name not in scores.columns]:
        raise UserError(f"{path}: lacks the columns {', '.join(lacking)}; run it again with force=true")
    if lacking := [name for name in ("data", "protocol") if not summary.get("hashes", {}).get(name)]:
        raise UserError(f"{directory / layout.SUMMARY}: lacks the hash of {' and '.join(lacking)}; run it again")
    typed(directory)  # read by a status, and damaged for a report too
    return Finished(directory, run_config(directory), summary, read_metrics(directory), scores)


def run_config(directory: Path) -> Mapping[str, Any]:
    """The config of a run; empty where none was written.

    Raises:
        UserError: the file is empty, or holds no settings: it would be taken for one of the baselines alone.
    """
    path = directory / layout.CONFIG
    config = read_yaml(path)
    if path.exists() and (not isinstance(config, Mapping) or not config):
        raise UserError(f"{path}: holds no settings; run it again with force=true")
    return config or {}


def without_results(directory: Path) -> Missing:
    """Describe a run that is not complete: failed, pruned, running or unfinished, and why."""
    failure = read_json(directory / layout.FAILURE) or {}
    ended = "" if not failure else "pruned" if failure.get("type") == layout.PRUNED else "failed"
    status = "running" if is_locked(directory) else ended or "unfinished"
    reason = one_line(failure.get("error", "")) if status == ended else ""
    overrides = typed(directory) or tuple(failure.get("overrides") or ())
    return Missing(directory, status, overrides, reason, run_config(directory), read_metrics(directory))


def typed(directory: Path) -> tuple[str, ...]:
    """The overrides of a run; none where they were not recorded.

    Raises:
        UserError: the file is no list.
    """
    found = read_yaml(directory / layout.OVERRIDES) or []
    if not isinstance(found, list):
        raise UserError(f"{directory / layout.OVERRIDES}: holds no list of overrides")
    return tuple(map(str, found))
