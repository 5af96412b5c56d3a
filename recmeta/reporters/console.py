"""Report on the console: a progress bar on a terminal, plain lines elsewhere, and tables at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from recmeta.reporters import tables
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
    out = screen or _standard_output()
    run: Run | None = None
    bar: Progress | None = None
    reached = 0
    began = 0.0

    show = partial(_print, out)

    def say(text: str) -> None:
        # Verbatim: a note such as "seeds=[0,1]" is no markup, and a path must not be broken.
        show(text, markup=False, highlight=False, soft_wrap=True)

    def start(started: Run) -> None:
        nonlocal run, bar, reached, began
        run, reached, began = started, started.step, time.monotonic()
        say(f"{run.name}: {_short(run.directory)}" + (f", resumed at step {run.step}" if run.step else ""))
        if out.is_terminal and run.steps > run.step:
            bar = _progress_bar(out)
            bar.add_task("train", total=run.steps, completed=run.step, metrics="compiling", rate="")
            bar.start()

    def log(step: int, split: str, metrics: Mapping[str, Sequence[float]]) -> None:
        nonlocal reached
        assert run is not None
        reached = max(reached, step)
        text = "  ".join(f"{name} {np.mean(values):.4g}" for name, values in metrics.items() if name != RATE)
        rate = _rate(metrics, reached - run.step, time.monotonic() - began)
        if bar is None:
            say(f"step {step}/{run.steps}  {split}  {text}  ({rate})")
        else:
            bar.update(bar.task_ids[0], completed=reached, rate=rate)
            if split == "validation":
                bar.update(bar.task_ids[0], metrics=text)

    def finish(summary: Mapping[str, Any], task_scores: Any, provenance: Mapping[str, Any]) -> None:
        assert run is not None
        stop()
        for part in tables.report(summary):
            say(part) if isinstance(part, str) else show(part)
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


def _print(out: Console, part: Any, **how: Any) -> None:
    try:
        out.print(part, **how)
    except OSError as error:
        raise UserError(f"the console can't be written ({error.strerror}); reporter=quiet does without") from error


class _Screen(Console):
    """Standard output that survives a closed pipe: the run goes on without it."""

    def on_broken_pipe(self) -> None:
        """Stop printing. Rich's own handler does that too, but then ends the process."""
        self.quiet = True
        # Text still buffered would otherwise be an error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("recmeta: nothing reads standard output any more; the run goes on", file=sys.stderr)


def _standard_output() -> Console:
    out = _Screen()
    return out if out.is_terminal or "COLUMNS" in os.environ else _Screen(width=WIDTH)


def _progress_bar(out: Console) -> Progress:
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[metrics]}", markup=False),
    )
    # Twice a second: the drawing thread takes its time from the training thread.
    return Progress(*columns, console=out, refresh_per_second=2)


def _rate(metrics: Mapping[str, Sequence[float]], steps: int, seconds: float) -> str:
    if RATE in metrics:
        return f"{np.mean(metrics[RATE]):,.0f} tasks/s"
    return f"{steps / max(seconds, 1e-9):.3g} steps/s"


def _short(path: Path) -> str:
    """A path relative to the working directory where it is below it: shorter, and pastes as well."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
