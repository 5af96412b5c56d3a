"""The layout of a run's directory: every file name in it, and the keys and types of ``summary.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

CONFIG = "config.yaml"
"""The resolved config."""

OVERRIDES = "overrides.yaml"
"""What was typed."""

PROVENANCE = "provenance.json"
"""Hashes, versions, device, counts, cost."""

METRICS = "metrics.jsonl"
"""One JSON object per line: the metrics of a chunk of training, or of a meta-validation."""

TASK_SCORES = "task_scores.parquet"
"""One row per (scenario, method, seed, shots, task)."""

CALIBRATION = "calibration.json"
"""Method -> its maps from predictions to what metrics read (`recmeta.evaluation.calibration.report`), of the learner
one for each seed; absent where metrics read predictions as they are."""

FEATURES = "features"
"""The folder of the fitted `recmeta.types.Transform`."""

CHECKPOINTS = "checkpoints"
"""The folder of checkpoints (`recmeta.training.checkpoint`)."""

SUMMARY = "summary.json"
"""A `Summary`. It is written last, so that its presence means that the run is complete."""

FAILURE = "failure.json"
"""A `Failure`: how a run that is not complete ended. Never beside `SUMMARY`."""

LOCK = ".lock"
"""The file whose lock a run holds. It stays: to remove it would let two processes lock two files of one name."""

SWEEP = "multirun.yaml"
"""Hydra's own, in a sweep's folder: the command line of the latest sweep."""

SEARCH = "search.json"
"""In a search's folder: its trials and its result, readable."""

MARKERS = (CONFIG, SUMMARY, FAILURE)
"""A directory with any of these is a run's."""

COMPLETE = "complete"
"""``status`` in `SUMMARY`."""

PRUNED = "Pruned"
"""``type`` in `FAILURE` of a run that a search stopped early, where else the kind of error stands."""

LEARNER = "model"
"""The name of the learner's rows among those of the baselines, in task scores and in `Summary.scores`."""

ADAPTATION_ERRORS = {"mae": "MAE of raw predictions", "wrong_pairs": "share of pairs in the wrong order"}
"""Under which key the report on adaptation has the error after each step, and its title: of scores that stand for
labels, and of those that only rank. No map is applied to either, for one is fitted at full depth alone."""

Goal = Literal["min", "max"]


class Cell(TypedDict):
    """One number of a table: a mean over tasks with its 95 % interval; None where there is no number."""

    mean: float | None
    ci95: list[float | None]
    tasks: int
    seeds: int


class Headline(TypedDict):
    """The metric that a run is judged by, and its value on the test tasks of the first scenario."""

    name: str
    goal: Goal
    scenario: str
    shots: int
    value: float | None


class Validation(TypedDict):
    """The value that chose the checkpoints: the mean over seeds of the best meta-validation; each seed's; its step.

    ``kept`` is the share of its correction that each seed keeps, of a learner that corrects something.
    """

    name: str
    goal: Goal
    value: float
    seeds: list[float]
    steps: list[int]
    kept: NotRequired[list[float]]


class Speed(TypedDict):
    """The cost of a run. Seconds, tasks per second, MB; None where nothing was trained."""

    train_tasks_per_s: float | None
    eval_tasks_per_s: float | None
    compile_s: float
    wall_s: float
    peak_mb: float
    points: int


class Summary(TypedDict):
    """The content of ``summary.json``.

    Keys:
        schema: the version of this layout.
        status: `COMPLETE`.
        name: the experiment's name.
        hashes: config, data, protocol (the split), code; components, where there are some that are not recmeta's; and
            start, where the run began with another's parameters.
        metric: the headline.
        goals: metric name -> whether lower ("min") or higher ("max") is better; of every metric in ``scores``.
        scores: scenario -> method -> metric -> cell, at the headline support size.
        adaptation: scenario -> shots, steps, the error at each, and whether adaptation changed predictions at all.
        validation: what chose the checkpoints; absent without a learner.
        baselines: name -> what was chosen for it on meta-validation, and from what.
        validated: each baseline's metrics on meta-validation by support size.
        rivals: metric -> the baseline that is best by it on meta-validation, at the headline support size, None where
            none has it: a verdict by this metric is about that one.
        bounds: scenario -> metric -> what a random order scores ("floor") and what the labels do ("oracle").
        verdict: scenario -> the comparison of the learner with the best baseline, in numbers and in words.
        departs: what makes the learner another method than the paper's of its name (`recmeta.types.Learner.departs`):
            tables have it in brackets behind the name; absent where nothing does.
        attainable: the best errors possible, where the data are a synthetic world.
        speed: what the run cost.
    """

    schema: int
    status: str
    name: str
    hashes: Mapping[str, str]
    metric: Headline
    goals: Mapping[str, Goal]
    scores: Mapping[str, Mapping[str, Mapping[str, Cell]]]
    adaptation: Mapping[str, Any]
    validation: NotRequired[Validation]
    baselines: Mapping[str, Any]
    validated: Mapping[str, Any]
    rivals: Mapping[str, str | None]
    bounds: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    verdict: Mapping[str, Mapping[str, Any]]
    departs: NotRequired[Mapping[str, str]]
    attainable: NotRequired[Mapping[str, float]]
    speed: NotRequired[Speed]


class Failure(TypedDict):
    """The content of ``failure.json``: the reason in one line; exit code and overrides where they are known."""

    error: str
    type: str
    code: NotRequired[int]
    time: NotRequired[str]
    overrides: NotRequired[Sequence[str]]


def adaptation_error(found: Mapping[str, Any]) -> tuple[str, list[list[float]]]:
    """The error in a scenario's report on adaptation: its key in `ADAPTATION_ERRORS`, and values ``[shots][steps]``.

    >>> adaptation_error({"shots": [5], "steps": [0, 1], "mae": [[0.9, 0.8]]})
    ('mae', [[0.9, 0.8]])
    """
    key = next(key for key in ADAPTATION_ERRORS if key in found)
    return key, found[key]
