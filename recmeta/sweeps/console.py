"""Report a fused sweep on the console: progress from the start, and a line for each run at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from recmeta.reporters.console import RATE, standard_output, writer
from recmeta.reporters.progress import track
from recmeta.types import Reporter, Run


class SweepConsole(NamedTuple):
    """The console of a sweep whose runs share programs.

    Attributes:
        begin: ``(what is being done, the number of runs, steps)``: the latter two of a program that is trained.
        skip: ``(number)``: so many runs were done before, or refused.
        reporter: makes the reporter of a run.
        stop: ``()``: stop drawing.
    """

    begin: Callable[..., None]
    skip: Callable[[int], None]
    reporter: Callable[[], Reporter]
    stop: Callable[[], None]


def sweep_console(
    common: frozenset[str], first: int, total: int, screen: Console | None = None, *, quiet: bool = False
) -> SweepConsole:
    """Report a sweep, or a batch of a search, on the console.

    Args:
        common: the overrides that all runs share: they do not distinguish runs, and are not printed.
        first: how many runs there were in earlier batches.
        total: how many runs there are in all.
        screen: where to print; None for standard output.
        quiet: print nothing.
    """
    out = screen or standard_output()
    out.quiet = out.quiet or quiet
    done, step, steps, metric = first, 0, 0, ""
    logged: list[float] = []
    say = writer(out)
    line = None if out.quiet else track(out, "", 0, 0, lambda: f"{done}/{total} runs")

    def begin(text: str, runs: int = 0, of: int = 0) -> None:
        nonlocal step, steps
        step, steps = 0, of
        logged.clear()
        many = f": {runs} runs in one program" if runs > 1 else ""
        if line:
            line.show(f"{text}{many}", 0, of)
        if not out.is_terminal:
            say(f"{text}{many}")

    def skip(number: int) -> None:
        nonlocal done
        done += number

    def end_step(now: int) -> None:
        """Print the values of a step that is over, which a terminal has in its line of progress."""
        nonlocal step
        if logged and now != step:
            if not out.is_terminal:
                say(f"step {step}/{steps}: {len(logged)} runs, {metric} on meta-validation {spread(logged)}")
            logged.clear()
        step = now

    def log(name: str, now: int, value: float, speed: str) -> None:
        nonlocal metric
        end_step(now)
        metric = name
        logged.append(value)
        if line:
            line.log(now, f"{metric} {spread(logged)}", speed)

    def finish(text: str) -> None:
        end_step(-1)
        skip(1)
        say(f"{done}/{total} {text}")

    stop = line.stop if line else lambda: None
    return SweepConsole(begin, skip, partial(run_reporter, common, log, finish, skip), stop)


def run_reporter(
    common: frozenset[str],
    log_value: Callable[[str, int, float, str], None],
    finish_line: Callable[[str], None],
    skip: Callable[[int], None],
) -> Reporter:
    """Make the reporter of one run of a sweep.

    Args:
        common: the overrides that all runs share.
        log_value: ``(metric, step, value on meta-validation, speed)``.
        finish_line: prints a line, of a run that is complete.
        skip: counts runs that end otherwise.
    """
    run: Run | None = None
    finished, speed = False, ""

    def start(started: Run) -> None:
        nonlocal run
        run = started

    def log(step: int, split: str, metrics: Mapping[str, Sequence[float]]) -> None:
        nonlocal speed
        assert run is not None
        if split == "validation":
            log_value(run.metric, step, float(np.mean(metrics[run.metric])), speed)
        elif RATE in metrics:
            speed = f"{np.sum(metrics[RATE]):,.0f} tasks/s"  # each seed's is its share of the program's

    def finish(summary: Mapping[str, Any], task_scores: Any, provenance: Mapping[str, Any]) -> None:
        nonlocal finished
        assert run is not None
        finished = True
        own = " ".join(text for text in run.overrides if text not in common)
        metric, chosen = summary["metric"], summary.get("validation", {}).get("value")
        finish_line(
            f"{own}{' ' if own else ''}({run.directory.name}): {metric['name']} {_number(metric['value'])}, by "
            f"meta-validation {_number(chosen)}"
        )

    def close(error: BaseException | None) -> None:
        if error is not None and not finished:
            skip(1)

    return Reporter(start=start, note=lambda text: None, log=log, finish=finish, close=close)


def spread(values: Sequence[float]) -> str:
    """The lowest and the highest of those that are numbers, in words."""
    known = [value for value in values if np.isfinite(value)]
    return f"{min(known):.4f} to {max(known):.4f}" if known else "no number"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
