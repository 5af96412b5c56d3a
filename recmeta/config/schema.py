"""The typed root of the config: its scalars. Groups stay free; `recmeta.config.components` checks their signatures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from recmeta.types import UserError

HERE = Path(__file__).parents[1]
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"
"""In an installed wheel, conf/ lies inside the package; in the repository, beside it."""

GROUPS = (
    "dataset", "cleaning", "text", "protocol", "encoder", "scorer", "learner", "objective", "augmentation", "optimizer",
    "reporter",
)  # fmt: skip
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
    "list[Any]": "a list of names and blocks, as [a,{_target_: mine.b}]",
}
"""The annotations of `Root`'s fields, in words."""


FITTED, RAW = "fitted", "raw"
"""The choices of ``point``: metrics read predictions as meta-validation maps them to the label's best median and mean,
or as they are."""

SEEDS = 2**32
"""Seeds are below this: JAX's keys are made of 32 bits."""


@dataclass
class Root:
    """The run's scalars; conf/config.yaml has a comment on each."""

    dataset: Any = MISSING
    cleaning: Any = MISSING
    text: Any = MISSING
    protocol: Any = MISSING
    encoder: Any = MISSING
    scorer: Any = MISSING
    learner: Any = MISSING
    objective: Any = MISSING
    augmentation: Any = MISSING
    optimizer: Any = MISSING
    reporter: Any = field(default_factory=dict)
    name: str = MISSING
    seeds: list[int] = MISSING
    steps: int = MISSING
    eval_every: int = MISSING
    batch: int = MISSING
    patience: int | None = MISSING
    clip: float | None = MISSING
    schedule: Any = MISSING
    start: str | None = MISSING
    freeze: list[str] = MISSING
    metric: Any = MISSING
    metrics: list[Any] = MISSING
    point: str = FITTED
    baselines: list[Any] = MISSING
    output: str = MISSING
    force: bool = MISSING


def register() -> None:
    """Make the schema known to Hydra under the name that conf/config.yaml's defaults list begins with."""
    store = ConfigStore.instance()
    if "schema.yaml" not in store.repo:  # Hydra 1.4 warns of a second time
        store.store(name="schema", node=Root)


def kind(key: str) -> str:
    """The type of a root key, in words; empty for a group, and for a key that is unknown."""
    return next((KINDS.get(str(known.type), "") for known in fields(Root) if known.name == key), "")


def choices(group: str) -> list[str]:
    """The names that a group can be set to."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def check_complete(config: Mapping[str, Any]) -> None:
    """Refuse a config that lacks a root key, as ``~metric`` leaves it.

    Raises:
        UserError: naming the key.
    """
    if lacking := [each.name for each in fields(Root) if each.name not in config]:
        raise UserError(f"{lacking[0]} is missing: leave it as it is, or give it a value")


def check(config: Mapping[str, Any]) -> None:
    """Refuse keys that are none of the root's, and scalars that are out of range.

    Raises:
        UserError: naming the key, its value, and what is allowed.
    """
    known = [each.name for each in fields(Root)]
    if unknown := [key for key in config if key not in known]:
        raise UserError(f"{unknown[0]}: no such key; the config has {', '.join(known)}")
    for key in ("metrics", "baselines"):
        for value in config[key]:
            if not isinstance(value, str | Mapping):
                raise UserError(f"{key}={value}: must be {KINDS['list[Any]']}")
    for key in ("metric", "schedule"):
        if not isinstance(config[key], str | Mapping):
            shown = "null" if config[key] is None else config[key]
            raise UserError(f"{key}={shown}: must be a name, or a block with a _target_")
    if not str(config["output"] or "").strip():
        raise UserError("output is empty: name the folder that run directories are written to, as output=outputs")
    if config["point"] not in (FITTED, RAW):
        raise UserError(f'point={config["point"]}: must be {FITTED} or {RAW}; docs/metrics.md, "Points"')
    seeds = config["seeds"]
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= SEEDS:
        raise UserError(
            f"seeds={seeds}: give one or more different whole numbers from 0 to {SEEDS - 1}, as seeds=[0,1,2]"
        )
    for key in ("steps", "eval_every", "batch"):
        if config[key] < 1:
            raise UserError(f"{key}={config[key]}: must be at least 1")
    if config["steps"] % config["eval_every"]:
        raise UserError(f"steps={config['steps']} is not a multiple of eval_every={config['eval_every']}")
    if config["patience"] is not None and config["patience"] < 1:
        raise UserError(f"patience={config['patience']}: must be at least 1, or null for no early stopping")
    if config["clip"] is not None and not 0 < config["clip"] < math.inf:
        raise UserError(f"clip={config['clip']}: must be above 0, or null for no clipping")
