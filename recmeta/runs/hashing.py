"""Hash the identity of a run: its config, less the keys that cannot change a number, and the code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

WITHOUT_EFFECT = ("reporter", "name", "output", "force")
"""Root keys that cannot change a number."""

OF_TRAINING = (
    "encoder", "scorer", "augmentation", "optimizer", "seeds", "steps", "eval_every", "batch", "patience", "clip",
    "schedule", "start", "freeze",
)  # fmt: skip
"""Root keys that cannot change a number of the baselines alone."""

NO_LEARNER = {"_target_": None}
"""The block of ``learner=none``."""

PACKAGE = Path(__file__).parents[1]


def config_hash(config: Mapping[str, Any]) -> str:
    """Hash a resolved config, less the keys that cannot change a number.

    Numbers are hashed by value: 1 and 1.0 are the same.
    """
    without = WITHOUT_EFFECT + (OF_TRAINING if config.get("learner") == NO_LEARNER else ())
    effective = {key: _by_value(value) for key, value in config.items() if key not in without}
    return hashlib.sha256(json.dumps(effective, sort_keys=True).encode()).hexdigest()


def _by_value(value: Any) -> Any:
    """Plain values with every whole number as an integer."""
    if isinstance(value, Mapping):
        return {key: _by_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_by_value(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def code_hash() -> str:
    """Hash recmeta's own source files, once: imported code does not change under a process."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def file_hash(path: Path) -> str:
    """Hash a source file, once: imported code does not change under a process."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def components_hash(files: Mapping[str, str]) -> str:
    """Hash the source files of components that are not recmeta's.

    Args:
        files: `file_hash` of each, by its name.
    """
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()
