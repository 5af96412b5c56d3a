"""The Optuna search: ask for trials, run them by any launcher, record their values on meta-validation.

The search is stored in a database beside its runs. Trials are asked for in batches, the nth by a sampler seeded with
the search's seed and n: it depends on the earlier trials alone, and not on how often the process was killed in between.
A trial is stored with all its values or not at all. Trials without a result are run again, which skips finished runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from recmeta.runs import directory as run_directory
from recmeta.runs import layout
from recmeta.runs.files import to_json, write
from recmeta.sweeps.pruning import DECIDED, PRUNERS, Judge, judge
from recmeta.sweeps.space import Space, described, edges, grid, typed
from recmeta.sweeps.storage import Stored, store
from recmeta.types import UserError

STORAGE = "search.db"
"""File of Optuna's storage, in the folder of the runs."""

Sampler = Literal["tpe", "cmaes", "random", "grid"]

Pruner = Literal["none", "median", "halving"]

STATES = {
    TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    TrialState.RUNNING: "unfinished",
}  # fmt: skip


class Settings(NamedTuple):
    """Settings of a search.

    Attributes:
        sampler: tpe, cmaes, random or grid.
        trials: number of trials in the end, trial 0 included.
        batch: number of trials asked for at a time, and launched together.
        seed: of the sampler.
        pruner: rule for stopping trials early: none, median or halving.
        storage: an Optuna storage URL; None: `STORAGE` beside the runs.
    """

    sampler: Sampler
    trials: int
    batch: int
    seed: int
    pruner: Pruner
    storage: str | None


class SearchBase(NamedTuple):
    """Fixed properties of a search: config, goal, steps and the first trial.

    Attributes:
        config: hash of the configs, without the searched settings.
        goal: of the value on meta-validation, "min" or "max".
        steps: of a training.
        first: trial 0: the default config; None where it is not in the search space.
    """

    config: str
    goal: Literal["min", "max"]
    steps: int
    first: Mapping[str, Any] | None


class TrialResult(NamedTuple):
    """Result of a trial.

    Attributes:
        value: on meta-validation; None where there is none.
        directory: of its run.
        reason: why there is no value.
        seconds: its share of the time; None where it did not begin.
        code: the exit code it causes, 0 where nothing failed.
        pruned: whether it was stopped early.
        occupied: whether another process runs it, so that the result is not known yet.
    """

    value: float | None
    directory: Path | None
    reason: str
    seconds: float | None
    code: int = 0
    pruned: bool = False
    occupied: bool = False


Launch = Callable[[Sequence[Sequence[str]], int, Judge | None], Sequence[TrialResult]]
"""``(overrides of each trial, number of the first, pruning rule)`` -> the result of each."""


def search(folder: Path, space: Space, settings: Settings, base: SearchBase, launch: Launch) -> dict[str, Any]:
    """Search until there are so many trials, resuming an earlier search.

    Args:
        folder: ``outputs/NAME``.
        space: the searched and the fixed settings.
        settings: of the search.
        base: fixed properties of the search.
        launch: runs trials.

    Returns:
        The content of ``search.json``.

    Raises:
        UserError: the folder holds another search, another process searches there, or the storage can't be used.
    """
    run_directory.make(folder)
    with run_directory.locked(folder), closing(_stored(folder, settings, base)) as stored:
        study = stored.study
        _check_same(study, folder, space, settings, base)
        planned = _planned(space, settings, base)
        total = min(settings.trials, len(planned)) if settings.sampler == "grid" else settings.trials
        while batch := _batch(study, space, settings, total, planned):
            judged = None if settings.pruner == "none" else judge(stored, batch, PRUNERS[settings.pruner], base.steps)
            results = launch([typed(trial.params) for trial in batch], batch[0].number, judged)
            for trial, result in zip(batch, results, strict=True):
                _tell(stored, trial, result, batch[0].number)
            write(folder / layout.SEARCH, to_json(recorded(study, space, settings)))
            if any(result.occupied for result in results):
                raise UserError(
                    f"{folder}: another process runs a trial of this search; run the same line when it is done"
                )
        record = recorded(study, space, settings)
        write(folder / layout.SEARCH, to_json(record))
    return record


