"""Which points of a sweep share a compiled program, and in which blocks they run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from recmeta import provenance
from recmeta.work import Point

T = TypeVar("T")

OF_DATA = ("dataset", "cleaning", "protocol")
"""The groups that make a problem."""


def grouped(values: Sequence[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """The values by a key, in the order in which they come.

    >>> grouped([1, 2, 3, 4], lambda value: value % 2)
    [[1, 3], [2, 4]]
    """
    groups: dict[Hashable, list[T]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return list(groups.values())


def structure(point: Point) -> str:
    """What points must have in common to share a program: all but the seeds and the `Numbers`."""
    config = {key: value for key, value in point.config.items() if key != "seeds"}
    for group, numbers in point.parts.numbers.items():
        config[group] = {key: value for key, value in config[group].items() if key not in numbers}
        # A number that is null is no number but another structure.
        config[group]["numbers"] = sorted(numbers)
    return provenance.config_hash(config)


def problem(point: Point) -> str:
    """What points must have in common to share a loaded and split data set."""
    return provenance.config_hash({key: point.config[key] for key in OF_DATA})


def reference(point: Point) -> str:
    """What points must have in common to share what the baselines do."""
    return provenance.config_hash({key: point.config[key] for key in (*OF_DATA, "baselines", "metrics", "metric")})


def blocks(points: Sequence[Point], members: int) -> Iterator[list[Point]]:
    """Cut points into blocks of at most so many seeds in all; at least one point each."""
    block: list[Point] = []
    for point in points:
        if block and sum(len(each.config["seeds"]) for each in (*block, point)) > members:
            yield block
            block = []
        block.append(point)
    if block:
        yield block


def name(block: Sequence[Point]) -> str:
    """What a block's folder is called: the same for the same points in the same order."""
    return hashlib.sha256("".join(point.directory.name for point in block).encode()).hexdigest()[:12]


def halves(block: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """A block of two or more points in two."""
    middle = len(block) // 2
    return list(block[:middle]), list(block[middle:])
