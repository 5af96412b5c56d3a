"""The typed root of the config: its scalars. The groups stay free; `recmeta.build` checks them by their signatures."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

HERE = Path(__file__).parent
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"
"""In an installed wheel, conf/ lies inside the package; in the repository, beside it."""

GROUPS = ("dataset", "cleaning", "protocol", "encoder", "scorer", "learner", "objective", "optimizer", "reporter")
"""Group = folder under conf/ = one interface."""

KINDS = {
    "str": "text",
    "str | None": "text or null",
    "int": "a whole number",
    "int | None": "a whole number or null",
    "float | None": "a number or null",
    "bool": "true or false",
    "list[int]": "a list of whole numbers, as [0,1]",
    "list[str]": "a list of names, as [a,b]",
}
"""The annotations of `Root`'s fields, in words."""


@dataclass
class Root:
    """The run's scalars; what each means stands in conf/config.yaml."""

    dataset: Any = MISSING
    cleaning: Any = MISSING
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
    clip: float | None = MISSING
    schedule: str = MISSING
    start: str | None = MISSING
    freeze: list[str] = MISSING
    metric: str = MISSING
    metrics: list[str] = MISSING
    baselines: list[str] = MISSING
    output: str = MISSING
    force: bool = MISSING


def register() -> None:
    """Make the schema known to Hydra under the name that conf/config.yaml's defaults list begins with."""
    ConfigStore.instance().store(name="schema", node=Root)


def kind(key: str) -> str:
    """What a root key must be, in words; empty for a group, and for what is no root key."""
    return next((KINDS.get(str(known.type), "") for known in fields(Root) if known.name == key), "")


def choices(group: str) -> list[str]:
    """The names that a group can be set to."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))
