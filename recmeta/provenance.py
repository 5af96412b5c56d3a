"""What a number depends on, hashed and written down: config, code, versions, device; and what it cost."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax

WITHOUT_EFFECT = ("reporter", "name", "output", "force")
"""Root keys that cannot change a number."""

OF_TRAINING = (
    "encoder", "scorer", "optimizer", "seeds", "steps", "eval_every", "batch", "patience", "clip", "schedule", "start",
    "freeze",
)  # fmt: skip
"""Root keys that cannot change a number of the baselines alone."""

ALONE = {"_target_": None}
"""The block of ``learner=none``."""

PACKAGES = ("recmeta", "jax", "jaxlib", "flax", "optax", "numpy", "hydra-core", "orbax-checkpoint", "polars", "wandb")


def config_hash(config: Mapping[str, Any]) -> str:
    """Hash a resolved config, less what cannot change a number. Numbers are hashed by value: 1 and 1.0 are the same."""
    without = WITHOUT_EFFECT + (OF_TRAINING if config.get("learner") == ALONE else ())
    effective = {key: _by_value(value) for key, value in config.items() if key not in without}
    return hashlib.sha256(json.dumps(effective, sort_keys=True).encode()).hexdigest()


def _by_value(value: Any) -> Any:
    """Plain values with every whole number as an integer."""
    if isinstance(value, Mapping):
        return {key: _by_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_by_value(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def code_hash() -> str:
    """Hash recmeta's own source files."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def environment() -> dict[str, Any]:
    """Versions, device and flags."""
    devices = jax.devices()
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "platform": platform.platform(),
        "device": {"kind": devices[0].device_kind, "platform": devices[0].platform, "count": len(devices)},
        "cpus": os.cpu_count(),
        "flags": {name: os.environ[name] for name in ("XLA_FLAGS", "JAX_ENABLE_X64") if name in os.environ},
    }


def peak_mb() -> float:
    """The most memory this process has held so far, in MB; in a multirun that is over all points up to this one."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class Compilations(NamedTuple):
    """How many programs were compiled (or loaded from the cache), and the seconds that lowering and compiling took."""

    number: int
    seconds: float


def count_compilations() -> Callable[[], Compilations]:
    """Start counting; the function returned says what has been compiled since."""
    backend, lowering = _compile_seconds()
    done, lowered = len(backend), len(lowering)
    return lambda: Compilations(len(backend) - done, sum(backend[done:]) + sum(lowering[lowered:]))


@cache
def _compile_seconds() -> tuple[list[float], list[float]]:
    """The seconds of each compilation and each lowering in this process. One listener: JAX lets go of none."""
    backend: list[float] = []
    lowering: list[float] = []
    heard = {
        "/jax/core/compile/backend_compile_duration": backend,
        "/jax/core/compile/jaxpr_to_mlir_module_duration": lowering,
    }

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event in heard:
            heard[event].append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return backend, lowering


def stopwatch() -> Callable[[], float]:
    """Start a clock; the function returned says how many seconds have passed."""
    began = time.perf_counter()
    return lambda: time.perf_counter() - began


def cost(clock: Callable[[], float], compiled: Callable[[], Compilations]) -> dict[str, Any]:
    """What a run cost so far.

    Args:
        clock: from `stopwatch`, at the start of the run.
        compiled: from `count_compilations`, at the start of the run.

    Returns:
        Seconds in all and in compilation, the number of programs, and `peak_mb`.
    """
    programs = compiled()
    return {
        "wall_s": clock(), "compile_s": programs.seconds, "compilations": programs.number, "peak_mb": peak_mb()
    }  # fmt: skip
