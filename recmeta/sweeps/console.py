"""Report a fused sweep on the console: one line per step for all runs, and one for each at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from recmeta.types import Reporter, Run


def shared_console(common: frozenset[str], say: Callable[[str], None] = print) -> Callable[[], Reporter]:
    """Returns a factory of per-run reporters; prints one line per step when all have logged.

    Args:
        common: the overrides that all runs share: they do not distinguish runs, and are not printed.
    """
    step = 0
    logged: list[float] = []

    def print_step(of: int) -> None:
        nonlocal step
        if logged and of != step:
            say(f"step {step}: {len(logged)} runs, meta-validation {_range(logged)}")
            logged.clear()
        step = of

    def reporter() -> Reporter:
        run: Run | None = None

        def start(started: Run) -> None:
            nonlocal run
            run = started

        def log(step: int, split: str, metrics: Mapping[str, Sequence[float]]) -> None:
            assert run is not None
            if split == "validation":
                print_step(step)
                logged.append(float(np.mean(metrics[run.metric])))

        def finish(summary: Mapping[str, Any], task_scores: Any, provenance: Mapping[str, Any]) -> None:
            assert run is not None
            print_step(-1)
            metric, chosen = summary["metric"], summary.get("validation", {})
            value = _number(metric["value"])
            own = " ".join(text for text in run.overrides if text not in common)
            say(
                f"{run.directory.name} {own}: {metric['name']} {value}, by meta-validation "
                f"{_number(chosen.get('value'))}"
            )

        return Reporter(start=start, note=lambda text: None, log=log, finish=finish, close=lambda error: None)

    return reporter


def _range(values: Sequence[float]) -> str:
    """The lowest and the highest of those that are numbers."""
    known = [value for value in values if np.isfinite(value)]
    return f"{min(known):.4f} to {max(known):.4f}" if known else "no number"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
