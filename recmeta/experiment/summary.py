"""Assemble ``summary.json``; the tests and the verdict's words come from `recmeta.statistics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from recmeta import statistics
from recmeta.config.parts import Parts
from recmeta.evaluation import calibration
from recmeta.evaluation.calibration import Calibration
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
        calibrations: of each baseline that predicts labels; none where metrics read predictions as they are.
        validated: of each baseline, each metric's mean over meta-validation at each support size.
    """

    frame: pl.DataFrame | None
    scores: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]
    bounds: Mapping[str, Any]
    calibrations: Mapping[str, Calibration]
    validated: Mapping[str, Mapping[str, Any]]


class Learned(NamedTuple):
    """The results of the learner alone.

    Attributes:
        frame: its task scores.
        aggregates: scenario -> name -> the value of each seed, of what is measured of all tasks at once.
        adaptation, validation: as `summary.json` has them.
        calibrations: of each seed; None where metrics read predictions as they are.
    """

    frame: pl.DataFrame
    aggregates: Mapping[str, Mapping[str, Sequence[float]]]
    adaptation: Mapping[str, Any]
    validation: Mapping[str, Any]
    calibrations: Sequence[Calibration] | None = None


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
    metric, best = parts.metric, rivals(reference, parts.metrics, problem)
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
        "validated": validated(reference, problem),
        "rivals": best,
        "bounds": reference.bounds,
        "verdict": statistics.verdict(frame, metric.name, metric.goal, problem.headline, best[metric.name]),
        **({"attainable": known} if known else {}),
    }  # fmt: skip
    return summary, frame


def rivals(reference: Reference, metrics: Sequence[Metric], problem: Problem) -> dict[str, str | None]:
    """Per metric the baseline that is best by it on meta-validation, at the headline support size.

    That is what verdicts by this metric are about; None where no baseline has it.
    """
    place = problem.shots.index(problem.headline)

    def rival(metric: Metric) -> str | None:
        values = {name: float(of[metric.name][place]) for name, of in reference.validated.items()}
        return statistics.best_of(values, metric.goal)

    return {metric.name: rival(metric) for metric in metrics}


def validated(reference: Reference, problem: Problem) -> dict[str, Any]:
    """Each baseline's value of each metric on meta-validation, by support size; None where it is undefined."""
    values = {
        name: {metric: [_number(float(value)) for value in of[metric]] for metric in of}
        for name, of in reference.validated.items()
    }
    return {"shots": list(problem.shots), "baselines": values}


def maps_report(learned: Learned | None, reference: Reference, problem: Problem) -> dict[str, Any]:
    """Lay out the calibration maps as plain values: of each seed of the learner, and of each baseline."""
    own = learned.calibrations if learned and learned.calibrations else ()
    made = {LEARNER: [calibration.report(each, problem.shots) for each in own]} if own else {}
    return made | {name: calibration.report(each, problem.shots) for name, each in reference.calibrations.items()}


def goals(parts: Parts) -> dict[str, Goal]:
    """The goal of every metric that a run reports: lower or higher is better."""
    return {metric.name: metric.goal for metric in (*parts.metrics, *parts.aggregates)}


def validation(value: np.ndarray, step: np.ndarray, metric: Metric, kept: np.ndarray | None = None) -> Validation:
    """The value that chose the checkpoints: the mean over seeds of the best meta-validation, and each seed's.

    This is what a search may look at; the test tasks' value is not.
    """
    found: Validation = {
        "name": metric.name, "goal": metric.goal, "value": float(np.mean(value)),
        "seeds": np.asarray(value, float).tolist(), "steps": np.asarray(step).tolist(),
    }  # fmt: skip
    return found if kept is None else {**found, "kept": np.asarray(kept, float).tolist()}


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


def shrinkage_line(shares: np.ndarray) -> str:
    """Word how much of a correction was kept, of each seed.

    >>> shrinkage_line(np.array([0.0]))
    'the correction is off, as meta-validation chose: there was nothing to gain over what is corrected'
    >>> shrinkage_line(np.array([1.0, 0.5]))
    'of the correction 100 %, 50 % are kept, as meta-validation chose'
    """
    if not shares.any():
        return "the correction is off, as meta-validation chose: there was nothing to gain over what is corrected"
    kept = ", ".join(f"{100 * share:.0f} %" for share in shares)
    return f"of the correction {kept} are kept, as meta-validation chose"


def baseline_lines(settings: Mapping[str, Any], headline: int) -> list[str]:
    """List the settings chosen for each baseline at the headline support size, out of how many."""
    lines = []
    for name, chosen in settings.items():
        place = chosen["shots"].index(headline)
        if not chosen["grid"]:
            weights = {key: of[place] for key, of in chosen.items() if isinstance(of, list) and key != "shots"}
            parts = [f"{value:.2f} {key}" for key, value in weights.items() if abs(value) >= 0.005]
            lines.append(f"{name}: {' + '.join(parts)} at K = {headline}, fitted on meta-validation")
            continue
        numbers = {key: chosen[key][place] for key in chosen["grid"]}
        said = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in numbers.items())
        ends = [f"{key.replace('_', ' ')} {end}" for key, end in at_the_end(chosen, numbers)]
        beyond = f"; {', '.join(ends)} tried: the best may lie beyond" if ends else ""
        lines.append(f"{name}: {said} at K = {headline}, the best of {chosen['tried']} by meta-validation{beyond}")
    return lines


def at_the_end(chosen: Mapping[str, Any], numbers: Mapping[str, float]) -> list[tuple[str, str]]:
    """Settings that were chosen at an end of their grid, and which: "the lowest" or "the highest".

    A lowest 0 is an end of what is possible, and nothing lies beyond.

    >>> at_the_end({"grid": {"gain": [0, 1, 2], "rank": [2, 5]}}, {"gain": 0.0, "rank": 5.0})
    [('rank', 'the highest')]
    """
    found = []
    for key, tried in chosen["grid"].items():
        low, high = np.float32(min(tried)), np.float32(max(tried))
        if low < high and np.float32(numbers[key]) == high:
            found.append((key, "the highest"))
        elif low < high and low != 0 and np.float32(numbers[key]) == low:
            found.append((key, "the lowest"))
    return found


def verdict_lines(summary: Summary) -> list[str]:
    """The verdict lines of a summary."""
    return [f"{scenario}: {verdict['text']}" for scenario, verdict in summary["verdict"].items()]
