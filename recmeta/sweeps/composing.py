"""Compose the runs of a sweep with Hydra, reading config files once for all runs that choose the same options."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

KEPT = 64
"""For how many choices of options the composed config is kept."""


class Composer:
    """Hydra's loader of configs, quicker for the runs of one sweep, each of which it composes twice or more.

    Hydra reads and merges all files for each, 68 ms on the machine of docs/sweeps.md; this takes 8. Files are read
    once for runs that choose the same options of config groups. The values that they are given besides are laid over
    a copy, as Hydra does at its end.

    Args:
        loader: Hydra's.
        sweep: the config of the sweep.
    """

    def __init__(self, loader: Any, sweep: DictConfig) -> None:
        self.loader, self.sweep = loader, sweep
        of_hydra = [str(text) for text in sweep.hydra.overrides.hydra]  # which may name folders with further groups
        self.is_group = lru_cache(None)(
            lambda key: bool(loader.get_group_options(key, None, sweep.hydra.job.config_name, of_hydra))
        )
        self.made = lru_cache(KEPT)(lambda choices: loader.load_sweep_config(sweep, list(choices)))

    def __getattr__(self, name: str) -> Any:
        """Delegate all other attributes to Hydra's loader."""
        return getattr(vars(self).get("loader"), name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        """Compose a run as Hydra would; an illegal override is left to Hydra, which reports it."""
        typed = list(sweep_overrides)
        if master_config is not self.sweep:
            return self.loader.load_sweep_config(master_config, typed)
        try:
            return self._compose(typed)
        except (HydraException, OmegaConfBaseException, NotImplementedError):
            return self.loader.load_sweep_config(master_config, typed)

    def _compose(self, typed: list[str]) -> DictConfig:
        """Lay the values over the config of the choices.

        Raises:
            HydraException, OmegaConfBaseException: a choice or a value is not legal.
            NotImplementedError: an override neither chooses an option nor gives a value.
        """
        overrides = OverridesParser.create().parse_overrides(typed)
        values = [override for override in overrides if self.is_value(override)]
        config = copy.deepcopy(self.made(tuple(o.input_line or "" for o in overrides if o not in values)))
        for override in values:
            lay(override, config)
        own = [override for override in overrides if not override.is_hydra_override()]
        with open_dict(config):
            config.hydra.overrides.task = [override.input_line for override in own]
            if not OmegaConf.is_interpolation(config.hydra.job, "override_dirname"):  # from Hydra 1.4 on it is one
                config.hydra.job.override_dirname = dirname(own, config.hydra.job.config.override_dirname)
        return config

    def is_value(self, override: Override) -> bool:
        """Whether an override gives a value and chooses nothing; a mapping is merged into its group's config."""
        key = override.key_or_group
        if key == "hydra" or override.is_hydra_override() or override.is_sweep_override():
            return False
        return isinstance(override.value(), dict) or not self.is_group(key)


def with_beside(lines: Sequence[Sequence[str]], beside: Sequence[str]) -> tuple[list[list[str]], list[int]]:
    """Add, before each run of a sweep, a run with other overrides in the place of its own of the same settings.

    A run that has the first of these overrides itself is no run beside another, and is replaced.

    >>> with_beside([["a=1", "learner=x", "learner.rate=2"], ["a=1", "learner=none"]], ["learner=none", "b=2"])
    ([['a=1', 'learner=none', 'b=2'], ['a=1', 'learner=x', 'learner.rate=2'], ['a=1', 'learner=none', 'b=2']], [1, 2])

    Args:
        lines: the overrides of each run.
        beside: of the runs that are added; none: no run is added.

    Returns:
        The overrides of all runs, and the places of those that were asked for among them.
    """
    if not beside:
        return [list(line) for line in lines], list(range(len(lines)))
    keys = {text.partition("=")[0] for text in beside}
    made, asked = [], []
    for line in lines:
        made.append([*(text for text in line if not _sets(text, keys)), *beside])
        if beside[0] not in line:
            made.append(list(line))
        asked.append(len(made) - 1)
    return made, asked


def _sets(override: str, keys: Collection[str]) -> bool:
    """Whether an override sets one of some keys, or something within it."""
    key = override.partition("=")[0].lstrip("+~")
    return any(key == one or key.startswith(f"{one}.") for one in keys)


def lay(override: Override, config: DictConfig) -> None:
    """Set or delete a value in a composed config, as Hydra does.

    Raises:
        HydraException: the override is left to Hydra: it extends a list, deletes by value, or adds what is there.
        OmegaConfBaseException: there is no such setting, or the value is of the wrong type.
    """
    key, value, changes = override.key_or_group, override.value(), override.type == OverrideType.CHANGE
    there = None if changes else OmegaConf.select(config, key)
    added = override.is_add() and (there is None or isinstance(value, dict | list))
    if override.package is None and override.is_delete() and value is None and there is not None:
        parent, _, name = key.rpartition(".")
        with open_dict(config):
            del (OmegaConf.select(config, parent) if parent else config)[name]
    elif override.package is None and (changes or added or override.is_force_add()):
        OmegaConf.update(config, key, value, merge=True, force_add=not changes)
    else:
        raise ConfigCompositionException(f"{override.input_line}: left to Hydra")


def dirname(overrides: Sequence[Override], how: DictConfig) -> str:
    """Join overrides to one name, as the ``override_dirname`` of Hydra 1.3.

    Args:
        overrides: of a run.
        how: ``hydra.job.config.override_dirname``: separators, and the keys that are left out.
    """
    lines = sorted(str(one.input_line) for one in overrides if one.key_or_group not in how.exclude_keys)
    return how.item_sep.join(lines).replace("=", how.kv_sep)
