"""Finished runs as one table, for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from recmeta.results.labels import called, choice
from recmeta.results.runs import Finished, find, typed
from recmeta.runs import layout
from recmeta.types import UserError


def frame(*paths: str | Path) -> pl.DataFrame:
    """Tabulate finished runs: a row for each run, scenario, method and metric.

    Columns: ``directory``, ``name``, ``dataset``, ``protocol``, ``learner``, ``overrides``, ``scenario``, ``method``,
    ``metric``, ``goal``, ``mean``, and ``low`` and ``high``, the ends of its 95 % interval.

    Args:
        paths: folders with run directories anywhere below.

    Raises:
        UserError: where there is no finished run.
    """
    found, missing = find([Path(path) for path in paths])
    if not found:
        reason = f": {missing[0].reason}" if missing else ""
        raise UserError(f"{', '.join(map(str, paths))}: no finished run{reason}")
    return pl.DataFrame([row for run in found for row in _rows(run)], infer_schema_length=None)


def _rows(run: Finished) -> Iterator[dict[str, Any]]:
    about = {"directory": str(run.directory), "name": run.config.get("name")}
    about |= {group: choice(run.config.get(group)) for group in ("dataset", "protocol", "learner")}
    about["overrides"] = " ".join(typed(run.directory))
    for scenario, methods in run.summary["scores"].items():
        for method, metrics in methods.items():
            named = called(about["learner"], run.departs) if method == layout.LEARNER else method
            for metric, found in metrics.items():
                low, high = found.get("ci95") or (None, None)
                yield {
                    **about, "scenario": scenario, "method": named, "metric": metric, "goal": run.goals.get(metric),
                    "mean": found["mean"], "low": low, "high": high,
                }  # fmt: skip
