"""Summarise a run's task scores: means, intervals, and whether the model beats the best baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from recmeta.statistics.comparisons import paired
from recmeta.statistics.scores import KEYS, differences, metric_names, per_task
from recmeta.statistics.trainings import blocks, interval_of, luck_of_difference
from recmeta.statistics.words import wording


def summarise(frame: pl.DataFrame, shots: int) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Mean and interval of every metric, for every scenario and method, at one number of shots.

    Args:
        frame: task scores.
        shots: the headline support size.

    Returns:
        ``{scenario: {method: {metric: {"mean", "ci95": [lo, hi], "tasks", "seeds"}}}}``, ready for JSON: None where
        there is no number. "seeds" is 0 for methods without one.

    Raises:
        ValueError: no row has that many shots, or two rows have the same keys.
    """
    frame = _at(frame, shots)
    return {
        scenario: {
            method: {metric: _cell(scores, metric) for metric in metric_names(frame)}
            for method, scores in _parts(of_scenario, "method")
        }
        for scenario, of_scenario in _parts(frame, "scenario")
    }


def verdict(frame: pl.DataFrame, metric: str, goal: str, shots: int, rival: str | None) -> dict[str, dict[str, Any]]:
    """Test whether the model beats the best baseline, by a paired t-test, in numbers and in words.

    Args:
        frame: task scores.
        metric: a metric column.
        goal: "min" or "max".
        shots: the headline support size.
        rival: the best baseline, chosen on meta-validation: one that was chosen on the test tasks would be the luckiest
            there, and the model too often "worse". None: no baseline has the metric.

    Returns:
        ``{scenario: {"best_baseline", "difference", "ci95", "p", "chosen_on", "trainings", "text"}}``, ready for JSON:
        None where there is no number. ``difference`` is model minus baseline. A scenario without a model is left out.

    Raises:
        ValueError: no row has that many shots, or two rows have the same keys.
    """
    return {
        scenario: _verdict(dict(_parts(of_scenario, "method")), metric, goal, rival)
        for scenario, of_scenario in _parts(_at(frame, shots), "scenario")
        if "model" in of_scenario["method"]
    }


def _verdict(scores: dict[str, pl.DataFrame], metric: str, goal: str, best: str | None) -> dict[str, Any]:
    """The verdict of one scenario, from the scores of its methods."""
    if best is None:
        text = f"the table has no baseline with {metric.upper()}: no verdict is possible"
        return {"best_baseline": None, "difference": None, "ci95": [None, None], "p": None, "text": text}
    luck = luck_of_difference(*(blocks(scores[name], metric) for name in ("model", best)))
    comparison = paired(differences(scores["model"], scores[best], metric), luck=luck)
    missing = per_task(scores[best], metric).height - comparison.n
    return {
        "best_baseline": best,
        "difference": _plain(comparison.difference),
        "ci95": [_plain(comparison.lo), _plain(comparison.hi)],
        "p": comparison.p if comparison.n > 1 else None,
        "chosen_on": "meta-validation",
        "trainings": comparison.trainings,
        "text": wording(comparison, f"{best}, the best baseline on meta-validation", metric, goal)
        + (f"; tasks with {best} but not the model: {missing}" if missing else ""),
    }


def _cell(scores: pl.DataFrame, metric: str) -> dict[str, Any]:
    """One cell of the summary."""
    some = blocks(scores, metric)
    mean, lo, hi = interval_of(some)
    return {
        "mean": _plain(mean),
        "ci95": [_plain(lo), _plain(hi)],
        "tasks": len(some[0].task) if some else 0,
        "seeds": scores["seed"].drop_nulls().n_unique(),
    }


def _at(frame: pl.DataFrame, shots: int) -> pl.DataFrame:
    """The rows at one number of shots; refuse duplicate keys."""
    chosen = frame.filter(pl.col("shots") == shots)
    if chosen.is_empty():
        raise ValueError(f"no task scores at {shots} shots; there are {sorted(frame['shots'].unique().to_list())}")
    if (double := chosen.filter(chosen.select(KEYS).is_duplicated())).height:
        raise ValueError(f"{double.height} task scores have the same keys; the first: {double.row(0, named=True)}")
    return chosen


def _parts(frame: pl.DataFrame, column: str) -> list[tuple[str, pl.DataFrame]]:
    """Split a frame by the values of a column, in their order of appearance."""
    return [(name, part) for (name,), part in frame.group_by(column, maintain_order=True)]


def _plain(value: float) -> float | None:
    """A number as JSON has it: None for NaN."""
    return None if np.isnan(value) else float(value)
