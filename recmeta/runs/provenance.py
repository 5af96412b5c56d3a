"""Record versions, device, flags, seconds, compilations and memory: the provenance of numbers and speed."""

from __future__ import annotations

import math
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
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
    """Number of programs compiled (or loaded from the cache), and seconds of tracing, lowering and compiling."""

    number: int
    seconds: float


def count_compilations() -> Callable[[], Compilations]:
    """Start counting compilations; call the returned function for the count since."""
    heard = _heard_compilations()
    done = len(heard)

    def count() -> Compilations:
        since = heard[done:]
        return Compilations(sum(each.program for each in since), union([(each.start, each.end) for each in since]))

    return count


class _Heard(NamedTuple):
    """One part of a compilation: when, by the clock, and whether it is the last, of a program that is then there."""

    start: float
    end: float
    program: bool


@cache
def _heard_compilations() -> list[_Heard]:
    """Record the parts of each compilation. Registered once: JAX listeners cannot be removed."""
    heard: list[_Heard] = []
    parts = {f"/jax/core/compile/{name}_duration": name for name in ("jaxpr_trace", "jaxpr_to_mlir_module")}
    parts["/jax/core/compile/backend_compile_duration"] = "program"

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event in parts:
            end = time.perf_counter()
            heard.append(_Heard(end - duration_secs, end, parts[event] == "program"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    return heard


def union(spans: Sequence[tuple[float, float]]) -> float:
    """The seconds covered by spans of time that may overlap: tracing a function traces the functions that it calls.

    >>> union([(2.0, 3.0), (1.0, 4.0), (6.0, 7.0)])
    4.0
    """
    total, reached = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return total


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
