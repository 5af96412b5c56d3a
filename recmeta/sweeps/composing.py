"""Compose the runs of a sweep with Hydra, reading config files once for all runs that choose the same options."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict

KEPT = 64
"""For how many choices what they make is kept."""


class Composer:
    """Hydra's loader of configs, quicker for the runs of one sweep, each of which it composes twice or more.

    Hydra reads and merges all files for every one, 68 ms on the machine of docs/sweeps.md; this takes 8. Files are read
    once for runs that choose the same options of config groups. The values that they are given besides are laid over a
    copy, as Hydra does at its end; all else that is typed counts as a choice.

    Args:
        loader: Hydra's.
        sweep: the config of the sweep.
    """

    def __init__(self, loader: Any, sweep: DictConfig) -> None:
        self.loader, self.sweep = loader, sweep
        of_hydra = [str(text) for text in sweep.hydra.overrides.hydra]  # which may name folders with further groups
        self.files = loader._parse_overrides_and_create_caching_repo(sweep.hydra.job.config_name, of_hydra)[1]
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
            overrides = OverridesParser.create().parse_overrides(typed)
            values = [override for override in overrides if self.is_value(override)]
            config = copy.deepcopy(self.made(tuple(o.input_line or "" for o in overrides if o not in values)))
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except HydraException:
            return self.loader.load_sweep_config(master_config, typed)
        own = [override for override in overrides if not override.is_hydra_override()]
        how = config.hydra.job.config.override_dirname
        with open_dict(config):
            config.hydra.overrides.task = [override.input_line for override in own]
            config.hydra.job.override_dirname = get_overrides_dirname(
                own, kv_sep=how.kv_sep, item_sep=how.item_sep, exclude_keys=how.exclude_keys
            )
        return config

    def is_value(self, override: Override) -> bool:
        """Whether an override gives a value and chooses nothing; a mapping is merged into its group's config."""
        key = override.key_or_group
        if key == "hydra" or override.is_hydra_override() or override.is_sweep_override():
            return False
        return isinstance(override.value(), dict) or not self.files.group_exists(key)
