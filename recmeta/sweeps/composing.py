"""Points of a sweep composed by Hydra, no more often than they differ in what is chosen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict


class Keeping:
    """Hydra's loader of configs, which keeps what it composes of points.

    Hydra reads and merges all files for every point, some hundredth of a second each, and composes each twice: the
    first time to see that it is legal. Here files are read once for points that choose the same options of config
    groups; the values that they are given besides are laid over a copy, as Hydra does at its end.
    """

    def __init__(self, loader: Any) -> None:
        self.loader, self.kept = loader, {}
        self.chosen: dict[tuple[str, ...], DictConfig] = {}

    def __getattr__(self, name: str) -> Any:
        """All else is Hydra's own."""
        return getattr(vars(self).get("loader"), name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Compose a point, to what Hydra's own makes of it."""
        return self.kept.setdefault(tuple(sweep_overrides), self.composed(master_config, sweep_overrides))

    def take(self, master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        """What was composed of a point, to do with as one likes. A second time it is composed anew."""
        there = self.kept.pop(tuple(sweep_overrides), None)
        return self.composed(master_config, list(sweep_overrides)) if there is None else there

    def composed(self, master: DictConfig, typed: list[str]) -> DictConfig:
        """Compose a point. What is not legal is left to Hydra, which says why."""
        try:
            overrides = OverridesParser.create().parse_overrides(typed)
            plain = [override for override in overrides if self.is_value(override)]
            choices = tuple(text for text, override in zip(typed, overrides, strict=True) if override not in plain)
            if (made := self.chosen.get(choices)) is None:
                made = self.chosen[choices] = self.loader.load_sweep_config(master, list(choices))
            config = copy.deepcopy(made)
            ConfigLoaderImpl._apply_overrides_to_config(plain, config)
        except HydraException:
            return self.loader.load_sweep_config(master, typed)
        own = [override for override in overrides if not override.is_hydra_override()]
        how = config.hydra.job.config.override_dirname
        with open_dict(config):
            config.hydra.overrides.task = [override.input_line for override in own]
            config.hydra.job.override_dirname = get_overrides_dirname(
                own, kv_sep=how.kv_sep, item_sep=how.item_sep, exclude_keys=how.exclude_keys
            )
        return config

    def is_value(self, override: Override) -> bool:
        """Whether an override gives a value and chooses nothing; a mapping is laid over what its group has."""
        if override.is_hydra_override() or override.is_sweep_override() or override.package:
            return False
        return isinstance(override.value(), dict) or not self.repository.group_exists(override.key_or_group)
