"""Where Hydra's sweep meets a search: what is typed to a space, points to the launcher, runs to what is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from recmeta import cli, run_directory
from recmeta.metrics import metric
from recmeta.results.labels import at_key
from recmeta.results.runs import is_held
from recmeta.sweeps.launch import compose
from recmeta.sweeps.search import Settings, Told, lines, search
from recmeta.sweeps.space import default, each_once, space, typed
from recmeta.types import UserError


def sweep(
    loader: Any, config: DictConfig, launcher: Launcher, settings: Mapping[str, Any], arguments: Sequence[str]
) -> dict[str, Any]:
    """Search by what is typed.

    Args:
        loader: Hydra's.
        config: the sweep's.
        launcher: runs the points of a batch.
        settings: of `Settings`.
        arguments: overrides, those of a config file first.

    Returns:
        The record of the search.

    Raises:
        UserError: a setting or a range that is none, or a folder with another search.
    """
    how = checked(settings)
    found = space(arguments, loader)
    # Every choice once: a name that is none is refused before anything is written.
    compose(loader, config, [[*found.fixed, *typed(point)] for point in each_once(found)], 0)
    (plain,) = compose(loader, config, [found.fixed], 0)
    choices = OmegaConf.to_container(plain.hydra.runtime.choices)
    assert isinstance(choices, dict)
    at = {key: choices.get(key, at_key(plain.config, key)) for key in found.searched}

    def launch(points: Sequence[Sequence[str]], first: int) -> list[Told]:
        returns = launcher.launch([[*found.fixed, *point] for point in points], initial_job_idx=first)
        return [told(each) for each in returns]

    if how.sampler != "grid" and default(found, at) is None:
        cli.say("the default config is no trial: a value of it is not among what is searched")
    folder = Path(config.hydra.sweep.dir)
    record = search(folder, found, how, metric(plain.config["metric"]).goal, at, launch)
    for line in lines(record, folder):
        print(line)
    return record


def checked(settings: Mapping[str, Any]) -> Settings:
    """The settings of the sweeper, each of its kind.

    Raises:
        UserError: one is not.
    """
    how = Settings(**settings)
    samplers = ("tpe", "cmaes", "random", "grid")
    if how.sampler not in samplers:
        raise UserError(f"hydra.sweeper.sampler={how.sampler}: there are {', '.join(samplers)}")
    for key, least in (("trials", 1), ("batch", 1), ("seed", 0)):
        value = getattr(how, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"hydra.sweeper.{key}={value}: must be a whole number from {least} on")
    return how


def told(returned: JobReturn) -> Told:
    """What a run says of its trial: the value on meta-validation, or why there is none."""
    config: Any = OmegaConf.to_container(returned.cfg, resolve=True) if returned.cfg is not None else {}
    directory = run_directory.place(config)
    value = returned.return_value
    summary, failure = (_object(directory / name) for name in ("summary.json", "failure.json"))
    seconds = summary.get("speed", {}).get("wall_s")
    if value is not None:
        return Told(value, directory, "", seconds)
    reason = failure.get("error") or "it gave no value on meta-validation"
    return Told(None, directory, reason, seconds, occupied=is_held(directory))


def _object(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
