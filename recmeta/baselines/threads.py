"""Threads of the host's libraries: few rows want one, and fits that do not need each other run beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

from threadpoolctl import threadpool_limits

V = TypeVar("V")
R = TypeVar("R")


def one_thread() -> AbstractContextManager:
    """Have BLAS and OpenMP use one thread: for matrices so small that their threads would mostly wait for each other.

    On two cores that other work shares, k-means of 600 users took 13 seconds with two threads, and 0.1 with one.
    """
    return threadpool_limits(1)


def side_by_side(function: Callable[[V], R], values: Iterable[V]) -> list[R]:
    """Call a function of each value in a thread of its own, one BLAS thread each.

    For work that numpy and scipy do, which do not hold Python's lock meanwhile.

    Returns:
        The results, in the order of the values.
    """
    with one_thread(), ThreadPoolExecutor() as pool:
        return list(pool.map(function, values))
