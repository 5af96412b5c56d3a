"""Connect Hydra's sweep to a search: overrides to a space, trials to the launcher, runs to results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import TrialState

from recmeta.config.parts import choosing_metric, make_metrics
from recmeta.config.values import without
from recmeta.experiment import failures
from recmeta.experiment.block import Prune
from recmeta.experiment.prepare import plan
from recmeta.results.labels import at_key
from recmeta.results.runs import without_results
from recmeta.runs import directory as run_directory
from recmeta.runs import layout
from recmeta.runs.files import read_json
from recmeta.runs.hashing import config_hash
from recmeta.sweeps.fused import Composed, compose
from recmeta.sweeps.pruning import PRUNERS, Judge
from recmeta.sweeps.search import STATES, SearchBase, Settings, TrialResult, search
from recmeta.sweeps.space import COMPARED, EXCEPT, Space, default, each_once, space, typed
from recmeta.types import Pruned, UserError

REFUSED = (HydraException, OmegaConfBaseException, ValueError)
"""Errors that Hydra raises where a config can't be composed."""


def sweep(
    loader: Any, config: DictConfig, launcher: Launcher, settings: Mapping[str, Any], arguments: Sequence[str]
) -> dict[str, Any]:
    """Search the space given by the overrides.

    Args:
        loader: Hydra's config loader.
        config: config of the sweep.
        launcher: runs the trials of a batch.
        settings: fields of `Settings`.
        arguments: overrides, those of a config file first.

    Returns:
        The record of the search. Its failed trials, also those of earlier processes, are in
        `recmeta.experiment.failures.failed`.

    Raises:
        UserError: an invalid setting or range, trials that can't be compared, or a folder with another search.
    """
    how = checked(settings)
    if how.pruner != "none" and config.hydra.runtime.choices["hydra/launcher"] != "fused":
        raise UserError(
            f"hydra.sweeper.pruner={how.pruner}: needs hydra/launcher=fused, under which trials are one program"
        )
    found = space(arguments, loader)
    configs = _composed_once(loader, config, found)
    check_alike(configs)
    refuse_all(configs)
    if how.pruner != "none" and ("steps" in found.searched or len({each["steps"] for each in configs}) > 1):
        raise UserError(f"hydra.sweeper.pruner={how.pruner}: trials are judged at equal steps: give steps one value")
    base = _search_base(loader, config, found, configs)

    def launch(trials: Sequence[Sequence[str]], first: int, judge: Judge | None) -> list[TrialResult]:
        overrides = [[*found.fixed, *trial] for trial in trials]
        made = [_composed(loader, config, one, number) for number, one in enumerate(overrides, first)]
        sound = [one for one, known in zip(overrides, made, strict=True) if isinstance(known, Composed)]
        # Hydra's own launchers cannot prune, and were refused above.
        more = {"prune": by_directory(made, judge)} if judge else {}
        returns = iter(launcher.launch(sound, initial_job_idx=first, **more) if sound else ())
        return [trial_result(one, next(returns)) if isinstance(one, Composed) else one for one in made]

    if base.first is None:
        failures.say("the default config is no trial: a value of it is not among what is searched")
    folder = Path(config.hydra.sweep.dir)
    print(f"{folder}: searches {', '.join(found.searched)}: {how.trials} trials by {how.sampler}")
    record = search(folder, found, how, base, launch)
    failures.failed[:] = failed_trials(record)
    return record


def by_directory(made: Sequence[Composed | TrialResult], judge: Judge) -> Prune:
    """Adapt a pruning rule of trials, by index in the batch, to one of runs, by run directory."""
    directories = {
        place: run_directory.place(one.config) for place, one in enumerate(made) if isinstance(one, Composed)
    }

    def prune(step: int, values: Mapping[Path, float]) -> Mapping[Path, Pruned]:
        of_place = {place: values[where] for place, where in directories.items() if where in values}
        return {directories[place]: why for place, why in judge(step, of_place).items()}

    return prune


def _composed_once(loader: Any, config: DictConfig, found: Space) -> list[Mapping[str, Any]]:
    """Compose trials in which each choice occurs once, before anything is written; some may fail to compose.

    A config that does not exist is refused, and so is a space in which no trial composes: where only some fail, these
    trials fail.
    """
    configs, errors = [], []
    for trial in each_once(found):
        try:
            (one,) = compose(loader.load_sweep_config, config, [[*found.fixed, *typed(trial)]], 0)
            configs.append(one.config)
        except MissingConfigException:
            raise
        except REFUSED as error:
            errors.append(error)
    if not configs:
        raise errors[0]
    return configs


