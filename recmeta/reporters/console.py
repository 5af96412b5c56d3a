"""Report on the console: a line of progress on a terminal, plain lines elsewhere, and tables at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from recmeta.reporters import tables
from recmeta.reporters.progress import Track, chosen_by, track
from recmeta.results.labels import called, choice
from recmeta.results.screen import fold, has_width
from recmeta.runs.layout import LEARNER
from recmeta.types import Reporter, Run, UserError

WIDTH = 120
"""Width of output that has none of its own: a file or a pipe."""

RATE = "tasks_per_s"
"""Metric printed as the speed; steps per second where it is absent."""


def console(screen: Console | None = None) -> Reporter:
    """Report to the console.

    Args:
        screen: where to print; None for standard output.
    """
    out = screen or standard_output()
    run: Run | None = None
    bar: Track | None = None
    reached = 0
    began = 0.0
    values: list[float] = []

    say = writer(out)

    def start(started: Run) -> None:
        nonlocal run, bar, reached, began
        run, reached, began = started, started.step, time.monotonic()
        say(f"{run.name}: {_short(run.directory)}" + (f", resumed at step {run.step}" if run.step else ""))
        bar = track(out, "compiling", run.step, run.steps) if run.steps > run.step else None

    def log(step: int, split: str, metrics: Mapping[str, Sequence[float]]) -> None:
        nonlocal reached
        assert run is not None
        reached = max(reached, step)
        rate = _rate(metrics, reached - run.step, time.monotonic() - began)
        if not out.is_terminal:
            text = "  ".join(f"{name} {np.mean(values):.4g}" for name, values in metrics.items() if name != RATE)
            say(f"step {step}/{run.steps}  {split}  {text}  ({rate})")
        elif bar and split == "train":
            bar.log(step, "", rate)
        elif bar and run.metric in metrics:
            values.append(float(np.mean(metrics[run.metric])))
            bar.log(step, chosen_by(run.metric, run.goals.get(run.metric, ""), values), "")

    def finish(summary: Mapping[str, Any], task_scores: Any, provenance: Mapping[str, Any]) -> None:
        assert run is not None
        stop()
        learner = choice(run.config["learner"]) if run.config.get("learner") else LEARNER
        learner = called(learner, summary.get("departs", {}))
        for part in tables.report(summary, out.width, learner):
            say(part)
        say(f"run directory: {_short(run.directory)}")

    def stop() -> None:
        nonlocal bar
        if bar is not None:
            bar.stop()
        bar = None

    def close(error: BaseException | None) -> None:
        stop()
        if error is not None and run is not None:
            say(f"stopped at step {reached} of {run.steps}: {_short(run.directory)}")

    return Reporter(start=start, note=say, log=log, finish=finish, close=close)


def writer(out: Console) -> Callable[[Text | str], None]:
    """Make a function that prints lines and tables verbatim.

    A note such as "seeds=[0,1]" is no markup, and neither a path nor a number is broken. A terminal's lines are folded
    between words; elsewhere a line stays a line, for whatever reads it.

    Args:
        out: where to; it raises `UserError` where that can't be written, as on a full disk.
    """

    def write(part: Text | str) -> None:
        folded = fold(part, out.width) if isinstance(part, str) and has_width(out) else part
        try:
            out.print(folded, markup=False, highlight=False, soft_wrap=True)
        except OSError as error:
            raise UserError(f"the console can't be written ({error.strerror}); reporter=quiet does without") from error

    return write


class _Screen(Console):
    """Standard output that survives a closed pipe: the run goes on without it."""

    def on_broken_pipe(self) -> None:
        """Stop printing. Rich's own handler does that too, but then ends the process."""
        self.quiet = True
        # Text still buffered would otherwise be an error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("recmeta: nothing reads standard output any more; the run goes on", file=sys.stderr)


def standard_output() -> Console:
    """Standard output, `WIDTH` wide where it has no width of its own."""
    out = _Screen()
    return out if out.is_terminal or "COLUMNS" in os.environ else _Screen(width=WIDTH)


def _rate(metrics: Mapping[str, Sequence[float]], steps: int, seconds: float) -> str:
    if RATE in metrics:
        return f"{np.mean(metrics[RATE]):,.0f} tasks/s"
    return f"{steps / max(seconds, 1e-9):.3g} steps/s"


def _short(path: Path) -> str:
    """A path relative to the working directory where it is below it: shorter, and pastes as well."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
