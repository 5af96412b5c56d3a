"""The points of a program while they are run: one that fails is closed, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recmeta.types import Pruned, Reporter
from recmeta.work import Point

Outcome = dict[str, Any] | Exception
"""A point's summary, or why there is none."""


Prune = Callable[[int, Mapping[Path, float]], Mapping[Path, Pruned]]
"""``(step, run directory -> value on meta-validation)`` -> those that are given up by this step, and why.

The value of a point is what a search would be told were its training to end here: the mean over its seeds of each one's
best. Called after each meta-validation but the last; and without values where a training begins or goes on.
"""


def keep_all(step: int, values: Mapping[Path, float]) -> Mapping[Path, Pruned]:
    """Give no point up."""
    return {}


class Open(NamedTuple):
    """A point that is being run.

    Attributes:
        point: which.
        reporter: told of it.
        members: which members of the program are its seeds, side by side.
        told: lines for the user.
        facts: what its numbers depend on; its hashes are among them.
    """

    point: Point
    reporter: Reporter
    members: slice
    told: Sequence[str]
    facts: Mapping[str, Any]


class Points(NamedTuple):
    """Those that are being run, and what came of the others, both by their place among all."""

    opened: dict[int, Open]
    outcomes: dict[int, Outcome]


def each(points: Points, call: Callable[[Open], dict[str, Any] | None]) -> None:
    """Do something for every open point, of which a summary may come. One that fails is closed, the others go on."""
    for place, one in list(points.opened.items()):
        try:
            if (summary := call(one)) is not None:
                points.outcomes[place] = summary
        except Exception as error:
            close(points, place, error)


def close(points: Points, place: int, error: BaseException | None) -> None:
    """Let go of a point; what its reporters raise is then its own error."""
    one = points.opened.pop(place)
    try:
        one.reporter.close(error)
    except Exception as raised:
        error = error or raised
    if isinstance(error, Exception):
        points.outcomes[place] = error


def close_all(points: Points, error: BaseException | None) -> None:
    """Close what is still open."""
    for place in list(points.opened):
        close(points, place, error)
