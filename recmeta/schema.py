"""The typed root of the config: its scalars. The groups stay free; `recmeta.build` checks them by their signatures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

GROUPS = ("dataset", "protocol", "encoder", "scorer", "learner", "objective", "optimizer", "reporter")
"""Group = folder under conf/ = one interface."""


@dataclass
class Root:
    """The run's scalars; what each means stands in conf/config.yaml."""

    dataset: Any = MISSING
    protocol: Any = MISSING
    encoder: Any = MISSING
    scorer: Any = MISSING
    learner: Any = MISSING
    objective: Any = MISSING
    optimizer: Any = MISSING
    reporter: Any = field(default_factory=dict)
    name: str = MISSING
    seeds: list[int] = MISSING
    steps: int = MISSING
    eval_every: int = MISSING
    batch: int = MISSING
    patience: int | None = MISSING
    metric: str = MISSING
    metrics: list[str] = MISSING
    baselines: list[str] = MISSING
    output: str = MISSING
    force: bool = MISSING


def register() -> None:
    """Make the schema known to Hydra under the name that conf/config.yaml's defaults list begins with."""
    ConfigStore.instance().store(name="schema", node=Root)
