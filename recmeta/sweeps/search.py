"""The Optuna sweeper: ask for trials, run them by whatever launcher there is, tell what meta-validation says.

The search is kept in a data base beside its runs. Trials are asked for in batches, the nth by a sampler that is made
for it, of the search's seed and n: what it asks for depends on the trials before it alone, and not on how often the
process was killed in between. What was asked for and not told is run again, which skips what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from recmeta import run_directory
from recmeta.reporters.files import to_json, write
from recmeta.sweeps.space import Space, default, described, edges, grid, typed
from recmeta.types import UserError

STORAGE = "search.db"
"""In the folder of the runs: the search, for Optuna."""

RECORD = "search.json"
"""Beside it: the same, to be read."""

Sampler = Literal["tpe", "cmaes", "random", "grid"]

STATES = {TrialState.COMPLETE: "done", TrialState.FAIL: "failed", TrialState.RUNNING: "unfinished"}


class Settings(NamedTuple):
    """How a search goes.

    Attributes:
        sampler: tpe, cmaes, random or grid.
        trials: how many there are to be in the end, trial 0 included.
        batch: how many are asked for at a time, and launched together.
        seed: of the sampler.
    """

    sampler: Sampler
    trials: int
    batch: int
    seed: int


class Told(NamedTuple):
    """What came of a trial.

    Attributes:
        value: on meta-validation; None where there is none.
        directory: of its run.
        reason: why there is no value.
        seconds: that it took, in its share.
        occupied: another process runs it, so that nothing can be said yet.
    """

    value: float | None
    directory: Path | None
    reason: str
    seconds: float | None
    occupied: bool = False


Launch = Callable[[Sequence[Sequence[str]], int], Sequence[Told]]
"""``(overrides of each point, the number of the first)`` -> what came of each."""


def search(
    folder: Path, space: Space, settings: Settings, goal: str, at: Mapping[str, Any], launch: Launch
) -> dict[str, Any]:
    """Search until there are so many trials, from wherever it was.

    Args:
        folder: ``outputs/NAME``.
        space: what is searched, and what is fixed.
        settings: how.
        goal: of what is told, "min" or "max".
        at: setting -> what the config has where nothing is searched: trial 0, if it is among what is searched.
        launch: runs trials.

    Returns:
        What `RECORD` holds.

    Raises:
        UserError: the folder holds another search, or another process searches there.
    """
    run_directory.make(folder)
    with run_directory.held(folder):
        study = _study(folder, space, settings, goal)
        points = list(product(*grid(space).values())) if settings.sampler == "grid" else None
        total = settings.trials if points is None else min(settings.trials, len(points))
        first = None if points is not None else default(space, at)
        while batch := _batch(study, space, settings, total, first, points):
            told = launch([typed(trial.params) for trial in batch], batch[0].number)
            for trial, said in zip(batch, told, strict=True):
                _tell(study, trial, said)
            write(folder / RECORD, to_json(recorded(study, space, settings)))
            if any(said.occupied for said in told):
                raise UserError(
                    f"{folder}: another process runs a trial of this search; run the same line when it is done"
                )
        record = recorded(study, space, settings)
        write(folder / RECORD, to_json(record))
    return record


def _study(folder: Path, space: Space, settings: Settings, goal: str) -> optuna.Study:
    """The search as it is kept; what it goes over must be what it went over."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / STORAGE).resolve()}")
    direction = optuna.study.StudyDirection.MINIMIZE if goal == "min" else optuna.study.StudyDirection.MAXIMIZE
    study = optuna.create_study(storage=storage, study_name="search", direction=direction, load_if_exists=True)
    identity = {"fixed": sorted(space.fixed), "searched": described(space), "goal": goal, **settings._asdict()}
    del identity["trials"]  # there may be more of them another time
    known = study.user_attrs.get("search")
    if known is not None and known != identity:
        differs = ", ".join(key for key in identity if known.get(key) != identity[key])
        raise UserError(f"{folder} holds a search with another {differs}; give another name=, or remove it")
    study.set_user_attr("search", identity)
    return study


def _batch(
    study: optuna.Study,
    space: Space,
    settings: Settings,
    total: int,
    first: Mapping[str, Any] | None,
    points: Sequence[Sequence[Any]] | None,
) -> list[FrozenTrial]:
    """The trials to run next: those that were asked for and never told, filled up to the end of their batch."""
    asked = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    running = [trial.number for trial in asked if trial.state == TrialState.RUNNING]
    begin = running[0] if running else len(asked)
    end = min((begin // settings.batch + 1) * settings.batch, total)
    for number in range(len(asked), end):
        study.sampler = sampler(settings, number)
        planned = dict(zip(space.searched, points[number], strict=True)) if points else first if number == 0 else None
        if planned:
            study.enqueue_trial(dict(planned), skip_if_exists=True)
        study.ask(dict(space.searched))
    return study.get_trials(states=[TrialState.RUNNING])


def sampler(settings: Settings, number: int) -> BaseSampler:
    """What the nth trial is asked of: made of the search's seed and n."""
    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    if settings.sampler == "cmaes":
        return CmaEsSampler(seed=seed, warn_independent_sampling=False)
    # What a grid asks for is planned, and any sampler does.
    return TPESampler(seed=seed) if settings.sampler == "tpe" else RandomSampler(seed=seed)


def _tell(study: optuna.Study, trial: FrozenTrial, said: Told) -> None:
    """Tell what came of a trial, unless that is not known yet."""
    if said.occupied:
        return
    about = {"run": said.directory and said.directory.name, "reason": said.reason, "seconds": said.seconds}
    # Not the trial that was asked for: that may have been in a process that was killed.
    optuna.trial.Trial(study, trial._trial_id).set_user_attr("about", about)
    if said.value is None or not np.isfinite(said.value):
        study.tell(trial.number, state=TrialState.FAIL)
    else:
        study.tell(trial.number, said.value)


def recorded(study: optuna.Study, space: Space, settings: Settings) -> dict[str, Any]:
    """The search as plain values."""
    trials = study.get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = study.best_trial if done else None
    return {
        **settings._asdict(),
        "fixed": list(space.fixed),
        "searched": described(space),
        "counts": {name: sum(trial.state == state for trial in trials) for state, name in STATES.items()},
        "seconds": sum(_about(trial)["seconds"] or 0 for trial in trials),
        "best": best and {"number": best.number, "value": best.value, "typed": typed(best.params)},
        "edges": edges(space, best.params) if best else [],
        "trials": [
            {
                "number": trial.number, "state": STATES.get(trial.state, "planned"), "params": trial.params,
                "value": trial.value, **_about(trial),
            }
            for trial in trials
        ],
    }  # fmt: skip


def _about(trial: FrozenTrial) -> dict[str, Any]:
    """What is known of a trial's run."""
    return trial.user_attrs.get("about") or {"run": None, "reason": "", "seconds": None}


def lines(record: Mapping[str, Any], folder: Path) -> list[str]:
    """What a search found, for the user."""
    counts = ", ".join(f"{count} {name}" for name, count in record["counts"].items() if count)
    said = [f"{folder}: {counts} trials, {record['seconds']:.0f} s"]
    if best := record["best"]:
        said.append(f"best by meta-validation: trial {best['number']}, {best['value']:.4f}: {' '.join(best['typed'])}")
    return [*said, *(f"at an edge: {edge}; search further there" for edge in record["edges"])]
