"""The Optuna sweeper: ask for trials, run them by whatever launcher there is, tell what meta-validation says.

The search is kept in a data base beside its runs. Trials are asked for in batches, the nth by a sampler that is made
for it, of the search's seed and n: what it asks for depends on the trials before it alone, and not on how often the
process was killed in between. A trial is kept with all its values or not at all. What was asked for and not told is run
again, which skips what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from recmeta.runs import directory as run_directory
from recmeta.runs.files import to_json, write
from recmeta.sweeps.pruning import DECIDED, PRUNERS, Judge, judge
from recmeta.sweeps.space import Space, described, edges, grid, typed
from recmeta.types import UserError

STORAGE = "search.db"
"""In the folder of the runs: the search, for Optuna."""

RECORD = "search.json"
"""Beside it: the same, to be read."""

Sampler = Literal["tpe", "cmaes", "random", "grid"]

Pruner = Literal["none", "median", "halving"]

STATES = {
    TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    TrialState.RUNNING: "unfinished",
}  # fmt: skip


class Settings(NamedTuple):
    """How a search goes.

    Attributes:
        sampler: tpe, cmaes, random or grid.
        trials: how many there are to be in the end, trial 0 included.
        batch: how many are asked for at a time, and launched together.
        seed: of the sampler.
        pruner: none, or by what trials are given up before their end: median or halving.
        storage: an Optuna storage URL; None: `STORAGE` beside the runs.
    """

    sampler: Sampler
    trials: int
    batch: int
    seed: int
    pruner: Pruner
    storage: str | None


class Ground(NamedTuple):
    """What a search stands on.

    Attributes:
        config: a hash of the configs that it goes over, less what is searched.
        goal: of what is told, "min" or "max".
        steps: of a training.
        first: trial 0: the default config; None where that is not among what is searched.
    """

    config: str
    goal: str
    steps: int
    first: Mapping[str, Any] | None


class Told(NamedTuple):
    """What came of a trial.

    Attributes:
        value: on meta-validation; None where there is none.
        directory: of its run.
        reason: why there is no value.
        seconds: that it took, in its share; None where it did not begin.
        code: the exit code that it makes, 0 where nothing failed.
        pruned: it was given up.
        occupied: another process runs it, so that nothing can be said yet.
    """

    value: float | None
    directory: Path | None
    reason: str
    seconds: float | None
    code: int = 0
    pruned: bool = False
    occupied: bool = False


Launch = Callable[[Sequence[Sequence[str]], int, Judge | None], Sequence[Told]]
"""``(overrides of each point, the number of the first, what gives points up)`` -> what came of each."""


def search(folder: Path, space: Space, settings: Settings, ground: Ground, launch: Launch) -> dict[str, Any]:
    """Search until there are so many trials, from wherever it was.

    Args:
        folder: ``outputs/NAME``.
        space: what is searched, and what is fixed.
        settings: how.
        ground: on what.
        launch: runs trials.

    Returns:
        What `RECORD` holds.

    Raises:
        UserError: the folder holds another search, another process searches there, or the storage can't be used.
    """
    run_directory.make(folder)
    with run_directory.locked(folder):
        study = _study(folder, space, settings, ground)
        planned = _planned(space, settings, ground)
        total = min(settings.trials, len(planned)) if settings.sampler == "grid" else settings.trials
        while batch := _batch(study, space, settings, total, planned):
            judged = None if settings.pruner == "none" else judge(study, batch, PRUNERS[settings.pruner], ground.steps)
            told = launch([typed(trial.params) for trial in batch], batch[0].number, judged)
            for trial, said in zip(batch, told, strict=True):
                _tell(study, trial, said, batch[0].number)
            write(folder / RECORD, to_json(recorded(study, space, settings)))
            if any(said.occupied for said in told):
                raise UserError(
                    f"{folder}: another process runs a trial of this search; run the same line when it is done"
                )
        record = recorded(study, space, settings)
        write(folder / RECORD, to_json(record))
    return record


def _study(folder: Path, space: Space, settings: Settings, ground: Ground) -> optuna.Study:
    """The search as it is kept; what it goes over must be what it went over."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own = f"sqlite:///{(folder / STORAGE).resolve()}"
    # A storage of the user's may hold other searches.
    name = "search" if settings.storage is None else folder.name
    direction = optuna.study.StudyDirection.MINIMIZE if ground.goal == "min" else optuna.study.StudyDirection.MAXIMIZE
    try:
        study = optuna.create_study(
            storage=settings.storage or own, study_name=name, direction=direction, load_if_exists=True
        )
    except (ImportError, ValueError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise UserError(
            f"hydra.sweeper.storage: it can't be used ({str(error).partition(chr(10))[0]}); give an Optuna storage "
            "URL, as postgresql://HOST/NAME"
        ) from error
    identity = {
        "config": ground.config, "searched": described(space), "goal": ground.goal, "sampler": settings.sampler,
        "seed": settings.seed, "batch": settings.batch, "pruner": settings.pruner,
    }  # fmt: skip
    known = study.user_attrs.get("search")
    if known is not None and known != identity:
        differs = ", ".join(key for key in identity if known.get(key) != identity[key])
        raise UserError(f"{folder} holds a search with another {differs}; give another name=, or remove it")
    study.set_user_attr("search", identity)
    return study


def _planned(space: Space, settings: Settings, ground: Ground) -> list[Mapping[str, Any]]:
    """The trials that no sampler is asked for: the default, and all others of a grid after it."""
    first = [] if ground.first is None else [ground.first]
    if settings.sampler != "grid":
        return first
    points = [dict(zip(space.searched, values, strict=True)) for values in product(*grid(space).values())]
    return [*first, *(point for point in points if point not in first)]


def _batch(
    study: optuna.Study, space: Space, settings: Settings, total: int, planned: Sequence[Mapping[str, Any]]
) -> list[FrozenTrial]:
    """The trials to run next: those that were asked for and never told, filled up to the end of their batch."""
    asked = study.get_trials(deepcopy=False)
    running = [trial.number for trial in asked if trial.state == TrialState.RUNNING]
    begin = running[0] if running else len(asked)
    end = min((begin // settings.batch + 1) * settings.batch, total)
    # Asked for beside the storage, which would keep a trial before its values; then kept whole, in one transaction.
    beside = optuna.create_study(direction=study.direction)
    beside.add_trials(asked)
    for number in range(len(asked), end):
        if number < len(planned):
            values, known = dict(planned[number]), dict(space.searched)
            beside.add_trial(create_trial(state=TrialState.RUNNING, params=values, distributions=known))
        else:
            beside.sampler = sampler(settings, number)
            beside.ask(dict(space.searched))
        study.add_trial(beside.get_trials(deepcopy=False)[number])
    return study.get_trials(states=[TrialState.RUNNING])


def sampler(settings: Settings, number: int) -> BaseSampler:
    """What the nth trial is asked of: made of the search's seed and n."""
    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    if settings.sampler == "cmaes":
        return CmaEsSampler(seed=seed, warn_independent_sampling=False)
    # What a grid asks for is planned, and any sampler does.
    return TPESampler(seed=seed) if settings.sampler == "tpe" else RandomSampler(seed=seed)


def _tell(study: optuna.Study, trial: FrozenTrial, said: Told, first: int) -> None:
    """Tell what came of a trial, unless that is not known yet; ``first`` is the number of its batch's first."""
    if said.occupied:
        return
    run = said.directory and said.directory.name
    earlier = study.get_trials(deepcopy=False)[: trial.number]
    # What was run for an earlier trial, or beside it, took no time again; what gave no result is run again.
    once = [other for other in earlier if other.state == TrialState.COMPLETE or other.number >= first]
    before = [other.number for other in once if _about(other)["run"] == run]
    same, seconds = (before[0], 0.0) if run and before else (None, said.seconds)
    about = {"run": run, "same_as": same, "seconds": seconds, "reason": said.reason, "code": said.code}
    # Not the trial that was asked for: that may have been in a process that was killed.
    study._storage.set_trial_user_attr(trial._trial_id, "about", about)
    if said.pruned:
        study.tell(trial.number, state=TrialState.PRUNED)  # its value is the last that was reported
    elif said.value is None or not np.isfinite(said.value):
        study.tell(trial.number, state=TrialState.FAIL)
    else:
        study.tell(trial.number, said.value)


def recorded(study: optuna.Study, space: Space, settings: Settings) -> dict[str, Any]:
    """The search as plain values; not its storage, whose URL may hold a password."""
    trials = study.get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = study.best_trial if done else None
    return {
        **{key: value for key, value in settings._asdict().items() if key != "storage"},
        "fixed": list(space.fixed),
        "searched": described(space),
        "counts": {name: sum(trial.state == state for trial in trials) for state, name in STATES.items()},
        "seconds": sum(_about(trial)["seconds"] or 0 for trial in trials),
        "best": best and {"number": best.number, "value": best.value, "typed": typed(best.params)},
        "edges": edges(space, best.params) if best else [],
        "trials": [
            {
                "number": trial.number, "state": STATES[trial.state], "params": trial.params, "value": trial.value,
                "pruned_at": trial.user_attrs.get(DECIDED, [None])[0],
                **_about(trial),
            }
            for trial in trials
        ],
    }  # fmt: skip


def _about(trial: FrozenTrial) -> dict[str, Any]:
    """What is known of a trial's run."""
    return trial.user_attrs.get("about") or {"run": None, "same_as": None, "seconds": None, "reason": "", "code": 0}


def lines(record: Mapping[str, Any], folder: Path) -> list[str]:
    """What a search found, for the user."""
    counts = ", ".join(f"{count} {name}" for name, count in record["counts"].items() if count)
    said = [f"{folder}: {counts} trials, {record['seconds']:.0f} s"]
    if best := record["best"]:
        said.append(f"best by meta-validation: trial {best['number']}, {best['value']:.4f}: {' '.join(best['typed'])}")
    return [*said, *(f"at an edge: {edge}; search further there" for edge in record["edges"])]
