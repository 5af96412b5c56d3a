"""Assemble ``summary.json``; the tests and the verdict's words come from `recmeta.statistics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from recmeta import statistics
from recmeta.config.parts import Parts
from recmeta.metrics import Metric
from recmeta.runs.layout import COMPLETE, LEARNER, Goal, Summary, Validation
from recmeta.types import Interactions, Problem


class Reference(NamedTuple):
    """The results that do not depend on the learner: worked out once, also where many runs share a problem.

    Attributes:
        frame: the baselines' task scores; None without any.
        scores: what `statistics.summarise` makes of them.
        settings: what was chosen for each baseline that has settings.
        bounds: the room that each metric has.
    """

    frame: pl.DataFrame | None
    scores: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]
    bounds: Mapping[str, Any]


class Learned(NamedTuple):
    """The results of the learner alone.

    Attributes:
        frame: its task scores.
        aggregates: scenario -> name -> the value of each seed, of what is measured of all tasks at once.
        adaptation, validation: as `summary.json` has them.
    """

    frame: pl.DataFrame
    aggregates: Mapping[str, Mapping[str, Sequence[float]]]
    adaptation: Mapping[str, Any]
    validation: Mapping[str, Any]


def aggregate_cells(
    values: Mapping[str, Sequence[float]], problem: Problem, scenario: str, seeds: int
) -> dict[str, Any]:
    """Cells for metrics of all tasks at once, as `statistics.summarise` has means; there is no interval over tasks."""
    tasks = len(problem.names[scenario])
    return {
        name: {"mean": _number(float(np.mean(value))), "ci95": [None, None], "tasks": tasks, "seeds": seeds}
        for name, value in values.items()
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def summarise(
    name: str,
    hashes: Mapping[str, str],
    parts: Parts,
    data: Interactions,
    problem: Problem,
    learned: Learned | None,
    reference: Reference,
    *,
    rates: bool = True,
) -> tuple[Summary, pl.DataFrame]:
    """Summarise a run, its cost aside, and join the task scores of all methods.

    Args:
        name, hashes: of the run.
        parts, data, problem: what was run.
        learned: None for the baselines alone.
        reference: what the baselines did.
        rates: whether the learner's scores stand for labels: the best errors possible are none of a ranking.
    """
    metric = parts.metric
    own = {}
    if learned:
        own = statistics.summarise(learned.frame, problem.headline)
        for scenario, values in learned.aggregates.items():
            own[scenario][LEARNER] |= aggregate_cells(values, problem, scenario, learned.frame["seed"].n_unique())
    table = {scenario: own.get(scenario, {}) | dict(reference.scores.get(scenario, {})) for scenario in problem.test}
    frame = pl.concat([each for each in (learned and learned.frame, reference.frame) if each is not None])
    scenario = next(iter(problem.test))
    known = attainable(data, problem) if rates else {}
    summary: Any = {
        "schema": 1,
        "status": COMPLETE,
        "name": name,
        "hashes": hashes,
        "metric": {
            "name": metric.name, "goal": metric.goal, "scenario": scenario, "shots": problem.headline,
            "value": table[scenario].get(LEARNER, {}).get(metric.name, {}).get("mean"),
        },
        "goals": goals(parts),
        "scores": table,
        "adaptation": learned.adaptation if learned else {},
        **({"validation": learned.validation} if learned else {}),
        "baselines": reference.settings,
        "bounds": reference.bounds,
        "verdict": statistics.verdict(frame, metric.name, metric.goal, problem.headline),
        **({"attainable": known} if known else {}),
    }  # fmt: skip
    return summary, frame


def goals(parts: Parts) -> dict[str, Goal]:
    """The goal of every metric that a run reports: lower or higher is better."""
    return {metric.name: metric.goal for metric in (*parts.metrics, *parts.aggregates)}


def validation(value: np.ndarray, step: np.ndarray, metric: Metric) -> Validation:
    """The value that chose the checkpoints: the mean over seeds of the best meta-validation, and each seed's.

    This is what a search may look at; the test tasks' value is not.
    """
    return {
        "name": metric.name, "goal": metric.goal, "value": float(np.mean(value)),
        "seeds": np.asarray(value, float).tolist(), "steps": np.asarray(step).tolist(),
    }  # fmt: skip


def attainable(data: Interactions, problem: Problem) -> dict[str, float]:
    """The best errors possible, where they are known: "mae" at the headline support size, and each under its own name.

    There is no plain "rmse": the one known is of all rows pooled, while tables hold the mean of each user's own. Empty
    where the labels are no longer the data's, and what is known of them is in other units.
    """
    if not data.attainable or (problem.spec.low, problem.spec.high) != tuple(data.label_range):
        return {}
    sized = {name: value for name, value in data.attainable.items() if "@" in name}
    headline = sized.get(f"mae@{problem.headline}")
    return sized if headline is None else {"mae": headline, **sized}


def baseline_lines(settings: Mapping[str, Any], headline: int) -> list[str]:
    """List the settings chosen for each baseline at the headline support size, out of how many."""
    lines = []
    for name, chosen in settings.items():
        place = chosen["shots"].index(headline)
        numbers = {key: chosen[key][place] for key in chosen["grid"]}
        said = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in numbers.items())
        lines.append(f"{name}: {said} at K = {headline}, the best of {chosen['tried']} by meta-validation")
    return lines


def verdict_lines(summary: Summary) -> list[str]:
    """The verdict lines of a summary."""
    return [f"{scenario}: {verdict['text']}" for scenario, verdict in summary["verdict"].items()]
