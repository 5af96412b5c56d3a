"""State of a sweep's runs: done, failed, running or missing (``python -m recmeta.results status``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from recmeta.results.labels import at_key
from recmeta.results.runs import complete, damaged, directories, run_config, typed, without_results
from recmeta.runs.files import one_line, read_yaml
from recmeta.runs.hashing import WITHOUT_EFFECT
from recmeta.runs.layout import SWEEP
from recmeta.types import UserError

STATES = ("done", "pruned", "failed", "running", "unfinished", "damaged", "missing")
"""States of a sweep's run: pruned by a search, unfinished if interrupted, damaged if a file of it can't be read,
missing if never begun."""


class RunStatus(NamedTuple):
    """A run of a sweep and its state.

    Attributes:
        state: one of `STATES`.
        directory: the run's directory; None where it is missing.
        overrides: the overrides on the command line, if known.
        detail: why it failed or was pruned; what is damaged; how far it is, where it runs or was interrupted.
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
        UserError: the folder does not exist, or holds no run and no sweep.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    there = [run_status(directory) for directory in directories(folder)]
    sweeps = sorted(folder.rglob(SWEEP))
    if not there and not sweeps:
        raise UserError(f"{folder}: holds no run and no sweep; give a folder of runs, as outputs/NAME")
    return [*there, *(run for sweep in sweeps for run in _missing(sweep, there))]


def sweep_runs(path: Path) -> list[tuple[str, ...]]:
    """List the runs of a sweep: the overrides of each, in the order in which Hydra runs them.

    Args:
        path: a ``multirun.yaml``.

    Raises:
        UserError: it can't be read, or holds no line that can be.
    """
    # Needed here only, and slower to import than everything else.
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    config = read_yaml(path)
    if at_key(config or {}, "hydra.sweeper.trials") is not None:
        return []  # a search: its runs are in its record
    if not isinstance(config, Mapping):
        raise UserError(f"{path}: holds no sweep")
    fixed = at_key(config, "hydra.sweeper.params") or {}
    line = [*(f"{key}={values}" for key, values in fixed.items()), *(at_key(config, "hydra.overrides.task") or [])]
    choices: dict[str, list[str]] = {}  # what is typed stands in the place of what the config sweeps
    try:
        for override in OverridesParser.create().parse_overrides([str(text) for text in line]):
            key = override.get_key_element()
            if override.is_sweep_override():
                choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            else:
                choices[key] = [f"{key}={override.get_value_element_as_str()}"]
    except (HydraException, ValueError) as error:
        raise UserError(f"{path}: its line can't be read ({one_line(error)})") from error
    return list(product(*choices.values()))


def lines(found: Sequence[RunStatus]) -> Iterator[str]:
    """A line of counts, and one for each run that is not done: the overrides that distinguish it, and its state."""
    counts = {state: sum(run.state == state for run in found) for state in STATES}
    yield f"{len(found)} runs: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    known = [effective(run.overrides) for run in found if run.state != "damaged"]
    common = frozenset.intersection(*known) if known else frozenset()
    for run in sorted(found, key=lambda run: STATES.index(run.state)):
        if run.state != "done":
            own = " ".join(text for text in run.overrides if text in effective(run.overrides) - common)
            where = f" ({run.directory})" if run.directory else ""
            yield f"{run.state}: {own or ' '.join(run.overrides)}{where}{': ' if run.detail else ''}{run.detail}"


def run_status(directory: Path) -> RunStatus:
    """The state of the run in a directory."""
    try:
        run_config(directory)  # a done run, too, may be damaged
        if complete(directory) is not None:
            return RunStatus("done", directory, typed(directory), "")
        run = without_results(directory)
    except UserError as error:
        run = damaged(directory, error)
    return RunStatus(run.status, directory, tuple(run.overrides), run.reason or _progress(run.log, run.config))


def _missing(sweep: Path, there: Sequence[RunStatus]) -> list[RunStatus]:
    """The runs of a sweep that have no directory beside it; where its line can't be read, that."""
    try:
        wanted = sweep_runs(sweep)
    except UserError as error:
        return [RunStatus("damaged", None, (), str(error))]
    beside = [run for run in there if run.directory and sweep.parent in run.directory.parents]
    known = {effective(run.overrides) for run in beside}
    return [RunStatus("missing", None, overrides, "") for overrides in wanted if effective(overrides) not in known]


def _progress(log: Sequence[Mapping[str, object]], config: Mapping[str, object]) -> str:
    """The step that a run has reached, in words."""
    return f"step {log[-1]['step']} of {config.get('steps', '?')}" if log else ""


def effective(overrides: Sequence[str]) -> frozenset[str]:
    """The overrides that change a run's numbers, in any order."""
    return frozenset(text for text in overrides if text.partition("=")[0].partition(".")[0] not in WITHOUT_EFFECT)
