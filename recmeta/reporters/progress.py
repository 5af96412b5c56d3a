"""Draw progress on a terminal, in one line: steps, a bar, time left, and the metric that chooses."""

from __future__ import annotations

import sys
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
        show: ``(status, step, total)``: begin anew, as for another program.
        log: ``(step, status or None, speed)``: a step is done; a status or a speed that is empty stays as it was.
        stop: ``()``: stop drawing.
    """

    line: Callable[[], str]
    show: Callable[[str, int, int], None]
    log: Callable[[int, str, str], None]
    stop: Callable[[], None]


def track(out: Console, status: str, step: int, total: int, before: Callable[[], str] = str) -> Track:
    """Draw a line of progress below everything else that is printed; off a terminal draw nothing.

    Args:
        out: where to.
        status: what is being done.
        step: where training begins.
        total: steps; 0 where nothing is trained yet.
        before: text at the line's beginning.
    """
    reached, rate = step, ""
    first: tuple[int, float] | None = None

    def line() -> str:
        left = seconds_left(reached, total, first, time.monotonic())
        doing = f"{status}, testing" if 0 < total <= reached else status
        return progress_line(reached, total, left, doing, rate, out.width, before())

    def show(text: str, step: int, steps: int) -> None:
        nonlocal reached, total, status, rate, first
        reached, total, status, rate, first = step, steps, text, "", None

    def log(step: int, text: str, speed: str) -> None:
        nonlocal reached, status, rate, first
        reached, status, rate = max(reached, step), text or status, speed or rate
        first = first or (reached, time.monotonic())

    drawn = Live(
        get_renderable=lambda: Text(line(), no_wrap=True, overflow="crop"),
        console=out, refresh_per_second=PER_SECOND, transient=True,
        redirect_stdout=False, redirect_stderr=sys.stderr.isatty(),  # else an error would be written into the line
    )  # fmt: skip
    if out.is_terminal:
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
        done, total: steps; a total of 0: nothing is trained yet.
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
    if not total:
        return "  ".join(part for part in (before, status) if part)
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
