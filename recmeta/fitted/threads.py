"""Threads of the host's libraries: few rows want one, and fits that do not need each other run beside each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

V = TypeVar("V")
R = TypeVar("R")

LINUX = hasattr(os, "sched_getaffinity")
"""Whether the system says which cores this process may use."""


def one_thread() -> AbstractContextManager:
    """Have BLAS and OpenMP use one thread: for matrices so small that their threads would mostly wait for each other.

    Most of all where other work shares the cores: a thread that is not run holds up all the others.
    """
    return threadpool_limits(1)


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """Open a pool of a thread per core, each of which has BLAS to itself.

    For work of numpy and scipy, which do not hold Python's lock meanwhile. Where the block fails, what has not begun is
    not begun.
    """
    with one_thread(), ThreadPoolExecutor(len(os.sched_getaffinity(0)) if LINUX else os.cpu_count()) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def side_by_side(function: Callable[[V], R], values: Iterable[V]) -> list[R]:
    """Call a function of each value, one a core at a time; the results are in the order of the values."""
    with workers() as pool:
        return list(pool.map(function, values))
