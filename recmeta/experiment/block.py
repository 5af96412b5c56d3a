"""A block: runs that share one compiled program. A run that fails is closed, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recmeta.experiment.prepare import PlannedRun
from recmeta.runs.layout import Summary
from recmeta.types import Pruned, Reporter

Outcome = Summary | Exception
"""A run's summary, or why there is none."""

Prune = Callable[[int, Mapping[Path, float]], Mapping[Path, Pruned]]
"""``(step, run directory -> value on meta-validation)`` -> the runs to stop at this step, and why.

The value of a run is what a search would be told were its training to end here: the mean over its seeds of each one's
best. Called after each meta-validation but the last; and without values where a training begins or resumes.
"""


def keep_all(step: int, values: Mapping[Path, float]) -> Mapping[Path, Pruned]:
    """Prune no run."""
    return {}


class OpenRun(NamedTuple):
    """A run in progress.

    Attributes:
        run: as it was planned.
        reporter: where it is reported to.
        replicas: which replicas of the program are its seeds, side by side.
        messages: lines for the user.
        provenance: what its numbers depend on, its hashes among it.
    """

    run: PlannedRun
    reporter: Reporter
    replicas: slice
    messages: Sequence[str]
    provenance: Mapping[str, Any]


class Block(NamedTuple):
    """The runs in progress, and the outcomes of the others, both by their place in the block."""

    open: dict[int, OpenRun]
    outcomes: dict[int, Outcome]

    @property
    def seeds(self) -> int:
        """The number of replicas that are seeds of open runs."""
        return sum(one.replicas.stop - one.replicas.start for one in self.open.values())


def for_each(block: Block, call: Callable[[OpenRun], Summary | None]) -> None:
    """Call a function for every open run; a summary that it returns is the outcome. A run that fails is closed."""
    for place, one in list(block.open.items()):
        try:
            if (summary := call(one)) is not None:
                block.outcomes[place] = summary
        except Exception as error:
            close(block, place, error)


def close(block: Block, place: int, error: BaseException | None) -> None:
    """Close a run; errors from its reporters become its outcome."""
    one = block.open.pop(place)
    try:
        one.reporter.close(error)
    except Exception as raised:
        error = error or raised
    if isinstance(error, Exception):
        block.outcomes[place] = error


def close_all(block: Block, error: BaseException | None) -> None:
    """Close all runs that are still open."""
    for place in list(block.open):
        close(block, place, error)
