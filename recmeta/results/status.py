"""State of a sweep's runs: done, failed, running or missing (``python -m recmeta.results status``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from recmeta.results.labels import at_key
from recmeta.results.runs import complete, directories, typed, without_results
from recmeta.runs.files import read_metrics, read_yaml
from recmeta.runs.hashing import WITHOUT_EFFECT
from recmeta.runs.layout import SWEEP
from recmeta.types import UserError

STATES = ("done", "pruned", "failed", "running", "unfinished", "missing")
"""States of a sweep's run: pruned by a search, unfinished if interrupted, missing if never begun."""


class RunStatus(NamedTuple):
    """A run of a sweep and its state.

    Attributes:
        state: one of `STATES`.
        directory: the run's directory; None where it is missing.
        overrides: the overrides on the command line, if known.
        detail: why it failed or was pruned; how far it is, where it runs or was interrupted.
    """

    state: str
    directory: Path | None
    overrides: tuple[str, ...]
    detail: str


def statuses(folder: Path) -> list[RunStatus]:
    """List every run of a folder, and every run of its last sweep that has no directory.

    Args:
        folder: ``outputs/NAME``, or any folder above runs.

    Raises:
        UserError: the folder does not exist, holds no run and no sweep, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    there = [_status(directory) for directory in directories(folder)]
    sweeps = sorted(folder.rglob(SWEEP))
    if not there and not sweeps:
        raise UserError(f"{folder}: holds no run and no sweep; give a folder of runs, as outputs/NAME")
    return [*there, *(run for sweep in sweeps for run in _missing(sweep, there))]


def sweep_runs(path: Path) -> list[tuple[str, ...]]:
    """List the runs of a sweep: the overrides of each, in the order in which Hydra runs them.

    Args:
        path: a ``multirun.yaml``.
    """
    # Needed here only, and slower to import than everything else.
    from hydra.core.override_parser.overrides_parser import OverridesParser

    line = at_key(read_yaml(path) or {}, "hydra.overrides.task") or []
    choices = []
    for override in OverridesParser.create().parse_overrides([str(text) for text in line]):
        key = override.get_key_element()
        if override.is_sweep_override():
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            choices.append([f"{key}={override.get_value_element_as_str()}"])
    return list(product(*choices))


def lines(found: Sequence[RunStatus]) -> Iterator[str]:
    """A line of counts, and one for each run that is not done: the overrides that distinguish it, and its state."""
    counts = {state: sum(run.state == state for run in found) for state in STATES}
    yield f"{len(found)} runs: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    common = frozenset.intersection(*(_effective(run.overrides) for run in found)) if found else frozenset()
    for run in sorted(found, key=lambda run: STATES.index(run.state)):
        if run.state != "done":
            own = " ".join(text for text in run.overrides if text in _effective(run.overrides) - common)
            where = f" ({run.directory})" if run.directory else ""
            yield f"{run.state}: {own or ' '.join(run.overrides)}{where}{': ' if run.detail else ''}{run.detail}"


def _status(directory: Path) -> RunStatus:
    if complete(directory) is not None:
        return RunStatus("done", directory, typed(directory), "")
    run = without_results(directory)
    return RunStatus(run.status, directory, tuple(run.overrides), run.reason or _progress(directory, run.config))


def _missing(sweep: Path, there: Sequence[RunStatus]) -> list[RunStatus]:
    """The runs of a sweep that have no directory beside it."""
    beside = [run for run in there if run.directory and sweep.parent in run.directory.parents]
    known = {_effective(run.overrides) for run in beside}
    return [
        RunStatus("missing", None, overrides, "")
        for overrides in sweep_runs(sweep)
        if _effective(overrides) not in known
    ]


def _progress(directory: Path, config: Mapping[str, object]) -> str:
    """The step that a run has reached, in words."""
    log = read_metrics(directory)
    return f"step {log[-1]['step']} of {config.get('steps', '?')}" if log else ""


def _effective(overrides: Sequence[str]) -> frozenset[str]:
    """The overrides that change a run's numbers, in any order."""
    return frozenset(text for text in overrides if text.partition("=")[0].partition(".")[0] not in WITHOUT_EFFECT)