def check_alike(configs: Sequence[Mapping[str, Any]]) -> None:
    """Refuse trials that differ in settings that make their values incomparable, as presets may.

    Raises:
        UserError: names the setting.
    """
    for key in (*COMPARED, "name", "output"):
        left = [name.removeprefix(f"{key}.") for name in EXCEPT]
        blocks = [config[key] for config in configs]
        kept = [without(one, left) if isinstance(one, Mapping) else one for one in blocks]
        if any(one != kept[0] for one in kept):
            raise UserError(f"what is searched changes {key}: trials that differ in it can't be compared; fix it")


def refuse_all(configs: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a search none of whose trials can begin, before anything is written; where some can, the others fail.

    Raises:
        UserError: the reason of the first.
    """
    errors = []
    for config in configs:
        try:
            plan(config, (), multirun=True)
        except UserError as error:
            errors.append(error)
        else:
            return
    raise errors[0]


def _search_base(loader: Any, config: DictConfig, found: Space, configs: Sequence[Mapping[str, Any]]) -> SearchBase:
    """The fixed properties of a search: the same for the same configs, however they are typed."""
    (plain,) = compose(loader.load_sweep_config, config, [found.fixed], 0)
    choices = OmegaConf.to_container(plain.hydra.runtime.choices)
    assert isinstance(choices, dict)
    at = {key: choices.get(key, at_key(plain.config, key)) for key in found.searched}
    digest = hashlib.sha256("".join(map(config_hash, configs)).encode()).hexdigest()
    measured = plain.config["metrics"]
    chooses = choosing_metric(plain.config["metric"], measured, make_metrics(measured))
    return SearchBase(digest, chooses.goal, plain.config["steps"], default(found, at))


def _composed(loader: Any, config: DictConfig, overrides: Sequence[str], number: int) -> Composed | TrialResult:
    """Compose a trial's config, or return its result where it can't be composed: the others go on."""
    try:
        (one,) = compose(loader.load_sweep_config, config, [overrides], number)
    except REFUSED as error:
        reason = failures.explain(error)
        failures.say(f"{' '.join(overrides)}: {reason}")
        return TrialResult(None, None, reason, None, code=2)
    return one


def checked(settings: Mapping[str, Any]) -> Settings:
    """Check the types and ranges of the sweeper's settings.

    Raises:
        UserError: a setting is invalid.
    """
    how = Settings(**settings)
    for key, there in (("sampler", ("tpe", "cmaes", "random", "grid")), ("pruner", ("none", *PRUNERS))):
        if (value := getattr(how, key)) not in there:
            raise UserError(f"hydra.sweeper.{key}={value}: there are {', '.join(there)}")
    if how.storage is not None and not (isinstance(how.storage, str) and "://" in how.storage):
        raise UserError(f"hydra.sweeper.storage={how.storage}: must be an Optuna storage URL, or null")
    for key, least in (("trials", 1), ("batch", 1), ("seed", 0)):
        value = getattr(how, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"hydra.sweeper.{key}={value}: must be a whole number from {least} on")
    return how


def trial_result(composed: Composed, returned: JobReturn) -> TrialResult:
    """The result of a trial from its run: the value on meta-validation, or why there is none."""
    directory = run_directory.place(composed.config)
    if returned.status == JobStatus.UNKNOWN:
        return TrialResult(None, directory, "the launcher did not report how it ended", None, code=1)
    try:
        value = returned.return_value
    except Exception as error:  # the job's own, which Hydra stores and raises here
        failed = failures.failure(error)
        return TrialResult(None, directory, failed.line, None, failed.code)
    summary = read_json(directory / layout.SUMMARY) or {}
    if value is None:  # another process may have run it and finished by now
        value = summary.get("validation", {}).get("value")
    if value is not None:
        return TrialResult(value, directory, "", summary.get("speed", {}).get("wall_s"))
    failure = read_json(directory / layout.FAILURE) or {}
    reason = failure.get("error") or "it gave no value on meta-validation"
    seconds = without_results(directory).train_seconds
    if failure.get("type") == layout.PRUNED:
        return TrialResult(None, directory, reason, seconds, pruned=True)
    return TrialResult(
        None, directory, reason, seconds, failure.get("code", 1), occupied=run_directory.is_locked(directory)
    )


def failed_trials(record: Mapping[str, Any]) -> Iterator[failures.Failure]:
    """The failed trials of a search, whichever process ran them."""
    for trial in record["trials"]:
        if trial["state"] == STATES[TrialState.FAIL]:
            yield failures.Failure(trial["reason"], trial["code"])