def _stored(folder: Path, settings: Settings, base: SearchBase) -> Stored:
    """Open the storage of the search, or create it.

    Raises:
        UserError: it can't be used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own = f"sqlite:///{(folder / STORAGE).resolve()}"
    # A storage given by the user may hold other searches.
    name = "search" if settings.storage is None else folder.name
    try:
        return store(RDBStorage(settings.storage or own), name, base.goal)
    except (ImportError, ValueError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise UserError(
            f"hydra.sweeper.storage: it can't be used ({str(error).partition(chr(10))[0]}); give an Optuna storage "
            "URL, as postgresql://HOST/NAME"
        ) from error


def _check_same(study: optuna.Study, folder: Path, space: Space, settings: Settings, base: SearchBase) -> None:
    """Refuse a search that differs from the stored one.

    Raises:
        UserError: naming the difference.
    """
    identity = {
        "config": base.config, "searched": described(space), "goal": base.goal, "sampler": settings.sampler,
        "seed": settings.seed, "batch": settings.batch, "pruner": settings.pruner,
    }  # fmt: skip
    known = study.user_attrs.get("search")
    if known is not None and known != identity:
        differs = ", ".join(key for key in identity if known.get(key) != identity[key])
        raise UserError(f"{folder} holds a search with another {differs}; give another name=, or remove it")
    study.set_user_attr("search", identity)


def _planned(space: Space, settings: Settings, base: SearchBase) -> list[Mapping[str, Any]]:
    """The trials that need no sampler: the default, and after it all others of a grid."""
    first = [] if base.first is None else [base.first]
    if settings.sampler != "grid":
        return first
    combinations = [dict(zip(space.searched, values, strict=True)) for values in product(*grid(space).values())]
    return [*first, *(combination for combination in combinations if combination not in first)]


def _batch(
    study: optuna.Study, space: Space, settings: Settings, total: int, planned: Sequence[Mapping[str, Any]]
) -> list[FrozenTrial]:
    """The trials to run next: those without a result, filled up to the end of their batch."""
    asked = study.get_trials(deepcopy=False)
    running = [trial.number for trial in asked if trial.state == TrialState.RUNNING]
    begin = running[0] if running else len(asked)
    end = min((begin // settings.batch + 1) * settings.batch, total)
    # Asked for in a copy, since the storage would keep a trial before its values; then stored in one transaction.
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
    """The sampler of the nth trial, seeded with the search's seed and n."""
    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    if settings.sampler == "cmaes":
        return CmaEsSampler(seed=seed, warn_independent_sampling=False)
    # The trials of a grid are planned, so that any sampler will do.
    return TPESampler(seed=seed) if settings.sampler == "tpe" else RandomSampler(seed=seed)


def _tell(stored: Stored, trial: FrozenTrial, result: TrialResult, first: int) -> None:
    """Record the result of a trial, unless it is not known yet; ``first`` is the number of its batch's first."""
    if result.occupied:
        return
    study = stored.study
    run = result.directory and result.directory.name
    earlier = study.get_trials(deepcopy=False)[: trial.number]
    # A run made for an earlier trial, or in the same batch, costs no time again; runs without a result are repeated.
    once = [other for other in earlier if other.state == TrialState.COMPLETE or other.number >= first]
    before = [other.number for other in once if _about(other)["run"] == run]
    same, seconds = (before[0], 0.0) if run and before else (None, result.seconds)
    about = {"run": run, "same_as": same, "seconds": seconds, "reason": result.reason, "code": result.code}
    # Not on the trial object: it may have been asked for in a process that was killed.
    stored.annotate(trial.number, "about", about)
    if result.pruned:
        study.tell(trial.number, state=TrialState.PRUNED)  # its value is the last one reported
    elif result.value is None or not np.isfinite(result.value):
        study.tell(trial.number, state=TrialState.FAIL)
    else:
        study.tell(trial.number, result.value)


def recorded(study: optuna.Study, space: Space, settings: Settings) -> dict[str, Any]:
    """The search as plain values, without the storage URL, which may hold a password."""
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
    """Recorded facts about a trial's run."""
    return trial.user_attrs.get("about") or {"run": None, "same_as": None, "seconds": None, "reason": "", "code": 0}
