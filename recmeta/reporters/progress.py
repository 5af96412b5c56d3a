"""Draw progress on a terminal, in one line: steps, a bar, time left, and the metric that chooses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

LONGEST, SHORTEST = 24, 6
"""Most and fewest characters of the bar."""

PER_SECOND = 2
"""Times that the line is drawn: the drawing thread takes its time from the training thread."""


class Track(NamedTuple):
    """A line of progress that is being drawn.

    Attributes:
        line: ``() -> text``: the line as it is now.
        show: ``(step, text in place of the metric)``.
        log: ``(step, value on meta-validation or None, speed)``.
        stop: ``()``: stop drawing.
    """

    line: Callable[[], str]
    show: Callable[[int, str], None]
    log: Callable[[int, float | None, str], None]
    stop: Callable[[], None]


def track(out: Console, step: int, total: int, metric: str, goal: str, before: Callable[[], str] = str) -> Track:
    """Draw a line of progress below everything else that is printed; off a terminal draw nothing.

    Args:
        out: where to.
        step: where training begins.
        total: steps.
        metric, goal: the metric that chooses, and whether "min" or "max" is better.
        before: text at the line's beginning.
    """
    reached, status, rate = step, "compiling", ""
    values: list[float] = []
    first: tuple[int, float] | None = None

    def line() -> str:
        left = seconds_left(reached, total, first, time.monotonic())
        doing = status if reached < total else f"{status}, testing"
        return progress_line(reached, total, left, doing, rate, out.width, before())

    def show(step: int, text: str) -> None:
        nonlocal reached, status, rate, first
        reached, status, rate, first = step, text, "", None
        values.clear()

    def log(step: int, value: float | None, speed: str) -> None:
        nonlocal reached, status, rate, first
        reached = max(reached, step)
        rate = speed or rate
        if value is not None:
            values.append(value)
            status = chosen_by(metric, goal, values)
        first = first or (reached, time.monotonic())

    # Transient: what the last line would say stands in the lines that follow it.
    drawn = Live(
        get_renderable=lambda: Text(line(), no_wrap=True, overflow="crop"),
        console=out, refresh_per_second=PER_SECOND, redirect_stdout=False, redirect_stderr=False, transient=True,
    )  # fmt: skip
    if out.is_terminal and step < total:
        drawn.start(refresh=True)
    return Track(line, show, log, drawn.stop)


def chosen_by(metric: str, goal: str, values: Sequence[float]) -> str:
    """The metric that chooses, in words: its latest value on meta-validation, and the best where that is another.

    >>> chosen_by("mae", "min", [0.9, 0.8, 0.85])
    'mae 0.8500 (best 0.8000)'
    """
    known = [value for value in values if np.isfinite(value)]
    best = min(known, default=None) if goal == "min" else max(known, default=None) if goal == "max" else None
    return f"{metric} {values[-1]:.4f}" + (f" (best {best:.4f})" if best not in (None, values[-1]) else "")


def progress_line(
    done: int, total: int, left: float | None, status: str, rate: str, width: int, before: str = ""
) -> str:
    """Write the line of progress; where it does not fit, the rate and then the bar are left out.

    Args:
        done, total: steps.
        left: seconds; None where that is not known yet.
        status: the metric that chooses, or what is being done.
        rate: the speed.
        width: columns of the terminal.
        before: text at the beginning.

    >>> progress_line(400, 1000, 80.4, "mae 0.8123", "58,312 tasks/s", 80)
    '400/1000 ━━━━━━━━━━──────────────  0:01:20 left  mae 0.8123  58,312 tasks/s'
    >>> progress_line(400, 1000, None, "mae 0.8123", "58,312 tasks/s", 50)
    '400/1000 ━━━━━━────────  -:--:-- left  mae 0.8123'
    """
    time = "-:--:--" if left is None else str(timedelta(seconds=round(left)))
    steps = "  ".join(part for part in (before, f"{done}/{total}") if part)
    for last in (rate, ""):
        after = "  ".join(part for part in (f"{time} left", status, last) if part)
        room = min(LONGEST, width - 1 - cell_len(f"{steps}   {after}"))
        if room >= SHORTEST:
            full = round(room * done / max(total, 1))
            return f"{steps} {'━' * full}{'─' * (room - full)}  {after}"
    return f"{steps}  {after}"


def seconds_left(done: int, total: int, first: tuple[int, float] | None, now: float) -> float | None:
    """Estimate the seconds that are left, from the steps since the first that was reported.

    That one compiled too, and took longer than the others will.

    Args:
        done, total: steps.
        first: the first step that was reported, and when; None where none was.
        now: the time.

    >>> seconds_left(300, 1000, (100, 50.0), 70.0), seconds_left(100, 1000, (100, 50.0), 70.0)
    (70.0, None)
    """
    if first is None or done <= first[0]:
        return None
    return (total - done) * (now - first[1]) / (done - first[0])
