"""Record versions, device, flags, seconds, compilations and memory: the provenance of numbers and speed."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

import jax

from recmeta import __version__

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "hydra-core", "orbax-checkpoint", "polars", "wandb")


def environment() -> dict[str, Any]:
    """Versions, device and flags."""
    devices = jax.devices()
    return {
        "versions": {
            "python": platform.python_version(),
            "recmeta": __version__,
            **{name: version(name) for name in PACKAGES},
        },
        "platform": platform.platform(),
        "device": {"kind": devices[0].device_kind, "platform": devices[0].platform, "count": len(devices)},
        "cpus": os.cpu_count(),
        "flags": {name: os.environ[name] for name in ("XLA_FLAGS", "JAX_ENABLE_X64") if name in os.environ},
    }


def peak_mb() -> float:
    """The peak memory of this process so far, in MB; in a multirun, over all runs up to this one."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class Compilations(NamedTuple):
    """The number of programs compiled (or loaded from the cache), and the seconds of lowering and compiling."""

    number: int
    seconds: float


def count_compilations() -> Callable[[], Compilations]:
    """Start counting compilations; call the returned function for the count since."""
    backend, lowering = _compile_seconds()
    done, lowered = len(backend), len(lowering)
    return lambda: Compilations(len(backend) - done, sum(backend[done:]) + sum(lowering[lowered:]))


@cache
def _compile_seconds() -> tuple[list[float], list[float]]:
    """Record the seconds of each compilation and lowering. Registered once: JAX listeners cannot be removed."""
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
    """Start a clock; call the returned function for the seconds since."""
    began = time.perf_counter()
    return lambda: time.perf_counter() - began


def cost(clock: Callable[[], float], compiled: Callable[[], Compilations]) -> dict[str, Any]:
    """The cost of a run so far.

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
