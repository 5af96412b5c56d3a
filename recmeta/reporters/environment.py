"""Read W&B's own environment variables, for settings that the config leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VARIABLES: Mapping[str, str] = {
    "project": "WANDB_PROJECT",
    "name": "WANDB_NAME",
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
    "notes": "WANDB_NOTES",
    "tags": "WANDB_TAGS",
    "dir": "WANDB_DIR",
}
"""Setting of a W&B run -> the variable that W&B's client reads for it. Those not listed the client reads by itself."""


def settings(configured: Mapping[str, Any], default: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a W&B run: as the config has them, else the environment, else recmeta's own.

    Args:
        configured: by name; None, or no tags, where the config leaves it open.
        default: by name, for all of `VARIABLES`.
        environ: the environment; an empty variable is none. Tags stand between commas.

    >>> settings({"project": None}, {"project": "recmeta"}, {"WANDB_PROJECT": "mine"})
    {'project': 'mine'}
    """
    return {name: configured.get(name) or _of(name, environ) or value for name, value in default.items()}


def _of(name: str, environ: Mapping[str, str]) -> Any:
    found = environ.get(VARIABLES[name], "").strip()
    return tuple(tag for each in found.split(",") if (tag := each.strip())) if name == "tags" else found
