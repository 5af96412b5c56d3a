"""Group the runs of a sweep that share a compiled program, and cut the groups into blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from recmeta.config.values import without
from recmeta.experiment.prepare import PlannedRun
from recmeta.runs.hashing import config_hash

T = TypeVar("T")

OF_DATA = ("dataset", "cleaning", "text", "protocol")
"""The config groups that define a problem."""


def grouped(values: Sequence[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Group values by a key, in their order of appearance.

    >>> grouped([1, 2, 3, 4], lambda value: value % 2)
    [[1, 3], [2, 4]]
    """
    groups: dict[Hashable, list[T]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return list(groups.values())


def structure(run: PlannedRun) -> str:
    """The key of a program: runs that differ only in seeds and traced hyper-parameters share one."""
    config = {key: value for key, value in run.config.items() if key != "seeds"}
    for group, numbers in run.parts.numbers.items():
        config[group] = without(config[group], numbers)
        # null in place of a number makes another structure.
        config[group]["numbers"] = sorted(numbers)
    return config_hash(config)


def problem(run: PlannedRun) -> str:
    """The key of a data set, loaded and split."""
    return config_hash({key: run.config[key] for key in OF_DATA})


def reference(run: PlannedRun) -> str:
    """The key of the baselines' results."""
    return config_hash({key: run.config[key] for key in (*OF_DATA, "baselines", "metrics", "metric", "point")})


def blocks(runs: Sequence[PlannedRun], replicas: int) -> Iterator[list[PlannedRun]]:
    """Cut runs into blocks of at most so many replicas; at least one run each."""
    block: list[PlannedRun] = []
    for run in runs:
        if block and sum(len(one.settings.seeds) for one in (*block, run)) > replicas:
            yield block
            block = []
        block.append(run)
    if block:
        yield block


def name(block: Sequence[PlannedRun]) -> str:
    """The name of a block's folder: the same for the same runs in the same order."""
    return hashlib.sha256("".join(run.directory.name for run in block).encode()).hexdigest()[:12]


def halves(block: Sequence[PlannedRun]) -> tuple[list[PlannedRun], list[PlannedRun]]:
    """Cut a block of two or more runs in two."""
    middle = len(block) // 2
    return list(block[:middle]), list(block[middle:])
