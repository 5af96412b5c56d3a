"""The console of points that run at the same time: a line for all of them, and one for each at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from recmeta.types import Reporter, Run


def chorus(common: frozenset[str], say: Callable[[str], None] = print) -> Callable[[], Reporter]:
    """What makes a voice for each point; a line is said of a step when all that have a voice have been heard of it.

    Args:
        common: the overrides of all points, which tell none from another.
        say: where lines go.
    """
    step = 0
    heard: list[float] = []

    def tell(of: int) -> None:
        nonlocal step
        if heard and of != step:
            say(f"step {step}: {len(heard)} points, meta-validation {_range(heard)}")
            heard.clear()
        step = of

    def voice() -> Reporter:
        run: Run | None = None

        def start(started: Run) -> None:
            nonlocal run
            run = started

        def log(step: int, split: str, metrics: Mapping[str, Sequence[float]]) -> None:
            assert run is not None
            if split == "validation":
                tell(step)
                heard.append(float(np.mean(metrics[run.config["metric"]])))

        def finish(summary: Mapping[str, Any], task_scores: Any, provenance: Mapping[str, Any]) -> None:
            assert run is not None
            tell(-1)
            metric, chosen = summary["metric"], summary.get("validation", {})
            value = _number(metric["value"])
            own = " ".join(text for text in run.overrides if text not in common)
            say(
                f"{run.directory.name} {own}: {metric['name']} {value}, by meta-validation "
                f"{_number(chosen.get('value'))}"
            )

        return Reporter(start=start, note=lambda text: None, log=log, finish=finish, close=lambda error: None)

    return voice


def _range(values: Sequence[float]) -> str:
    """The lowest and the highest of those that are numbers."""
    known = [value for value in values if np.isfinite(value)]
    return f"{min(known):.4f} to {max(known):.4f}" if known else "no number"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
