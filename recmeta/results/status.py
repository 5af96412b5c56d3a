"""``python -m recmeta.results status``: what of a sweep is done, failed, running, or missing."""

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
"""What a point of a sweep may be: pruned is given up by a search, unfinished is begun and interrupted, missing is not
begun."""


class Point(NamedTuple):
    """A run that is there, or that a sweep's line asks for.

    Attributes:
        state: one of `STATES`.
        directory: of the run; None where it is missing.
        overrides: what was typed, as far as is known.
        said: of what failed or was given up why, of what runs or was interrupted how far it is.
    """

    state: str
    directory: Path | None
    overrides: tuple[str, ...]
    said: str


def points(folder: Path) -> list[Point]:
    """Every run of a folder, and every point of its last sweep that has none.

    Args:
        folder: ``outputs/NAME``, or any folder above runs.

    Raises:
        UserError: it does not exist, holds no run and no sweep, or a file of it is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    there = [_point(directory) for directory in directories(folder)]
    sweeps = sorted(folder.rglob(SWEEP))
    if not there and not sweeps:
        raise UserError(f"{folder}: holds no run and no sweep; give a folder of runs, as outputs/NAME")
    return [*there, *(point for sweep in sweeps for point in _missing(sweep, there))]


def sweep_points(path: Path) -> list[tuple[str, ...]]:
    """The points of a sweep: the overrides of each, in the order in which Hydra runs them.

    Args:
        path: of a ``multirun.yaml``.
    """
    # Hydra is wanted here only, and takes longer to import than all the rest.
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


def lines(found: Sequence[Point]) -> Iterator[str]:
    """A line that counts, and one for each point that is not done: what tells it from the others, and how it is."""
    counts = {state: sum(point.state == state for point in found) for state in STATES}
    yield f"{len(found)} points: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    common = frozenset.intersection(*(_effective(point.overrides) for point in found)) if found else frozenset()
    for point in sorted(found, key=lambda point: STATES.index(point.state)):
        if point.state != "done":
            own = " ".join(text for text in point.overrides if text in _effective(point.overrides) - common)
            where = f" ({point.directory})" if point.directory else ""
            yield f"{point.state}: {own or ' '.join(point.overrides)}{where}{': ' if point.said else ''}{point.said}"


def _point(directory: Path) -> Point:
    if complete(directory) is not None:
        return Point("done", directory, typed(directory), "")
    run = without_results(directory)
    return Point(run.status, directory, tuple(run.overrides), run.reason or _progress(directory, run.config))


def _missing(sweep: Path, there: Sequence[Point]) -> list[Point]:
    """The points of a sweep that none of the runs beside it is."""
    beside = [point for point in there if point.directory and sweep.parent in point.directory.parents]
    known = {_effective(point.overrides) for point in beside}
    asked = sweep_points(sweep)
    return [Point("missing", None, overrides, "") for overrides in asked if _effective(overrides) not in known]


def _progress(directory: Path, config: Mapping[str, object]) -> str:
    """How far a run is."""
    log = read_metrics(directory)
    return f"step {log[-1]['step']} of {config.get('steps', '?')}" if log else ""


def _effective(overrides: Sequence[str]) -> frozenset[str]:
    """The overrides that tell a run from another, in any order."""
    return frozenset(text for text in overrides if text.partition("=")[0].partition(".")[0] not in WITHOUT_EFFECT)
