"""Number the runs of a sweep, and end it: a table of its runs, or a search's result, and the report's command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from recmeta.results.runs import complete
from recmeta.results.screen import lay_out
from recmeta.results.status import RunStatus, effective, run_status, statuses, sweep_runs
from recmeta.runs import layout
from recmeta.runs.files import read_json
from recmeta.types import UserError

placed: dict[tuple[str, ...], Path] = {}
"""The run directories of this process's sweep, by the overrides of each."""

NOTHING = "—"


def title(hydra: Any, overrides: Sequence[str]) -> str:
    """The number of a sweep's run, of how many, and the settings that distinguish it: ``2/12 learner=reptile``.

    Args:
        hydra: Hydra's part of the run's config.
        overrides: of the run.
    """
    number = int(hydra.job.num) + 1
    if "trials" in hydra.sweeper:  # of a search: what it will ask for is not known yet
        return f"trial {number}/{hydra.sweeper.trials} {' '.join(overrides)}"
    try:
        runs = sweep_runs(Path(hydra.sweep.dir) / layout.SWEEP)
    except UserError:
        runs = []
    return f"{number}/{len(runs) or '?'} {_own(overrides, runs)}".rstrip()


def _own(overrides: Sequence[str], runs: Sequence[Sequence[str]]) -> str:
    """The overrides that not all runs of a sweep have."""
    common = frozenset.intersection(*map(frozenset, runs)) if runs else frozenset()
    return " ".join(text for text in overrides if text not in common)


def ending(folder: Path, width: int) -> Iterator[str | Text]:
    """Yield the last lines of a sweep: its runs with their values, and the report's command line.

    Args:
        folder: of the sweep, ``outputs/NAME``.
        width: columns that a table may take.
    """
    found = _search(folder)
    if found is None:
        runs = sweep_runs(folder / layout.SWEEP)
        yield from _table(runs, [_status(folder, run) for run in runs], folder, width)
    else:
        yield from search_lines(found, folder)
    yield "tables, figures and verdicts:"
    yield f"python -m recmeta.results {folder} --out report"


def _search(folder: Path) -> Mapping[str, Any] | None:
    """The record of a search, if the folder's last sweep was one."""
    record, sweep = folder / layout.SEARCH, folder / layout.SWEEP
    begun = sweep.stat().st_mtime_ns if sweep.exists() else 0  # a search writes none
    searched = record.exists() and record.stat().st_mtime_ns >= begun
    return read_json(record) if searched else None


def _status(folder: Path, run: Sequence[str]) -> RunStatus:
    """The status of a sweep's run, by its directory where this process knows it, else by its overrides."""
    if (directory := placed.get(tuple(run))) is not None and directory.is_dir():
        return run_status(directory)
    wanted = effective(run)
    known = [status for status in statuses(folder) if effective(status.overrides) == wanted]
    return known[0] if known else RunStatus("missing", None, tuple(run), "")


def _table(runs: Sequence[Sequence[str]], found: Sequence[RunStatus], folder: Path, width: int) -> Iterator[str | Text]:
    """Lay out the runs of a sweep in its order: their own overrides, and their values."""
    body, metrics = [], {}
    for number, (run, status) in enumerate(zip(runs, found, strict=True), start=1):
        summary = complete(status.directory) if status.state == "done" and status.directory else None
        metric, chosen = (summary or {}).get("metric", {}), (summary or {}).get("validation", {})
        metrics[metric.get("name")] = None
        values = [_number(chosen.get("value")), _number(metric.get("value"))]
        named = status.directory.name if status.directory else NOTHING
        body.append([f"{number}/{len(runs)} {_own(run, runs)}".rstrip(), status.state, *values, named])
    names = [name for name in metrics if name]
    of = f"{names[0]}, " if len(names) == 1 else ""
    head = ["run", "state", f"{of}meta-validation", f"{of}test", "directory"]
    counts = {state: sum(status.state == state for status in found) for state in dict.fromkeys(s.state for s in found)}
    yield ""
    yield f"{folder}: {len(runs)} runs: {', '.join(f'{count} {state}' for state, count in counts.items())}"
    yield lay_out(head, body, "llrrl", width)
    for line, status in zip(body, found, strict=True):
        if status.detail:
            yield f"{line[0]}: {status.state}: {status.detail}"


def search_lines(record: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Summarise a search for the user: its result is the last line.

    Args:
        record: the content of ``search.json``.
        folder: of the search.
    """
    counts = ", ".join(f"{count} {name}" for name, count in record["counts"].items() if count)
    yield f"{folder}: {counts} trials, {record['seconds']:.0f} s"
    yield from (f"at an edge: {edge}; search further there" for edge in record["edges"])
    if best := record["best"]:
        yield f"best by meta-validation: trial {best['number']}, {best['value']:.4f}: {' '.join(best['typed'])}"
    else:
        yield "no trial gave a value on meta-validation: there is no best one"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"
